/** Finds a Python that has PyTorch: a machine often has several, and the first on the path is not always that one. */
import { spawnSync } from 'node:child_process';

const PLACES = ['python3', 'python', '/usr/bin/python3', '/usr/local/bin/python3', '/opt/conda/bin/python3'];
/** Looks the package up without importing it, which takes seconds. */
const HAS_TORCH = 'import importlib.util, sys; sys.exit(importlib.util.find_spec("torch") is None)';

/** The first that has PyTorch, else `python3`, whose report then says that it has not. */
export function pythonWithTorch(env: Readonly<Record<string, string | undefined>>): string {
  const has = (python: string): boolean =>
    spawnSync(python, ['-c', HAS_TORCH], { env: env as NodeJS.ProcessEnv, stdio: 'ignore', timeout: 10_000 }).status ===
    0;
  return PLACES.find(has) ?? 'python3';
}
