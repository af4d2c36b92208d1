/** What torchvision calls the parameters of its detectors (0.14), from our names. */
export function torchvisionName(own: string, detector: string): string {
  const features = detector.startsWith('mobilenet') ? 'features.' : '';
  if (own.startsWith('fpn.')) return `backbone.${own}`;
  if (own.startsWith('rpn.')) return own.replace('rpn.', 'rpn.head.');
  if (own.startsWith('head.')) return own.replace('head.', 'roi_heads.box_predictor.');
  if (/^(fc6|fc7)\./.test(own)) return `roi_heads.box_head.${own}`;
  if (own.startsWith('box_head.')) return `roi_heads.${own}`;
  return `backbone.body.${own.slice(features.length)}`;
}
