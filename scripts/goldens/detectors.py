"""Goldens of torchvision's Faster R-CNNs on feature pyramids: what is computed on the way to the detections of one picture, and a
training of a small one.

All weights, the statistics of batch normalisation among them, and the pictures are made from names (seeded.py), so a file holds
only samples of the results.

Tensors:   NAME/input NAME/levels NAME/logits NAME/deltas        samples
           NAME/rms                                              of the same: the input, each level, logits, deltas
           NAME/proposals [100, 4], NAME/scores, NAME/boxes      the first 100 proposals; the head's logits and deltas for them,
                                                                 samples
           NAME/detections [n, 6]                                x1, y1, x2, y2, score, label, as torchvision gives them
           train/losses [20, 4], train/gradients, train/rms      of each parameter, 8 samples and their size, in the order of train_parameters
           batch/losses [4], batch/gradients, batch/rms          the same of two pictures in one batch, batch normalisation trained
           batch/statistics                                      4 samples of each running mean and variance after it
Metadata:  cases, train, batch                                   JSON
"""
import json
from contextlib import contextmanager

import numpy as np
import torch
import torchvision
from torchvision.models.detection import faster_rcnn
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops.misc import FrozenBatchNorm2d

from . import seeded

CASES = [
    {'name': 'resnet50_fpn', 'seed': '1', 'size': [213, 320], 'sides': [192, 320]},
    {'name': 'resnet50_fpn_v2', 'seed': '2', 'size': [150, 211], 'sides': [160, 320]},
    {'name': 'mobilenet_v3_large_fpn', 'seed': '3', 'size': [260, 200], 'sides': [320, 640]},
    {'name': 'mobilenet_v3_large_320_fpn', 'seed': '3', 'size': [200, 333], 'sides': [320, 640]},
]
# `heads` keeps the scores away from 1, where sigmoids of different logits are the same number and their order is a matter of chance.
TRAINING = {
    'seed': '13',
    'heads': 0.05,
    'size': [120, 150],
    'sides': [96, 160],
    'classes': 4,
    'boxes': [[10, 20, 69, 99, 1], [60, 5, 139, 64, 2], [5, 70, 44, 109, 3], [90, 60, 129, 109, 1]],
    'batch': [64, 48],
    'steps': 20,
    'learningRate': 0.00001,
    'momentum': 0.9,
    'weightDecay': 1e-4,
}
# Each picture is padded along one axis. Of eight seeds, with this one no ReLU is so near 0 that rounding decides its side.
BATCH = {
    'seed': '18',
    'heads': 0.05,
    'sizes': [[120, 150], [150, 110]],
    'sides': [96, 160],
    'classes': 4,
    'boxes': [
        [[10, 20, 69, 99, 1], [60, 5, 139, 64, 2], [5, 70, 44, 109, 3], [90, 60, 129, 109, 1]],
        [[5, 8, 60, 60, 2], [40, 70, 104, 144, 3]],
    ],
    'batch': [64, 48],
}
LOSSES = ('loss_objectness', 'loss_rpn_box_reg', 'loss_classifier', 'loss_box_reg')
PROPOSALS = 100


def image_of(name, size):
    return torch.from_numpy(seeded.picture(name, *size)).permute(2, 0, 1).float() / 255


def detection(case):
    make = getattr(torchvision.models.detection, f'fasterrcnn_{case["name"]}')
    shorter, longer = case['sides']
    model = make(weights=None, weights_backbone=None, min_size=shorter, max_size=longer)
    seeded.fill_model(model, case['seed'])
    model.eval()
    seen = {}
    model.backbone.register_forward_hook(lambda _, args, out: seen.update(input=args[0], levels=list(out.values())))
    model.rpn.head.register_forward_hook(lambda _, args, out: seen.update(logits=out[0], deltas=out[1]))
    model.rpn.register_forward_hook(lambda _, args, out: seen.update(proposals=out[0][0]))
    model.roi_heads.box_predictor.register_forward_hook(lambda _, args, out: seen.update(scores=out[0], boxes=out[1]))
    with torch.no_grad():
        found = model([image_of(case['seed'], case['size'])])[0]
    logits, deltas = seeded.flat(seen['logits'], 1), seeded.flat(seen['deltas'], 4)
    results = {
        'input': seeded.sampled(seen['input']),
        'levels': np.concatenate([seeded.sampled(level) for level in seen['levels']]),
        'logits': seeded.sampled(logits),
        'deltas': seeded.sampled(deltas),
        'rms': [seeded.rms(seen['input']), *map(seeded.rms, seen['levels']), seeded.rms(logits), seeded.rms(deltas)],
        'proposals': seen['proposals'][:PROPOSALS],
        'scores': seeded.sampled(seen['scores'][:PROPOSALS]),
        'boxes': seeded.sampled(seen['boxes'][:PROPOSALS]),
        'detections': torch.cat([found['boxes'], found['scores'][:, None], found['labels'][:, None].float()], 1),
    }
    return {f'{case["name"]}/{key}': np.asarray(value, np.float32) for key, value in results.items()}


