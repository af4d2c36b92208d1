/** Small charts as SVG text, in the colours of the page around them (`currentColor`). */

export interface Series {
  name: string;
  colour: string;
  points: readonly (readonly [x: number, y: number])[];
  dashed?: boolean;
}

export interface ChartAxes {
  x: string;
  y: string;
  /** Largest values; both axes begin at 0. */
  most: readonly [x: number, y: number];
}

const [WIDTH, HEIGHT] = [420, 280];
const [LEFT, BOTTOM, TOP, RIGHT] = [48, 38, 10, 12];

/** Text that is safe in HTML and SVG, in elements and in quoted attributes. */
export const escaped = (text: string): string =>
  text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`).replace(/\p{Cc}/gu, ' ');

/** Lines over two axes with a legend. Points that are not finite are left out. */
export function lineChart(title: string, series: readonly Series[], { x, y, most }: ChartAxes): string {
  const across = (value: number): string => (LEFT + (value / most[0]) * (WIDTH - LEFT - RIGHT)).toFixed(1);
  const up = (value: number): string => (HEIGHT - BOTTOM - (value / most[1]) * (HEIGHT - BOTTOM - TOP)).toFixed(1);
  const ticks = [0, 0.25, 0.5, 0.75, 1];
  const grid = ticks
    .map((share) => {
      const [atX, atY] = [across(share * most[0]), up(share * most[1])];
      return (
        `<path d="M${LEFT} ${atY}H${WIDTH - RIGHT}M${atX} ${TOP}V${HEIGHT - BOTTOM}" class="grid"/>` +
        `<text x="${LEFT - 6}" y="${atY}" text-anchor="end" dy=".32em">${short(share * most[1])}</text>` +
        `<text x="${atX}" y="${HEIGHT - BOTTOM + 14}" text-anchor="middle">${short(share * most[0])}</text>`
      );
    })
    .join('');
  const lines = series
    .map(({ points, colour, dashed }) => {
      const path = points
        .filter((point) => point.every(Number.isFinite))
        .map(([px, py], i) => `${i ? 'L' : 'M'}${across(px)} ${up(py)}`)
        .join('');
      const dash = dashed ? ' stroke-dasharray="4 3"' : '';
      return `<path d="${path}" fill="none" stroke="${escaped(colour)}" stroke-width="2"${dash}/>`;
    })
    .join('');
  const legend = series
    .map(({ name, colour }) => `<span><i style="background:${escaped(colour)}"></i>${escaped(name)}</span>`)
    .join(' ');
  return (
    `<figure><figcaption>${escaped(title)}</figcaption>` +
    `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escaped(title)}">${grid}${lines}` +
    `<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 6}" text-anchor="middle">${escaped(x)}</text>` +
    `<text transform="translate(12 ${HEIGHT / 2}) rotate(-90)" text-anchor="middle">${escaped(y)}</text></svg>` +
    `<p class="legend">${legend}</p></figure>`
  );
}

/** '0.25', '1200', '1.5': no more digits than the axis needs. */
const short = (value: number): string => String(Number(value.toPrecision(3)));
