/** The Label part: pictures, boxes and classes, kept in the browser; the network trains on them and proposes boxes. */
import {
  classColour,
  type DecodedImage,
  importLabels,
  type ImportedImage,
  LABEL_FORMATS,
  type LabelFormat,
} from '../../src/index.ts';
import { attempt, download, element, keyed, make, showTrouble } from '../dom.ts';
import type { LabelledNetwork } from '../labelledNetwork.ts';
import { decode, decodePixels, pixels } from '../pictures.ts';
import type { RemoteSession } from '../remote.ts';
import type { LabelTask, SessionEvent } from '../session.ts';
import { startCamera } from './camera.ts';
import { boxBetween, type Point } from './geometry.ts';
import { readPicture } from './pictureFile.ts';
import {
  addBoxes,
  addClass,
  addPictures,
  changeBox,
  changedPicture,
  classNamed,
  countBoxes,
  EMPTY_PROJECT,
  History,
  isLabelled,
  type LabelBox,
  type ObjectClass,
  type Picture,
  pictureOf,
  type Project,
  removeBox,
  removeClass,
  removePicture,
  renameClass,
  setEmpty,
} from './project.ts';
import { doubtOf, type Proposal, proposalsOf, stillOpen } from './proposals.ts';
import { Store } from './store.ts';
import { type DrawnBox, Surface } from './surface.ts';
import { startTrainPanel } from './trainPanel.ts';

export interface LabelPart {
  /** Allows training and proposals, once there is a device. */
  enable(): Promise<void>;
  disable(why: string): void;
  listen(event: SessionEvent): void;
}

/** The class of a first box that is drawn before any class has a name. */
const FIRST_CLASS = 'object';
const NEEDS_NAME = 'A class needs a name that no other class has.';
/** A new box that is made by a key takes this share of what is in sight. */
const KEY_BOX = 0.25;

