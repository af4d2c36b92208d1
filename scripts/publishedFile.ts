/**
 * A detector as torchvision publishes it, for a test of the page: its smallest, fasterrcnn_mobilenet_v3_large_320_fpn, with weights
 * made from their names, in the file that torch.save writes. What torchvision itself finds with these weights is a golden
 * (scripts/goldens/detectors.py).
 */
import { zipSync } from 'fflate';
import { makeDetector } from '../src/model/detectors.ts';
import { mobilenet320Fpn } from '../src/model/backbones/mobilenet.ts';
import { classesOf } from '../src/model/cocoClasses.ts';
import { wholeParameters } from '../src/engine/shards.ts';
import { loadSafetensors, openGpu } from '../src/node.ts';
import type { DecodedImage } from '../src/kernels/imagePrepare.ts';
import { pyramidDetector } from '../src/run/config/presets.ts';
import { fill, picture } from '../test/model/seeded.ts';
import { torchvisionName } from '../test/model/torchvisionNames.ts';

export interface PublishedCase {
  /** The name under which torchvision publishes such a file. */
  file: string;
  pth: Uint8Array;
  picture: DecodedImage;
  /** What torchvision finds in the picture with these weights. */
  found: { name: string; score: number }[];
}

export async function publishedCase(): Promise<PublishedCase> {
  const { name } = mobilenet320Fpn;
  const { tensors, metadata } = await loadSafetensors(
    new URL('../test/golden/torchvision-detectors.safetensors', import.meta.url).pathname,
  );
  const cases = JSON.parse(metadata['cases']!) as { name: string; seed: string; size: [number, number] }[];
  const { seed, size } = cases.find((one) => one.name === name)!;
  const classes = classesOf(91, name);
  const gpu = await openGpu(); // a network is made on a device, and its parameters have the shapes
  const model = makeDetector(gpu, { ...pyramidDetector(mobilenet320Fpn), classes }, 0);
  const state = Object.entries(wholeParameters(model.parameters)).map(([own, { shape }]) => {
    const published = torchvisionName(own, name);
    return { name: published, shape, data: fill(published, shape, seed) };
  });
  gpu.close();
  const detections = [...(tensors[`${name}/detections`]!.data as Float32Array)];
  return {
    file: `fasterrcnn_${name}-seeded.pth`,
    pth: torchSave(state),
    picture: picture(seed, ...size),
    found: Array.from({ length: detections.length / 6 }, (_, i) => {
      const [score, label] = detections.slice(6 * i + 4) as [number, number];
      return { name: classes[label]!, score };
    }),
  };
}

/**
 * What torch.save writes of an ordered dictionary of tensors, with the counters of batches that a network whose batch normalisation
 * was trained has: a zip archive of a pickle (protocol 2) and a storage for each tensor.
 */
function torchSave(state: readonly { name: string; shape: readonly number[]; data: Float32Array }[]): Uint8Array {
  const files: Record<string, Uint8Array> = {};
  const pickle: Uint8Array[] = [];
  const put = (...bytes: (number | string)[]): void =>
    void pickle.push(
      ...bytes.map((one) => (typeof one === 'string' ? new TextEncoder().encode(one) : Uint8Array.of(one))),
    );
  const number = (value: number): void => {
    put('J');
    pickle.push(new Uint8Array(Int32Array.of(value).buffer));
  };
  const text = (value: string): void => {
    const bytes = new TextEncoder().encode(value);
    put('X');
    pickle.push(new Uint8Array(Uint32Array.of(bytes.length).buffer), bytes);
  };
  const numbers = (values: readonly number[]): void => {
    put('(');
    values.forEach(number);
    put('t');
  };
  const tensor = (type: string, shape: readonly number[], count: number, bytes: Uint8Array): void => {
    const key = String(Object.keys(files).length);
    files[`archive/data/${key}`] = bytes;
    put('ctorch._utils\n_rebuild_tensor_v2\n((');
    text('storage');
    put(`ctorch\n${type}\n`);
    text(key);
    text('cpu');
    number(count);
    put('tQ');
    number(0);
    numbers(shape);
    numbers(shape.map((_, i) => shape.slice(i + 1).reduce((product, n) => product * n, 1)));
    put(0x89, 'ccollections\nOrderedDict\n)RtR');
  };
  put(0x80, 2, 'ccollections\nOrderedDict\n)R(');
  for (const { name, shape, data } of state) {
    text(name);
    tensor('FloatStorage', shape, data.length, new Uint8Array(data.buffer));
    if (!name.endsWith('.running_var')) continue;
    text(name.replace(/running_var$/, 'num_batches_tracked'));
    tensor('LongStorage', [], 1, new Uint8Array(8));
  }
  put('u.');
  return zipSync({ 'archive/data.pkl': Uint8Array.from(Buffer.concat(pickle)), ...files }, { level: 0 });
}
