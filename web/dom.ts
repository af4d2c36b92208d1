/** Helpers for elements that the parts of the page share. */

export function element<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found as T;
}

/** A new element with properties, and with children of text or elements. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  properties: Partial<HTMLElementTagNameMap[K]> = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** A row of buttons of which one is pressed at a time. Returns a function that presses one, as a click would. */
export function segments<T extends string>(
  id: string,
  names: Readonly<Record<T, string>>,
  onChoice: (choice: T) => void,
): (choice: T) => void {
  const buttons = (Object.keys(names) as T[]).map((choice) => {
    const button = make('button', { textContent: names[choice], onclick: () => press(choice) });
    button.dataset['choice'] = choice;
    return button;
  });
  const press = (choice: T): void => {
    for (const button of buttons) button.setAttribute('aria-pressed', String(button.dataset['choice'] === choice));
    onChoice(choice);
  };
  element(id).append(...buttons);
  return press;
}

const rows = new WeakMap<HTMLElement, Map<string, HTMLElement>>();

/**
 * Makes the children of a list those of `items`: an element for each key is made once and then updated, so that what has the focus
 * keeps it. If that was in a row which is removed, the last button of the row that takes its place gets the focus.
 */
export function keyed<T, E extends HTMLElement>(
  list: HTMLElement,
  items: readonly T[],
  keyOf: (item: T) => string,
  create: (item: T) => E,
  update: (row: E, item: T, index: number) => void,
): void {
  const before = rows.get(list) ?? new Map<string, HTMLElement>();
  const after = new Map<string, HTMLElement>();
  const keys = items.map(keyOf);
  const focused = [...list.children].findIndex((row) => row.contains(document.activeElement));
  for (const key of before.keys()) if (!keys.includes(key)) before.get(key)!.remove();
  items.forEach((item, i) => {
    const key = keys[i]!;
    const row = (before.get(key) as E | undefined) ?? create(item);
    after.set(key, row);
    update(row, item, i);
    if (list.children[i] !== row) list.insertBefore(row, list.children[i] ?? null);
  });
  rows.set(list, after);
  if (focused < 0 || list.contains(document.activeElement)) return;
  const next = list.children[Math.min(focused, list.children.length - 1)];
  next?.querySelector<HTMLElement>('button:last-of-type')?.focus();
}

/** Saves content as a file of the visitor's. */
export function download(name: string, content: BlobPart): void {
  const address = URL.createObjectURL(new Blob([content]));
  make('a', { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

/** A time to be read by people: 45 s, 2:05. */
export function duration(seconds: number): string {
  const whole = Math.round(seconds);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`;
}

let lasting = false;

/** Shows an error at the top of the page; null removes it. A lasting one stays, because it is the cause of all later errors. */
export function showTrouble(message: string | null, options: { lasting?: boolean } = {}): void {
  if (lasting) return;
  lasting = options.lasting === true;
  const place = element('trouble');
  place.hidden = message === null;
  place.textContent = message;
}

/** Runs what a click asked for, and shows its error if it throws. */
export async function attempt(work: () => Promise<void>): Promise<void> {
  showTrouble(null);
  try {
    await work();
  } catch (error) {
    showTrouble((error as Error).message);
  }
}

/** A colour of the style sheet as it is now, light or dark. */
export const colour = (name: string): string =>
  getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Calls `redraw` whenever the colours change between light and dark. */
export const onColours = (redraw: () => void): void =>
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw);
