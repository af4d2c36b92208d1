"""Goldens of single operations.

A case is an operation with its inputs and options. Inputs are float32 numbers; PyTorch computes in float64 (RoI pooling
in float32, whose rounding of bins belongs to its definition). The gradients are those of sum(output * factors) with
random fixed factors, with respect to every floating-point input.

Tensors of the file:  CASE/in/NAME  CASE/factors  CASE/out  CASE/grad/NAME
Metadata:  cases = JSON list of {name, op, inputs, grads, options}
"""
import json

import numpy as np
import torch
import torch.nn.functional as F
import torchvision

ALPHA_BETA = {'alpha': 0.3, 'beta': 0.75}


def conv2d(x, weight, bias=None, stride=1, padding=0, groups=1, dilation=1):
    return F.conv2d(x, weight, bias, stride=stride, padding=padding, groups=groups, dilation=dilation)


def conv_transpose2d(x, weight, bias=None, stride=1, padding=0, outputPadding=0):
    return F.conv_transpose2d(x, weight, bias, stride, padding, outputPadding)


def max_pool(x, kernel, stride, padding, ceilMode):
    return F.max_pool2d(x, kernel, stride, padding, ceil_mode=ceilMode)


def local_response_norm(x, size, alpha, beta, k, mode):
    if mode == 'across':
        return F.local_response_norm(x, size, alpha, beta, k)
    mean = F.avg_pool2d(x * x, size, stride=1, padding=size // 2, count_include_pad=True)
    return x * (k + alpha * mean) ** -beta


def average_pool(x, kernel, stride, padding, ceilMode):
    return F.avg_pool2d(x, kernel, stride, padding, ceil_mode=ceilMode)


def matmul(a, b, transposeA=False, transposeB=False):
    return (a.mT if transposeA else a) @ (b.mT if transposeB else b)


def over_axes(function):
    """A sum or mean over all elements or over `axes`, which stay with extent 1 where `keepDims`."""

    def reduced(x, axes=None, keepDims=False):
        # To PyTorch, no axes are all of them.
        return function(x) if axes is None else x.clone() if axes == [] else function(x, dim=axes, keepdim=keepDims)

    return reduced


def over_extrema(function):
    return lambda x, axes=(), keepDims=False: function(x, dim=axes, keepdim=keepDims)


def pad(x, widths, value=0):
    return F.pad(x, [n for pair in reversed(widths) for n in pair], value=value)


def attention(q, k, v, mask=None, causal=False):
    """The formula: PyTorch 1.13 has no public function for it."""
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if mask is not None:
        scores = scores + mask
    if causal:
        scores = scores.masked_fill(torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1), -float('inf'))
    return F.softmax(scores, -1) @ v


def batch_norm(x, weight, bias, mean, variance, training, momentum=0.1, epsilon=1e-5):
    return F.batch_norm(x, mean.clone(), variance.clone(), weight, bias, training, momentum, epsilon)


def softmax_log_loss(logits, labels, ignoreLabel, axis=1):
    return F.cross_entropy(logits.movedim(axis, 1), labels.long(), ignore_index=ignoreLabel)


def class_weighted_log_loss(logits, labels, weights):
    return F.cross_entropy(logits, labels.long(), weight=weights, ignore_index=-1)


def smooth_l1_loss(pred, target, sigma, insideWeights=1.0, outsideWeights=1.0):
    """F.smooth_l1_loss with beta = 1/sigma^2, and the two weights of py-faster-rcnn's layer."""
    terms = F.smooth_l1_loss(insideWeights * pred, insideWeights * target, reduction='none', beta=1 / sigma**2)
    return (outsideWeights * terms).sum()


def concat(*xs, axis):
    return torch.cat(xs, axis)


def roi_pool(x, rois, size, spatialScale):
    return torchvision.ops.roi_pool(x.float(), rois.float(), size, spatialScale).to(x.dtype)


def roi_align(rois, size, spatialScales, samplingRatio=0, aligned=False, **maps):
    if len(maps) == 1:
        return torchvision.ops.roi_align(maps['x0'], rois, size, spatialScales[0], samplingRatio, aligned)
    pooler = torchvision.ops.MultiScaleRoIAlign(list(maps), size, samplingRatio)
    height, width = (round(n / spatialScales[0]) for n in maps['x0'].shape[2:])
    images = [rois[rois[:, 0] == i, 1:] for i in range(maps['x0'].shape[0])]
    return pooler(maps, images, [(height, width)] * len(images))


