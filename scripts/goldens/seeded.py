"""Weights and pictures from a name and a seed: numbers that a test makes again, so that no file has to hold them.

Element i of a tensor is uniform in [-1, 1), from a hash of (hash of the name, i); test/model/seeded.ts has the same.
"""
import numpy as np
import torch


def fnv1a(text):
    value = 0x811C9DC5
    for byte in text.encode():
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value


def uniform(name, shape):
    """float32 values in [-1, 1), multiples of 2^-23."""
    count = int(np.prod(shape, dtype=np.int64))
    x = (np.arange(count, dtype=np.uint32) * np.uint32(0x9E3779B9)) + np.uint32(fnv1a(name))
    x ^= x >> np.uint32(16)
    x *= np.uint32(0x7FEB352D)
    x ^= x >> np.uint32(15)
    x *= np.uint32(0x846CA68B)
    x ^= x >> np.uint32(16)
    return ((x >> np.uint32(8)).astype(np.float32) / np.float32(2**23) - np.float32(1)).reshape(shape)


def picture(name, height, width):
    """uint8 [height, width, 3]: a smooth pattern with noise, so that features of every size occur."""
    grid = [uniform(f'{name}.{side}', (side, side, 3)) for side in (4, 9, 31)]
    rows, columns = np.arange(height)[:, None], np.arange(width)[None, :]
    total = np.zeros((height, width, 3), np.float32)
    for side, values in zip((4, 9, 31), grid):
        total += values[rows * side // height, columns * side // width]
    return np.clip(np.floor(np.float32(128) + np.float32(40) * total), 0, 255).astype(np.uint8)


# Deviations times the root of the fan-in, by a part of the name; of other layers He's, 1.4.
SCALES = {'block.': 1.3, 'inner_blocks': 0.4, 'cls_logits': 1.0, 'rpn.head.bbox_pred': 0.15, 'cls_score': 1.5, 'box_predictor.bbox_pred': 0.7}

# The layers that give scores and boxes.
LAST = ('roi_heads.box_predictor.', 'rpn.head.cls_logits.', 'rpn.head.bbox_pred.')


def fill(name, shape, seed, heads=1.0, like=None):
    """A value for a tensor of a torchvision detector by its name: of a size that keeps the maps of a deep network near one.
    `heads`: factor of the weights of the last layers. `like`: the name by which the size is chosen, if not its own."""
    u = uniform(f'{seed}.{name}', shape).astype(np.float64)
    name = like or name
    if name.endswith('running_var'):
        values = 1 + 0.5 * u
    elif name.endswith('running_mean'):
        values = 0.2 * u
    elif name.endswith('bias') and len(shape) == 1:
        values = 0.1 * u
    elif len(shape) == 1:  # the weight of a normalisation; small where it ends a block, whose result is added to its input
        ends = name.split('.')[-2] == 'bn3'
        values = (0.3 if ends else 1) * (1 + 0.3 * u)
    else:
        scale = next((scale for part, scale in SCALES.items() if part in name), 1.4)
        if name.startswith(LAST):
            scale *= heads
        fan_in = int(np.prod(shape[1:]))
        values = scale * np.sqrt(3 / fan_in) * u
    return values.astype(np.float32)


def fill_model(model, seed, heads=1.0):
    state = model.state_dict()
    for name, value in state.items():
        if value.is_floating_point():
            state[name] = torch.from_numpy(fill(name, tuple(value.shape), seed, heads))
    model.load_state_dict(state)


def sampled(values, count=64):
    """Values at fixed places, spread over a tensor."""
    flat = np.asarray(values).reshape(-1)
    return flat[(np.arange(count, dtype=np.uint64) * np.uint64(2654435761)) % np.uint64(len(flat))]


def rms(values):
    return float(values.double().pow(2).mean().sqrt())


def flat(maps, inner):
    """Maps [1, A * inner, H, W] of all levels as one list, in the order of torchvision's anchors."""
    return torch.cat([m[0].reshape(-1, inner, *m.shape[2:]).permute(2, 3, 0, 1).reshape(-1) for m in maps])
