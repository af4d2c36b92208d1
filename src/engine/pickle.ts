/**
 * A reader of Python's pickles that runs no code: it builds numbers, texts, bytes, lists, tuples and dictionaries, and calls nothing but
 * the functions that its caller hands over by name. Every other name is refused before anything of it is made.
 *
 * The format: Lib/pickletools.py of Python, protocols 2 to 5 as far as `torch.save` and pickles of numpy arrays need them.
 */

/** What a name in a pickle stands for. */
export interface PickledName {
  readonly name: string;
  /** What a call of it gives; missing where it is never called. */
  readonly call?: (args: readonly unknown[]) => unknown;
}

export interface PickleRules {
  /** The meaning of `module.name`. Throws where it is not allowed. */
  find(name: string): PickledName;
  /** What a persistent id, a tuple, stands for. */
  persistent(id: readonly unknown[]): unknown;
  /** Gives an object that a call made its state. Without it there are no such objects. */
  build?(target: unknown, state: unknown): void;
}

/** Marks the start of a sequence on the stack. */
const MARK = Symbol('mark');

/**
 * The value of the pickle that begins at `start`, and where it ends. Dictionaries are Maps, tuples and lists arrays, numbers
 * beyond 2^53 bigints. Throws an Error that says what is wrong in a few words.
 */
export function unpickle(bytes: Uint8Array, start: number, rules: PickleRules): { value: unknown; end: number } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const stack: unknown[] = [];
  const memo = new Map<number, unknown>();
  let at = start;

  const take = (count: number): number => {
    if (at + count > bytes.length) throw new Error('its pickle is cut off');
    const from = at;
    at += count;
    return from;
  };
  const byte = (): number => bytes[take(1)]!;
  const u16 = (): number => view.getUint16(take(2), true);
  const u32 = (): number => view.getUint32(take(4), true);
  const u64 = (): number => Number(view.getBigUint64(take(8), true));
  const text = (length: number): string => {
    const from = take(length);
    return new TextDecoder().decode(bytes.subarray(from, from + length));
  };
  const raw = (length: number): Uint8Array => {
    const from = take(length);
    return bytes.subarray(from, from + length);
  };
  const line = (): string => {
    const end = bytes.indexOf(10, at);
    if (end < 0) throw new Error('its pickle is cut off');
    const from = at;
    at = end + 1;
    return new TextDecoder().decode(bytes.subarray(from, end));
  };
  const pop = (): unknown => {
    if (stack.length === 0 || stack.at(-1) === MARK) throw new Error('its pickle is damaged');
    return stack.pop();
  };
  const popToMark = (): unknown[] => {
    const mark = stack.lastIndexOf(MARK);
    if (mark < 0) throw new Error('its pickle is damaged');
    const items = stack.splice(mark);
    return items.slice(1);
  };
  const top = <T>(is: (value: unknown) => value is T): T => {
    const value = stack.at(-1);
    if (!is(value)) throw new Error('its pickle is damaged');
    return value;
  };
  const last = (count: number): unknown[] => Array.from({ length: count }, pop).reverse();
  const setItems = (map: Map<unknown, unknown>, items: readonly unknown[]): void => {
    for (let i = 0; i + 1 < items.length; i += 2) map.set(items[i], items[i + 1]);
  };
  const integer = (length: number): number | bigint => {
    const from = take(length);
    let value = 0n;
    for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[from + i]!);
    if (length > 0 && bytes[from + length - 1]! >= 128) value -= 1n << BigInt(8 * length);
    return value >= -9007199254740991n && value <= 9007199254740991n ? Number(value) : value;
  };

  const steps: Readonly<Record<number, () => void>> = {
    0x80: () => void byte(), // protocol
    0x95: () => void take(8), // frame
    0x28: () => void stack.push(MARK),
    0x30: () => void pop(),
    0x31: () => void popToMark(),
    0x4e: () => void stack.push(null),
    0x88: () => void stack.push(true),
    0x89: () => void stack.push(false),
    0x4b: () => void stack.push(byte()),
    0x4d: () => void stack.push(u16()),
    0x4a: () => void stack.push(view.getInt32(take(4), true)),
    0x8a: () => void stack.push(integer(byte())),
    0x47: () => void stack.push(view.getFloat64(take(8), false)),
    0x58: () => void stack.push(text(u32())),
    0x8c: () => void stack.push(text(byte())),
    0x42: () => void stack.push(raw(u32())),
    0x43: () => void stack.push(raw(byte())),
    0x8e: () => void stack.push(raw(u64())),
    0x96: () => void stack.push(raw(u64())), // a bytearray
    0x55: () => void stack.push(text(byte())),
    0x7d: () => void stack.push(new Map()),
    0x5d: () => void stack.push([]),
    0x29: () => void stack.push([]),
    0x74: () => void stack.push(popToMark()),
    0x85: () => void stack.push(last(1)),
    0x86: () => void stack.push(last(2)),
    0x87: () => void stack.push(last(3)),
    0x71: () => void memo.set(byte(), stack.at(-1)),
    0x72: () => void memo.set(u32(), stack.at(-1)),
    0x94: () => void memo.set(memo.size, stack.at(-1)),
    0x68: () => void stack.push(memo.get(byte())),
    0x6a: () => void stack.push(memo.get(u32())),
    0x61: () => {
      const item = pop();
      top(isList).push(item);
    },
    0x65: () => {
      const items = popToMark();
      const list = top(isList);
      for (const item of items) list.push(item);
    },
    0x73: () => {
      const pair = last(2);
      setItems(top(isMap), pair);
    },
    0x75: () => {
      const items = popToMark();
      setItems(top(isMap), items);
    },
    0x63: () => {
      const [module, name] = [line(), line()];
      stack.push(rules.find(`${module}.${name}`));
    },
    0x93: () => {
      // Nothing but a text: that of nested lists may be longer than any memory.
      const [module, name] = last(2);
      if (typeof module !== 'string' || typeof name !== 'string') throw new Error('its pickle is damaged');
      stack.push(rules.find(`${module}.${name}`));
    },
    0x51: () => {
      const id = pop();
      if (!isList(id)) throw new Error('its pickle is damaged');
      stack.push(rules.persistent(id));
    },
    0x52: () => {
      const [callee, args] = last(2);
      const { name, call } = (callee ?? {}) as Partial<PickledName>;
      if (name === undefined || !isList(args)) throw new Error('its pickle is damaged');
      if (!call) throw new Error(`its pickle calls ${name}`);
      stack.push(call(args));
    },
    0x62: () => {
      const state = pop();
      const target = stack.at(-1);
      // The attributes of a dictionary, such as the versions of layers, are of no use here.
      if (rules.build && !isMap(target)) rules.build(target, state);
      else top(isMap);
    },
  };
  for (;;) {
    const code = byte();
    if (code === 0x2e) return { value: pop(), end: at };
    const step = steps[code];
    if (!step) throw new Error(`its pickle has the operation 0x${code.toString(16)}`);
    step();
  }
}

const isList = (value: unknown): value is unknown[] => Array.isArray(value);
const isMap = (value: unknown): value is Map<unknown, unknown> => value instanceof Map;
