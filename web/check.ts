/** The Check part: runs every kernel on this device and writes a report that can be sent. */
import type { CheckOutcome, StagedDetection } from '../src/index.ts';
import { attempt, element, make } from './dom.ts';
import type { RemoteSession } from './remote.ts';
import type { AdapterFacts, SessionEvent } from './session.ts';

interface Measured {
  step: number;
  detection: StagedDetection['milliseconds'];
}

export function startCheck(session: RemoteSession, facts: AdapterFacts): { listen(event: SessionEvent): void } {
  const button = element<HTMLButtonElement>('run-checks');
  const list = element('checks');
  const report = element('report');
  report.textContent = reportOf(facts);

  button.onclick = () =>
    attempt(async () => {
      button.disabled = true;
      list.replaceChildren();
      try {
        const outcomes = await session.check();
        element('check-state').textContent = 'Timing a training step and a detection.';
        const measured = await session.measure();
        element('check-state').textContent = verdict(outcomes);
        report.textContent = reportOf(facts, outcomes, measured);
      } finally {
        button.disabled = false;
      }
    });

  element('copy').onclick = () =>
    attempt(async () => {
      await navigator.clipboard.writeText(report.textContent!);
      element('copy').textContent = 'Copied';
      setTimeout(() => (element('copy').textContent = 'Copy'), 2000);
    });

  button.disabled = false;
  return {
    listen(event) {
      if (event.kind !== 'checked') return;
      const { done, total, outcome } = event;
      element('check-progress').style.width = `${(100 * done) / total}%`;
      element('check-state').textContent = `${done} of ${total}`;
      const line = make('li', { className: outcome.passed ? 'ok' : 'failed' }, ...lineOf(outcome));
      // Failures stay at the top, in sight.
      if (outcome.passed) list.append(line);
      else list.prepend(line);
    },
  };
}

const lineOf = ({ name, largestError, problems }: CheckOutcome): Node[] => [
  make('span', { textContent: name }),
  make('b', { textContent: largestError === 0 ? 'exact' : largestError.toExponential(1), title: 'largest error' }),
  ...problems.slice(0, 1).map((problem) => make('small', { textContent: problem })),
];

function verdict(outcomes: readonly CheckOutcome[]): string {
  const failed = outcomes.filter(({ passed }) => !passed).length;
  return `${outcomes.length - failed} kernels passed, ${failed} failed`;
}

/** Text for a bug report: the browser, the device, what failed, and the times. */
function reportOf(facts: AdapterFacts, outcomes?: readonly CheckOutcome[], measured?: Measured): string {
  const { description, software, limits, features } = facts;
  const lines = [
    `${description}${software ? ' (software)' : ''}`,
    navigator.userAgent,
    '',
    ...Object.entries(limits).map(([name, value]) => `${name.padEnd(34)} ${value}`),
    `features: ${features.join(', ') || 'none'}`,
    '',
    outcomes ? verdict(outcomes) : 'The kernels have not been checked yet.',
  ];
  for (const { name, passed, problems } of outcomes ?? []) {
    if (!passed) lines.push(`FAILED ${name}`, ...problems.map((problem) => `  ${problem}`));
  }
  if (measured) {
    const { step, detection } = measured;
    const parts = Object.entries(detection);
    const total = parts.reduce((sum, [, milliseconds]) => sum + milliseconds, 0);
    lines.push(
      '',
      'digit scene 160x160, small backbone',
      `  training step ${step.toFixed(1)} ms`,
      `  detection     ${total.toFixed(1)} ms (${parts.map(([part, time]) => `${part} ${time.toFixed(1)}`).join(', ')})`,
    );
  }
  return lines.join('\n');
}
