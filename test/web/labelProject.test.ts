/** The labelling project of the page: edits, undo, and names. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
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
  type Picture,
  type Project,
  removeBox,
  removeClass,
  removePicture,
  renameClass,
  setEmpty,
} from '../../web/label/project.ts';

const picture = (id: string, name = `${id}.png`): Picture => ({
  ...{ id, name, width: 100, height: 80, boxes: [], empty: false },
});
const edges = { x1: 1, y1: 2, x2: 30, y2: 40 };

/** Classes cat (1) and dog (2), pictures a and b, of which a has a cat (3) and a dog (4). */
function animals(): Project {
  const classes = addClass(addClass(EMPTY_PROJECT, 'cat'), ' dog ');
  const pictures = addPictures(classes, [picture('a'), picture('b')]);
  return addBoxes(pictures, 'a', [
    { ...edges, classId: 1 },
    { ...edges, classId: 2 },
  ]);
}

test('boxes are added, changed and removed by their ids, and the project before stays as it was', () => {
  const before = animals();
  assert.equal(
    before.pictures[0]!.boxes.map(({ id, classId }) => [id, classId]),
    [
      [3, 1],
      [4, 2],
    ],
  );
  const after = removeBox(changeBox(before, 'a', 4, { x2: 99, classId: 1 }), 'a', 3);
  assert.equal(after.pictures[0]!.boxes, [{ id: 4, ...edges, x2: 99, classId: 1 }]);
  assert.equal(
    [...countBoxes(before)],
    [
      [1, 1],
      [2, 1],
    ],
  );
  assert.is(after.pictures[1], before.pictures[1], 'pictures without an edit are shared');
});

test('names of classes are tidy and unique', () => {
  const project = animals();
  assert.equal(
    project.classes.map(({ name }) => name),
    ['cat', 'dog'],
  );
  for (const name of ['Cat', '', '  ', '__background__']) {
    assert.is(addClass(project, name), project, name);
    assert.is(renameClass(project, 2, name), project, name);
  }
  const wild = renameClass(project, 2, 'wild  dog');
  assert.equal(wild.classes[1], { id: 2, name: 'wild dog', formerly: ['dog'] });
  assert.is(renameClass(wild, 2, 'Wild dog').classes[1]!.name, 'Wild dog', 'its own name in another spelling');
  assert.is(renameClass(wild, 2, ' wild dog'), wild);
  assert.is(classNamed(wild, ' WILD  dog '), wild.classes[1]);
  const without = removeClass(project, 1);
  assert.equal(without.classes, [{ id: 2, name: 'dog' }]);
  assert.equal(
    without.pictures[0]!.boxes.map(({ id }) => id),
    [4],
  );
});

test('pictures get names that are distinct without their extension, and that every system can hold', () => {
  const project = addPictures(EMPTY_PROJECT, [
    picture('1', 'a.png'),
    picture('2', 'A.JPG'),
    picture('3', 'a.png'),
    picture('4', '../x:y'),
    picture('5', '.png'),
  ]);
  assert.equal(
    project.pictures.map(({ name }) => name),
    ['a.png', 'A-2.JPG', 'a-3.png', '__x_y.png', '_png.png'],
  );
});

test('a picture counts as labelled if it has boxes or is known to have none', () => {
  const project = animals();
  assert.equal(project.pictures.map(isLabelled), [true, false]);
  const empty = setEmpty(setEmpty(project, 'a', true), 'b', true);
  assert.equal(
    empty.pictures.map((one) => [one.empty, isLabelled(one)]),
    [
      [false, true],
      [true, true],
    ],
  );
  assert.is(addBoxes(empty, 'b', [{ ...edges, classId: 1 }]).pictures[1]!.empty, false);
});

test('undo goes back edit by edit, redo forward until something else is done', () => {
  const history = new History(EMPTY_PROJECT);
  const named = addClass(EMPTY_PROJECT, 'cat');
  const shown = addPictures(named, [picture('a')]);
  history.commit(named);
  history.commit(named); // no edit
  history.commit(shown);
  history.undo();
  assert.is(history.present, named);
  history.undo();
  assert.is(history.present, EMPTY_PROJECT);
  assert.equal([history.canUndo, history.canRedo], [false, true]);
  history.undo();
  history.redo();
  history.redo();
  assert.is(history.present, shown);
  history.undo();
  history.commit(removePicture(shown, 'a'));
  assert.is(history.canRedo, false);
});

test('undo leads to the picture that it changes', () => {
  const before = animals();
  const inB = addBoxes(before, 'b', [{ ...edges, classId: 1 }]);
  assert.is(changedPicture(inB, before, 'a')?.id, 'b');
  const withoutCats = removeClass(inB, 1);
  assert.is(changedPicture(withoutCats, inB, 'b')?.id, 'b', 'where it is already, if that is among those changed');
  assert.is(changedPicture(withoutCats, inB, undefined)?.id, 'a');
  assert.is(changedPicture(removePicture(inB, 'b'), inB, 'a')?.id, 'b', 'one that comes back');
  assert.is(changedPicture(inB, removePicture(inB, 'b'), 'a'), undefined);
});

test('edits that are part of one are undone as one', () => {
  const project = animals();
  const history = new History(project);
  const moved = (x1: number): Project => changeBox(history.present, 'a', 3, { x1 });
  history.commit(moved(2), 'move 3');
  history.commit(moved(3), 'move 3');
  history.commit(moved(4));
  history.undo();
  assert.is(history.present.pictures[0]!.boxes[0]!.x1, 3);
  history.commit(moved(5), 'move 3');
  history.undo();
  history.undo();
  assert.is(history.present, project, 'after an undo, an edit is one of its own');
});

test.run();
