#!/usr/bin/env python3
"""Makes the golden files of test/golden that come from PyTorch, numpy and pycocotools.

    python3 scripts/make-goldens.py [ops] [faster-rcnn] [paper-networks] [state-dicts] [coco-eval] [detectors]
                                    [pytorch-files] [onnx-files] [svd] [detectron2]

Needs numpy, PyTorch, torchvision and onnx (Debian: python3-torch python3-torchvision python3-onnx; made with 1.13 and 0.14), and for
coco-eval pycocotools (pip; made with 2.0.11). The tests read the files and need no Python. All random
numbers are seeded; a second run gives the same numbers up to the last bits, which depend on PyTorch's threads.

    pytorch-ops.safetensors     every operation of the engine, forward and backward (goldens/ops.py)
    pytorch-frcnn.safetensors   20 training steps of a small Faster R-CNN (goldens/faster_rcnn.py)
    pytorch-paper.safetensors   VGG-16 and ZF at 600x800: samples of maps, RPN and head (goldens/paper_networks.py)
    pytorch-state-dicts.json    names and shapes of torchvision's networks (goldens/state_dicts.py)
    torchvision-detectors.safetensors  detections and training steps of torchvision's pyramids (goldens/detectors.py)
    detectron2-detectors.safetensors   detections of detectron2's (goldens/detectron2_detectors.py, which says what it needs)
    pytorch-files.json          small files of torch.save (goldens/pytorch_files.py)
    onnx-files.json             small networks as ONNX files (goldens/onnx_files.py)
    pycocotools.json            COCO's evaluation of small scenes (goldens/coco_eval.py)
    numpy-svd.json              singular values and best approximations of small matrices (goldens/svd.py)
"""
import json
import struct
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
sys.dont_write_bytecode = True
from goldens import (  # noqa: E402
    coco_eval, detectors, detectron2_detectors, faster_rcnn, onnx_files, ops, paper_networks, pytorch_files, state_dicts, svd
)

FOLDER = Path(__file__).parent.parent / 'test' / 'golden'


def save_safetensors(path, made):
    """8 bytes of header length, the header as JSON, the tensors' bytes; floats as F32, integers as I32."""
    tensors, metadata = made
    header, parts, offset = {'__metadata__': metadata}, [], 0
    for name, values in tensors.items():
        values = np.asarray(values)
        integer = np.issubdtype(values.dtype, np.integer) or values.dtype == bool
        data = np.ascontiguousarray(values, '<i4' if integer else '<f4').tobytes()
        shape = list(values.shape)
        header[name] = {'dtype': 'I32' if integer else 'F32', 'shape': shape, 'data_offsets': [offset, offset + len(data)]}
        parts.append(data)
        offset += len(data)
    text = json.dumps(header).encode()
    text += b' ' * (-len(text) % 8)
    path.write_bytes(struct.pack('<Q', len(text)) + text + b''.join(parts))
    print(f'{path.name}: {len(tensors)} tensors, {path.stat().st_size} bytes')


def save_json(path, made):
    path.write_text(json.dumps(made, separators=(',', ':')) + '\n')
    print(f'{path.name}: {path.stat().st_size} bytes')


PARTS = {
    'ops': ('pytorch-ops.safetensors', ops.make, save_safetensors),
    'faster-rcnn': ('pytorch-frcnn.safetensors', faster_rcnn.make, save_safetensors),
    'paper-networks': ('pytorch-paper.safetensors', paper_networks.make, save_safetensors),
    'detectors': ('torchvision-detectors.safetensors', detectors.make, save_safetensors),
    'detectron2': ('detectron2-detectors.safetensors', detectron2_detectors.make, save_safetensors),
    'pytorch-files': ('pytorch-files.json', pytorch_files.make, save_json),
    'onnx-files': ('onnx-files.json', onnx_files.make, save_json),
    'coco-eval': ('pycocotools.json', coco_eval.make, save_json),
    'svd': ('numpy-svd.json', svd.make, save_json),
    'state-dicts': ('pytorch-state-dicts.json', state_dicts.make, save_json),
}

for part in sys.argv[1:] or [part for part in PARTS if part != 'detectron2']:
    name, make, save = PARTS[part]
    save(FOLDER / name, make())
