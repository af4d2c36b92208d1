"""torchvision's side of the detector's rows: requests and answers are lines of JSON."""
import json
import os
import sys

import torch
import torchvision
from torchvision.models.detection import faster_rcnn, fasterrcnn_resnet50_fpn
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops.misc import FrozenBatchNorm2d

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../../scripts'))
from goldens import seeded  # noqa: E402

torch.set_num_threads(len(os.sched_getaffinity(0)))  # some builds begin with one
torch.randperm = lambda n, **_: torch.arange(n)  # the samplers take the first candidates by index, as ours do
OBJECTS = 100
TERMS = ('loss_objectness', 'loss_rpn_box_reg', 'loss_classifier', 'loss_box_reg')


def prepare(seed, size, sides, training):
    """A function that computes once and gives the numbers that are compared."""
    shorter, longer = sides
    image = torch.from_numpy(seeded.picture(seed, *size)).permute(2, 0, 1).float() / 255
    if training is None:
        model = fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None, min_size=shorter, max_size=longer)
        seeded.fill_model(model, seed)
        model.eval()

        def detect():
            with torch.no_grad():
                scores = model([image])[0]['scores'].tolist()
            return scores + [0] * (OBJECTS - len(scores))

        return detect
    backbone = resnet_fpn_backbone(
        backbone_name='resnet50', weights=None, norm_layer=FrozenBatchNorm2d, trainable_layers=3
    )
    model = faster_rcnn.FasterRCNN(backbone, num_classes=91, min_size=shorter, max_size=longer)
    seeded.fill_model(model, seed, training['heads'])
    model.train()
    boxes = torch.tensor(training['boxes'], dtype=torch.float32)
    target = {'boxes': boxes[:, :4], 'labels': boxes[:, 4].long()}
    trained = [p for p in model.parameters() if p.requires_grad]
    sgd = torch.optim.SGD(trained, lr=training['learningRate'], momentum=training['momentum'])

    def step():
        sgd.zero_grad()
        terms = model([image], [target])
        sum(terms.values()).backward()
        sgd.step()
        return [float(terms[name]) for name in TERMS]

    return step


compute = None
for line in sys.stdin:
    request = json.loads(line)
    answer = {}
    if request['kind'] == 'version':
        answer['version'] = f'{torchvision.__version__}, PyTorch {torch.__version__}'
    elif request['kind'] == 'prepare':
        compute = prepare(request['seed'], request['size'], request['sides'], request['training'])
    elif request['kind'] == 'run':
        answer['values'] = compute()
    elif request['kind'] == 'dispose':
        compute = None
    print(json.dumps(answer), flush=True)