def sigmoid_log_loss(logits, labels):
    counted = labels >= 0
    return F.binary_cross_entropy_with_logits(logits[counted], labels[counted].double())


OPERATIONS = {
    'conv2d': conv2d,
    'linear': lambda x, weight, bias=None: F.linear(x, weight, bias),
    'relu': lambda x: F.relu(x),
    'maxPool2d': max_pool,
    'localResponseNorm': local_response_norm,
    'softmax': lambda x, axis: F.softmax(x, axis),
    'classWeightedLogLoss': class_weighted_log_loss,
    'softmaxLogLoss': softmax_log_loss,
    'smoothL1Loss': smooth_l1_loss,
    'add': lambda a, b: a + b,
    'multiply': lambda a, b: a * b,
    'scale': lambda x, factor: x * factor,
    'subtract': lambda a, b: a - b,
    'gelu': lambda x: F.gelu(x),
    'silu': lambda x: F.silu(x),
    'clip': lambda x, low, high: torch.clamp(x, low, high),
    'where': lambda condition, a, b: torch.where(condition != 0, a, b),
    'max': over_extrema(torch.amax),
    'min': over_extrema(torch.amin),
    'topK': lambda x, k, axis: torch.topk(x, k, dim=axis).values,
    'gather': lambda x, axis, indices: torch.gather(x, axis, indices.long()),
    'embedding': lambda table, indices: F.embedding(indices.long(), table),
    'pad': pad,
    'stack': lambda a, b, axis: torch.stack([a, b], axis),
    'split': lambda x, lengths, axis, part: torch.split(x, lengths, axis)[part],
    'cumsum': lambda x, axis: torch.cumsum(x, axis),
    'upsampleBilinear': lambda x, size: F.interpolate(x, size=size, mode='bilinear', align_corners=False),
    'layerNorm': lambda x, weight, bias: F.layer_norm(x, weight.shape, weight, bias),
    'groupNorm': lambda x, weight, bias, groups: F.group_norm(x, groups, weight, bias),
    'logSoftmax': lambda x, axis: F.log_softmax(x, axis),
    'binaryCrossEntropyWithLogits': lambda logits, targets: F.binary_cross_entropy_with_logits(logits, targets),
    'scaledDotProductAttention': attention,
    'broadcastTo': lambda x, shape: x.broadcast_to(shape),
    'divide': lambda a, b: a / b,
    'maximum': lambda a, b: torch.maximum(a, b),
    'minimum': lambda a, b: torch.minimum(a, b),
    'pow': lambda a, b: a**b,
    'sigmoid': torch.sigmoid,
    'tanh': torch.tanh,
    'softplus': F.softplus,
    'exp': torch.exp,
    'log': torch.log,
    'sqrt': torch.sqrt,
    'abs': torch.abs,
    'reciprocal': torch.reciprocal,
    'convTranspose2d': conv_transpose2d,
    'matmul': matmul,
    'permute': lambda x, order: x.permute(order),
    'mean': over_axes(torch.mean),
    'averagePool2d': average_pool,
    'batchNorm': batch_norm,
    'meanSquaredError': lambda pred, target: F.mse_loss(pred, target),
    'concat': concat,
    'reshape': lambda x, shape: x.reshape(shape),
    'sum': over_axes(torch.sum),
    'roiPool': roi_pool,
    'roiAlign': roi_align,
    'hardSigmoid': lambda x: F.hardsigmoid(x),
    'hardSwish': lambda x: F.hardswish(x),
    'upsampleNearest': lambda x, size: F.interpolate(x, size=size, mode='nearest'),
    'sigmoidLogLoss': sigmoid_log_loss,
}


class Goldens:
    def __init__(self, seed):
        self.random = np.random.default_rng(seed)
        self.tensors, self.cases = {}, []

    def normal(self, *shape, scale=1.0):
        return np.asarray(scale * self.random.standard_normal(shape), np.float32)

    def case(self, op, name, inputs, without_gradient=(), **options):
        """Runs `op` on named inputs; integers and those `without_gradient` get none."""
        name = f'{op} {name}' if name else op
        values, grads = {}, []
        for key, data in inputs.items():
            value = torch.from_numpy(data)
            if value.is_floating_point():
                value = value.double()
                if key not in without_gradient:
                    value.requires_grad_()
                    grads.append(key)
            values[key] = value
            self.tensors[f'{name}/in/{key}'] = data
        if op == 'concat':
            out = concat(*values.values(), **options)
        else:
            out = OPERATIONS[op](**values, **options)
        factors = self.normal(*out.shape)
        (out * torch.from_numpy(factors).double().reshape(out.shape)).sum().backward()
        self.tensors[f'{name}/factors'] = factors
        self.tensors[f'{name}/out'] = out.detach().numpy().astype(np.float32).reshape(factors.shape)
        for key in grads:
            self.tensors[f'{name}/grad/{key}'] = values[key].grad.numpy().astype(np.float32)
        self.cases.append({'name': name, 'op': op, 'inputs': list(inputs), 'grads': grads, 'options': options})


