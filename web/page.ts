/** The page: opens a session (session.ts) and gives it to the four parts. */
import { startCheck } from './check.ts';
import { startDetect } from './detect.ts';
import { attempt, element, showTrouble } from './dom.ts';
import { gpuAdvice, whyNoGpu } from './gpuAdvice.ts';
import { LabelledNetwork } from './labelledNetwork.ts';
import { readRecordedRun } from './recorded.ts';
import { startSession } from './remote.ts';
import type { SessionEvent } from './session.ts';
import { startTrain } from './train.ts';

const sections = [...document.querySelectorAll<HTMLElement>('main > section')];

/** Shows the part that the address names. */
function show(): void {
  const chosen = sections.find(({ id }) => `#${id}` === location.hash) ?? sections[0]!;
  for (const section of sections) section.hidden = section !== chosen;
  for (const link of document.querySelectorAll('nav a')) {
    if (link.getAttribute('href') === `#${chosen.id}`) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  dispatchEvent(new Event('resize')); // a hidden canvas has no size, so it must be drawn now
}
addEventListener('hashchange', show);
show();

const listeners: ((event: SessionEvent) => void)[] = [];

await attempt(async () => {
  const labelled = new LabelledNetwork();
  const session = await startSession((event) => {
    if (event.kind === 'lost') showTrouble(event.message, { lasting: true });
    for (const listen of listeners) listen(event);
  });
  // It is larger than the other parts, and the page need not wait for it.
  const label = import('./label/label.ts').then(({ startLabel }) => startLabel(session, labelled));
  label.then(
    ({ listen }) => listeners.push(listen),
    (error: Error) => showTrouble(error.message),
  );
  // The scenes need no GPU, so they are shown even if the next line throws.
  const scenes = await session.openScenes();
  const train = startTrain(session, scenes);
  const adapter = element('adapter');
  const facts = await session.open().catch(async (error: Error) => {
    adapter.textContent = 'no GPU';
    adapter.classList.add('bad');
    train.replay(await readRecordedRun());
    (await label).disable('Training needs a GPU, but labels can be drawn and exported without one.');
    const why = await whyNoGpu();
    throw why === undefined ? error : new Error(gpuAdvice(navigator.userAgent, why));
  });
  adapter.textContent = facts.software ? `${facts.description}, on the CPU` : facts.description;
  adapter.classList.add('good');
  train.enable();
  startDetect(session, scenes, train, labelled);
  const check = startCheck(session, facts);
  listeners.push(train.listen, check.listen);
  await (await label).enable();
});
