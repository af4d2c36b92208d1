/**
 * A labelling project: pictures, the boxes in them, and classes. It is plain data that never changes in place: every edit
 * returns a new project that shares all it can with the one before, so that undo is a list of projects.
 */

/** Edges in pixels of the picture, counted from 0: the single top-left pixel is 0, 0, 1, 1. */
export interface Edges {
  x1: number;
  y1: number;
  x2: number;
  y2: number;
}

export interface LabelBox extends Edges {
  /** Unique in the project. */
  id: number;
  /** The id of its class. */
  classId: number;
}

export interface Picture {
  /** Under which the store keeps its file. */
  id: string;
  /** Its file name, unique in the project. */
  name: string;
  width: number;
  height: number;
  boxes: readonly LabelBox[];
  /** It was looked at and shows no object: it trains as background. */
  empty: boolean;
}

export interface ObjectClass {
  id: number;
  /** Unique in the project. */
  name: string;
  /** Names that it had before, by which a network that was trained then knows it. */
  formerly?: readonly string[];
}

export interface Project {
  pictures: readonly Picture[];
  classes: readonly ObjectClass[];
  /** The next id of a box or class. */
  nextId: number;
}

export const EMPTY_PROJECT: Project = { pictures: [], classes: [], nextId: 1 };

/** Whether its labels can be trained on: it has boxes, or is known to have none. */
export const isLabelled = ({ boxes, empty }: Picture): boolean => boxes.length > 0 || empty;

export const pictureOf = ({ pictures }: Project, id: string | undefined): Picture | undefined =>
  pictures.find((picture) => picture.id === id);

/** Adds pictures; names that exist already, or that file systems cannot hold, are changed. */
export function addPictures(project: Project, added: readonly Picture[]): Project {
  const taken = new Set(project.pictures.map(({ name }) => key(name)));
  const named = added.map((picture) => {
    const name = distinctName(picture.name, taken);
    taken.add(key(name));
    return { ...picture, name };
  });
  return { ...project, pictures: [...project.pictures, ...named] };
}

export const removePicture = (project: Project, id: string): Project => ({
  ...project,
  pictures: project.pictures.filter((picture) => picture.id !== id),
});

/** Adds boxes to a picture, in the order given; their ids are `nextId` of the project before, and those that follow. */
export function addBoxes(project: Project, pictureId: string, added: readonly Omit<LabelBox, 'id'>[]): Project {
  const numbered = added.map((box, i) => ({ ...box, id: project.nextId + i }));
  const changed = changePicture(project, pictureId, ({ boxes }) => ({ boxes: [...boxes, ...numbered], empty: false }));
  return { ...changed, nextId: project.nextId + added.length };
}

export const changeBox = (
  project: Project,
  pictureId: string,
  boxId: number,
  change: Partial<Omit<LabelBox, 'id'>>,
): Project =>
  changePicture(project, pictureId, ({ boxes }) => ({
    boxes: boxes.map((box) => (box.id === boxId ? { ...box, ...change } : box)),
  }));

export const removeBox = (project: Project, pictureId: string, boxId: number): Project =>
  changePicture(project, pictureId, ({ boxes }) => ({ boxes: boxes.filter(({ id }) => id !== boxId) }));

/** Says of a picture without boxes that it shows no object, or takes that back. */
export const setEmpty = (project: Project, pictureId: string, empty: boolean): Project =>
  changePicture(project, pictureId, ({ boxes }) => ({ empty: empty && boxes.length === 0 }));

/** Adds a class, whose id is `nextId` of the project before. The same project if it has one of this name, or the name is empty. */
export function addClass(project: Project, name: string): Project {
  const tidy = tidyName(name);
  if (!isFree(project, tidy)) return project;
  const { classes, nextId } = project;
  return { ...project, classes: [...classes, { id: nextId, name: tidy }], nextId: nextId + 1 };
}

/** The same project if the class has this name already, or another class has it, or the name is empty. */
export function renameClass(project: Project, id: number, name: string): Project {
  const tidy = tidyName(name);
  const others = { ...project, classes: project.classes.filter((one) => one.id !== id) };
  const before = project.classes.find((one) => one.id === id);
  if (!before || before.name === tidy || !isFree(others, tidy)) return project;
  const renamed = { ...before, name: tidy, formerly: [...(before.formerly ?? []), before.name] };
  return { ...project, classes: project.classes.map((one) => (one === before ? renamed : one)) };
}

