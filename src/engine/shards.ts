/**
 * Parameters larger than a binding allows (VGG-16's fc6 is 392 MiB, WebGPU's default 128 MiB) are held in shards: tensors
 * of consecutive rows. A shard is named `whole[from:to]`; files hold the whole parameter, so that a checkpoint does not
 * depend on the device that wrote it.
 */
import { UserError } from './errors.ts';
import type { Dtype } from './dtype.ts';
import type { Shape, Tensor } from './tensor.ts';

/** A tensor, or what reads and writes like one. */
export type Stored = Pick<Tensor, 'shape' | 'dtype' | 'size' | 'read' | 'write'>;

export interface WholeParameter<Part extends Stored = Stored> {
  readonly shape: Shape;
  readonly dtype: Dtype;
  /** One tensor, or its shards in the order of their rows. */
  readonly parts: readonly Part[];
}

export const shardName = (whole: string, from: number, to: number): string => `${whole}[${from}:${to}]`;

/** The name of the parameter that a tensor is, or is a shard of. */
export const wholeName = (name: string): string => name.replace(/\[\d+:\d+\]$/, '');

/** Rows of each shard of a matrix [rows, columns], at most `maxBytes` each: a single shard if the matrix fits. */
export function shardRows(rows: number, columns: number, maxBytes: number): number {
  const shards = Math.ceil((4 * rows * columns) / maxBytes);
  // A multiple of 16, so that shards begin at whole tiles and at multiples of 16 bytes in the bias.
  const each = shards <= 1 ? rows : Math.floor(rows / shards / 16) * 16;
  if (each > 0) return each;
  throw new UserError(
    `a layer of [${rows}, ${columns}] weights: 16 of its rows have more than the ${maxBytes} bytes that a shader can bind on this device; choose smaller settings`,
  );
}

/** Named tensors with the shards of a parameter joined under its name. */
export function wholeParameters<Part extends Stored>(
  tensors: Readonly<Record<string, Part>>,
): Record<string, WholeParameter<Part>> {
  const wholes: Record<string, WholeParameter<Part>> = {};
  for (const [name, tensor] of Object.entries(tensors)) {
    const whole = wholeName(name);
    const before = wholes[whole];
    const parts = [...(before?.parts ?? []), tensor];
    const rows = whole === name ? tensor.shape[0]! : parts.reduce((sum, part) => sum + part.shape[0]!, 0);
    const shape = tensor.shape.length === 0 ? tensor.shape : [rows, ...tensor.shape.slice(1)];
    wholes[whole] = { shape, dtype: tensor.dtype, parts };
  }
  return wholes;
}

export async function readWhole({ parts, dtype }: WholeParameter): Promise<Float32Array | Int32Array> {
  if (parts.length === 1) return parts[0]!.read();
  const size = parts.reduce((sum, part) => sum + part.size, 0);
  const data = dtype === 'f32' ? new Float32Array(size) : new Int32Array(size);
  let at = 0;
  for (const part of parts) {
    data.set(await part.read(), at);
    at += part.size;
  }
  return data;
}

export function writeWhole({ parts }: WholeParameter, data: Float32Array | Int32Array): void {
  let at = 0;
  for (const part of parts) {
    part.write(data.subarray(at, at + part.size));
    at += part.size;
  }
}
