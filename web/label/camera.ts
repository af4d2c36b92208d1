/** The camera's picture in place of the one that is labelled, and pictures taken from it. */
import { attempt, element } from '../dom.ts';
import { written } from './pictureFile.ts';

/** Opens and closes the camera by a button. `taken` gets each picture; `changed` is called whenever it opens or closes. */
export function startCamera(taken: (file: File) => unknown, changed: () => void): { readonly open: boolean } {
  const button = element<HTMLButtonElement>('label-camera');
  const video = element<HTMLVideoElement>('camera-picture');
  let stream: MediaStream | undefined;
  let count = 0;

  const show = (): void => {
    button.setAttribute('aria-pressed', String(stream !== undefined));
    element('viewfinder').hidden = stream === undefined;
    changed();
  };
  const close = (): void => {
    stream?.getTracks().forEach((track) => track.stop());
    stream = undefined;
    show();
  };

  const open = async (): Promise<void> => {
    stream = await openCamera();
    if (location.hash !== '#label') return close(); // while the browser asked whether the page may use it
    video.srcObject = stream;
    await video.play();
    show();
    element('take').focus();
  };
  button.onclick = () =>
    attempt(async () => {
      if (stream) return close();
      button.disabled = true;
      await open().finally(() => (button.disabled = false));
    });
  element('close-camera').onclick = () => {
    close();
    button.focus();
  };
  element('take').onclick = () =>
    attempt(async () => {
      const file = await written(video, video.videoWidth, video.videoHeight);
      taken(new File([file], `camera-${++count}.jpg`, { type: file.type }));
    });
  addEventListener('hashchange', () => stream && close());

  return {
    get open() {
      return stream !== undefined;
    },
  };
}

export const openCamera = (): Promise<MediaStream> =>
  navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment' } }).catch(() => {
    throw new Error('There is no camera, or this page may not use it: allow it in the address bar.');
  });
