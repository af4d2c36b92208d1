/** A picture as it is added: its size, a thumbnail, and its file, upright. */
import { decode } from '../pictures.ts';

export interface PictureFile {
  file: Blob;
  thumbnail: Blob;
}

/** Height of a thumbnail, pixels. */
const THUMBNAIL = 144;

/**
 * Reads a picture. Throws one line that names it if it is none. A photograph that is turned by its EXIF orientation is written
 * anew as it is displayed, because programs that read labels differ in whether they turn it.
 */
export async function readPicture(file: File): Promise<PictureFile & { width: number; height: number }> {
  const picture = await decode(file, file.name);
  const { width, height } = picture;
  const turned = (await orientationOf(file)) > 1;
  const scale = Math.min(1, THUMBNAIL / height);
  const thumbnail = await written(picture, Math.max(1, width * scale), Math.max(1, height * scale), 0.8);
  const upright = turned ? await written(picture, width, height, 0.95) : file;
  picture.close();
  return { file: upright, thumbnail, width, height };
}

/** A picture as a JPEG file of this size. */
export async function written(
  picture: ImageBitmapSource & CanvasImageSource,
  width: number,
  height: number,
  quality = 0.92,
) {
  const canvas = new OffscreenCanvas(Math.round(width), Math.round(height));
  const context = canvas.getContext('2d')!;
  context.imageSmoothingQuality = 'high';
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  return canvas.convertToBlob({ type: 'image/jpeg', quality });
}

/** The EXIF orientation of a JPEG file, 1 to 8; 1 if it says none. */
export async function orientationOf(file: Blob): Promise<number> {
  const bytes = new DataView(await file.slice(0, 65536 * 2).arrayBuffer());
  const has = (at: number, count: number): boolean => at + count <= bytes.byteLength;
  if (!has(0, 4) || bytes.getUint16(0) !== 0xffd8) return 1;
  for (let at = 2; has(at, 10) && bytes.getUint8(at) === 0xff; at += 2 + bytes.getUint16(at + 2)) {
    if (bytes.getUint16(at) !== 0xffe1 || bytes.getUint32(at + 4) !== 0x45786966) continue; // 'Exif'
    const tiff = at + 10;
    if (!has(tiff, 8)) return 1;
    const little = bytes.getUint16(tiff) === 0x4949;
    const directory = tiff + bytes.getUint32(tiff + 4, little);
    if (!has(directory, 2)) return 1;
    const entries = bytes.getUint16(directory, little);
    for (let i = 0, entry = directory + 2; i < entries && has(entry, 12); i++, entry += 12) {
      if (bytes.getUint16(entry, little) !== 0x0112) continue;
      const orientation = bytes.getUint16(entry + 8, little);
      return orientation >= 1 && orientation <= 8 ? orientation : 1;
    }
    return 1;
  }
  return 1;
}
