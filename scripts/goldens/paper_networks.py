"""VGG-16 and ZF as in the paper, with an image of 600x800 pixels and drawn weights: maps, RPN and head in float64. The
map of VGG-16 is made by torchvision's network.

Weights and image are too large for a file, so both sides draw them: element i of parameter s is uniform in [-a, a), with
numbers from `random_f32(seed, s, i)` of src/kernels/rng.ts; s is the parameter's place in `parameters`, the image comes after
the last one. a = sqrt(6 / fan-in) for weights (He), `bias` for biases, `image` for the image. It is large enough for the
local response normalisation to divide by something.

Tensors of the file, for NETWORK of vgg16, zf:
    NETWORK/map, logits, deltas   of the image (conv5, RPN): `samples` elements, those at random_u32(seed, SAMPLES, k) mod size
    NETWORK/features              fc7 of `rois`, likewise
    NETWORK/scores, boxes         of the head: the same number of elements likewise
    NETWORK/sums [6,2]            of each in this order: the sum of all elements' sizes, the sum of all elements
Metadata: settings = JSON of SETTINGS; parameters of each network as they are counted
"""
import json
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
import torchvision

SETTINGS = {
    'seed': 16,
    'height': 600,
    'width': 800,
    'classes': 21,
    'bias': 5,
    'image': 100,
    'samples': 200,
    'sampleStream': 0x5a3,
    # image index, x1, y1, x2, y2: all of the image, a large, a flat, and one of less than a cell at the far corner
    'rois': [[0, 0, 0, 799, 599], [0, 104, 56, 407, 391], [0, 300, 200, 760, 240], [0, 792, 590, 799, 599]],
}
ANCHORS = 9


# Random numbers: src/kernels/rng.ts in numpy


def mix32(x):
    x ^= x >> np.uint32(16)
    x *= np.uint32(0x85EBCA6B)
    x ^= x >> np.uint32(13)
    x *= np.uint32(0xC2B2AE35)
    x ^= x >> np.uint32(16)
    return x


def random_u32(stream, count):
    a = mix32(np.array([SETTINGS['seed'] ^ 0x9E3779B9], np.uint32))
    b = mix32(np.array([stream], np.uint32) + a)
    return mix32(mix32(np.arange(count, dtype=np.uint32) + a) ^ b)


def uniform(stream, shape, limit):
    draws = random_u32(stream, int(np.prod(shape))) >> np.uint32(8)
    values = (limit * (2 * (draws / 2**24) - 1)).astype(np.float32)
    return torch.from_numpy(values.reshape(shape)).double()


# Networks: shapes of the weights, the map of an image


def convolution(draw):
    return lambda name, x, **options: F.conv2d(x, draw(f'{name}.weight'), draw(f'{name}.bias'), **options)


@cache
def vgg16():
    """torchvision's own, in float64, with pools that round up, as in Caffe."""
    features = torchvision.models.vgg16(weights=None).features[:-1].double()
    for layer in features:
        if isinstance(layer, torch.nn.MaxPool2d):
            layer.ceil_mode = True
    return features


def vgg16_shapes():
    for name, values in vgg16().state_dict().items():
        if name.endswith('.weight'):
            yield f'features.{name[:-7]}', tuple(values.shape)
    yield 'classifier.0', (4096, 512 * 7 * 7)
    yield 'classifier.3', (4096, 4096)


def vgg16_map(draw, x):
    vgg16().load_state_dict({name: draw(f'features.{name}') for name in vgg16().state_dict()})
    return vgg16()(x)


def zf_shapes():
    for i, shape in enumerate(((96, 3, 7, 7), (256, 96, 5, 5), (384, 256, 3, 3), (384, 384, 3, 3), (256, 384, 3, 3))):
        yield f'conv{i + 1}', shape
    yield 'fc6', (4096, 256 * 6 * 6)
    yield 'fc7', (4096, 4096)


def within_channel_norm(x):
    return x * (1 + 5e-5 * F.avg_pool2d(x**2, 3, stride=1, padding=1)) ** -0.75


def zf_map(draw, x):
    layer = convolution(draw)
    for i, padding in ((1, 3), (2, 2)):
        x = within_channel_norm(F.relu(layer(f'conv{i}', x, stride=2, padding=padding)))
        x = F.max_pool2d(x, 3, stride=2, padding=1, ceil_mode=True)
    for i in (3, 4, 5):
        x = F.relu(layer(f'conv{i}', x, padding=1))
    return x


NETWORKS = {
    'vgg16': {'shapes': vgg16_shapes, 'map': vgg16_map, 'regions': ('classifier.0', 'classifier.3'), 'channels': 512, 'pooled': 7},
    'zf': {'shapes': zf_shapes, 'map': zf_map, 'regions': ('fc6', 'fc7'), 'channels': 256, 'pooled': 6},
}


def detector_shapes(network):
    channels, classes = network['channels'], SETTINGS['classes']
    yield from network['shapes']()
    yield 'rpn.conv', (channels, channels, 3, 3)
    yield 'rpn.cls_score', (2 * ANCHORS, channels, 1, 1)
    yield 'rpn.bbox_pred', (4 * ANCHORS, channels, 1, 1)
    yield 'head.cls_score', (classes, 4096)
    yield 'head.bbox_pred', (4 * classes, 4096)


def parameters(network):
    """Shape and limit of every parameter, in the order in which they are counted."""
    return {
        name: value
        for layer, shape in detector_shapes(network)
        for name, value in (
            (f'{layer}.weight', (shape, (6 / np.prod(shape[1:])) ** 0.5)),
            (f'{layer}.bias', (shape[:1], SETTINGS['bias'])),
        )
    }


@torch.no_grad()
def forward(network):
    p = parameters(network)
    place = {name: i for i, name in enumerate(p)}
    draw = lambda name: uniform(place[name], *p[name])
    layer = convolution(draw)
    dense = lambda name, x: F.linear(x, draw(f'{name}.weight'), draw(f'{name}.bias'))

    image = uniform(len(p), (1, 3, SETTINGS['height'], SETTINGS['width']), SETTINGS['image'])
    features = network['map'](draw, image)
    hidden = F.relu(layer('rpn.conv', features, padding=1))
    rois = torch.tensor(SETTINGS['rois'], dtype=torch.float64)
    x = torchvision.ops.roi_pool(features, rois, network['pooled'], 1 / 16).flatten(1)
    for name in network['regions']:
        x = F.relu(dense(name, x))
    return {
        'map': features,
        'logits': layer('rpn.cls_score', hidden),
        'deltas': layer('rpn.bbox_pred', hidden),
        'features': x,
        'scores': dense('head.cls_score', x),
        'boxes': dense('head.bbox_pred', x),
    }


def make():
    tensors = {}
    for name, network in NETWORKS.items():
        sums = []
        for what, values in forward(network).items():
            values = values.numpy().ravel()
            print(f'{name}/{what}: {values.size} elements, mean {values.mean():.3g}, deviation {values.std():.3g}')
            picks = random_u32(SETTINGS['sampleStream'], SETTINGS['samples']) % np.uint32(values.size)
            tensors[f'{name}/{what}'] = values[picks]
            sums.append([np.abs(values).sum(), values.sum()])
        tensors[f'{name}/sums'] = sums
    settings = SETTINGS | {'parameters': {name: list(parameters(network)) for name, network in NETWORKS.items()}}
    made_by = f'PyTorch {torch.__version__}, torchvision {torchvision.__version__}, scripts/make-goldens.py'
    return tensors, {'settings': json.dumps(settings), 'made_by': made_by}
