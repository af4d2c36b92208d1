/**
 * Makes the tables in docs/performance.md of what the planner expects of a GPU: `npx tsx bench/gpuTable.ts` prints them, `--write`
 * puts them into the document. They are pure arithmetic (kernels/workgroupCost.ts): no GPU is needed, and nothing is measured.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { convShape } from '../src/kernels/checks/matmul.ts';
import { convAccess, type ConvPass, convProduct } from '../src/kernels/conv2dWorkgroup.ts';
import { type Capabilities, KNOWN_MACHINES, type Machine, machineOf } from '../src/kernels/machine.ts';
import { type MatmulShape, matmulShape, workgroupAccess } from '../src/kernels/matmul.ts';
import { convPlans } from '../src/kernels/planner.ts';
import { workgroupBytes, type WorkgroupTile, workgroupTileName } from '../src/kernels/workgroupCore.ts';
import { type Fetches, type ProductExtents, residentOf, registersOf, tileCost } from '../src/kernels/workgroupCost.ts';
import {
  convTiles,
  filterParts,
  productSplits,
  splitShape,
  winogradTime,
  WORKGROUP_TILES,
  workgroupTiles,
} from '../src/kernels/workgroupPlans.ts';

const deviceOf = (machine: Machine): Capabilities => ({
  subgroupSize: machine.lanes,
  software: false,
  maxBindingBytes: 2 ** 31 - 4,
  workgroupMemory: 32768,
  workgroupInvocations: 256,
  machine,
});

const table = (head: readonly string[], rows: readonly (readonly (string | number)[])[]): string =>
  [head, head.map((_, i) => (i === 0 ? '---' : '--:')), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');

const percent = (share: number): string => `${Math.round(100 * share)} %`;
const megabytes = (bytes: number): string => (bytes / 1e6).toPrecision(3);
const short = (tile: WorkgroupTile): string => workgroupTileName(tile).replace('workgroup ', '');

/** What each tile needs on each machine, whatever the product. */
function tileTable(): string {
  const access = { fetchA: 'vector', fetchB: 'vector' } as const;
  const rows = WORKGROUP_TILES.map((tile) => {
    const { rows, columns, rowsEach, columnsEach } = tile;
    const perAdd = (4 * (rowsEach + columnsEach)) / (rowsEach * columnsEach);
    return [
      short(tile),
      (4 * (rows + columns)) / (rows * columns),
      perAdd + (4 * (rows + columns)) / (rows * columns),
      registersOf(tile, access),
      workgroupBytes(tile, 'vector', 'vector') / 1024,
      ...KNOWN_MACHINES.map((machine) => {
        const resident = residentOf(tile, access, machine);
        const square = tileCost(tile, { M: 4096, N: 4096, K: 4096, batch: 1 }, access, machine);
        return resident === 0 ? 'no' : `${resident}, ${percent(square.occupancy)}, ${square.bound}`;
      }),
    ].map((value) => (typeof value === 'number' ? Number(value.toPrecision(3)) : value));
  });
  return table(['tile', 'cache B', 'workgroup B', 'registers', 'KiB', ...KNOWN_MACHINES.map(({ kind }) => kind)], rows);
}