export async function startLabel(session: RemoteSession, network: LabelledNetwork): Promise<LabelPart> {
  const store = await Store.open(showTrouble);
  const kept = await store.load();
  const history = new History(kept.project ?? EMPTY_PROJECT);
  /** Addresses of the thumbnails, by the id of the picture. */
  const thumbnails = new Map<string, string>();
  let current: string | undefined = history.present.pictures[0]?.id;
  let selected: number | undefined;
  /** The class of boxes that are drawn. */
  let pen: number | undefined = history.present.classes[0]?.id;
  let image: { of: string; bitmap: ImageBitmap } | undefined;
  let shown: string | undefined;
  /** What the network proposed, by the id of the picture; without those that were accepted or dismissed. */
  const proposed = new Map<string, Proposal[]>();
  /** How unsure the network was about a picture, by its id. */
  const doubts = new Map<string, number>();
  let device = false;
  let training = false;
  /** Whether the network looks through the pictures for the one that it is least sure about. */
  let looking = false;

  const canvas = element<HTMLCanvasElement>('surface');
  const propose = element<HTMLInputElement>('propose');
  const state = element('label-state');
  const say = (text: string): void => void (state.textContent = text);
  const project = (): Project => history.present;
  const picture = (): Picture | undefined => pictureOf(project(), current);
  const nameOf = (classId: number): string => project().classes.find(({ id }) => id === classId)?.name ?? '';
  const colourOf = (classId: number): string =>
    classColour(project().classes.findIndex(({ id }) => id === classId) + 1);
  const open = (): Proposal[] => {
    const now = picture();
    return now && propose.checked ? stillOpen(proposed.get(now.id) ?? [], now.boxes, project().classes) : [];
  };

  /** Makes an edit, keeps it and shows it. */
  function edit(next: Project, part?: string): void {
    history.commit(next, part);
    changed();
  }

  /** Keeps and shows the project as it is now. */
  function changed(): void {
    store.saveProject(project());
    const now = picture();
    if (!now) current = project().pictures[0]?.id;
    if (selected !== undefined && !picture()?.boxes.some(({ id }) => id === selected) && selected > 0) {
      selected = undefined;
    }
    if (!project().classes.some(({ id }) => id === pen)) pen = project().classes[0]?.id;
    show();
  }

  /** Undoes an edit or makes it again, and shows the picture that it changes. */
  function travel(move: () => void): void {
    const before = project();
    move();
    const picture = changedPicture(before, project(), current);
    if (picture && picture.id !== current) [current, selected] = [picture.id, undefined];
    changed();
  }

  /** The class for a new box; makes one if there is none. */
  function penClass(): number {
    if (pen !== undefined) return pen;
    pen = project().nextId;
    edit(addClass(project(), FIRST_CLASS));
    return pen;
  }

  const surface = new Surface(canvas, {
    drawn(edges) {
      const classId = penClass();
      selected = project().nextId;
      edit(addBoxes(project(), current!, [{ ...edges, classId }]));
      say(`${nameOf(classId)} at ${placeOf(edges)}`);
    },
    changed(id, edges, byKey) {
      edit(changeBox(project(), current!, id, edges), byKey ? `keys ${id}` : undefined);
      say(`${nameOf(picture()!.boxes.find((box) => box.id === id)!.classId)} at ${placeOf(edges)}`);
    },
    selected: (id) => select(id),
    accepted: (id) => accept(open().filter((proposal) => proposal.id === id)),
  });

  function select(id: number | undefined): void {
    selected = id;
    const box = [...(picture()?.boxes ?? []), ...open()].find((one) => one.id === id);
    if (box) {
      if (box.id > 0) pen = box.classId;
      say(`${box.id < 0 ? 'proposed: ' : ''}${nameOf(box.classId)} at ${placeOf(box)}`);
    }
    show();
  }

  function accept(proposals: readonly Proposal[]): void {
    if (proposals.length === 0) return;
    selected = proposals.length === 1 ? project().nextId : undefined;
    const boxes = proposals.map(({ x1, y1, x2, y2, classId }) => ({ x1, y1, x2, y2, classId }));
    edit(addBoxes(project(), current!, boxes));
    say(proposals.length === 1 ? `Accepted: ${nameOf(proposals[0]!.classId)}` : `Accepted ${proposals.length} boxes`);
  }

  function dismiss(id: number): void {
    proposed.set(
      current!,
      (proposed.get(current!) ?? []).filter((proposal) => proposal.id !== id),
    );
    selected = undefined;
    show();
  }

  function remove(id: number): void {
    if (id < 0) return dismiss(id);
    const boxes = picture()!.boxes;
    const at = boxes.findIndex((box) => box.id === id);
    selected = undefined;
    say(`Removed ${nameOf(boxes[at]!.classId)}`);
    edit(removeBox(project(), current!, id));
  }

  /** Uses a class for new boxes, and gives it to the box that is selected. */
  function choose(classId: number): void {
    pen = classId;
    const box = picture()?.boxes.find(({ id }) => id === selected);
    if (box && box.classId !== classId) edit(changeBox(project(), current!, box.id, { classId }));
    else show();
    say(`Class ${nameOf(classId)}`);
  }

  function turnTo(id: string | undefined): void {
    if (id === undefined || id === current) return;
    current = id;
    selected = undefined;
    show();
    const { pictures } = project();
    say(`Picture ${pictures.findIndex((one) => one.id === id) + 1} of ${pictures.length}: ${picture()!.name}`);
    element('pictures').querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  }

  function turn(by: number): void {
    const { pictures } = project();
    const at = pictures.findIndex(({ id }) => id === current);
    turnTo(pictures[Math.min(Math.max(at + by, 0), pictures.length - 1)]?.id);
  }

  /** Decodes the picture that is shown; one at a time is held in memory. */
  async function load(): Promise<void> {
    const now = picture();
    if (!now || image?.of === now.id) return;
    const { file } = await store.picture(now.id);
    const bitmap = await decode(file, now.name);
    if (current !== now.id) return bitmap.close();
    image?.bitmap.close();
    image = { of: now.id, bitmap };
    show();
    await refreshProposals();
  }

  /** Asks the network for boxes in the picture that is shown, unless it was asked before. */
  async function refreshProposals(): Promise<void> {
    const now = picture();
    if (!now || !device || training || !network.run || !propose.checked) return;
    if (image?.of !== now.id || proposed.has(now.id)) return;
    await lookAt(now, pixels(image.bitmap));
    if (training || current !== now.id) return;
    show();
    const { length } = open();
    if (length > 0) say(`The network proposes ${length} box${length > 1 ? 'es' : ''}.`);
  }

  /** Asks the network what is in a picture, for proposals and for how unsure it is. */
  async function lookAt(now: Picture, content: DecodedImage): Promise<void> {
    proposed.set(now.id, []);
    const { classes } = network.run!;
    const { detections } = await session.detect('labelled', content);
    if (training) return void proposed.delete(now.id);
    proposed.set(now.id, proposalsOf(detections, classes, project().classes, now));
    doubts.set(now.id, doubtOf(detections));
  }

  /** Looks through the pictures that are not labelled, and turns to the one that the network is least sure about. */
  async function turnToUnsure(): Promise<void> {
    const unlabelled = project().pictures.filter((one) => !isLabelled(one));
    looking = true;
    show();
    try {
      for (const [i, one] of unlabelled.entries()) {
        if (doubts.has(one.id)) continue;
        say(`Looking at picture ${i + 1} of the ${unlabelled.length} without labels.`);
        await lookAt(one, await decodePixels((await store.picture(one.id)).file, one.name));
        if (training) return;
      }
    } finally {
      looking = false;
      show();
    }
    const left = unlabelled.filter(({ id }) => pictureOf(project(), id) && doubts.has(id));
    const [first] = left.sort((a, b) => doubts.get(b.id)! - doubts.get(a.id)!);
    if (first) turnTo(first.id);
  }

  function show(): void {
    const { pictures, classes } = project();
    const now = picture();
    const proposals = open();
    element('stage-empty').hidden = pictures.length > 0 || camera.open;
    canvas.hidden = now === undefined || camera.open;
    showStrip(pictures);
    showClasses(classes);
    showBoxes(now, proposals);
    element<HTMLButtonElement>('undo').disabled = !history.canUndo;
    element<HTMLButtonElement>('redo').disabled = !history.canRedo;
    for (const id of ['previous', 'next', 'remove-picture']) element<HTMLButtonElement>(id).disabled = !now;
    element('propose-field').hidden = !network.run;
    element('proposed').hidden = proposals.length === 0;
    element('accept-all').textContent =
      proposals.length === 1 ? 'Accept the proposal' : `Accept all ${proposals.length} proposals`;
    const labelled = pictures.filter(isLabelled).length;
    for (const button of element('label-formats').querySelectorAll('button')) button.disabled = labelled === 0;
    element<HTMLButtonElement>('label-clear').disabled =
      training || (pictures.length === 0 && classes.length === 0 && !network.run);
    panel.update(
      pictures.some(({ boxes }) => boxes.length > 0)
        ? { ready: `Ready: ${labelled} of ${pictures.length} pictures ${labelled === 1 ? 'is' : 'are'} labelled.` }
        : { obstacle: 'Draw boxes in some pictures first.' },
    );
    const unsure = element<HTMLButtonElement>('unsure');
    unsure.hidden = !network.run;
    unsure.disabled = !device || training || looking || labelled === pictures.length;
    element('add-pictures').classList.toggle('primary', pictures.length === 0);
    element('classes-empty').hidden = classes.length > 0;
    element('boxes-empty').hidden = !now || now.boxes.length > 0 || proposals.length > 0 || now.empty;
    showNetwork();
    if (!now) return;
    const drawn = (box: LabelBox | Proposal, isProposal: boolean): DrawnBox => ({
      ...box,
      name: nameOf(box.classId),
      colour: colourOf(box.classId),
      proposed: isProposal,
    });
    canvas.ariaLabel = describe(now, proposals);
    const thumbnail = thumbnailOf(now.id);
    surface.show(
      {
        image:
          image?.of === now.id
            ? image.bitmap
            : thumbnail?.complete && thumbnail.naturalWidth > 0
              ? thumbnail
              : undefined,
        size: now,
        boxes: [...now.boxes.map((box) => drawn(box, false)), ...proposals.map((box) => drawn(box, true))],
        selected,
        pen: pen === undefined ? classColour(1) : colourOf(pen),
      },
      shown !== now.id,
    );
    shown = now.id;
    if (image?.of !== now.id) void attempt(load);
  }

  const thumbnailOf = (id: string): HTMLImageElement | null =>
    element('pictures').querySelector(`[data-picture="${id}"] img`);

  function showStrip(pictures: readonly Picture[]): void {
    const list = element('pictures');
    list.hidden = pictures.length === 0;
    keyed(
      list,
      pictures,
      ({ id }) => id,
      ({ id, width, height }) => {
        const thumbnail = make('img', { alt: '', width, height, decoding: 'async' });
        const button = make('button', { onclick: () => turnTo(id) }, thumbnail, make('span'));
        button.dataset['picture'] = id;
        void address(id).then(
          (url) => (thumbnail.src = url),
          () => {},
        );
        return make('li', {}, button);
      },
      (row, one, i) => {
        const button = row.firstElementChild as HTMLButtonElement;
        const badge = button.lastElementChild as HTMLElement;
        const count = one.boxes.length;
        badge.textContent = count > 0 ? String(count) : one.empty ? '0' : '';
        badge.hidden = !isLabelled(one);
        button.title = one.name;
        const boxes = isLabelled(one) ? `${count} box${count === 1 ? '' : 'es'}` : 'not labelled';
        button.ariaLabel = `Picture ${i + 1}, ${one.name}: ${boxes}`;
        button.tabIndex = one.id === current ? 0 : -1; // the row is one stop, and arrows go through it
        if (one.id === current) button.setAttribute('aria-current', 'true');
        else button.removeAttribute('aria-current');
      },
    );
  }

  async function address(id: string): Promise<string> {
    if (!thumbnails.has(id)) thumbnails.set(id, URL.createObjectURL((await store.picture(id)).thumbnail));
    return thumbnails.get(id)!;
  }

  function showClasses(classes: readonly ObjectClass[]): void {
    const counts = countBoxes(project());
    keyed(
      element('classes'),
      classes,
      ({ id }) => String(id),
      ({ id }) => {
        const swatch = make('button', { className: 'swatch', onclick: () => choose(id) });
        const name = make('input', { maxLength: 60 });
        name.onchange = () => {
          const next = renameClass(project(), id, name.value);
          if (next === project() && name.value !== nameOf(id)) say(NEEDS_NAME);
          edit(next);
          name.value = nameOf(id);
        };
        const removal = make('button', { className: 'plain', textContent: '×' });
        removal.onclick = () => edit(removeClass(project(), id));
        return make('li', {}, swatch, name, make('span', { className: 'quiet' }), removal);
      },
      (row, { id, name }, i) => {
        const [swatch, field, count, removal] = row.children as unknown as [
          HTMLButtonElement,
          HTMLInputElement,
          HTMLElement,
          HTMLButtonElement,
        ];
        swatch.style.setProperty('--swatch', classColour(i + 1));
        swatch.textContent = i < 9 ? String(i + 1) : '';
        swatch.ariaLabel = i < 9 ? `${i + 1}: draw ${name}` : `Draw ${name}`;
        swatch.setAttribute('aria-pressed', String(id === pen));
        field.ariaLabel = `Name of class ${i + 1}`;
        if (document.activeElement !== field) field.value = name;
        const boxes = counts.get(id) ?? 0;
        count.textContent = String(boxes);
        count.title = 'boxes';
        removal.ariaLabel = `Remove class ${name} and its ${boxes} boxes`;
      },
    );
  }

  function showBoxes(now: Picture | undefined, proposals: readonly Proposal[]): void {
    const boxes: readonly (LabelBox | Proposal)[] = [...(now?.boxes ?? []), ...proposals];
    keyed(
      element('boxes'),
      boxes,
      ({ id }) => `${current} ${id}`,
      ({ id }) => {
        const name = make('button', { className: 'plain name' });
        const action = make('button', { className: 'plain', textContent: id < 0 ? '✓' : '×' });
        name.onclick = () => select(id);
        action.onclick = () => (id < 0 ? accept(open().filter((one) => one.id === id)) : remove(id));
        return make('li', {}, make('i'), name, action);
      },
      (row, box) => {
        const [swatch, name, action] = row.children as unknown as [HTMLElement, HTMLButtonElement, HTMLButtonElement];
        swatch.style.background = colourOf(box.classId);
        const what = nameOf(box.classId);
        name.replaceChildren(
          'score' in box ? `${what}? ` : `${what} `,
          make('small', { textContent: 'score' in box ? box.score.toFixed(2) : placeOf(box) }),
        );
        name.setAttribute('aria-pressed', String(box.id === selected));
        action.ariaLabel = 'score' in box ? `Accept ${what} at ${placeOf(box)}` : `Remove ${what} at ${placeOf(box)}`;
        action.title = 'score' in box ? 'Accept' : 'Remove';
      },
    );
    const emptyField = element('empty-field');
    emptyField.hidden = !now || now.boxes.length > 0;
    element<HTMLInputElement>('empty').checked = now?.empty ?? false;
  }

  function showNetwork(): void {
    const { run } = network;
    element('label-network').textContent = run
      ? `It knows ${run.classes.slice(1).join(', ')}.`
      : 'There is none yet: train one on your labels.';
    for (const id of ['label-detect', 'label-save', 'label-export']) {
      element<HTMLButtonElement>(id).disabled = !run || !device;
    }
  }

  function describe({ name, boxes }: Picture, proposals: readonly Proposal[]): string {
    const count = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`;
    const more = proposals.length > 0 ? `, ${count(proposals.length, 'proposal')}` : '';
    return `${name} with ${boxes.length} box${boxes.length === 1 ? '' : 'es'}${more}`;
  }

  /** Adds image files, and data sets in zip files, such as were exported here. */
  const add = (files: readonly File[]): Promise<void> =>
    attempt(async () => {
      const part = `add ${newId()}`;
      const problems: string[] = [];
      const notes: string[] = [];
      const added: string[] = [];
      for (const [i, file] of files.entries()) {
        if (files.length > 1) say(`Adding file ${i + 1} of ${files.length}.`);
        try {
          if (/\.zip$/i.test(file.name)) added.push(...(await addDataSet(file, part, notes)));
          else added.push(await addPicture(file, part));
        } catch (error) {
          problems.push((error as Error).message);
        }
      }
      if (added.length === 1) turnTo(added[0]);
      const lines = notes.map((note) => ` Note: ${note}.`).join('');
      say(`${added.length} picture${added.length === 1 ? ' was' : 's were'} added.${lines}`);
      void navigator.storage?.persist?.();
      if (problems.length > 0) {
        const more = problems.length > 1 ? ` (and ${problems.length - 1} more)` : '';
        throw new Error(`${problems[0]}${more}`);
      }
    });

  /** Adds a picture, with its labels if it has some, and returns its id. Edits of the same `part` are undone together. */
  async function addPicture(file: File, part: string, labels?: ImportedImage): Promise<string> {
    const { width, height, ...stored } = await readPicture(file);
    const boxes = labels?.objects({ width, height }) ?? [];
    const id = newId();
    store.savePicture(id, stored);
    thumbnails.set(id, URL.createObjectURL(stored.thumbnail));
    current ??= id;
    const named = boxes.reduce((all, { className }) => addClass(all, className), project());
    const shown = addPictures(named, [{ id, name: file.name, width, height, boxes: [], empty: false }]);
    const labelled = boxes.flatMap(({ className, ...edges }) => {
      const classId = classNamed(named, className)?.id;
      const inside = boxBetween({ x: edges.x1, y: edges.y1 }, { x: edges.x2, y: edges.y2 }, { width, height });
      return classId === undefined ? [] : [{ ...inside, classId }];
    });
    const empty = labels !== undefined && !labels.unlabelled;
    edit(labelled.length > 0 ? addBoxes(shown, id, labelled) : setEmpty(shown, id, empty), part);
    return id;
  }

  async function addDataSet(file: File, part: string, notes: string[]): Promise<string[]> {
    const labels = await importLabels(new Uint8Array(await file.arrayBuffer()), file.name);
    edit(labels.classes.reduce(addClass, project()), part);
    const ids: string[] = [];
    for (const image of labels.images) {
      say(`Adding picture ${ids.length + 1} of ${labels.images.length}.`);
      ids.push(await addPicture(new File([image.unpack()], image.name), part, image));
    }
    notes.push(...labels.notes());
    return ids;
  }

  const camera = startCamera(
    (file) => add([file]),
    () => show(),
  );

  const panel = startTrainPanel(session, network, {
    async labels() {
      const { classes, pictures } = project();
      const indices = new Map(classes.map(({ id }, i) => [id, i + 1]));
      const task: LabelTask['pictures'] = [];
      for (const { id, name, width, height, boxes } of pictures.filter(isLabelled)) {
        const labelled = boxes.map(({ x1, y1, x2, y2, classId }) => ({
          ...{ x1, y1, x2: x2 - 1, y2: y2 - 1, classIndex: indices.get(classId)! },
        }));
        task.push({ name, width, height, boxes: labelled, file: (await store.picture(id)).file });
      }
      return { classes: ['__background__', ...classes.map(({ name }) => name)], pictures: task };
    },
    began() {
      training = true;
      proposed.clear();
      doubts.clear();
      show();
    },
    ended() {
      training = false;
      proposed.clear();
      show();
      void attempt(refreshProposals);
    },
  });
  network.listen({ changed: () => show() });

  element('undo').onclick = () => travel(() => history.undo());
  element('redo').onclick = () => travel(() => history.redo());
  element('zoom-in').onclick = () => surface.zoom(1.5);
  element('zoom-out').onclick = () => surface.zoom(1 / 1.5);
  element('zoom-fit').onclick = () => surface.fit();
  element('previous').onclick = () => turn(-1);
  element('next').onclick = () => turn(1);
  element('unsure').onclick = () => attempt(turnToUnsure);
  element('accept-all').onclick = () => accept(open());
  element('remove-picture').onclick = () => {
    const gone = picture()!;
    const { pictures } = project();
    const at = pictures.indexOf(gone);
    current = (pictures[at + 1] ?? pictures[at - 1])?.id;
    edit(removePicture(project(), gone.id));
    say(`Removed ${gone.name}; Undo brings it back.`);
  };
  propose.onchange = () => (show(), void attempt(refreshProposals));
  element<HTMLInputElement>('empty').onchange = ({ target }) =>
    edit(setEmpty(project(), current!, (target as HTMLInputElement).checked));
  element<HTMLFormElement>('add-class').onsubmit = (event) => {
    event.preventDefault();
    const field = element<HTMLInputElement>('class-name');
    const { nextId } = project();
    const next = addClass(project(), field.value);
    if (next === project()) return say(NEEDS_NAME);
    pen = nextId;
    edit(next);
    field.value = '';
  };
  const files = element<HTMLInputElement>('label-files');
  files.onchange = async () => {
    await add([...files.files!]);
    files.value = ''; // the same files may be chosen again
  };
  addEventListener('drop', (event) => {
    if (location.hash !== '#label') return;
    event.preventDefault();
    const dropped = [...(event.dataTransfer?.files ?? [])];
    if (dropped.length > 0) void add(dropped);
  });
  addEventListener('dragover', (event) => event.preventDefault());
  element('label-detect').onclick = () => {
    location.hash = '#detect';
    network.use();
  };
  element('label-save').onclick = () =>
    attempt(async () => {
      const { config, checkpoint } = await session.save('labelled');
      download('config.json', config);
      download('checkpoint.safetensors', checkpoint);
    });
  element('label-export').onclick = () =>
    attempt(async () => download('detector.onnx', await session.exportOnnx('labelled')));
  for (const [format, title] of Object.entries(LABEL_FORMATS)) {
    const button = make('button', { textContent: title });
    button.onclick = () =>
      attempt(async () => {
        const { exportProject } = await import('./exchange.ts');
        const { zip, lost } = await exportProject(
          project(),
          format as LabelFormat,
          async (id) => (await store.picture(id)).file,
        );
        download(`labels-${format}.zip`, zip);
        const left = project().pictures.filter((one) => !isLabelled(one)).length;
        const without = left > 0 ? ` Without ${left} picture${left > 1 ? 's' : ''} not labelled yet.` : '';
        say(`Exported as ${title}.${without} ${lost.map((line) => `Note: ${line}.`).join(' ')}`);
      });
    element('label-formats').append(button);
  }
  element('label-clear').onclick = () => {
    if (!confirm('Remove all pictures, labels and the network from this browser?')) return;
    store.clear();
    for (const address of thumbnails.values()) URL.revokeObjectURL(address);
    thumbnails.clear();
    proposed.clear();
    doubts.clear();
    current = selected = pen = shown = undefined;
    network.set(undefined);
    history.reset(EMPTY_PROJECT);
    show();
  };

  element('pictures').onkeydown = (event) => {
    const by = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    turn(by);
    element('pictures').querySelector<HTMLElement>('[aria-current]')?.focus();
  };
  canvas.onkeydown = (event) => {
    if (key(event)) event.preventDefault();
  };
  addEventListener('keydown', (event) => {
    if (location.hash !== '#label' || !(event.ctrlKey || event.metaKey) || isTyping(event.target)) return;
    const letter = event.key.toLowerCase();
    if (letter === 'z' && !event.shiftKey) travel(() => history.undo());
    else if (letter === 'y' || letter === 'z') travel(() => history.redo());
    else return;
    event.preventDefault();
  });

  /** What a key does on the picture; false if it does nothing. */
  function key(event: KeyboardEvent): boolean {
    const now = picture();
    if (!now || event.ctrlKey || event.metaKey) return false;
    const all = [...now.boxes.map(({ id }) => id), ...open().map(({ id }) => id)];
    const digit = Number(event.key);
    if (digit >= 1 && digit <= 9) {
      const chosen = project().classes[digit - 1];
      if (chosen) choose(chosen.id);
      return chosen !== undefined;
    }
    switch (event.key) {
      case 'n':
      case 'N':
        drawByKey(now);
        return true;
      case ',':
      case '.': {
        if (all.length === 0) return false;
        const at = selected === undefined ? -1 : all.indexOf(selected);
        const step = event.key === '.' ? 1 : -1;
        select(all[at < 0 ? (step > 0 ? 0 : all.length - 1) : (at + step + all.length) % all.length]);
        return true;
      }
      case 'Delete':
      case 'Backspace':
        if (selected !== undefined) remove(selected);
        return selected !== undefined;
      case 'Enter':
        accept(open().filter(({ id }) => id === selected));
        return true;
      case 'a':
      case 'A':
        accept(open());
        return true;
      case 'e':
      case 'E':
        if (now.boxes.length === 0) edit(setEmpty(project(), now.id, !now.empty));
        return true;
      case 'Escape':
        select(undefined);
        return true;
      case 'PageUp':
        turn(-1);
        return true;
      case 'PageDown':
        turn(1);
        return true;
      default:
        return surface.key(event);
    }
  }

  /** A box in the middle of what is in sight, to be moved and resized by the arrow keys. */
  function drawByKey(now: Picture): void {
    const { x1, y1, x2, y2 } = surface.sight;
    const corner = (sign: number): Point => ({
      x: (x1 + x2) / 2 + (sign * KEY_BOX * (x2 - x1)) / 2,
      y: (y1 + y2) / 2 + (sign * KEY_BOX * (y2 - y1)) / 2,
    });
    const edges = boxBetween(corner(-1), corner(1), now);
    const classId = penClass();
    selected = project().nextId;
    edit(addBoxes(project(), now.id, [{ ...edges, classId }]));
    say(`New ${nameOf(classId)} at ${placeOf(edges)}: arrows move it, Shift and arrows resize it.`);
  }

  /** Brings back the network that was kept. */
  async function restore(): Promise<void> {
    if (!kept.run) return;
    network.set(await session.load(kept.run.config, kept.run.checkpoint, 'labelled'));
    await refreshProposals();
  }

  function disable(why: string): void {
    device = false;
    panel.disable(why);
    show();
  }

  show();
  element('not-kept').hidden = store.notKept === undefined;
  element('not-kept').textContent = store.notKept ?? '';

  return {
    async enable() {
      device = true;
      panel.enable();
      await restore().catch((error: Error) => showTrouble(`The network that this browser keeps: ${error.message}`));
      show();
    },
    disable,
    listen(event) {
      if (event.kind === 'lost')
        disable('The device was lost. Labels and the last weights are kept: reload this page.');
      panel.listen(event);
      // The network that was there is gone, and the one in its place may have other classes.
      if (event.kind === 'begun' && event.of === 'labelled' && network.run) network.set(event.network);
      if (event.kind === 'kept') {
        store.saveRun(event.run);
        network.set(event.network);
      }
    },
  };
}

/** An id that no other picture has; `randomUUID` is for secure pages only. */
const newId = (): string => crypto.getRandomValues(new Uint32Array(4)).join('-');

/** A box in words: where it begins and how large it is. */
const placeOf = ({ x1, y1, x2, y2 }: { x1: number; y1: number; x2: number; y2: number }): string =>
  `${Math.round(x1)}, ${Math.round(y1)}, ${Math.round(x2 - x1)} × ${Math.round(y2 - y1)}`;

const isTyping = (target: EventTarget | null): boolean =>
  target instanceof HTMLInputElement && ['text', 'number'].includes(target.type);