/** The class of which `name` is a spelling. */
export const classNamed = ({ classes }: Project, name: string): ObjectClass | undefined =>
  classes.find((one) => key(one.name) === key(tidyName(name)));

/** Removes a class with all its boxes. */
export const removeClass = (project: Project, id: number): Project => ({
  ...project,
  classes: project.classes.filter((one) => one.id !== id),
  pictures: project.pictures.map((picture) =>
    picture.boxes.some(({ classId }) => classId === id)
      ? { ...picture, boxes: picture.boxes.filter(({ classId }) => classId !== id) }
      : picture,
  ),
});

/** The picture to look at after going from one project to the other: `current` if it changed, or the first that did or is new. */
export function changedPicture(before: Project, after: Project, current: string | undefined): Picture | undefined {
  const known = new Map(before.pictures.map((picture) => [picture.id, picture]));
  const changed = after.pictures.filter((picture) => known.get(picture.id) !== picture);
  return changed.find(({ id }) => id === current) ?? changed[0];
}

/** How many boxes of each class there are, by its id. */
export function countBoxes({ pictures }: Project): Map<number, number> {
  const counts = new Map<number, number>();
  for (const { boxes } of pictures) {
    for (const { classId } of boxes) counts.set(classId, (counts.get(classId) ?? 0) + 1);
  }
  return counts;
}

/** A project and those that it was before. */
export class History {
  private past: Project[] = [];
  private future: Project[] = [];
  /** What the last edit was part of. */
  private part: string | undefined;
  present: Project;

  constructor(present: Project) {
    this.present = present;
  }

  /**
   * Makes an edit that can be undone; nothing happens if the project is the same. Edits in a row that are `part` of the same, such
   * as the steps of a key that is held down, are undone as one.
   */
  commit(next: Project, part?: string): void {
    if (next === this.present) return;
    if (part === undefined || part !== this.part) this.past.push(this.present);
    if (this.past.length > MOST_EDITS) this.past.shift();
    this.part = part;
    this.future = [];
    this.present = next;
  }

  /** Begins anew: nothing before can come back. */
  reset(project: Project): void {
    [this.past, this.future, this.part] = [[], [], undefined];
    this.present = project;
  }

  get canUndo(): boolean {
    return this.past.length > 0;
  }

  get canRedo(): boolean {
    return this.future.length > 0;
  }

  undo(): void {
    const before = this.past.pop();
    this.part = undefined;
    if (!before) return;
    this.future.push(this.present);
    this.present = before;
  }

  redo(): void {
    const after = this.future.pop();
    this.part = undefined;
    if (!after) return;
    this.past.push(this.present);
    this.present = after;
  }
}

/** Edits that can be undone. They share most of their data, so each is small. */
const MOST_EDITS = 1000;

function changePicture(project: Project, id: string, change: (picture: Picture) => Partial<Picture>): Project {
  const pictures = project.pictures.map((one) => (one.id === id ? { ...one, ...change(one) } : one));
  return { ...project, pictures };
}

const tidyName = (name: string): string => name.trim().replace(/\s+/g, ' ');
const isFree = (project: Project, name: string): boolean =>
  name !== '' && classNamed(project, name) === undefined && name !== '__background__';

/** Some file systems do not distinguish the case of letters, or forms of accents. */
const key = (name: string): string => name.normalize('NFC').toLowerCase();

function distinctName(wanted: string, taken: ReadonlySet<string>): string {
  const safe = wanted.replace(/[\u0000-\u001f\u007f-\u009f<>:"'|?*/\\]/g, '_').replace(/^\.+/, '_');
  const [, stem, extension] = /^(.*?)(\.[^.]*)?$/s.exec(safe) as unknown as [string, string, string | undefined];
  // Two pictures whose names differ in the extension alone would share a label file.
  const stems = new Set([...taken].map((name) => name.replace(/\.[^.]*$/, '')));
  let name = stem === '' ? 'picture' : stem;
  for (let i = 2; stems.has(key(name)); i++) name = `${stem}-${i}`;
  return `${name}${extension ?? '.png'}`;
}
