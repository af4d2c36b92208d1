/** Colours of classes and scores. */

/** Strong colours that are easy to tell apart on photographs; further classes get hues by the golden angle. */
const FIRST = [
  '#ff4d4d',
  '#2f9bff',
  '#35c759',
  '#ff9f0a',
  '#bf5af2',
  '#00c7be',
  '#ff5fa8',
  '#ffd60a',
  '#8e7bff',
  '#a2d729',
];

/** The colour of class 1, 2...: `#rrggbb` or `hsl(...)`. */
export const classColour = (classIndex: number): string =>
  FIRST[classIndex - 1] ?? `hsl(${((classIndex * 137.508) % 360).toFixed(1)} 85% 60%)`;

/** Five nodes of the viridis map (matplotlib), dark violet for 0 to yellow for 1. */
const VIRIDIS = [
  [68, 1, 84],
  [59, 82, 139],
  [33, 145, 140],
  [94, 201, 98],
  [253, 231, 37],
] as const;

/** `rgb(...)` of a score in [0, 1]. */
export function scoreColour(score: number): string {
  const at = Math.min(1, Math.max(0, score)) * (VIRIDIS.length - 1);
  const node = Math.min(VIRIDIS.length - 2, Math.floor(at));
  const mixed = VIRIDIS[node]!.map((low, c) => Math.round(low + (at - node) * (VIRIDIS[node + 1]![c]! - low)));
  return `rgb(${mixed.join(' ')})`;
}
