/**
 * The GPU drill, which a pack (scripts/gpuPack.ts) carries to a machine with a GPU: it finds a Vulkan device, then runs the parts,
 * the most valuable first, each in processes of its own, so that the others survive a driver that crashes or hangs. RESULTS
 * holds README.md, report.json and log.txt, which are rewritten every few seconds.
 *
 *   node drill.mjs --pack FOLDER --results RESULTS [--full|--quick|--tiny]
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { parseArgs } from 'node:util';
import { drillPage, type DrillReport } from './page.ts';
import { type Part, runParts } from './parts.ts';
import { pythonWithTorch } from './python.ts';
import { bringLibraries, candidates, findDrivers, whyNone } from './vulkan.ts';

const TOTAL_SECONDS = 465;
const PROBE_SECONDS = 40;

type Form = 'full' | 'quick' | 'tiny';

const { values } = parseArgs({
  options: {
    pack: { type: 'string' },
    results: { type: 'string' },
    full: { type: 'boolean' },
    quick: { type: 'boolean' },
    tiny: { type: 'boolean' },
  },
});
const pack = values.pack!;
const results = values.results!;
const scratch = path.join(pack, 'scratch');
fs.mkdirSync(scratch, { recursive: true });
const started = performance.now();

const logFile = fs.openSync(path.join(results, 'log.txt'), 'w');
const log = (text: string): void => void fs.writeSync(logFile, text);
const say = (text: string): void => {
  console.log(text);
  log(`${text}\n`);
};

const ending = new AbortController();
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => ending.abort());

const packed = JSON.parse(fs.readFileSync(path.join(pack, 'pack.json'), 'utf8')) as DrillReport['pack'];
const report: DrillReport = {
  date: new Date().toISOString(),
  pack: packed,
  form: 'quick',
  machine: machine(),
  device: { adapter: null, software: false, tried: [], note: null },
  parts: [],
  ended: false,
};

function save(): void {
  for (const [name, text] of [
    ['report.json', JSON.stringify(report, null, 1) + '\n'],
    ['README.md', drillPage(report)],
  ] as const) {
    const aside = path.join(results, `${name}.tmp`);
    fs.writeFileSync(aside, text);
    fs.renameSync(aside, path.join(results, name));
  }
}

save();
const env = device();
report.form =
  (['full', 'quick', 'tiny'] as const).find((form) => values[form]) ?? (report.device.software ? 'quick' : 'full');
const { adapter, software, note } = report.device;
say(
  adapter === null
    ? `no device: ${note}`
    : `device: ${adapter}${software ? `, which computes on the CPU (${note})` : ''}; the ${report.form} form`,
);
save();

const shown = new Set<string>();
report.parts = await runParts(parts(report.form), {
  env,
  cwd: scratch,
  log,
  deadline: started + TOTAL_SECONDS * 1000,
  signal: ending.signal,
  save(outcomes) {
    report.parts = [...outcomes];
    for (const { name, state, seconds, why } of outcomes) {
      if (state === 'waiting' || state === 'running' || shown.has(name)) continue;
      shown.add(name);
      say(`${name}: ${state}, ${seconds.toFixed(0)} s${why ? ` (${why})` : ''}`);
    }
    save();
  },
});
report.ended = !ending.signal.aborted;
save();
say(`results: ${path.join(results, 'README.md')}`);
process.exitCode = ending.signal.aborted
  ? 143
  : adapter === null || report.parts.some(({ state }) => state === 'failed')
    ? 1
    : 0;

function machine(): DrillReport['machine'] {
  const smi = spawnSync('nvidia-smi', { encoding: 'utf8', timeout: 10_000 });
  const cpus = os.cpus();
  return {
    os: `${os.version()} ${os.release()}`,
    cpu: `${cpus.length} x ${cpus[0]?.model.trim() || 'unknown'}`,
    memory_gb: Math.round(os.totalmem() / 1e8) / 10,
    nvidia_smi: smi.status === 0 ? smi.stdout : `nvidia-smi: ${smi.error?.message ?? `exit code ${smi.status}`}`,
  };
}

/** Finds a device, notes how it was found, and returns the environment variables for the parts. */
function device(): Record<string, string | undefined> {
  const brought = path.join(scratch, 'lib');
  const missing = bringLibraries(path.join(pack, 'lib', 'vulkan'), brought, hasLibrary);
  const folders = [process.env['LD_LIBRARY_PATH'] ?? '', missing.length > 0 ? brought : ''].filter(
    (folder) => folder !== '',
  );
  const base: Record<string, string | undefined> = {
    ...process.env,
    HOME: scratch,
    TMPDIR: scratch,
    XDG_CACHE_HOME: path.join(pack, 'cache'),
    CUBLAS_WORKSPACE_CONFIG: ':4096:8',
    ...(folders.length > 0 && { LD_LIBRARY_PATH: folders.join(':') }),
  };
  const found = findDrivers(base);
  if (missing.length > 0)
    report.device.tried.push(`libraries that the system lacks, from the pack: ${missing.join(', ')}`);
  report.device.tried.push(
    `manifests: ${found.manifests.join(', ') || 'none'}`,
    `NVIDIA's Vulkan libraries: ${found.drivers.join(', ') || 'none'}; CUDA: ${found.cuda ?? 'none'}`,
  );
  const chosen = process.env['WEBGPU_RCNN_SOFTWARE'];
  if (chosen) report.device.note = `WEBGPU_RCNN_SOFTWARE=${chosen}`;
  else {
    for (const candidate of candidates(found, base, scratch)) {
      const candidateEnv = { ...base, ...candidate.env };
      const answer = probe('hardware', candidateEnv);
      report.device.tried.push(`${candidate.name}: ${answer.adapter ?? answer.why}`);
      if (answer.adapter === null) continue;
      report.device.adapter = answer.adapter;
      return candidateEnv;
    }
    report.device.note = whyNone(found);
  }
  const answer = probe('auto', base);
  report.device.adapter = answer.adapter;
  report.device.software = true;
  report.device.tried.push(`a software adapter: ${answer.adapter ?? answer.why}`);
  if (answer.adapter === null) report.device.note = `${report.device.note}; nor a software adapter (${answer.why})`;
  return base;
}

