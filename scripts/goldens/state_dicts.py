"""Names and shapes of the tensors in torchvision's own state dicts: its classifiers, and Faster R-CNN on its VGG-16.

By network, then by tensor: the shape. The detectors differ in the layers of a pooled region: torchvision's TwoMLPHead at
the width of VGG-16's fc6 and fc7, these layers themselves behind a Flatten, and what FasterRCNN makes unless told.
"""
import torch
import torchvision
from torch import nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.rpn import AnchorGenerator
from torchvision.ops import MultiScaleRoIAlign

CLASSES = 21
MAP = 512
REGION = MAP * 7 * 7
WIDTH = 4096


def faster_rcnn(box_head=None):
    """`box_head(classifier)` makes the layers of a pooled region; given are VGG-16's, without the last."""
    vgg = torchvision.models.vgg16(weights=None)
    backbone = vgg.features[:-1]
    backbone.out_channels = MAP
    head = {'num_classes': CLASSES}
    if box_head:
        head = {'box_head': box_head(vgg.classifier[:-1]), 'box_predictor': FastRCNNPredictor(WIDTH, CLASSES)}
    return FasterRCNN(
        backbone,
        rpn_anchor_generator=AnchorGenerator(((128, 256, 512),), ((0.5, 1.0, 2.0),)),
        box_roi_pool=MultiScaleRoIAlign(['0'], 7, 2),
        **head,
    )


NETWORKS = {
    'vgg16': lambda: torchvision.models.vgg16(weights=None),
    'squeezenet1_1': lambda: torchvision.models.squeezenet1_1(weights=None),
    'fasterrcnn, TwoMLPHead': lambda: faster_rcnn(lambda _: TwoMLPHead(REGION, WIDTH)),
    'fasterrcnn, classifier': lambda: faster_rcnn(lambda layers: nn.Sequential(nn.Flatten(), *layers)),
    'fasterrcnn, default head': faster_rcnn,
}


def make():
    shapes = {
        name: {tensor: list(values.shape) for tensor, values in network().state_dict().items()}
        for name, network in NETWORKS.items()
    }
    made_by = f'PyTorch {torch.__version__}, torchvision {torchvision.__version__}, scripts/make-goldens.py'
    return {'made_by': made_by, 'state_dicts': shapes}
