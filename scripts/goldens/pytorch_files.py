"""Small files as torch.save writes them, as base64 by name, and what is in them."""
import argparse
import base64
import io
from collections import OrderedDict

import torch


def saved(value, **options):
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    return base64.b64encode(buffer.getvalue()).decode()


def make():
    torch.manual_seed(1)
    whole = torch.randn(2, 3)
    state = OrderedDict([('a.weight', whole), ('a.bias', torch.tensor([1.5, -2.0, 0.25])), ('a.num_batches_tracked', torch.tensor(7))])
    state._metadata = OrderedDict([('', {'version': 2})])
    base = torch.arange(24, dtype=torch.float32)
    views = {'turned': base.view(4, 6).t(), 'part': base[5:11].view(2, 3), 'steps': base[::5], 'one': torch.tensor(3.5), 'none': base[:0]}
    halves = {'half': whole.half(), 'brain': whole.bfloat16(), 'double': whole.double()}
    module = torch.nn.Linear(2, 1)
    quantised = torch.quantize_per_tensor(whole, 0.1, 0, torch.qint8)
    files = {
        'state': saved(state),
        'legacy state': saved(state, _use_new_zipfile_serialization=False),
        'views': saved(views),
        'legacy views': saved(views, _use_new_zipfile_serialization=False),
        'halves': saved(halves),
        'inside': saved({'model': state, 'optimizer': {'lr': 0.1, 'steps': [1, 2]}, 'epoch': 3}),
        'parallel': saved(OrderedDict((f'module.{name}', value) for name, value in state.items())),
        'parameter': saved({'p': torch.nn.Parameter(whole)}),
        'bytes': saved({'mask': torch.tensor([True, False])}),
        'module': saved(module),
        'quantised': saved({'q': quantised}),
        'arguments': saved({'model': state, 'args': argparse.Namespace(lr=0.1)}),
        'list': saved([whole]),
        'nothing': saved({'epoch': 3}),
    }
    expected = {'a.weight': whole.tolist(), 'halves': {k: v.float().tolist() for k, v in halves.items()}}
    return {'files': files, 'expected': expected, 'made_by': f'PyTorch {torch.__version__}, scripts/make-goldens.py'}
