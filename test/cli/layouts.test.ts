/** Exports of three tools, as they are: checked, trained on, evaluated and detected in with no option but `--data`. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { temporaryFolder } from '../data/fixtures.ts';
import { writeFiles } from '../data/formats/files.ts';
import { rcnn } from './command.ts';

const CVAT_XML = (file: string): string => `<annotation>
  <folder></folder><filename>${file}</filename>
  <source><database>Unknown</database><annotation>Unknown</annotation><image>Unknown</image></source>
  <size><width>40</width><height>30</height><depth></depth></size><segmented>0</segmented>
  <object><name>cat</name><truncated>0</truncated><occluded>0</occluded><difficult>0</difficult>
    <bndbox><xmin>3.12</xmin><ymin>4.5</ymin><xmax>20.0</xmax><ymax>15.7</ymax></bndbox>
    <attributes><attribute><name>rotation</name><value>0.0</value></attribute></attributes></object>
</annotation>`;

const ROBOFLOW = (file: string) => ({
  info: { year: '2024', version: '1', description: 'Exported from roboflow.com', url: 'https://public.roboflow.com' },
  licenses: [{ id: 1, url: '', name: 'CC BY 4.0' }],
  categories: [
    { id: 0, name: 'cats', supercategory: 'none' },
    { id: 1, name: 'cat', supercategory: 'cats' },
  ],
  images: [{ id: 0, license: 1, file_name: file, height: 30, width: 40, date_captured: '2024-01-01T00:00:00+00:00' }],
  annotations: [{ id: 0, image_id: 0, category_id: 1, bbox: [3, 4, 17, 11], area: 187, segmentation: [], iscrowd: 0 }],
});

const CAT = '0 0.275000 0.300000 0.450000 0.400000\n';

/** By tool: its files, and the split that each command takes by itself. */
const LAYOUTS = {
  "CVAT's VOC export": {
    files: {
      'labelmap.txt': '# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:128,0,0::\n',
      'ImageSets/Main/default.txt': ['a', 'b', 'c', 'd', 'e'].map((id) => `${id}\n`).join(''),
      ...Object.fromEntries(
        ['a', 'b', 'c', 'd', 'e'].flatMap((id) => [
          [`JPEGImages/${id}.jpg`, ''],
          [`Annotations/${id}.xml`, CVAT_XML(`${id}.jpg`)],
        ]),
      ),
    },
    evaluated: /on 1 images/,
  },
  "Roboflow's COCO export": {
    files: {
      'README.roboflow.txt': 'exported\n',
      'train/_annotations.coco.json': ROBOFLOW('a_jpg.rf.01.jpg'),
      'train/a_jpg.rf.01.jpg': '',
      'valid/_annotations.coco.json': ROBOFLOW('b_jpg.rf.02.jpg'),
      'valid/b_jpg.rf.02.jpg': '',
      'test/_annotations.coco.json': ROBOFLOW('c_jpg.rf.03.jpg'),
      'test/c_jpg.rf.03.jpg': '',
    },
    evaluated: /on 1 images/,
  },
  "Ultralytics' YOLO folder": {
    files: {
      'data.yaml': 'path: .\ntrain: images/train\nval: images/val\ntest:\nnames:\n  0: cat\n',
      'images/train/a.jpg': '',
      'labels/train/a.txt': CAT,
      'images/val/b.jpg': '',
      'labels/val/b.txt': CAT,
    },
    evaluated: /has no test split; its split val takes the place of one[^]*on 1 images/,
  },
} as const;

for (const [tool, { files, evaluated }] of Object.entries(LAYOUTS)) {
  test(tool, async () => {
    const data = ['--data', await writeFiles(files)];
    const folder = temporaryFolder();
    const succeeds = async (...args: string[]): Promise<string> => {
      const { code, stdout, stderr } = await rcnn(folder, ...args);
      assert.equal([code, stderr], [0, ''], `${args[0]}: ${stdout}${stderr}`);
      return stdout;
    };
    assert.match(await succeeds('check', ...data), /^no problems$/m);
    assert.match(await succeeds('train', ...data, '--steps', '5', '--out', 'run'), /^trained: 5 steps/m);
    assert.match(await succeeds('eval', '--model', 'run', ...data), evaluated);
    const picture = Object.keys(files).find((name) => name.endsWith('.jpg'))!;
    await succeeds('detect', '--model', 'run', join(data[1]!, picture), '--json', 'found.json');
    assert.ok(existsSync(join(folder, 'found.json')));
  });
}

test.run();