/** The planner's first choices on one machine. */
function choiceTable(machine: Machine): string {
  const device = deviceOf(machine);
  const row = (name: string, tile: WorkgroupTile, product: ProductExtents, access: Fetches, microseconds: number) => {
    const cost = tileCost(tile, product, access, machine);
    return [
      name,
      short(tile),
      cost.workgroups,
      megabytes(cost.memoryBytes),
      megabytes(cost.cacheBytes),
      megabytes(cost.workgroupTraffic),
      percent(cost.occupancy),
      cost.bound,
      microseconds.toFixed(0),
    ];
  };
  const product = (name: string, shape: MatmulShape) => {
    const splits = productSplits(device, shape);
    const part = splits > 1 ? splitShape(shape, splits) : shape;
    const access = workgroupAccess(part);
    const [tile] = workgroupTiles(device, part, access);
    return row(
      splits > 1 ? `${name} in ${splits}` : name,
      tile!,
      part,
      access,
      tileCost(tile!, part, access, machine).microseconds,
    );
  };
  const convolution = (pass: ConvPass, name: string, shape: Parameters<typeof convTiles>[2]) => {
    const [plan] = convPlans(device, pass, shape);
    if (plan!.algorithm === 'winograd') {
      const tiles = shape.B * Math.ceil(shape.OH / 4) * Math.ceil(shape.OW / 4);
      const [M, N, K] = {
        forward: [shape.K, tiles, shape.C],
        input: [shape.C, tiles, shape.K],
        filter: [shape.C, shape.K, tiles],
      }[pass] as [number, number, number];
      const points = { M, N, K, batch: 36 };
      const access = { fetchA: 'vector', fetchB: 'vector' } as const;
      const [tile] = workgroupTiles(device, points, access);
      return row(`${pass} ${name}, F(4x4)`, tile!, points, access, winogradTime(device, pass, shape, 4));
    }
    const [tile] = convTiles(device, pass, shape);
    const splits = pass === 'filter' ? filterParts(device, tile!, shape).splits : 1;
    const whole = convProduct(pass, shape);
    const extents = { ...whole, K: Math.ceil(whole.K / splits), batch: splits };
    const access = convAccess(pass, shape);
    const label = `${pass} ${name}, direct${splits > 1 ? ` in ${splits}` : ''}`;
    return row(label, tile!, extents, access, tileCost(tile!, extents, access, machine).microseconds);
  };
  const linear = (M: number, N: number, K: number) =>
    matmulShape({ M, N, K, am: K, ak: 1, bk: 1, bn: K, cm: N, cn: 1 });
  const square = (n: number) => matmulShape({ M: n, N: n, K: n, am: n, ak: 1, bk: n, bn: 1, cm: n, cn: 1 });
  const passes = ['forward', 'input', 'filter'] as const;
  const layers = [
    ['3->64 600x800', convShape([1, 3, 600, 800], [64, 3, 3], 1, 1)],
    ['64->64 600x800', convShape([1, 64, 600, 800], [64, 3, 3], 1, 1)],
    ['256->256 150x200', convShape([1, 256, 150, 200], [256, 3, 3], 1, 1)],
    ['512->512 37x50', convShape([1, 512, 37, 50], [512, 3, 3], 1, 1)],
  ] as const;
  return table(
    ['product', 'tile', 'workgroups', 'memory MB', 'cache MB', 'workgroup MB', 'occupancy', 'bound', 'expected us'],
    [
      product('512x512x512', square(512)),
      product('4096x4096x4096', square(4096)),
      product('fc6, 300 rows', linear(300, 4096, 25088)),
      product('fc6, 16 rows', linear(16, 4096, 25088)),
      product('fc7, 300 rows', linear(300, 4096, 4096)),
      ...layers.flatMap(([name, shape]) => passes.map((pass) => convolution(pass, name, shape))),
    ],
  );
}

/** Both tables, as they stand in docs/performance.md. */
export const gpuTables = (): string =>
  `${tileTable()}\n\nThe first choices on an H100. Convolutions are VGG-16's at 600x800; those marked F(4x4) are their 36 products.\n\n${choiceTable(machineOf('NVIDIA H100'))}\n`;

const [BEGIN, END] = ['<!-- gpu:begin -->\n\n', '\n<!-- gpu:end -->'] as const;

/** The document, with the tables replaced by the current ones. */
export function withTables(document: string): string {
  const [begin, end] = [document.indexOf(BEGIN), document.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`docs/performance.md has no ${BEGIN.trim()} ... ${END.trim()}`);
  return document.slice(0, begin + BEGIN.length) + gpuTables() + document.slice(end);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv.includes('--write')) {
    const path = fileURLToPath(new URL('../docs/performance.md', import.meta.url));
    writeFileSync(path, withTables(readFileSync(path, 'utf8')));
  } else {
    console.log(gpuTables());
  }
}
