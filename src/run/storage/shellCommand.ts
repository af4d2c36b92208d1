/** Commands that messages propose, ready to be pasted into a shell. */

/** Words that no shell splits or expands. */
const PLAIN = /^[\w@%+=:,./-]+$/;

/** The words of a command as one line, quoted where a shell needs it: `rcnn detect --model 'my run'`. */
export const shellCommand = (...words: readonly string[]): string =>
  words.map((word) => (PLAIN.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`)).join(' ');
