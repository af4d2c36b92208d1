/**
 * JSON as strict readers take it (Rust's serde, for one), where `JSON.parse` is lenient: a name twice in an object, half a
 * surrogate pair in a text, and numbers other than 0, 1, 2, .. in decimal digits are errors.
 */
const TOKENS = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[-+.\w]+/gs;
const COUNT = /^(0|[1-9]\d*)$/;

/** Throws an error whose message continues "the text ..". */
export function strictJson(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error('is not JSON');
  }
  // The text is JSON: a string is a name exactly where it follows { or a comma in an object.
  const open: (Set<string> | null)[] = [];
  let before = '';
  for (const [token] of text.matchAll(TOKENS)) {
    const names = open.at(-1);
    if (token === '{') open.push(new Set());
    else if (token === '[') open.push(null);
    else if (token === '}' || token === ']') open.pop();
    else if (token.startsWith('"')) {
      const content = JSON.parse(token) as string;
      if (/\p{Surrogate}/u.test(content)) throw new Error(`has half a character in ${JSON.stringify(content)}`);
      if (names && before !== ':') {
        if (names.has(content)) throw new Error(`has ${JSON.stringify(content)} twice`);
        names.add(content);
      }
    } else if (/^[-\d]/.test(token) && !COUNT.test(token))
      throw new Error(`has the number ${token} in place of a count`);
    before = token;
  }
  return value;
}
