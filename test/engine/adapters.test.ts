/** The choice between several GPUs, which no test machine has: from Dawn's list, and from a list of PCI devices. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { chooseAdapter, hardwareNames, pciGpus } from '../../src/engine/node/adapters.ts';
import { cores } from '../../src/engine/node/cores.ts';
import { hardwareAdapters } from '../../src/engine/node/open.ts';
import { temporaryFolder } from '../data/fixtures.ts';
import { sharedGpu, skip } from '../harness.ts';

const LIST = `no suitable backends found
Available adapters:
 * backend: 'vulkan', name: 'NVIDIA GeForce RTX 3090 Ti'
 * backend: 'vulkan', name: 'NVIDIA GeForce RTX 3090'
 * backend: 'vulkan', name: 'llvmpipe (LLVM 15.0.6, 256 bits)'`;

test('Dawn lists the adapters, software ones among them', async () => {
  assert.equal(hardwareNames(LIST), ['NVIDIA GeForce RTX 3090 Ti', 'NVIDIA GeForce RTX 3090']);
  const found = await hardwareAdapters();
  const gpu = await sharedGpu();
  if (gpu.adapter.software) assert.equal(found, []);
  else assert.ok(found.length > 0);
});

test('GPUs of different models are chosen by name, where Dawn can tell them apart', () => {
  const byName = (name: string) => ({ flags: [`adapter=${name}`], env: {} });
  assert.equal(chooseAdapter(['A', 'B'], 0, []), byName('A'));
  assert.equal(chooseAdapter(['A', 'B'], 3, []), byName('B'));
  const [ti, plain] = hardwareNames(LIST) as [string, string];
  assert.equal(chooseAdapter([ti, plain], 0, []), byName(ti));
  assert.is(chooseAdapter([ti, plain], 1, []), null, 'Dawn would take the Ti, whose name contains the other');
  assert.equal(chooseAdapter([plain, ti], 1, []), byName(ti));
});

test('GPUs of one model are chosen by PCI address, in turn', () => {
  const gpus = ['0000:17:00.0', '0000:65:00.0'];
  const place = (turn: number) => chooseAdapter(['H', 'H'], turn, gpus)?.env['DRI_PRIME'];
  assert.equal([0, 1, 2].map(place), ['pci-0000_17_00_0', 'pci-0000_65_00_0', 'pci-0000_17_00_0']);
  assert.is(chooseAdapter(['H', 'H'], 1, gpus.slice(1)), null, 'which address is whose is not known');
  assert.is(chooseAdapter(['H'], 1, gpus), null);
  assert.is(chooseAdapter([], 1, gpus), null);
});

test('the GPUs of a machine are its display controllers with a driver', () => {
  const root = temporaryFolder();
  for (const [address, kind, driver] of [
    ['0000:65:00.0', '0x030200', true],
    ['0000:17:00.0', '0x030000', true],
    ['0000:02:00.0', '0x030000', false],
    ['0000:00:1f.2', '0x010601', true],
  ] as const) {
    fs.mkdirSync(path.join(root, address, ...(driver ? ['driver'] : [])), { recursive: true });
    fs.writeFileSync(path.join(root, address, 'class'), `${kind}\n`);
  }
  assert.equal(pciGpus(root), ['0000:17:00.0', '0000:65:00.0']);
  assert.equal(pciGpus(path.join(root, 'none')), []);
});

test('a process that was bound to one core knows that there are more', () => {
  const known = cores();
  if (process.platform !== 'linux' || !known || known.all < 2) return skip('needs Linux and two cores');
  const file = new URL('../../src/engine/node/cores.ts', import.meta.url).href;
  const script = `import { cores } from '${file}'; console.log(JSON.stringify(cores()))`;
  const node = [process.execPath, '--import', import.meta.resolve('tsx'), '--input-type=module', '-e', script];
  const bound = execFileSync('taskset', ['-c', '0', ...node], { encoding: 'utf8' });
  assert.equal(JSON.parse(bound), { own: 1, all: known.all });
});

test.run();
