/** A board to draw digits on, with strokes of the width and contrast that digits have in the scenes, and of the same size. */

/** Side of a scene, pixels. */
const SIDE = 160;
const CHALK = 5;

export interface DrawingBoard {
  /** The drawing, at the size of a scene. */
  canvas: OffscreenCanvas;
  /** Draws with the pointer over `surface`, which shows the board. */
  listen(surface: HTMLElement, onStroke: () => void): void;
  clear(): void;
}

export function drawingBoard(): DrawingBoard {
  const canvas = new OffscreenCanvas(SIDE, SIDE);
  const context = canvas.getContext('2d', { willReadFrequently: true })!;
  context.lineCap = context.lineJoin = 'round';
  context.lineWidth = CHALK;
  const clear = (): void => {
    context.fillStyle = '#2c3a34';
    context.fillRect(0, 0, SIDE, SIDE);
  };
  clear();
  return {
    canvas,
    clear,
    listen(surface, onStroke) {
      const at = (event: PointerEvent): [x: number, y: number] => {
        const { left, top, width, height } = surface.getBoundingClientRect();
        return [((event.clientX - left) / width) * SIDE, ((event.clientY - top) / height) * SIDE];
      };
      surface.classList.add('board');
      surface.onpointerdown = (event) => {
        surface.setPointerCapture(event.pointerId);
        context.strokeStyle = '#f3efe2';
        context.beginPath();
        context.moveTo(...at(event));
      };
      surface.onpointermove = (event) => {
        if (event.buttons === 0) return;
        context.lineTo(...at(event));
        context.stroke();
        onStroke();
      };
      surface.onpointerup = onStroke;
    },
  };
}