def add_convolutions(g):
    # name, x, weight, bias, options; channels of both sides are odd, and below, at and above a tile's 8, 16, 32, 128
    for name, x, weight, bias, options in [
        ('1x1', (1, 5, 7, 9), (13, 5, 1, 1), True, {}),
        ('1x1 to one channel', (1, 17, 5, 5), (1, 17, 1, 1), True, {}),
        ('3x3 p1', (1, 3, 11, 13), (17, 3, 3, 3), True, {'padding': 1}),
        ('3x3 p1 wide', (1, 33, 6, 5), (9, 33, 3, 3), True, {'padding': 1}),
        ('3x3 p0 no bias', (1, 4, 7, 6), (5, 4, 3, 3), False, {}),
        ('3x3 p1 batch 2', (2, 3, 9, 8), (7, 3, 3, 3), True, {'padding': 1}),
        ('3x3 s2 p1 batch 2', (2, 5, 10, 7), (6, 5, 3, 3), True, {'stride': 2, 'padding': 1}),
        ('5x5 s2 p2', (1, 3, 13, 16), (19, 3, 5, 5), True, {'stride': 2, 'padding': 2}),
        ('7x7 s2 p3', (1, 3, 19, 30), (11, 3, 7, 7), True, {'stride': 2, 'padding': 3}),
        ('3x5 s3 p2', (1, 2, 11, 14), (3, 2, 3, 5), True, {'stride': 3, 'padding': 2}),
    ]:
        fan_in = weight[1] * weight[2] * weight[3]
        inputs = {'x': g.normal(*x), 'weight': g.normal(*weight, scale=fan_in**-0.5)}
        if bias:
            inputs['bias'] = g.normal(weight[0])
        g.case('conv2d', name, inputs, **options)


def add_layers(g):
    for rows, inputs, outputs in [(1, 1, 1), (5, 37, 131), (33, 20, 7)]:
        linear = {'x': g.normal(rows, inputs), 'weight': g.normal(outputs, inputs), 'bias': g.normal(outputs)}
        g.case('linear', f'{rows}x{inputs} to {outputs}', linear)
    g.case('linear', 'no bias', {'x': g.normal(4, 9), 'weight': g.normal(6, 9)})
    g.case('relu', '', {'x': g.normal(2, 3, 5, 7)})
    for name, shape, options in [
        ('2/2 floor', (1, 3, 7, 9), (2, 2, 0, False)),
        ('2/2 ceil', (1, 3, 7, 9), (2, 2, 0, True)),
        ('3/2 floor', (2, 2, 8, 11), (3, 2, 0, False)),
        ('3/2 ceil', (2, 2, 8, 11), (3, 2, 0, True)),
        ('3/2 p1 floor', (2, 2, 10, 7), (3, 2, 1, False)),
        ('3/2 p1 ceil', (2, 2, 10, 7), (3, 2, 1, True)),
        ('3/1 p1', (1, 2, 6, 5), (3, 1, 1, False)),
    ]:
        g.case('maxPool2d', name, {'x': g.normal(*shape)}, **dict(zip(('kernel', 'stride', 'padding', 'ceilMode'), options)))
    for size, k, mode, shape in [
        (5, 2.0, 'across', (2, 7, 3, 4)),
        (3, 1.0, 'across', (1, 2, 3, 3)),
        (3, 1.0, 'within', (2, 3, 5, 7)),
        (5, 1.0, 'within', (1, 2, 3, 6)),
    ]:
        g.case('localResponseNorm', f'{mode} {size}', {'x': g.normal(*shape, scale=2)}, size=size, k=k, mode=mode, **ALPHA_BETA)


