/** TensorBoard's event files, read back by the rules of the format. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PbfReader } from 'pbf';
import sharp from 'sharp';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { newCanvas } from '../../src/draw/canvas.ts';
import { TensorBoardLog } from '../../src/run/reports/tensorBoard.ts';
import { crc32c } from '../../src/run/storage/eventFile.ts';
import { temporaryFolder } from '../data/fixtures.ts';

interface Event {
  step: number;
  version?: string;
  scalars: Record<string, number>;
  images: Record<string, { width: number; height: number; png: Uint8Array }>;
  session?: number;
}

/** The records of a file: every checksum is checked, and no byte is left over. */
function records(bytes: Buffer): Buffer[] {
  const found: Buffer[] = [];
  const check = (data: Uint8Array, at: number): void => {
    const stored = bytes.readUInt32LE(at);
    const rotated = (stored - 0xa282ead8) >>> 0;
    assert.is(((rotated << 15) | (rotated >>> 17)) >>> 0, crc32c(data));
  };
  for (let at = 0; at < bytes.length;) {
    const length = Number(bytes.readBigUInt64LE(at));
    check(bytes.subarray(at, at + 8), at + 8);
    const data = bytes.subarray(at + 12, at + 12 + length);
    check(data, at + 12 + length);
    found.push(data);
    at += 16 + length;
  }
  return found;
}

function parse(data: Uint8Array): Event {
  return new PbfReader(data).readFields<Event>(
    (tag, event, pbf) => {
      if (tag === 2) event.step = pbf.readVarint(true);
      if (tag === 3) event.version = pbf.readString();
      if (tag === 5) pbf.readMessage((field, _, inner) => void (field === 1 && readValue(inner, event)), event);
      if (tag === 7)
        pbf.readMessage((field, _, inner) => void (field === 1 && (event.session = inner.readVarint())), event);
    },
    { step: 0, scalars: {}, images: {} },
  );
}

function readValue(pbf: PbfReader, { scalars, images }: Event): void {
  const value = { tag: '', width: 0, height: 0, png: new Uint8Array() as Uint8Array };
  pbf.readMessage((field, _, inner) => {
    if (field === 1) value.tag = inner.readString();
    if (field === 2) scalars[value.tag] = inner.readFloat();
    if (field === 4) {
      inner.readMessage((part, image, content) => {
        if (part === 1) image.height = content.readVarint();
        if (part === 2) image.width = content.readVarint();
        if (part === 4) image.png = content.readBytes();
      }, value);
      images[value.tag] = value;
    }
  }, value);
}

const LOSSES = { loss: 2, rpn_cls: 1, rpn_box: 0.5, head_cls: 0.25, head_box: 0.25 };
const METRICS = { ...LOSSES, step: 10, lr: 0.005, seconds: 1.5, data_seconds: 0 };

test("the checksum is CRC-32C: RFC 3720's examples", () => {
  assert.is(crc32c(new TextEncoder().encode('123456789')), 0xe3069283);
  assert.is(crc32c(new Uint8Array(32)), 0x8a9136aa);
  assert.is(crc32c(new Uint8Array(32).fill(255)), 0x62a8ab43);
});

test('losses, validation and pictures are what TensorBoard reads', async () => {
  const path = temporaryFolder();
  const log = TensorBoardLog.open({ path }, { wanted: true, resume: false })!;
  log.start('', 0);
  log.metrics(METRICS);
  const canvas = newCanvas(30, 20);
  canvas.getContext('2d').fillRect(0, 0, 30, 20);
  const ap = { cat: 0.5, dog: null };
  await log.validation({ ...LOSSES, step: 10, mAP: 0.5, ap, images: 3, seconds: 1 }, canvas);
  const folder = join(path, 'tensorboard');
  const [name, ...others] = readdirSync(folder);
  assert.equal(others, []);
  assert.match(name!, /^events\.out\.tfevents\.\d+\./);
  const [header, start, metrics, validation, ...rest] = records(readFileSync(join(folder, name!))).map(parse);
  assert.is(header!.version, 'brain.Event:2');
  assert.equal([start!.step, start!.session], [1, 1]);
  const close = (values: Record<string, number>) =>
    Object.entries(values).map(([tag, value]) => [tag, +value.toFixed(6)]);
  assert.is(metrics!.step, 10);
  assert.equal(close(metrics!.scalars), [
    ['train/loss', 2],
    ['train/rpn_cls', 1],
    ['train/rpn_box', 0.5],
    ['train/head_cls', 0.25],
    ['train/head_box', 0.25],
    ['train/learning_rate', 0.005],
  ]);
  assert.is(validation!.scalars['validation/mAP'], 0.5);
  assert.is(validation!.scalars['AP/cat'], 0.5);
  assert.not('AP/dog' in validation!.scalars);
  const { width, height, png } = validation!.images['validation/detections']!;
  const picture = await sharp(png).metadata();
  assert.equal([width, height, picture.format, picture.width, picture.height], [30, 20, 'png', 30, 20]);
  assert.equal(rest, []);
});

test('a resumed run that is only evaluated has a file for it', async () => {
  const path = temporaryFolder();
  const log = TensorBoardLog.open({ path }, { wanted: true, resume: true })!;
  await log.validation({ ...LOSSES, step: 10, mAP: 0.5, ap: {}, images: 3, seconds: 1 }, newCanvas(3, 2));
  const [name] = readdirSync(join(path, 'tensorboard'));
  const [, start, validation] = records(readFileSync(join(path, 'tensorboard', name!))).map(parse);
  assert.equal([start!.step, start!.session, validation!.scalars['validation/mAP']], [10, 1, 0.5]);
});

test('a resumed run goes on with its log, stage by stage; one without a log does not begin any', () => {
  const path = temporaryFolder();
  assert.is(TensorBoardLog.open({ path }, { wanted: false, resume: true }), null);
  TensorBoardLog.open({ path }, { wanted: true, resume: false })!.start('1-rpn', 0);
  const log = TensorBoardLog.open({ path }, { wanted: false, resume: true })!;
  assert.is(TensorBoardLog.open({ path }, { wanted: false, resume: false }), null);
  log.start('2-detector', 40);
  const [name] = readdirSync(join(path, 'tensorboard', '2-detector'));
  const [, start] = records(readFileSync(join(path, 'tensorboard', '2-detector', name!))).map(parse);
  assert.equal([start!.step, start!.session], [41, 1]);
});

test.run();
