/**
 * TensorBoard's event files: records of TensorFlow's TFRecord format, each of which holds an Event as a protocol buffer.
 *
 * A record: its length as 8 bytes, a checksum of these, the bytes, a checksum of the bytes; everything little-endian, and
 * checksums masked CRC-32C (tensorflow/core/lib/io/record_writer.h). The numbers of the fields are those of
 * tensorflow/core/util/event.proto and tensorflow/core/framework/summary.proto.
 */
import { PbfWriter } from 'pbf';

export interface EventImage {
  width: number;
  height: number;
  png: Uint8Array;
}

/** What TensorBoard shows of a step: numbers and pictures by tag, or the start of a session. */
export interface StepEvent {
  step: number;
  /** Seconds since 1970. */
  time: number;
  scalars?: Readonly<Record<string, number>>;
  images?: Readonly<Record<string, EventImage>>;
  /** TensorBoard forgets what earlier files have from this step on, because the run goes on from before it. */
  starts?: boolean;
}

/** The first record of every event file. */
export const eventFileHeader = (time: number): Uint8Array => record(message(writeHeader, time));

function writeHeader(time: number, pbf: PbfWriter): void {
  pbf.writeDoubleField(1, time);
  pbf.writeStringField(3, 'brain.Event:2');
}

export const eventRecord = (event: StepEvent): Uint8Array => record(message(writeEvent, event));

function writeEvent(event: StepEvent, pbf: PbfWriter): void {
  pbf.writeDoubleField(1, event.time);
  pbf.writeVarintField(2, event.step);
  if (event.scalars || event.images) pbf.writeMessage(5, writeSummary, event);
  if (event.starts) pbf.writeMessage(7, writeStart, null);
}

function writeStart(_: null, pbf: PbfWriter): void {
  pbf.writeVarintField(1, 1); // SessionLog.START
}

function writeSummary({ scalars = {}, images = {} }: StepEvent, pbf: PbfWriter): void {
  for (const scalar of Object.entries(scalars)) pbf.writeMessage(1, writeScalar, scalar);
  for (const image of Object.entries(images)) pbf.writeMessage(1, writeImageValue, image);
}

function writeScalar([tag, value]: [string, number], pbf: PbfWriter): void {
  pbf.writeStringField(1, tag);
  pbf.writeFloatField(2, value);
}

function writeImageValue([tag, image]: [string, EventImage], pbf: PbfWriter): void {
  pbf.writeStringField(1, tag);
  pbf.writeMessage(4, writeImage, image);
}

function writeImage({ width, height, png }: EventImage, pbf: PbfWriter): void {
  pbf.writeVarintField(1, height);
  pbf.writeVarintField(2, width);
  pbf.writeVarintField(3, 4); // RGBA
  pbf.writeBytesField(4, png);
}

function message<T>(write: (value: T, pbf: PbfWriter) => void, value: T): Uint8Array {
  const pbf = new PbfWriter();
  write(value, pbf);
  return pbf.finish();
}

function record(data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(data.length + 16);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(data.length), true);
  view.setUint32(8, masked(crc32c(bytes.subarray(0, 8))), true);
  bytes.set(data, 12);
  view.setUint32(12 + data.length, masked(crc32c(data)), true);
  return bytes;
}

/** So that a checksum of data that hold checksums is no weaker. */
const masked = (crc: number): number => (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;

/** Castagnoli's polynomial, with its bits reversed. */
const POLYNOMIAL = 0x82f63b78;

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
  return crc;
});

export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = TABLE[(crc ^ byte) & 0xff]! ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}
