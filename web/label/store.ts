/**
 * Keeps the project, its picture files and the network trained on it in the browser's IndexedDB, so that a reload, a lost device
 * or a closed tab loses nothing. Where the browser keeps nothing (some private windows), or another tab has the project open,
 * all of it stays in memory, and `notKept` says so.
 */
import { type DBSchema, type IDBPDatabase, openDB } from 'idb';
import type { RunFiles } from '../session.ts';
import type { PictureFile } from './pictureFile.ts';
import type { Project } from './project.ts';

interface Schema extends DBSchema {
  project: { key: string; value: Project };
  /** By the id of the picture. */
  pictures: { key: string; value: PictureFile };
  run: { key: string; value: RunFiles };
}

const NAME = 'webgpu-rcnn labels';
/** There is one project. */
const KEY = 'current';
/** After a reload, the page before has the lock for a moment. */
const LOCK_MILLISECONDS = 1500;

interface Kept {
  project?: Project | undefined;
  run?: RunFiles | undefined;
}

export class Store {
  /** Why nothing is kept; undefined if it is. */
  notKept: string | undefined;
  private database: IDBPDatabase<Schema> | undefined;
  /** Pictures that the database does not hold: not yet, or because it has no room for them. */
  private readonly memory = new Map<string, PictureFile>();
  /** Writes follow one another, so that the last state is the one that stays. */
  private writing: Promise<unknown> = Promise.resolve();
  private readonly onProblem: (message: string) => void;

  private constructor(
    database: IDBPDatabase<Schema> | undefined,
    notKept: string | undefined,
    onProblem: (message: string) => void,
  ) {
    this.database = database;
    this.notKept = notKept;
    this.onProblem = onProblem;
  }

  /** @param onProblem receives a line whenever something could not be kept, such as for want of space */
  static async open(onProblem: (message: string) => void): Promise<Store> {
    if (!(await locked())) {
      return new Store(undefined, 'Another tab has the labels open: what is done here is not kept.', onProblem);
    }
    try {
      const database = await openDB<Schema>(NAME, 1, {
        upgrade(database) {
          for (const store of ['project', 'pictures', 'run'] as const) database.createObjectStore(store);
        },
      });
      return new Store(database, undefined, onProblem);
    } catch (error) {
      const why = `This browser keeps nothing for this page (${(error as Error).message}): export before you leave.`;
      return new Store(undefined, why, onProblem);
    }
  }

  /**
   * What was kept. Picture files that belong to no picture any more are removed. If it cannot be read, nothing is kept from then on,
   * since that would replace it.
   */
  async load(): Promise<Kept> {
    if (!this.database) return {};
    try {
      return await this.read(this.database);
    } catch (error) {
      this.database = undefined;
      const why = (error as Error).message;
      this.notKept = `The labels in this browser cannot be read (${why}): reload the page; what is done here is not kept.`;
      return {};
    }
  }

  private async read(database: IDBPDatabase<Schema>): Promise<Kept> {
    const [project, run, ids] = await Promise.all([
      database.get('project', KEY),
      database.get('run', KEY),
      database.getAllKeys('pictures'),
    ]);
    const used = new Set(project?.pictures.map(({ id }) => id));
    for (const id of ids.filter((id) => !used.has(id))) await database.delete('pictures', id);
    return { project, run };
  }

  saveProject(project: Project): void {
    this.write((database) => database.put('project', project, KEY));
  }

  saveRun(run: RunFiles): void {
    this.write((database) => database.put('run', run, KEY));
  }

  savePicture(id: string, picture: PictureFile): void {
    this.memory.set(id, picture);
    this.write(async (database) => {
      await database.put('pictures', picture, id);
      this.memory.delete(id);
    });
  }

  async picture(id: string): Promise<PictureFile> {
    const found = this.memory.get(id) ?? (await this.database?.get('pictures', id));
    if (!found) throw new Error('The browser has lost the file of this picture: remove the picture and add it again.');
    return found;
  }

  /** Removes everything. */
  clear(): void {
    this.memory.clear();
    for (const store of ['project', 'pictures', 'run'] as const) this.write((database) => database.clear(store));
  }

  private write(work: (database: IDBPDatabase<Schema>) => Promise<unknown>): void {
    const { database } = this;
    if (!database) return;
    this.writing = this.writing
      .then(() => work(database))
      .catch((error: Error) =>
        this.onProblem(`The browser could not keep the last change (${error.message}): export now.`),
      );
  }
}

/** Takes the project for this tab as long as it is open; false if another one has it. */
async function locked(): Promise<boolean> {
  if (!('locks' in navigator)) return true; // a page that is not secure
  return new Promise((resolve) => {
    navigator.locks
      .request(NAME, { signal: AbortSignal.timeout(LOCK_MILLISECONDS) }, () => {
        resolve(true);
        return new Promise(() => {}); // until the tab is closed
      })
      .catch(() => resolve(false));
  });
}
