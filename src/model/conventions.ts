/**
 * The rules on coordinates, on which public implementations differ; a run follows one of them.
 *   py-faster-rcnn  inclusive corners (width = x2 - x1 + 1), decoded x2, y2 one pixel larger than an exact inverse gives
 *   matlab          inclusive corners, exact inverse (the paper's own code)
 *   torchvision     continuous coordinates (width = x2 - x1)
 *   detectron2      the same; on a pyramid, or on one map with a sigmoid RPN, also anchors that are not rounded, levels whose
 *                   strides do not depend on the image, RoIAlign aligned to cells, and sides of the image rounded to the nearest
 */
export const CONVENTIONS = {
  'py-faster-rcnn': { plusOne: 1, decodeShrink: 0 },
  matlab: { plusOne: 1, decodeShrink: 1 },
  torchvision: { plusOne: 0, decodeShrink: 0 },
  detectron2: { plusOne: 0, decodeShrink: 0 },
} as const;

/** Smallest side of a detection, in pixels; detectron2 drops those without area. */
export const SMALLEST_DETECTION = { 'py-faster-rcnn': 0, matlab: 0, torchvision: 0.01, detectron2: 1e-6 } as const;
