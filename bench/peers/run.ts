/**
 * `npm run bench:peers`: compares this engine with others on the same adapter, in one run. The others are installed into
 * this folder on first use; they are not part of the project.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command, CommanderError } from 'commander';
import { UserError } from '../../src/engine/errors.ts';
import { compareRow, EngineProcess, PEERS } from './compare.ts';
import { between, geomeans, markdown, ours, type PeersReport, type ReportRow, terminalTable } from './report.ts';
import { describeRow, ROWS } from './rows.ts';

const folder = fileURLToPath(new URL('.', import.meta.url));
const peerNames = Object.keys(PEERS) as (keyof typeof PEERS)[];
/** The npm packages of the engines; torchvision is Python's. */
const PACKAGES: Readonly<Partial<Record<keyof typeof PEERS, string>>> = {
  'onnxruntime-node': 'onnxruntime-node',
  'onnxruntime-cpu': 'onnxruntime-node',
  tfjs: '@tensorflow/tfjs',
  'jax-js': '@jax-js/jax',
};

interface Options {
  filter: string;
  peers: string;
  json?: string;
  markdown?: string;
  list?: boolean;
}

const program = new Command('bench:peers')
  .description('Time convolutions, matrix products, training steps and a detector beside other engines.')
  .exitOverride()
  .configureOutput({ outputError: () => {} }) // printed below, with the command's name
  .option('--filter <text>', "only rows whose name contains this: 'forward', '512->512', 'matmul'", '')
  .option('--peers <names>', 'the engines to compare with, comma-separated', peerNames.join())
  .option('--json <file>', 'also write the report')
  .option('--markdown <file>', 'also write the table between the marks peers:begin and peers:end of this file')
  .option('--list', 'print the names of the rows and measure nothing')
  .action(main);

try {
  await program.parseAsync();
} catch (error) {
  const known = error instanceof UserError || error instanceof CommanderError;
  if (!known) throw error;
  process.exitCode = error instanceof CommanderError ? error.exitCode : 1;
  if (process.exitCode !== 0)
    console.error(`bench:peers: ${error.message.replace(/^error: /, '').replace(/\s*\n\s*/g, ' ')}`);
}

async function main(options: Options): Promise<void> {
  const name = (i: number) => {
    const { op, shape } = describeRow(ROWS[i]!);
    return `${op} ${shape}`;
  };
  const rows = [...ROWS.keys()].filter((i) => name(i).includes(options.filter));
  if (rows.length === 0) throw new UserError(`--filter ${options.filter}: no row has this in its name; see --list`);
  if (options.list) return rows.forEach((i) => console.log(name(i)));
  const peers = peerNames.filter((peer) => options.peers.split(',').includes(peer));
  const unknown = options.peers.split(',').filter((peer) => !(peer in PEERS));
  if (unknown.length > 0) throw new UserError(`--peers ${unknown.join()}: unknown; there are ${peerNames.join(', ')}`);
  const document = options.markdown === undefined ? null : readDocument(options.markdown);
  install(peers);
  const report = await compare(rows, peers);
  if (options.json !== undefined) writeFileSync(options.json, JSON.stringify(report, null, 2) + '\n');
  if (document !== null) writeFileSync(options.markdown!, between(document, markdown(report, peers))!);
  if (report.rows.some(({ ours_ms }) => ours_ms === null)) process.exitCode = 1;
}

/** Called before anything is measured, since a document without marks would only be noticed after the run. */
function readDocument(path: string): string {
  const document = existsSync(path) ? readFileSync(path, 'utf8') : '';
  if (between(document, '') !== null) return document;
  throw new UserError(
    `--markdown ${path}: has no two lines <!-- peers:begin --> and <!-- peers:end --> to write between`,
  );
}

function install(peers: readonly (keyof typeof PEERS)[]): void {
  const needed = peers.flatMap((peer) => PACKAGES[peer] ?? []);
  if (needed.every((name) => existsSync(join(folder, 'node_modules', name)))) return;
  console.log('installing the peers (some 600 MB) into bench/peers');
  // onnxruntime-node's install script would download CUDA.
  const command = ['install', '--ignore-scripts', '--no-audit', '--no-fund'];
  execFileSync('npm', command, { cwd: folder, stdio: 'inherit', shell: process.platform === 'win32' });
}

async function compare(rows: readonly number[], peers: readonly (keyof typeof PEERS)[]): Promise<PeersReport> {
  const shared = mkdtempSync(join(tmpdir(), 'webgpu-rcnn-peers-'));
  const own = new EngineProcess(ours, 'ours', shared);
  const engines = [own];
  const versions: Record<string, string> = {};
  const missing: Record<string, string> = {};
  try {
    await own.open();
    console.log(`computing on ${own.adapter}; multiply-add peak ${own.peakGflops.toFixed(1)} GFLOP/s`);
    for (const peer of peers) {
      const engine = new EngineProcess(peer, PEERS[peer], shared);
      engines.push(engine);
      const reason = await start(engine, own.adapter!);
      if (reason === null) {
        versions[peer] = engine.version ?? installedVersion(PACKAGES[peer]!);
        continue;
      }
      engines.pop()!.close();
      missing[peer] = reason;
      console.log(`${peer} takes no part: ${reason}`);
    }
    const table = terminalTable(
      peers,
      rows.map((i) => describeRow(ROWS[i]!)),
    );
    console.log(
      `milliseconds, the best of 3 rounds after a warm-up; ratio: the fastest peer's time over ours\n\n${table.heading}`,
    );
    const results: ReportRow[] = [];
    for (const i of rows) {
      const row = await compareRow(engines, i, own.peakGflops);
      results.push(row);
      console.log(table.row(row));
      for (const note of row.notes) console.log(`    ${note}`);
    }
    const geomean = geomeans(results);
    console.log(`\n${table.means(geomean)}`);
    return {
      adapter: own.adapter!,
      date: new Date().toISOString(),
      peak_gflops: own.peakGflops,
      versions,
      rows: results,
      geomean,
      missing,
    };
  } finally {
    engines.forEach((engine) => engine.close());
    rmSync(shared, { recursive: true });
  }
}

/** Why an engine cannot take part, or null. */
async function start(engine: EngineProcess, adapter: string): Promise<string | null> {
  try {
    await engine.open();
  } catch (error) {
    return (error as Error).message;
  }
  return engine.adapter === null || engine.adapter === adapter ? null : `it computes on ${engine.adapter}`;
}

function installedVersion(name: string): string {
  return JSON.parse(readFileSync(join(folder, 'node_modules', name, 'package.json'), 'utf8')).version;
}
