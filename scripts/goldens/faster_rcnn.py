"""Twenty training steps of a small Faster R-CNN with py-faster-rcnn's rules (end-to-end training) and no random draws.

The geometry is that of py-faster-rcnn's numpy code (lib/rpn/generate_anchors.py, anchor_target_layer.py,
proposal_layer.py, proposal_target_layer.py, lib/fast_rcnn/bbox_transform.py, lib/nms/py_cpu_nms.py), its batches so large
that nothing is subsampled; network, losses and gradients are PyTorch's; the update is Caffe's (sgd_solver.cpp).

Everything is computed in float64. A port in float32 follows only as long as no discrete choice (a label, the order of
scores, a suppression, a rounded corner, a maximum) is near a tie, so `make` repeats the run in float32 and with slightly
disturbed weights, and fails where a loss moves by more than 1e-5.

Tensors of the file:
    start/NAME, end/NAME      every parameter before the first and after the last step, [out, in, kh, kw] or [out, in]
    image/I [1,3,64,96]       gt/I [n,5] as x1, y1, x2, y2, class           step t takes image t mod 3
    losses [20,4]             rpn_cls, rpn_box, head_cls, head_box of every step, before its update
    first/...                 of the first step:
      anchor_labels [A*H*W]   1, 0, -1; index (a*H + y)*W + x
      anchor_targets [4A,H,W] channel a*4 + k, zero where the label is not 1
      proposals [n,4]         best first, before the ground truth is appended
      rois [R,5], roi_labels [R], roi_targets [R,4K]
      gradient/NAME           of the sum of the four losses
Metadata: settings = JSON of SETTINGS
"""
import json

import numpy as np
import torch
import torch.nn.functional as F
import torchvision

SETTINGS = {
    'seed': 7,
    'steps': 20,
    'height': 64,
    'width': 96,
    'classes': 4,
    'stride': 8,
    'backbone': [[3, 8], [8, 16], [16, 16]],
    'anchors': {'baseSize': 8, 'scales': [2, 4], 'ratios': [0.5, 1, 2]},
    'rpn': {'channels': 16, 'positiveOverlap': 0.7, 'negativeOverlap': 0.3, 'sigma': 3, 'nmsThreshold': 0.7, 'minSize': 4,
            'preNms': 600, 'postNms': 50},
    'head': {'pooled': 5, 'features': 32, 'foregroundOverlap': 0.5, 'targetStds': [0.1, 0.1, 0.2, 0.2], 'sigma': 1},
    'sgd': {'learningRate': 0.01, 'momentum': 0.9, 'weightDecay': 5e-4},
}
RPN, HEAD = SETTINGS['rpn'], SETTINGS['head']
LOSSES = ('rpn_cls', 'rpn_box', 'head_cls', 'head_box')


# Geometry, in numpy


def base_anchors(baseSize, scales, ratios):
    centre, anchors = (baseSize - 1) / 2, []
    for ratio in ratios:
        w = np.round(np.sqrt(baseSize**2 / ratio))
        h = np.round(w * ratio)
        for scale in scales:
            half_w, half_h = (w * scale - 1) / 2, (h * scale - 1) / 2
            anchors.append([centre - half_w, centre - half_h, centre + half_w, centre + half_h])
    return np.array(anchors)


def shifted_anchors(height, width):
    """[H*W*A, 4], the anchor's index fastest."""
    y, x = np.mgrid[:height, :width] * SETTINGS['stride']
    shifts = np.stack([x, y, x, y], -1).reshape(-1, 1, 4)
    return (shifts + base_anchors(**SETTINGS['anchors'])).reshape(-1, 4)


def overlaps(a, b):
    """IoU of inclusive boxes, [len(a), len(b)]."""
    area = [(box[:, 2] - box[:, 0] + 1) * (box[:, 3] - box[:, 1] + 1) for box in (a, b)]
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:4], b[None, :, 2:4])
    shared = np.prod(np.maximum(high - low + 1, 0), 2)
    return shared / (area[0][:, None] + area[1] - shared)


