/** Folders outside the project, for files kept between runs and for those that must belong to this user alone. */
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { UserError } from '../errors.ts';
import { makeFolder } from './writeFile.ts';

/** A folder that belongs to this user alone, for caches and sockets that must not be another user's. */
export function privateTemporaryFolder(): string {
  const uid = process.getuid?.() ?? -1; // a container's user may have no name, which os.userInfo() would ask for
  const folder = path.join(os.tmpdir(), `webgpu-rcnn-${uid >= 0 ? uid : os.userInfo().username}`);
  makeFolder(os.tmpdir());
  if (!fs.existsSync(folder)) fs.mkdirSync(folder, { mode: 0o700 });
  if (uid >= 0 && fs.lstatSync(folder).uid !== uid) throw new UserError(`${folder} belongs to another user: remove it`);
  return folder;
}

/** The first of the user's cache folders that can be written. */
export function cacheFolder(): string {
  const bases = [process.env['XDG_CACHE_HOME'], path.join(homeFolder(), '.cache')];
  for (const base of bases) {
    if (!base || !path.isAbsolute(base)) continue;
    const folder = path.join(base, 'webgpu-rcnn');
    try {
      makeFolder(folder);
      fs.accessSync(folder, fs.constants.W_OK);
      return folder;
    } catch {
      continue;
    }
  }
  return privateTemporaryFolder();
}

/** Empty if a container's user has neither HOME nor a name. */
function homeFolder(): string {
  try {
    return os.homedir();
  } catch {
    return '';
  }
}