/** Whether the system has a library. Loading it always throws in Node, but the message differs. */
function hasLibrary(library: string): boolean {
  try {
    process.dlopen({ exports: {} }, library, os.constants.dlopen.RTLD_LAZY);
    return true;
  } catch (error) {
    return /did not self-register/.test((error as Error).message);
  }
}

function probe(
  kind: 'hardware' | 'auto',
  env: Record<string, string | undefined>,
): { adapter: string | null; why: string } {
  const node = path.join(pack, 'app', 'dist', 'node.js');
  const code = `import { openGpu } from ${JSON.stringify(node)};
    try { const gpu = await openGpu({ adapter: '${kind}' }); console.log('adapter ' + gpu.adapter.description + ' (' + gpu.device.adapterInfo.device + ')'); gpu.close(); }
    catch (error) { console.log('none ' + error.message); }`;
  const { stdout, error, signal } = spawnSync(process.execPath, ['--input-type=module', '-e', code], {
    env: env as NodeJS.ProcessEnv,
    encoding: 'utf8',
    timeout: PROBE_SECONDS * 1000,
    killSignal: 'SIGKILL',
  });
  const line = (stdout ?? '').trim().split('\n').at(-1) ?? '';
  if (line.startsWith('adapter ')) return { adapter: line.slice(8), why: '' };
  return { adapter: null, why: line.replace(/^none /, '') || `ended by ${error?.message ?? signal ?? 'an error'}` };
}