def centre_form(boxes):
    w, h = boxes[:, 2] - boxes[:, 0] + 1, boxes[:, 3] - boxes[:, 1] + 1
    return boxes[:, 0] + 0.5 * w, boxes[:, 1] + 0.5 * h, w, h


def bbox_transform(boxes, gts):
    x, y, w, h = centre_form(boxes)
    gx, gy, gw, gh = centre_form(gts)
    return np.stack([(gx - x) / w, (gy - y) / h, np.log(gw / w), np.log(gh / h)], 1)


def bbox_transform_inv(boxes, deltas):
    x, y, w, h = centre_form(boxes)
    x, y = deltas[:, 0] * w + x, deltas[:, 1] * h + y
    w, h = np.exp(deltas[:, 2]) * w, np.exp(deltas[:, 3]) * h
    return np.stack([x - 0.5 * w, y - 0.5 * h, x + 0.5 * w, y + 0.5 * h], 1)


def nms(boxes, threshold):
    """Indices kept of boxes in descending order of score."""
    alive, kept = np.ones(len(boxes), bool), []
    for i in range(len(boxes)):
        if alive[i]:
            kept.append(i)
            alive &= overlaps(boxes[i : i + 1], boxes)[0] <= threshold
    return kept


def anchor_targets(anchors, gts):
    """anchor_target_layer.py: labels 1, 0, -1 and targets of every anchor."""
    inside = (anchors[:, :2] >= 0).all(1) & (anchors[:, 2] < SETTINGS['width']) & (anchors[:, 3] < SETTINGS['height'])
    iou = overlaps(anchors[inside], gts)
    best = iou.max(1)
    own = np.full(inside.sum(), -1)
    own[best < RPN['negativeOverlap']] = 0
    own[(iou == iou.max(0)).any(1)] = 1
    own[best >= RPN['positiveOverlap']] = 1
    labels, targets = np.full(len(anchors), -1), np.zeros((len(anchors), 4))
    labels[inside] = own
    targets[inside] = bbox_transform(anchors[inside], gts[iou.argmax(1)])
    return labels, targets


def proposals(anchors, scores, deltas):
    """proposal_layer.py: decode, clip, drop the small, sort, suppress."""
    boxes = bbox_transform_inv(anchors, deltas)
    boxes[:, 0::2] = boxes[:, 0::2].clip(0, SETTINGS['width'] - 1)
    boxes[:, 1::2] = boxes[:, 1::2].clip(0, SETTINGS['height'] - 1)
    large = (boxes[:, 2:] - boxes[:, :2] + 1 >= RPN['minSize']).all(1)
    boxes, scores = boxes[large], scores[large]
    boxes = boxes[np.argsort(-scores, kind='stable')[: RPN['preNms']]]
    return boxes[nms(boxes, RPN['nmsThreshold'])[: RPN['postNms']]]


def roi_targets(boxes, gts):
    """proposal_target_layer.py: foreground, then background, each in the order of proposals and then ground truth."""
    rois = np.concatenate([boxes, gts[:, :4]])
    iou = overlaps(rois, gts)
    best = iou.max(1)
    order = np.concatenate([np.flatnonzero(best >= HEAD['foregroundOverlap']), np.flatnonzero(best < HEAD['foregroundOverlap'])])
    rois, best, gts = rois[order], best[order], gts[iou.argmax(1)[order]]
    labels = np.where(best >= HEAD['foregroundOverlap'], gts[:, 4], 0).astype(int)
    own = bbox_transform(rois, gts) / HEAD['targetStds']
    targets, inside = np.zeros((2, len(rois), 4 * SETTINGS['classes']))
    for row, label in enumerate(labels):
        if label > 0:
            targets[row, 4 * label : 4 * label + 4] = own[row]
            inside[row, 4 * label : 4 * label + 4] = 1
    return rois, labels, targets, inside


# Network


