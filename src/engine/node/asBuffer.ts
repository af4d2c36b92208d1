/**
 * The same bytes with the methods of Node's Buffer. A file of its own, and no public type names Buffer: programs that use the
 * package need not install Node's types.
 */
export const asBuffer = ({ buffer, byteOffset, byteLength }: Uint8Array): Buffer =>
  Buffer.from(buffer, byteOffset, byteLength);
