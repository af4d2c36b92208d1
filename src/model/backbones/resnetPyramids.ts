/** Feature pyramids on residual networks: torchvision's fasterrcnn_resnet50_fpn, its second version, and the same on ResNet-18. */
import { TORCHVISION_INPUT } from '../inputForms.ts';
import type { BackboneDescriptor } from './backbone.ts';
import type { PyramidDescriptor } from './pyramid.ts';
import { resnet18, resnet50, resnetBody, type ResnetName } from './resnet.ts';

const pyramidOn = (body: ResnetName, marks: PyramidDescriptor['marks']): PyramidDescriptor => ({
  body: resnetBody(body),
  marks,
  normalised: false,
  anchorSizes: 'own',
  rpnConvolutions: 1,
  regionLayers: 'connected',
  levelStrides: [4, 8, 16, 32],
  regionLevels: 4,
});

/** layer3 has six blocks of three convolutions; that of ResNet-101 has 23. */
const RESNET50 = {
  'backbone.body.layer3.5.conv3.weight': [1024, 256, 1, 1],
  'backbone.body.layer3.6.conv3.weight': null,
};

const common = {
  stride: 32,
  input: TORCHVISION_INPUT,
  frozenStages: 2,
  pooled: 7,
  learnsFromRandom: false,
  torchvisionNamesTellInput: true,
} as const;

export const resnet18Fpn: BackboneDescriptor = {
  ...resnet18,
  ...common,
  name: 'resnet18_fpn',
  title: 'ResNet-18 under a feature pyramid',
  pyramid: pyramidOn('resnet18', {
    'backbone.body.layer4.0.downsample.0.weight': [512, 256, 1, 1],
    'backbone.body.layer1.2.conv1.weight': null,
    'roi_heads.box_head.fc6.weight': [1024, 12544],
  }),
};

export const resnet50Fpn: BackboneDescriptor = {
  ...resnet50,
  ...common,
  name: 'resnet50_fpn',
  title: "ResNet-50 under a feature pyramid: torchvision's fasterrcnn_resnet50_fpn",
  pyramid: pyramidOn('resnet50', { ...RESNET50, 'roi_heads.box_head.fc6.weight': [1024, 12544] }),
};

export const resnet50FpnV2: BackboneDescriptor = {
  ...resnet50,
  ...common,
  name: 'resnet50_fpn_v2',
  title: "the same with batch normalisation throughout: torchvision's fasterrcnn_resnet50_fpn_v2",
  pyramid: {
    ...pyramidOn('resnet50', { ...RESNET50, 'roi_heads.box_head.5.weight': [1024, 12544] }),
    normalised: true,
    rpnConvolutions: 2,
    regionLayers: 'convolutional',
  },
};
