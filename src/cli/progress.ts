/**
 * Progress: a bar on a terminal; in a log or a pipe, an occasional plain line without control characters.
 */
import { SingleBar } from 'cli-progress';
import { isTerminal } from './output.ts';

/** Time between two plain lines: a share of the time that has passed, within bounds, so that the log of a long run stays short. */
const PLAIN_INTERVAL_MS = { least: 5000, share: 0.05, most: 60_000 };
/** Steps over which the rate is measured. */
const WINDOW = 64;
/** Columns reserved for the text beside the bar while training. */
const TEXT_COLUMNS = 76;

/** Columns of the terminal; a log is not limited. */
export const columns = (): number => (isTerminal() ? (process.stdout.columns ?? 80) : Infinity);

export interface ProgressBar {
  /** Items done, and text to show beside the bar. */
  update(done: number, text?: string): void;
  /** Prints a line above the bar. The time before it is not counted as time spent on items. */
  print(line: string): void;
  /** Restores the terminal; always call it. */
  stop(): void;
}

/** `unit` names what is counted ('step', 'image'); `perItem` is the number of images in each. */
export function startProgress(total: number, unit: string, first = 0, perItem = 1): ProgressBar {
  const rate = new Rate(first);
  const facts = (done: number): string => {
    const perSecond = rate.at(done);
    if (perSecond === 0) return '';
    const images = perSecond * perItem;
    const speed =
      images < 0.1 ? `${(1 / images).toFixed(0)} s/image` : `${images.toFixed(images < 10 ? 1 : 0)} images/s`;
    return `${duration((total - done) / perSecond)} left  ${speed}`;
  };
  if (!isTerminal()) {
    const started = performance.now();
    let printed = started;
    let last = first;
    return {
      update(done, text = '') {
        const line = facts(done); // keeps the rate up to date
        const ended = done === total && last < total;
        last = done;
        const now = performance.now();
        const { least, share, most } = PLAIN_INTERVAL_MS;
        if (now - printed < Math.min(most, Math.max(least, share * (now - started))) && !ended) return;
        printed = now;
        console.log([`${unit} ${done}/${total}`, line, text].filter(Boolean).join('  '));
      },
      print(line) {
        rate.forget();
        console.log(line);
      },
      stop() {},
    };
  }
  const bar = new SingleBar({
    format: '{bar} {value}/{total}  {text}',
    barCompleteChar: '█',
    barIncompleteChar: '░',
    barsize: Math.max(4, Math.min(30, columns() - TEXT_COLUMNS)),
    hideCursor: true,
    gracefulExit: false, // the command ends itself
  });
  bar.start(total, first, { text: '' });
  return {
    update: (done, text = '') => bar.update(done, { text: [facts(done), text].filter(Boolean).join('  ') }),
    print(line) {
      rate.forget();
      process.stdout.clearLine(0);
      process.stdout.cursorTo(0);
      console.log(line);
    },
    stop: () => bar.stop(),
  };
}

/** Items per second over the last WINDOW; the first item of a session, which compiles shaders, does not count. */
class Rate {
  private times: { done: number; at: number }[] = [];
  private readonly first: number;

  constructor(first: number) {
    this.first = first;
  }

  /** Restarts the measurement. */
  forget(): void {
    this.times = [];
  }

  at(done: number): number {
    if (done > (this.times.at(-1)?.done ?? this.first)) this.times.push({ done, at: performance.now() });
    if (this.times.length > WINDOW) this.times.shift();
    const [oldest, newest] = [this.times[0], this.times.at(-1)];
    if (!oldest || !newest || newest.at === oldest.at) return 0;
    return ((newest.done - oldest.done) * 1000) / (newest.at - oldest.at);
  }
}

/** 75 -> '1:15', 3675 -> '1:01:15'. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60), whole % 60];
  const two = (n: number): string => String(n).padStart(2, '0');
  return hours > 0 ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}
