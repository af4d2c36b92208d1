/**
 * The rules on coordinates, on which public implementations differ; a run follows one of them.
 *   py-faster-rcnn  inclusive corners (width = x2 - x1 + 1), decoded x2, y2 one pixel larger than an exact inverse gives
 *   matlab          inclusive corners, exact inverse (the paper's own code)
 *   torchvision     continuous coordinates (width = x2 - x1)
 */
export const CONVENTIONS = {
  'py-faster-rcnn': { plusOne: 1, decodeShrink: 0 },
  matlab: { plusOne: 1, decodeShrink: 1 },
  torchvision: { plusOne: 0, decodeShrink: 0 },
} as const;

/** Smallest side of a detection, in pixels: torchvision alone drops smaller ones. */
export const SMALLEST_DETECTION = { 'py-faster-rcnn': 0, matlab: 0, torchvision: 0.01 } as const;