def trained(case, norm_layer, trainable_layers):
    """A small detector on a pyramid, and its trained parameters by name."""
    shorter, longer = case['sides']
    backbone = resnet_fpn_backbone(
        backbone_name='resnet18', weights=None, norm_layer=norm_layer, trainable_layers=trainable_layers
    )
    rpn_batch, roi_batch = case['batch']
    model = faster_rcnn.FasterRCNN(
        backbone,
        num_classes=case['classes'],
        min_size=shorter,
        max_size=longer,
        rpn_batch_size_per_image=rpn_batch,
        box_batch_size_per_image=roi_batch,
    )
    seeded.fill_model(model, case['seed'], case['heads'])
    model.train()
    return model, [(name, p) for name, p in model.named_parameters() if p.requires_grad]


def target_of(boxes):
    boxes = torch.tensor(boxes, dtype=torch.float32)
    return {'boxes': boxes[:, :4] + torch.tensor([0, 0, 1, 1]), 'labels': boxes[:, 4].long()}


@contextmanager
def first_by_index():
    """Samplers take the first candidates by index."""
    shuffled, torch.randperm = torch.randperm, lambda n, **_: torch.arange(n)
    try:
        yield
    finally:
        torch.randperm = shuffled


def gradients_of(parameters):
    """Samples of the gradients, and their root mean squares."""
    rms = [float(p.grad.double().pow(2).mean().sqrt()) for _, p in parameters]
    return np.stack([seeded.sampled(p.grad, 8) for _, p in parameters]), rms


def arrays(tensors):
    return {name: np.asarray(values, np.float32) for name, values in tensors.items()}


def training():
    """Losses of SGD steps on one picture, and the gradients of the first."""
    model, parameters = trained(TRAINING, FrozenBatchNorm2d, 3)
    image, target = image_of(TRAINING['seed'], TRAINING['size']), target_of(TRAINING['boxes'])
    options = {'lr': TRAINING['learningRate'], 'momentum': TRAINING['momentum'], 'weight_decay': TRAINING['weightDecay']}
    sgd = torch.optim.SGD([p for _, p in parameters], **options)
    losses = []
    with first_by_index():
        for step in range(TRAINING['steps']):
            sgd.zero_grad()
            terms = model([image], [target])
            sum(terms.values()).backward()
            losses.append([float(terms[name]) for name in LOSSES])
            if step == 0:
                gradients, rms = gradients_of(parameters)
            sgd.step()
    tensors = {'train/losses': losses, 'train/gradients': gradients, 'train/rms': rms}
    return arrays(tensors), [name for name, _ in parameters]


def batch():
    """Losses and gradients of two pictures of different shapes in one batch, whose statistics normalise it."""
    model, parameters = trained(BATCH, torch.nn.BatchNorm2d, 5)
    images = [image_of(f'{BATCH["seed"]}.{i}', size) for i, size in enumerate(BATCH['sizes'])]
    with first_by_index():
        terms = model(images, [target_of(boxes) for boxes in BATCH['boxes']])
    sum(terms.values()).backward()
    gradients, rms = gradients_of(parameters)
    running = {name: value for name, value in model.named_buffers() if 'running' in name}
    tensors = {
        'batch/losses': [float(terms[name]) for name in LOSSES],
        'batch/gradients': gradients,
        'batch/rms': rms,
        'batch/statistics': np.stack([seeded.sampled(value, 4) for value in running.values()]),
    }
    return arrays(tensors), {'parameters': [name for name, _ in parameters], 'statistics': list(running)}


def make():
    tensors = {}
    for case in CASES:
        tensors |= detection(case)
    steps, names = training()
    together, of = batch()
    made_by = f'PyTorch {torch.__version__}, torchvision {torchvision.__version__}, scripts/make-goldens.py'
    metadata = {
        'cases': json.dumps(CASES),
        'train': json.dumps({**TRAINING, 'parameters': names}),
        'batch': json.dumps({**BATCH, **of}),
        'made_by': made_by,
    }
    return tensors | steps | together, metadata