def initial_parameters(random):
    anchors = len(base_anchors(**SETTINGS['anchors']))
    channels, classes = SETTINGS['backbone'][-1][1], SETTINGS['classes']
    pooled = channels * HEAD['pooled'] ** 2
    shapes = {f'conv{i + 1}': (out, inputs, 3, 3) for i, (inputs, out) in enumerate(SETTINGS['backbone'])}
    shapes |= {
        'rpn.conv': (RPN['channels'], channels, 3, 3),
        'rpn.cls_score': (2 * anchors, RPN['channels'], 1, 1),
        'rpn.bbox_pred': (4 * anchors, RPN['channels'], 1, 1),
        'fc6': (HEAD['features'], pooled),
        'head.cls_score': (classes, HEAD['features']),
        'head.bbox_pred': (4 * classes, HEAD['features']),
    }
    stds = {'rpn.cls_score': 0.1, 'rpn.bbox_pred': 0.02, 'head.cls_score': 0.05, 'head.bbox_pred': 0.02}
    parameters = {}
    for name, shape in shapes.items():
        std = stds.get(name, (2 / np.prod(shape[1:])) ** 0.5)
        parameters[f'{name}.weight'] = (std * random.standard_normal(shape)).astype(np.float32)
        parameters[f'{name}.bias'] = (0.02 * random.standard_normal(shape[0])).astype(np.float32)
    return parameters


def scenes(random):
    """Three images of noise with two or three coloured boxes each, the colour given by the class."""
    colours = random.uniform(-1.5, 1.5, (SETTINGS['classes'], 3, 1, 1))
    for count in (2, 3, 2):
        image = 0.3 * random.standard_normal((1, 3, SETTINGS['height'], SETTINGS['width']))
        gts = np.zeros((count, 5), np.float32)
        for gt in gts:
            size = random.uniform(18, 40, 2)
            low = random.uniform(2, (SETTINGS['width'] - 3, SETTINGS['height'] - 3) - size)
            gt[:4] = np.concatenate([low, low + size - 1])
            gt[4] = random.integers(1, SETTINGS['classes'])
            x1, y1, x2, y2 = gt[:4].astype(int)
            image[0, :, y1 : y2 + 1, x1 : x2 + 1] += colours[int(gt[4])]
        yield image.astype(np.float32), gts


def smooth_l1(pred, target, sigma, inside, outside):
    terms = F.smooth_l1_loss(inside * pred, inside * target, reduction='none', beta=1 / sigma**2)
    return (outside * terms).sum()


def losses(p, image, gts, notes=None):
    """The four terms of one image; `notes` receives what was decided on the way."""
    tensor = lambda array: torch.from_numpy(np.ascontiguousarray(array)).to(image.dtype)
    layer = lambda name, x, **options: F.conv2d(x, p[f'{name}.weight'], p[f'{name}.bias'], **options)
    dense = lambda name, x: F.linear(x, p[f'{name}.weight'], p[f'{name}.bias'])

    features = image
    for stage in range(len(SETTINGS['backbone'])):
        features = F.relu(layer(f'conv{stage + 1}', features, stride=2, padding=1))
    hidden = F.relu(layer('rpn.conv', features, padding=1))
    logits, deltas = layer('rpn.cls_score', hidden), layer('rpn.bbox_pred', hidden)
    height, width = features.shape[2:]
    count = logits.shape[1] // 2
    anchors = shifted_anchors(height, width)

    labels, targets = anchor_targets(anchors, gts)
    labels = labels.reshape(height, width, count).transpose(2, 0, 1).reshape(1, -1)
    targets = targets.reshape(height, width, 4 * count).transpose(2, 0, 1)[None]
    inside = (labels == 1).reshape(1, count, 1, height, width).repeat(4, 2).reshape(targets.shape)
    rpn_cls = F.cross_entropy(logits.reshape(1, 2, -1), torch.from_numpy(labels), ignore_index=-1)
    rpn_box = smooth_l1(deltas, tensor(targets), RPN['sigma'], tensor(inside), 1 / (labels >= 0).sum())

    objectness = F.softmax(logits.detach().reshape(2, count, height, width), 0)[1].permute(1, 2, 0).reshape(-1)
    flat_deltas = deltas.detach()[0].permute(1, 2, 0).reshape(-1, 4)
    boxes = proposals(anchors, objectness.numpy().astype(np.float64), flat_deltas.numpy().astype(np.float64))
    rois, roi_labels, box_targets, box_inside = roi_targets(boxes, gts)
    rois = np.concatenate([np.zeros((len(rois), 1)), rois], 1)
    pooled = torchvision.ops.roi_pool(features, tensor(rois), HEAD['pooled'], 1 / SETTINGS['stride'])
    region = F.relu(dense('fc6', pooled.flatten(1)))
    head_cls = F.cross_entropy(dense('head.cls_score', region), torch.from_numpy(roi_labels))
    box_deltas = dense('head.bbox_pred', region)
    head_box = smooth_l1(box_deltas, tensor(box_targets), HEAD['sigma'], tensor(box_inside), 1 / len(rois))
    if notes is not None:
        notes |= {'anchor_labels': labels[0], 'anchor_targets': (targets * inside)[0], 'proposals': boxes,
                  'rois': rois, 'roi_labels': roi_labels, 'roi_targets': box_targets}
    return rpn_cls, rpn_box, head_cls, head_box


