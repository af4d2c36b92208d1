/**
 * What an update by several processes would take, by arithmetic: a simulation, from measured inputs, of machines that are not here.
 *
 *   npx tsx scripts/scaling.ts --image 33 --megabytes 1.66 --images 8 --latency 0.3 --gigabytes 1.1
 *
 * A process computes its share of the images, then sends and receives 2 (W - 1) / W of the trained parameters, as much either way
 * at a time, in two calls for each bucket of at least a megabyte. Overlap with computing is left out, as is what the device needs
 * for copies: the first makes it faster, the second slower.
 */
import { Command } from 'commander';

const { image, megabytes, images, latency, gigabytes } = new Command('scaling')
  .requiredOption('--image <ms>', 'milliseconds of an image, forward and backward', Number)
  .requiredOption('--megabytes <n>', 'trained parameters, 10^6 bytes', Number)
  .requiredOption('--images <n>', 'images of an update', Number)
  .option('--latency <ms>', 'milliseconds of a call', Number, 0.3)
  .option('--gigabytes <n>', '10^9 bytes a second and direction between two processes', Number, 1.25)
  .parse()
  .opts<Record<'image' | 'megabytes' | 'images' | 'latency' | 'gigabytes', number>>();

console.log('| processes | ms an update | of them moving | images/s | of the ideal |');
console.log('|---|---|---|---|---|');
for (let size = 1; size <= images; size *= 2) {
  const computing = Math.ceil(images / size) * image;
  const calls = 2 * Math.max(1, Math.floor(megabytes));
  const moving = size === 1 ? 0 : (2 * megabytes * (size - 1)) / size / gigabytes + Math.min(calls, 40) * latency;
  const perSecond = (1000 * images) / (computing + moving);
  const ideal = (1000 * size) / image;
  const row = [size, (computing + moving).toFixed(1), moving.toFixed(1), perSecond.toFixed(1)];
  console.log(`| ${[...row, `${((100 * perSecond) / ideal).toFixed(0)} %`].join(' | ')} |`);
}