function parts(form: Form): Part[] {
  const tiny = form === 'tiny';
  const quick = form === 'full' ? [] : ['--quick'];
  const file = (name: string): string => path.join(scratch, name);
  const rcnn = (...args: string[]) => ({
    command: process.execPath,
    args: [path.join(pack, 'app', 'dist', 'cli', 'rcnn.js'), ...args],
  });
  const train = (out: string, steps: number | null) =>
    rcnn(
      'train',
      '--preset',
      'demo',
      '--data',
      'digits',
      '--no-tune',
      '--out',
      out,
      ...(steps ? ['--steps', `${steps}`] : []),
    );
  const json = (name: string): unknown => {
    try {
      return JSON.parse(fs.readFileSync(file(name), 'utf8'));
    } catch {
      return null;
    }
  };
  const sameSteps = form === 'full' ? 200 : 20;
  const all: Part[] = [
    {
      name: 'info',
      title: 'Every kernel against its float64 reference',
      limitSeconds: form === 'full' ? 75 : 150,
      commands: [rcnn('info', '--json', file('info.json'), ...(tiny ? ['--filter', 'softmax'] : []))],
      collect: () => json('info.json'),
    },
    {
      name: 'bench',
      title: 'Benchmark',
      limitSeconds: 130,
      commands: [rcnn('bench', '--json', file('bench.json'), ...quick, ...(tiny ? ['--filter', 'matmul 512'] : []))],
      collect: () => json('bench.json'),
    },
    {
      name: 'torch',
      title: 'PyTorch on the same device',
      limitSeconds: form === 'full' ? 90 : 40,
      commands: [
        {
          command: pythonWithTorch(env),
          args: [path.join(pack, 'torch_rows.py'), path.join(pack, 'rows.json'), file('torch.json'), ...quick],
        },
      ],
      collect: () => json('torch.json'),
    },
    {
      name: 'profile',
      title: 'Profile of a detection and a training step',
      limitSeconds: 45,
      commands: [
        rcnn(
          'bench',
          '--profile',
          '--json',
          file('profile.json'),
          '--filter',
          form === 'full' ? 'VGG-16 600x800' : tiny ? 'matmul 512' : 'small backbone',
        ),
      ],
      collect: () => json('profile.json'),
    },
    {
      name: 'demo',
      title: 'The demo trained to its end',
      limitSeconds: 100,
      commands: [
        train(file('demo'), form === 'full' ? null : 60),
        rcnn('eval', '--model', file('demo'), '--data', 'digits', '--json', file('eval.json')),
      ],
      collect: () => ({ training: lastLine(file('demo/metrics.jsonl')), evaluation: json('eval.json') }),
    },
    {
      name: 'bits',
      title: `Twice ${sameSteps} training steps: the same bits`,
      limitSeconds: 60,
      commands: [train(file('first'), sameSteps), train(file('second'), sameSteps)],
      collect: () => ({
        steps: sameSteps,
        hashes: ['first', 'second'].map((run) => hash(file(`${run}/checkpoint.safetensors`))),
      }),
    },
    {
      name: 'tune',
      title: 'The tuner from an empty cache',
      limitSeconds: 90,
      commands: [rcnn('bench', '--tune', '--json', file('tune.json'), ...quick, '--filter', 'VGG-16 convolutions')],
      collect: () => json('tune.json'),
    },
  ];
  // The shortest form leaves out what takes minutes to compile on a software adapter.
  const short = ['info', 'bench', 'torch', 'profile'];
  return all.filter(
    ({ name }) => name === 'torch' || (report.device.adapter !== null && (!tiny || short.includes(name))),
  );
}

/** The SHA-256 of a file, or null if it does not exist yet. */
function hash(name: string): string | null {
  return fs.existsSync(name) ? createHash('sha256').update(fs.readFileSync(name)).digest('hex') : null;
}

/** The last complete line of a file of JSON lines that is still being written. */
function lastLine(name: string): unknown {
  try {
    return JSON.parse(fs.readFileSync(name, 'utf8').trim().split('\n').at(-1)!);
  } catch {
    return null;
  }
}