def train(parameters, images, dtype, notes=None):
    """Losses [steps, 4] and the final parameters."""
    p = {name: torch.tensor(value, dtype=dtype, requires_grad=True) for name, value in parameters.items()}
    h = {name: torch.zeros_like(value) for name, value in p.items()}
    sgd, rows = SETTINGS['sgd'], []
    for step in range(SETTINGS['steps']):
        image, gts = images[step % len(images)]
        terms = losses(p, torch.from_numpy(image).to(dtype), gts.astype(np.float64), notes if step == 0 else None)
        rows.append([float(term) for term in terms])
        gradients = torch.autograd.grad(sum(terms), list(p.values()))
        if step == 0 and notes is not None:
            notes |= {f'gradient/{name}': gradient.numpy() for name, gradient in zip(p, gradients)}
        with torch.no_grad():
            for name, gradient in zip(p, gradients):
                h[name] = sgd['momentum'] * h[name] + sgd['learningRate'] * (gradient + sgd['weightDecay'] * p[name])
                p[name] -= h[name]
    return np.array(rows), {name: value.detach().numpy() for name, value in p.items()}


def largest_move(parameters, images, rows):
    """How far any loss moves in float32, and when weights are off by about ten roundings of float32."""
    random = np.random.default_rng(0)
    moves = [np.abs(train(parameters, images, torch.float32)[0] - rows).max()]
    for _ in range(8):
        disturbed = {name: value * (1 + 1e-6 * random.standard_normal(value.shape)) for name, value in parameters.items()}
        moves.append(np.abs(train(disturbed, images, torch.float64)[0] - rows).max())
    return max(moves)


def make():
    random = np.random.default_rng(SETTINGS['seed'])
    parameters, images, notes = initial_parameters(random), list(scenes(random)), {}
    rows, final = train(parameters, images, torch.float64, notes)
    moved = largest_move(parameters, images, rows)
    if moved > 1e-5:
        raise SystemExit(f'seed {SETTINGS["seed"]}: a loss moves by {moved}; a choice is near a tie, take another seed')
    tensors = {f'start/{name}': value for name, value in parameters.items()}
    tensors |= {f'end/{name}': value for name, value in final.items()}
    for i, (image, gts) in enumerate(images):
        tensors |= {f'image/{i}': image, f'gt/{i}': gts}
    tensors |= {'losses': rows} | {f'first/{name}': value for name, value in notes.items()}
    made_by = f'PyTorch {torch.__version__}, torchvision {torchvision.__version__}, scripts/make-goldens.py'
    return tensors, {'settings': json.dumps(SETTINGS), 'made_by': made_by}
