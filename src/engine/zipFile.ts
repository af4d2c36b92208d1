/** Zip archives in memory, of which files are unpacked once it is known how large all of them are. */
import { unzipSync } from 'fflate';
import { UserError } from './errors.ts';

export interface ZipFile {
  /** The size of each file, unpacked, by its path. */
  sizes: ReadonlyMap<string, number>;
  /** Unpacks the files that are wanted, by their paths. */
  unpack(wanted: (path: string) => boolean): Map<string, Uint8Array<ArrayBuffer>>;
}

/** Of an entry in an archive's list, at least. */
const ENTRY_BYTES = 46;

/**
 * Opens an archive that holds at most `mostExpansion` times its own size; `usual` ends the message about one that holds more. Throws
 * an error if the bytes are no such archive, or damaged.
 */
export function openZip(bytes: Uint8Array, mostExpansion: number, usual: string): ZipFile {
  let total = 0;
  let entries = 0;
  const sizes = new Map<string, number>();
  unzipSync(bytes, {
    filter({ name, originalSize }) {
      if (++entries > bytes.length / ENTRY_BYTES) throw new Error('its list of entries is damaged');
      total += originalSize;
      sizes.set(name, originalSize);
      return false;
    },
  });
  if (total > mostExpansion * bytes.length) {
    throw new UserError(
      `is an archive of ${bytes.length} bytes that would unpack to ${total}, ${usual}: it was not unpacked`,
    );
  }
  return {
    sizes,
    unpack: (wanted) =>
      new Map(
        Object.entries(
          unzipSync(bytes, { filter: ({ name }) => wanted(name) }) as Record<string, Uint8Array<ArrayBuffer>>,
        ),
      ),
  };
}