def add_losses(g):
    for axis, shape in [(0, (3, 5)), (1, (6, 21)), (1, (1, 2, 9, 7)), (2, (2, 3, 4, 5)), (-1, (2, 3, 8))]:
        shape_name = 'x'.join(map(str, shape))
        g.case('softmax', f'axis {axis} of {shape_name}', {'x': g.normal(*shape, scale=2)}, axis=axis)

    def labels(shape, classes, ignored):
        values = g.random.integers(0, classes, shape).astype(np.int32)
        values[g.random.random(shape) < 0.3] = ignored
        return values

    for name, shape, ignore, axis in [
        ('rows', (23, 21), -1, 1),
        ('rpn', (1, 2, 6 * 35), -1, 1),
        ('map, label 255 ignored', (2, 4, 5, 3), 255, 1),
        ('last axis', (3, 7, 4), -1, 2),
    ]:
        label_shape = shape[:axis] + shape[axis + 1 :]
        inputs = {'logits': g.normal(*shape, scale=3), 'labels': labels(label_shape, shape[axis], ignore)}
        g.case('softmaxLogLoss', name, inputs, ignoreLabel=ignore, axis=axis)
    for name, sigma, weighted in [('1', 1, False), ('3', 3, False), ('1 weighted', 1, True), ('3 weighted', 3, True)]:
        inputs = {'pred': g.normal(19, 12, scale=0.5), 'target': g.normal(19, 12, scale=0.5)}
        if weighted:
            inputs['insideWeights'] = g.random.integers(0, 2, (19, 12)).astype(np.float32) * 0.7
            inputs['outsideWeights'] = g.random.random((19, 12)).astype(np.float32)
        fixed = ('target', 'insideWeights', 'outsideWeights')
        g.case('smoothL1Loss', f'sigma {name}', inputs, without_gradient=fixed, sigma=sigma)


def add_elementwise(g):
    g.case('add', '', {'a': g.normal(3, 67), 'b': g.normal(3, 67)})
    g.case('multiply', '', {'a': g.normal(5, 41), 'b': g.normal(5, 41)})
    g.case('scale', '', {'x': g.normal(7, 11)}, factor=-1.75)
    g.case('concat', 'axis 0', {'a': g.normal(2, 5), 'b': g.normal(3, 5)}, axis=0)
    g.case('concat', 'axis 1', {'a': g.normal(2, 3, 4, 5), 'b': g.normal(2, 1, 4, 5), 'c': g.normal(2, 6, 4, 5)}, axis=1)
    g.case('concat', 'last axis', {'a': g.normal(3, 2, 7), 'b': g.normal(3, 2, 2)}, axis=-1)
    g.case('reshape', '', {'x': g.normal(2, 3, 20)}, shape=[6, -1, 4])
    g.case('sum', '', {'x': g.normal(2, 1031)})


