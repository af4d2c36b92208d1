"""Scenes that pycocotools evaluates: crowds, equal scores within and across images, more than 100 detections of a class in an
image, boxes at the borders of the area ranges, classes without objects or without detections.

Objects are [image, category, x, y, width, height, area, crowd], detections [image, category, x, y, width, height, score].
Coordinates are multiples of 1/4, so that corners hold them exactly.
"""
import contextlib
import io
import random

# Images, categories, objects, detections around each object, detections anywhere.
SCENES = {
    'crowds': (8, 4, 60, 4, 40),
    'many detections': (2, 2, 14, 12, 450),
    'nothing of some': (5, 6, 9, 2, 12),
}


def scene(rng, images, categories, objects, near, far):
    quarter = lambda low, high: rng.randint(4 * low, 4 * high) / 4
    box = lambda: [quarter(0, 300), quarter(0, 300), quarter(1, rng.choice([40, 90, 200])), quarter(1, rng.choice([40, 90, 200]))]
    score = lambda: rng.randint(0, 20) / 20
    gt, dt = [], []
    for _ in range(objects):
        # The last category has no object.
        image, category = rng.randint(1, images), rng.randint(1, max(1, categories - 1))
        b = rng.choice([box(), box(), [*box()[:2], 32, 32], [*box()[:2], 96, 96]])
        area = b[2] * b[3] * rng.choice([1, 1, 0.5])
        gt.append([image, category, *b, area, int(rng.random() < 0.15)])
        for _ in range(rng.randint(0, near)):
            jitter = [v + quarter(-6, 6) for v in b] if rng.random() < 0.8 else b
            jitter = [jitter[0], jitter[1], max(1, jitter[2]), max(1, jitter[3])]
            dt.append([image, category if rng.random() < 0.9 else rng.randint(1, categories), *jitter, score()])
    dt += [[rng.randint(1, images), rng.randint(1, categories), *box(), score()] for _ in range(far)]
    rng.shuffle(dt)
    return gt, dt


def evaluate(images, categories, gt, dt):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    keys = ('image_id', 'category_id', 'bbox')
    named = lambda row: dict(zip(keys, (row[0], row[1], row[2:6])))
    truth = COCO()
    truth.dataset = {
        'info': {},
        'images': [{'id': i + 1, 'width': 600, 'height': 600} for i in range(images)],
        'categories': [{'id': k + 1, 'name': str(k + 1)} for k in range(categories)],
        'annotations': [{**named(row), 'id': i + 1, 'area': row[6], 'iscrowd': row[7]} for i, row in enumerate(gt)],
    }
    truth.createIndex()
    run = COCOeval(truth, truth.loadRes([{**named(row), 'score': row[6]} for row in dt]), 'bbox')
    run.evaluate()
    run.accumulate()
    run.summarize()
    # Thresholds x recalls x categories, of all areas with 100 detections.
    return run.stats.tolist(), run.eval['precision'][:, :, :, 0, 2].mean(axis=1).tolist()


def make():
    rng = random.Random(1)
    cases = []
    for name, (images, categories, *counts) in SCENES.items():
        gt, dt = scene(rng, images, categories, *counts)
        with contextlib.redirect_stdout(io.StringIO()):
            stats, ap = evaluate(images, categories, gt, dt)
        case = {'name': name, 'images': images, 'categories': categories, 'gt': gt, 'det': dt}
        cases.append({**case, 'expected': stats, 'ap_per_iou_then_class': ap})
    return {'made_by': 'pycocotools, scripts/make-goldens.py', 'cases': cases}
