"""Goldens of detectron2's Faster R-CNNs R_50_FPN and R_50_C4, computed by its own code.

detectron2 is no package of the usual registries. The environment variable DETECTRON2 names the folders of its sources and of
those it needs (fvcore, iopath, yacs: github.com/facebookresearch/detectron2, .../fvcore, .../iopath, rbgirshick/yacs), separated
by colons; nothing of them is compiled. What else they import but do not use here is replaced by empty modules.

Weights and pictures are made from names (seeded.py) as for torchvision's detectors, so that a file holds only samples.
Tensors and metadata: as in detectors.py; the picture has the size to which it would be resized, since detectron2 resizes by PIL.
A small pickle of arrays, as its model zoo has them, is written as text.
"""
import base64
import importlib.abc
import importlib.machinery
import json
import os
import pickle
import sys
from unittest import mock

import numpy as np
import torch

from . import seeded

CASES = [
    {'name': 'resnet50_fpn', 'config': 'R_50_FPN_3x', 'seed': '1', 'size': [192, 288], 'proposals': 1000},
    {'name': 'resnet50_c4', 'config': 'R_50_C4_3x', 'seed': '2', 'size': [150, 212], 'proposals': 100},
]
PROPOSALS = 100
# Names of torchvision's whose scales the layers of the same kind get.
LIKE = {
    'conv3.norm.': 'x.bn3.',
    'fpn_lateral': 'inner_blocks.',
    'objectness_logits': 'cls_logits.',
    'anchor_deltas': 'rpn.head.bbox_pred.',
}


class Unused(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    NAMES = ('aiofiles antlr4 black cloudpickle fairscale hydra lvis matplotlib omegaconf panopticapi portalocker '
             'pycocotools scipy tabulate tensorboard termcolor timm tqdm').split()

    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in self.NAMES:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        module = mock.MagicMock()
        module.__path__, module.__name__, module.__spec__ = [], spec.name, spec
        module.DictConfig, module.ListConfig = type('DictConfig', (), {}), type('ListConfig', (), {})
        return module

    def exec_module(self, module):
        pass


def build(config, proposals):
    folders = os.environ['DETECTRON2'].split(':')
    sys.path[:0] = [folder for folder in folders if folder not in sys.path]
    sys.meta_path.append(Unused())
    try:
        import packaging.version  # noqa: F401
    except ImportError:
        import setuptools._vendor.packaging.version
        sys.modules['packaging'] = setuptools._vendor.packaging
        sys.modules['packaging.version'] = setuptools._vendor.packaging.version
    import PIL.Image  # noqa: F401
    from detectron2.config import get_cfg
    from detectron2.modeling import build_model
    configs = next(f'{folder}/configs' for folder in folders if os.path.isdir(f'{folder}/configs'))
    cfg = get_cfg()
    cfg.merge_from_file(f'{configs}/COCO-Detection/faster_rcnn_{config}.yaml')
    cfg.MODEL.DEVICE, cfg.MODEL.WEIGHTS, cfg.MODEL.RPN.POST_NMS_TOPK_TEST = 'cpu', '', proposals
    return build_model(cfg).eval()


def value_of(name, shape, seed):
    """As seeded.fill, with the size of the torchvision layer of the same kind; the first layer's input is 64 times as large."""
    like = next((like for part, like in LIKE.items() if part in name), None)
    values = seeded.fill(name, shape, seed, like=like and like + name.split('.')[-1])
    return values / np.float32(64) if name.endswith('stem.conv1.weight') else values


def detection(case):
    model = build(case['config'], case['proposals'])
    state = model.state_dict()
    for name, value in state.items():
        if name not in ('pixel_mean', 'pixel_std') and 'anchor_generator' not in name:
            state[name] = torch.from_numpy(value_of(name, tuple(value.shape), case['seed']))
    model.load_state_dict(state)
    height, width = case['size']
    picture = np.ascontiguousarray(seeded.picture(case['seed'], height, width)[:, :, ::-1])
    seen = {}
    model.backbone.register_forward_hook(lambda _, args, out: seen.update(input=args[0], levels=list(out.values())))
    model.proposal_generator.rpn_head.register_forward_hook(lambda _, args, out: seen.update(logits=out[0], deltas=out[1]))
    model.proposal_generator.register_forward_hook(lambda _, args, out: seen.update(proposals=out[0][0]))
    model.roi_heads.box_predictor.register_forward_hook(lambda _, args, out: seen.update(scores=out[0], boxes=out[1]))
    with torch.no_grad():
        image = {'image': torch.from_numpy(picture).permute(2, 0, 1).float(), 'height': height, 'width': width}
        found = model([image])[0]['instances']
    logits, deltas = seeded.flat(seen['logits'], 1), seeded.flat(seen['deltas'], 4)
    # The background first, as in every other network here.
    scores = torch.cat([seen['scores'][:, -1:], seen['scores'][:, :-1]], 1)
    results = {
        'input': seeded.sampled(seen['input']),
        'levels': np.concatenate([seeded.sampled(level) for level in seen['levels']]),
        'logits': seeded.sampled(logits),
        'deltas': seeded.sampled(deltas),
        'rms': [seeded.rms(seen['input']), *map(seeded.rms, seen['levels']), seeded.rms(logits), seeded.rms(deltas)],
        'proposals': seen['proposals'].proposal_boxes.tensor[:PROPOSALS],
        'scores': seeded.sampled(scores[:PROPOSALS]),
        'boxes': seeded.sampled(seen['boxes'][:PROPOSALS]),
        'detections': torch.cat(
            [found.pred_boxes.tensor, found.scores[:, None], found.pred_classes[:, None].float() + 1], 1),
    }
    print(case['name'], 'detections', len(found), 'scores', found.scores[:3].tolist(), 'rms', results['rms'])
    shapes = {name: list(value.shape) for name, value in model.state_dict().items()}
    return {f'{case["name"]}/{key}': np.asarray(value, np.float32) for key, value in results.items()}, shapes


def make():
    tensors, cases = {}, []
    for case in CASES:
        results, shapes = detection(case)
        tensors |= results
        cases.append({**case, 'shapes': shapes})
    zoo = {
        'model': {
            'a.weight': np.arange(6, dtype=np.float32).reshape(2, 3) / 4,
            'b.half': np.array([1.5, -2], np.float16),
            'c.count': np.array([7], np.int64),
        },
        '__author__': 'Detectron2 Model Zoo',
        'iteration': np.int64(270000),
    }
    pickles = {str(p): base64.b64encode(pickle.dumps(zoo, protocol=p)).decode() for p in (3, 4)}
    made_by = f'detectron2, PyTorch {torch.__version__}, scripts/make-goldens.py'
    return tensors, {'cases': json.dumps(cases), 'pickles': json.dumps(pickles), 'made_by': made_by}