def add_roi_pooling(g):
    for name, size, stride, image, count in [('6 at 1/16', 6, 16, (208, 304), 9), ('7 at 1/8', 7, 8, (120, 96), 7)]:
        height, width = image
        corners = g.random.uniform((-20, -20), (width, height), (count, 2, 2))
        rois = np.concatenate([corners.min(1), corners.max(1)], 1)
        # A rounding tie may fall either way in another implementation: keep a tenth of a cell away from the halves.
        cells = rois / stride
        cells += 0.2 * (np.abs(cells - np.floor(cells) - 0.5) < 0.1)
        images = np.arange(count) % 2
        rois = np.concatenate([images[:, None], cells * stride], 1).astype(np.float32)
        x = g.normal(2, 3, height // stride, width // stride)
        g.case('roiPool', name, {'x': x, 'rois': rois}, without_gradient=('rois',), size=size, spatialScale=1 / stride)


def add_further_operations(g):
    for name in ['sigmoid', 'tanh', 'softplus', 'exp', 'abs']:
        g.case(name, '', {'x': g.normal(3, 29, scale=3)})
    for name in ['log', 'sqrt', 'reciprocal']:
        g.case(name, '', {'x': np.abs(g.normal(3, 29)) + np.float32(0.1)})
    g.case('subtract', '', {'a': g.normal(3, 37), 'b': g.normal(3, 37)})
    for op, name, a, b in [
        ('add', 'a bias', (5, 13), (13,)),
        ('add', 'each channel', (2, 3, 4, 5), (3, 1, 1)),
        ('add', 'to the second', (7, 1), (2, 7, 3)),
        ('add', 'one number', (2, 9), (1,)),
        ('subtract', 'each row', (6, 11), (6, 1)),
        ('subtract', 'a mean image', (3, 2, 4, 4), (2, 4, 4)),
        ('multiply', 'each channel of each image', (2, 3, 5, 7), (2, 3, 1, 1)),
        ('multiply', 'a mask of each image', (2, 3, 5, 7), (2, 1, 5, 7)),
        ('multiply', 'one number first', (1, 1), (4, 5)),
    ]:
        g.case(op, name, {'a': g.normal(*a), 'b': g.normal(*b)})
    for axes, keep in [(1, False), ([0], False), ([2, 3], True), ([0, 2, 3], False), (-1, True), ([1, 2], False)]:
        for op in ['sum', 'mean']:
            g.case(op, f'axes {axes}{" kept" if keep else ""}', {'x': g.normal(2, 3, 5, 4)}, axes=axes, keepDims=keep)
    g.case('mean', '', {'x': g.normal(2, 103)})
    for name, a, b, options in [
        ('2x3 3x5', (2, 3), (3, 5), {}),
        ('33x20 20x17', (33, 20), (20, 17), {}),
        ('b transposed', (9, 12), (8, 12), {'transposeB': True}),
        ('a transposed', (12, 9), (12, 8), {'transposeA': True}),
        ('both transposed', (7, 5), (6, 7), {'transposeA': True, 'transposeB': True}),
        ('batch', (2, 3, 5, 8), (2, 3, 8, 4), {}),
        ('batch, b transposed', (4, 5, 8), (4, 6, 8), {'transposeB': True}),
        ('one matrix for a batch', (3, 5, 8), (8, 4), {}),
    ]:
        g.case('matmul', name, {'a': g.normal(*a), 'b': g.normal(*b)}, **options)
    g.case('permute', 'a matrix', {'x': g.normal(7, 5)}, order=[1, 0])
    g.case('permute', 'heads', {'x': g.normal(2, 3, 5, 4)}, order=[0, 2, 1, 3])
    g.case('permute', 'maps to the end', {'x': g.normal(2, 3, 5, 4)}, order=[-4, 2, 3, 1])
    for name, shape, options in [
        ('2/2', (1, 3, 7, 9), (2, 2, 0, False)),
        ('3/2 p1 ceil', (2, 2, 8, 7), (3, 2, 1, True)),
        ('2/3 p1 ceil', (1, 2, 9, 8), (2, 3, 1, True)),
    ]:
        window = dict(zip(('kernel', 'stride', 'padding', 'ceilMode'), options))
        g.case('averagePool2d', name, {'x': g.normal(*shape)}, **window)
    for name, shape, options in [
        ('of maps', (3, 5, 4, 7), {'training': True}),
        ('of rows', (11, 6), {'training': True, 'epsilon': 0.01}),
        ('fixed', (2, 3, 5, 5), {'training': False}),
    ]:
        channels = shape[1]
        inputs = {'x': 3 + g.normal(*shape), 'weight': g.normal(channels), 'bias': g.normal(channels)}
        inputs |= {'mean': g.normal(channels), 'variance': np.abs(g.normal(channels)) + np.float32(0.5)}
        g.case('batchNorm', name, inputs, without_gradient=('mean', 'variance'), **options)
    for name, x, weight, bias, options in [
        ('2x2 s2', (2, 5, 4, 3), (5, 3, 2, 2), True, {'stride': 2}),
        ('3x3 s2 p1, one more', (1, 3, 5, 4), (3, 7, 3, 3), True, {'stride': 2, 'padding': 1, 'outputPadding': 1}),
        ('3x3 p1 wide', (1, 17, 6, 5), (17, 16, 3, 3), False, {'padding': 1}),
        ('1x1', (1, 4, 3, 3), (4, 5, 1, 1), True, {}),
    ]:
        inputs = {'x': g.normal(*x), 'weight': g.normal(*weight, scale=weight[0] ** -0.5)}
        if bias:
            inputs['bias'] = g.normal(weight[1])
        g.case('convTranspose2d', name, inputs, **options)
    g.case('meanSquaredError', '', {'pred': g.normal(7, 9), 'target': g.normal(7, 9)})


def add_pyramids(g):
    """What later detectors are made of: depthwise layers, feature pyramids, one logit an anchor."""
    for name, x, weight, options in [
        ('depthwise 5x5 s2', (2, 9, 12, 11), (9, 1, 5, 5), {'stride': 2, 'padding': 2, 'groups': 9}),
        ('two filters a channel', (1, 4, 7, 6), (8, 1, 3, 3), {'padding': 1, 'groups': 4}),
        ('3 groups, dilated', (1, 6, 11, 9), (9, 2, 3, 3), {'padding': 2, 'groups': 3, 'dilation': 2}),
        ('dilated', (1, 3, 9, 10), (5, 3, 3, 3), {'padding': 3, 'dilation': 3}),
    ]:
        g.case('conv2d', name, {'x': g.normal(*x), 'weight': g.normal(*weight), 'bias': g.normal(weight[0])}, **options)
    for name in ['hardSigmoid', 'hardSwish']:
        g.case(name, '', {'x': g.normal(5, 31, scale=3)})
    g.case('upsampleNearest', 'twice', {'x': g.normal(2, 3, 5, 4)}, size=[10, 8])
    g.case('upsampleNearest', 'to odd sizes', {'x': g.normal(1, 3, 5, 7)}, size=[9, 13])
    labels = g.random.integers(-1, 2, (2, 53)).astype(np.int32)
    g.case('sigmoidLogLoss', '', {'logits': g.normal(2, 53, scale=3), 'labels': labels})
    for name, count, sampling, aligned, levels in [
        ('2 samples', 6, 2, False, [4]),
        ('as many samples as cells', 6, 0, False, [4]),
        ('aligned', 6, 0, True, [4]),
        ('pyramid', 12, 2, False, [2, 3, 4, 5]),
    ]:
        height, width = 160, 224
        centres, sizes = g.random.uniform(0, (width, height), (count, 2)), g.random.uniform(8, 150, (count, 2))
        if len(levels) > 1:
            sizes[::3] *= 2.5
        corners = np.concatenate([centres - sizes / 2, centres + sizes / 2], 1)
        rois = np.concatenate([np.sort(np.arange(count) % 2)[:, None], corners], 1).astype(np.float32)
        maps = {f'x{i}': g.normal(2, 3, height >> k, width >> k) for i, k in enumerate(levels)}
        scales = [2.0**-k for k in levels]
        options = {'size': 3, 'spatialScales': scales, 'samplingRatio': sampling, 'aligned': aligned}
        g.case('roiAlign', name, {**maps, 'rois': rois}, without_gradient=('rois',), **options)


def add_broadcasting(g):
    """Shapes of which neither is that of the result, alternating axes, tensors of rank 0; and the functions of two numbers."""
    for name, a, b in [
        ('outer', (3, 1), (4,)),
        ('the smaller first', (4,), (3, 4)),
        ('alternating', (2, 3, 4, 5), (2, 1, 4, 1)),
        ('both alternate', (2, 1, 4, 1, 3), (1, 3, 1, 5, 3)),
        ('rank 0', (), (2, 3)),
        ('two of rank 0', (), ()),
    ]:
        for op in ['add', 'subtract', 'multiply']:
            g.case(op, name, {'a': g.normal(*a), 'b': g.normal(*b)})
        divisor = g.normal(*b)
        g.case('divide', name, {'a': g.normal(*a), 'b': np.asarray(np.where(divisor < 0, divisor - 1, divisor + 1), np.float32)})
    for axes in [[0, 2], [0, 2, 4], [1, 3], [], [0, 1, 2, 3, 4]]:
        for op in ['sum', 'mean']:
            g.case(op, f'axes {axes} of five', {'x': g.normal(2, 3, 4, 5, 3)}, axes=axes)
    for op in ['maximum', 'minimum']:
        pair = {'a': g.random.integers(-2, 3, (5, 9)).astype(np.float32), 'b': g.random.integers(-2, 3, (5, 9)).astype(np.float32)}
        g.case(op, 'with ties', pair)
        g.case(op, 'outer', {'a': g.normal(5, 1), 'b': g.normal(7)})
    g.case('pow', '', {'a': np.abs(g.normal(4, 7)) + np.float32(0.2), 'b': g.normal(4, 7, scale=2)})
    g.case('pow', 'of whole exponents', {'a': g.normal(4, 6), 'b': np.float32([-2, -1, 0, 1, 2, 3])}, without_gradient=('b',))


def add_choices(g):
    """What classifiers, transformers and segmentation are made of besides."""
    for op in ['gelu', 'silu']:
        g.case(op, '', {'x': g.normal(5, 31, scale=3)})
    g.case('clip', '', {'x': np.float32(g.random.integers(-8, 9, (6, 11)) / 2)}, low=-1.5, high=2)
    condition = g.random.integers(0, 2, (3, 1, 5)).astype(np.float32)
    inputs = {'condition': condition, 'a': g.normal(4, 5), 'b': g.normal(3, 4, 1)}
    g.case('where', 'repeated', inputs, without_gradient=('condition',))
    for op in ['max', 'min']:
        for axes, keep in [([1], False), ([0, 2], True), ([0, 1, 2, 3], False), ([3, 1], False)]:
            x = g.random.integers(-9, 10, (3, 4, 5, 2)).astype(np.float32)
            g.case(op, f'axes {axes}{" kept" if keep else ""}', {'x': x}, axes=axes, keepDims=keep)
    g.case('topK', 'of the last axis', {'x': g.normal(4, 23)}, k=5, axis=-1)
    g.case('topK', 'of a middle axis', {'x': g.normal(2, 9, 3)}, k=2, axis=1)
    g.case('gather', '', {'x': g.normal(3, 5, 4), 'indices': g.random.integers(0, 5, (3, 7, 4)).astype(np.int32)}, axis=1)
    g.case('embedding', '', {'table': g.normal(11, 6), 'indices': g.random.integers(0, 11, (5, 9)).astype(np.int32)})
    g.case('embedding', 'long', {'table': g.normal(300, 3), 'indices': g.random.integers(0, 300, 1500).astype(np.int32)})
    g.case('pad', '', {'x': g.normal(2, 3, 4)}, widths=[[1, 0], [0, 0], [2, 3]], value=1.5)
    g.case('stack', 'axis 0', {'a': g.normal(3, 4), 'b': g.normal(3, 4)}, axis=0)
    g.case('stack', 'last axis', {'a': g.normal(3, 4), 'b': g.normal(3, 4)}, axis=-1)
    g.case('stack', 'of rank 0', {'a': g.normal(), 'b': g.normal()}, axis=0)
    g.case('split', 'by one length', {'x': g.normal(7, 3)}, lengths=3, axis=0, part=2)
    g.case('split', 'by lengths', {'x': g.normal(2, 9, 3)}, lengths=[2, 4, 3], axis=1, part=1)
    g.case('cumsum', 'axis 1', {'x': g.normal(3, 11, 4)}, axis=1)
    g.case('cumsum', 'last axis', {'x': g.normal(5, 13)}, axis=-1)
    for name, x, size in [('twice', (2, 3, 5, 4), [10, 8]), ('to odd sizes', (1, 2, 5, 7), [9, 4]), ('down', (1, 2, 9, 8), [3, 5])]:
        g.case('upsampleBilinear', name, {'x': g.normal(*x)}, size=size)
    g.case('layerNorm', 'of one axis', {'x': 3 + g.normal(5, 4, 12), 'weight': g.normal(12), 'bias': g.normal(12)})
    g.case('layerNorm', 'of two axes', {'x': g.normal(7, 3, 5), 'weight': g.normal(3, 5), 'bias': g.normal(3, 5)})
    g.case('groupNorm', '', {'x': 1 + g.normal(3, 6, 4, 5), 'weight': g.normal(6), 'bias': g.normal(6)}, groups=3)
    for axis, shape in [(1, (6, 21)), (-1, (2, 3, 8)), (0, (4, 5))]:
        g.case('logSoftmax', f'axis {axis}', {'x': g.normal(*shape, scale=5)}, axis=axis)
    g.case('binaryCrossEntropyWithLogits', '', {'logits': g.normal(7, 9, scale=4), 'targets': np.float32(g.random.random((7, 9)))})
    heads = {'q': g.normal(2, 3, 7, 8), 'k': g.normal(2, 3, 7, 8), 'v': g.normal(2, 3, 7, 5)}
    g.case('scaledDotProductAttention', 'causal', heads, causal=True)
    cross = {'q': g.normal(2, 4, 8), 'k': g.normal(2, 6, 8), 'v': g.normal(2, 6, 3), 'mask': g.normal(4, 6)}
    g.case('scaledDotProductAttention', 'with a mask', cross)
    g.case('broadcastTo', '', {'x': g.normal(2, 1, 4, 1)}, shape=[3, 2, 5, 4, 3])
    for name, a, b, options in [
        ('one right factor, a transposed', (3, 8, 5), (8, 4), {'transposeA': True}),
        ('one right factor, both transposed', (3, 8, 5), (4, 8), {'transposeA': True, 'transposeB': True}),
        ('one left factor', (5, 8), (3, 8, 4), {}),
        ('one left factor, both transposed', (8, 5), (3, 4, 8), {'transposeA': True, 'transposeB': True}),
        ('leading axes repeated', (2, 1, 5, 8), (3, 8, 4), {}),
        ('leading axes of 1', (1, 5, 8), (3, 8, 4), {}),
    ]:
        g.case('matmul', name, {'a': g.normal(*a), 'b': g.normal(*b)}, **options)


def add_running_statistics(g):
    """Mean and variance over three batches as PyTorch tracks them."""
    mean, variance = torch.zeros(5, dtype=torch.float64), torch.ones(5, dtype=torch.float64)
    batches = 2 + g.normal(3, 4, 5, 3, 2)
    for batch in batches:
        F.batch_norm(torch.from_numpy(batch).double(), mean, variance, training=True, momentum=0.25)
    g.tensors |= {'running/batches': batches, 'running/mean': mean.numpy(), 'running/variance': variance.numpy()}


def add_sgd(g):
    """Caffe's rule (sgd_solver.cpp): h <- momentum h + rate (grad / divisor + decay w), w <- w - h; five steps."""
    settings = {'momentum': 0.9, 'weightDecay': 5e-3, 'divisor': 2, 'rateMultiplier': 2, 'decayMultiplier': 0.5}
    rates = [0.1, 0.1, 0.01, 0.01, 0.001]
    w = g.normal(37)
    gradients = g.normal(len(rates), 37)
    g.tensors['sgd/start'] = w
    g.tensors['sgd/gradients'] = gradients
    w, h, steps = w.astype(np.float64), np.zeros(37), []
    for rate, gradient in zip(rates, gradients.astype(np.float64)):
        total = gradient / settings['divisor'] + settings['weightDecay'] * settings['decayMultiplier'] * w
        h = settings['momentum'] * h + rate * settings['rateMultiplier'] * total
        w = w - h
        steps.append(w)
    g.tensors['sgd/steps'] = np.stack(steps)
    return {'learningRates': rates, **settings}


def add_adam(g):
    """Adam and AdamW over a change of the rate, with bounds by norm and by value; four steps of two parameters in float64."""
    rates, settings = [0.1, 0.1, 0.01, 0.01], {'betas': [0.8, 0.95], 'epsilon': 1e-6, 'weightDecay': 0.05}
    start = [g.normal(37), g.normal(3, 5)]
    gradients = [g.normal(len(rates), 37), g.normal(len(rates), 3, 5)]
    for i in range(2):
        g.tensors |= {f'adam/start{i}': start[i], f'adam/gradients{i}': gradients[i]}
    clips = {'none': {}, 'norm': {'norm': 3.0}, 'value': {'value': 0.5}}
    for name, optimizer in {'adam': torch.optim.Adam, 'adamw': torch.optim.AdamW}.items():
        for clip, bound in clips.items():
            parameters = [torch.from_numpy(w).double().requires_grad_() for w in start]
            steps, norms = [], []
            made = optimizer(parameters, betas=settings['betas'], eps=settings['epsilon'], weight_decay=settings['weightDecay'])
            for step, rate in enumerate(rates):
                for parameter, gradient in zip(parameters, gradients):
                    parameter.grad = torch.from_numpy(gradient[step]).double()
                if 'norm' in bound:
                    norms.append(float(torch.nn.utils.clip_grad_norm_(parameters, bound['norm'])))
                if 'value' in bound:
                    torch.nn.utils.clip_grad_value_(parameters, bound['value'])
                made.param_groups[0]['lr'] = rate
                made.step()
                steps.append(np.concatenate([parameter.detach().numpy().ravel() for parameter in parameters]))
            g.tensors[f'adam/{name}/{clip}'] = np.stack(steps)
            if norms:
                g.tensors[f'adam/{name}/norms'] = np.array(norms)
    return {'learningRates': rates, 'clips': clips, **settings}


def make():
    g = Goldens(seed=1)
    add_convolutions(g)
    add_layers(g)
    add_losses(g)
    add_elementwise(g)
    sgd = add_sgd(g)
    add_roi_pooling(g)
    add_further_operations(g)
    add_running_statistics(g)
    add_pyramids(g)
    add_broadcasting(g)
    adam = add_adam(g)
    add_choices(g)
    labels = g.random.integers(-1, 7, 23).astype(np.int32)
    weighted = {'logits': g.normal(23, 7, scale=3), 'labels': labels, 'weights': g.random.random(7).astype(np.float32) + 0.1}
    g.case('classWeightedLogLoss', '', weighted, without_gradient=('weights',))
    made_by = f'PyTorch {torch.__version__}, torchvision {torchvision.__version__}, scripts/make-goldens.py'
    return g.tensors, {'cases': json.dumps(g.cases), 'sgd': json.dumps(sgd), 'adam': json.dumps(adam), 'made_by': made_by}
