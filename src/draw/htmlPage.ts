/** HTML pages of reports: one file that needs no other, in light and dark, on screen and on paper. */
import { escaped } from './svg.ts';

/** `header`: HTML below the title; `sections`: headings with HTML, of which empty ones are left out. */
export function htmlPage(title: string, header: string, sections: readonly (readonly [string, string])[]): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<header><h1>${escaped(title)}</h1>
${header}
</header>
<main>
${sections
  .filter(([, content]) => content !== '')
  .map(([name, content]) => `<section><h2>${name}</h2>\n${content}\n</section>`)
  .join('\n')}
</main>
</body>
</html>
`;
}

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = (row: readonly string[], tag: string): string =>
    `<tr>${row.map((text) => `<${tag}>${escaped(text)}</${tag}>`).join('')}</tr>`;
  const top = head.length > 0 ? `<thead>${cells(head, 'th')}</thead>` : '';
  return `<table>${top}<tbody>${rows.map((row) => cells(row, 'td')).join('')}</tbody></table>`;
}

/** The number with so many digits; 'none' if it is not finite. */
export const number = (value: number, digits: number): string =>
  Number.isFinite(value) ? value.toFixed(digits) : 'none';

const STYLE = `
:root { color-scheme: light dark; --line: light-dark(#d8d8dc, #3a3a3e); --soft: light-dark(#6b6b70, #a0a0a6); }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1080px; margin: 0 auto; padding: 24px; background: light-dark(#fff, #161618); }
h1 { font-size: 24px; margin: 0; } h2 { font-size: 19px; border-top: 1px solid var(--line); padding-top: 20px; margin: 28px 0 12px; }
.figure { font-size: 20px; margin: 4px 0 12px; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; align-self: start; }
th, td { text-align: left; padding: 3px 14px 3px 0; vertical-align: top; } th { font-weight: 600; color: var(--soft); }
tbody tr { border-top: 1px solid var(--line); }
.columns { display: flex; flex-wrap: wrap; gap: 32px; } .wide { overflow-x: auto; }
figure { margin: 0; } svg { width: 420px; max-width: 100%; font-size: 11px; fill: currentColor; }
.grid { stroke: var(--line); fill: none; }
.legend { margin: 2px 0; display: flex; flex-wrap: wrap; gap: 4px 12px; max-width: 420px; font-size: 13px; }
.legend i { display: inline-block; width: 10px; height: 10px; border-radius: 2px; margin-right: 4px; }
.confusion td { min-width: 44px; text-align: right; padding: 4px 8px; }
.right { background: color-mix(in srgb, #35c759 var(--share), transparent); }
.wrong { background: color-mix(in srgb, #ff4d4d var(--share), transparent); }
details { margin: 12px 0; } summary { cursor: pointer; font-weight: 600; }
.examples { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: 10px; margin-top: 8px; }
.examples img { width: 100%; display: block; border-radius: 4px; } .examples figcaption { font-size: 12px; color: var(--soft); }
@media print { body { max-width: none; padding: 0; } section, figure { break-inside: avoid; } }
`;
