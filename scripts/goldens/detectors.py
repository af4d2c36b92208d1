"""Goldens of torchvision's Faster R-CNNs on feature pyramids: what is computed on the way to the detections of one picture, and a
training of a small one.

All weights, the statistics of batch normalisation among them, and the pictures are made from names (seeded.py), so a file holds
only samples of the results.

Tensors:   NAME/input NAME/levels NAME/logits NAME/deltas        samples
           NAME/rms                                              of the same: the input, each level, logits, deltas
           NAME/proposals [100, 4], NAME/scores, NAME/boxes      the first 100 proposals; the head's logits and deltas for them,
                                                                 samples
           NAME/detections [n, 6]                                x1, y1, x2, y2, score, label, as torchvision gives them
           train/losses [20, 4], train/gradients                 of each parameter, 8 samples, in the order of train_parameters
Metadata:  cases, train                                          JSON
"""
import json

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
TRAINING = {
    'seed': '13',
    'heads': 0.05,
    'size': [120, 150],
    'sides': [96, 160],
    'classes': 4,
    'boxes': [[10, 20, 69, 99, 1], [60, 5, 139, 64, 2], [5, 70, 44, 109, 3], [90, 60, 129, 109, 1]],
    'batch': [64, 48],
    'steps': 20,
    'learningRate': 0.000003,
    'momentum': 0.9,
    'weightDecay': 1e-4,
}
PROPOSALS = 100


def fill(model, seed, heads=1.0):
    state = model.state_dict()
    for name, value in state.items():
        if value.is_floating_point():
            state[name] = torch.from_numpy(seeded.fill(name, tuple(value.shape), seed, heads))
    model.load_state_dict(state)


def image_of(case):
    return torch.from_numpy(seeded.picture(case['seed'], *case['size'])).permute(2, 0, 1).float() / 255


def detection(case):
    make = getattr(torchvision.models.detection, f'fasterrcnn_{case["name"]}')
    shorter, longer = case['sides']
    model = make(weights=None, weights_backbone=None, min_size=shorter, max_size=longer)
    fill(model, case['seed'])
    model.eval()
    seen = {}
    model.backbone.register_forward_hook(lambda _, args, out: seen.update(input=args[0], levels=list(out.values())))
    model.rpn.head.register_forward_hook(lambda _, args, out: seen.update(logits=out[0], deltas=out[1]))
    model.rpn.register_forward_hook(lambda _, args, out: seen.update(proposals=out[0][0]))
    model.roi_heads.box_predictor.register_forward_hook(lambda _, args, out: seen.update(scores=out[0], boxes=out[1]))
    with torch.no_grad():
        found = model([image_of(case)])[0]
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


def training():
    """Losses of SGD steps on one picture, and the gradients of the first; samplers take the first candidates by index."""
    shorter, longer = TRAINING['sides']
    backbone = resnet_fpn_backbone(
        backbone_name='resnet18', weights=None, norm_layer=FrozenBatchNorm2d, trainable_layers=3
    )
    rpn_batch, roi_batch = TRAINING['batch']
    model = faster_rcnn.FasterRCNN(
        backbone,
        num_classes=TRAINING['classes'],
        min_size=shorter,
        max_size=longer,
        rpn_batch_size_per_image=rpn_batch,
        box_batch_size_per_image=roi_batch,
    )
    fill(model, TRAINING['seed'], TRAINING['heads'])
    model.train()
    boxes = torch.tensor(TRAINING['boxes'], dtype=torch.float32)
    target = {'boxes': boxes[:, :4] + torch.tensor([0, 0, 1, 1]), 'labels': boxes[:, 4].long()}
    parameters = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    options = {'lr': TRAINING['learningRate'], 'momentum': TRAINING['momentum'], 'weight_decay': TRAINING['weightDecay']}
    sgd = torch.optim.SGD([p for _, p in parameters], **options)
    losses, gradients = [], []
    shuffled, torch.randperm = torch.randperm, lambda n, **_: torch.arange(n)
    for step in range(TRAINING['steps']):
        sgd.zero_grad()
        terms = model([image_of(TRAINING)], [target])
        sum(terms.values()).backward()
        names = ('loss_objectness', 'loss_rpn_box_reg', 'loss_classifier', 'loss_box_reg')
        losses.append([float(terms[name]) for name in names])
        if step == 0:
            gradients = [seeded.sampled(p.grad, 8) for _, p in parameters]
            largest = [float(p.grad.double().pow(2).mean().sqrt()) for _, p in parameters]
        sgd.step()
    torch.randperm = shuffled
    tensors = {'train/losses': losses, 'train/gradients': np.stack(gradients), 'train/rms': largest}
    return {k: np.asarray(v, np.float32) for k, v in tensors.items()}, [name for name, _ in parameters]


def make():
    tensors = {}
    for case in CASES:
        tensors |= detection(case)
    trained, names = training()
    made_by = f'PyTorch {torch.__version__}, torchvision {torchvision.__version__}, scripts/make-goldens.py'
    metadata = {'cases': json.dumps(CASES), 'train': json.dumps({**TRAINING, 'parameters': names}), 'made_by': made_by}
    return tensors | trained, metadata
