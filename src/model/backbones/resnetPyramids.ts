/**
 * Feature pyramids on residual networks: torchvision's fasterrcnn_resnet50_fpn, its second version, and the same on ResNet-18;
 * detectron2's R_50_FPN and R_101_FPN, and its R_50_C4 and R_101_C4, which have an RPN of the same kind on one map.
 */
import { TORCHVISION_INPUT } from '../inputForms.ts';
import type { BackboneDescriptor } from './backbone.ts';
import { type Marks, PYRAMID_CHANNELS, type PyramidDescriptor } from './pyramid.ts';
import { resnet101, resnet18, resnet50, resnetBody, type ResnetName } from './resnet.ts';

const pyramidOn = (body: ResnetName, marks: PyramidDescriptor['marks']): PyramidDescriptor => ({
  body: resnetBody(body),
  channels: PYRAMID_CHANNELS,
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

/** detectron2's names: `blocks` of the third stage. */
const detectron2Body = (prefix: string, blocks: number): Marks => ({
  [`${prefix}.res4.${blocks - 1}.conv3.weight`]: [1024, 256, 1, 1],
  [`${prefix}.res4.${blocks}.conv3.weight`]: null,
});
const DETECTRON2_FPN: Marks = {
  'backbone.fpn_lateral5.weight': [256, 2048, 1, 1],
  'roi_heads.box_head.fc1.weight': [1024, 12544],
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
    torchvision: {
      'backbone.body.layer4.0.downsample.0.weight': [512, 256, 1, 1],
      'backbone.body.layer1.2.conv1.weight': null,
      'roi_heads.box_head.fc6.weight': [1024, 12544],
    },
  }),
};

export const resnet50Fpn: BackboneDescriptor = {
  ...resnet50,
  ...common,
  name: 'resnet50_fpn',
  title: "ResNet-50 under a feature pyramid: torchvision's fasterrcnn_resnet50_fpn",
  pyramid: pyramidOn('resnet50', {
    torchvision: { ...RESNET50, 'roi_heads.box_head.fc6.weight': [1024, 12544] },
    detectron2: { ...detectron2Body('backbone.bottom_up', 6), ...DETECTRON2_FPN },
  }),
};

export const resnet50FpnV2: BackboneDescriptor = {
  ...resnet50,
  ...common,
  name: 'resnet50_fpn_v2',
  title: "the same with batch normalisation throughout: torchvision's fasterrcnn_resnet50_fpn_v2",
  pyramid: {
    ...pyramidOn('resnet50', { torchvision: { ...RESNET50, 'roi_heads.box_head.5.weight': [1024, 12544] } }),
    normalised: true,
    rpnConvolutions: 2,
    regionLayers: 'convolutional',
  },
};

export const resnet101Fpn: BackboneDescriptor = {
  ...resnet101,
  ...common,
  name: 'resnet101_fpn',
  title: "ResNet-101 under a feature pyramid: detectron2's R_101_FPN",
  pyramid: pyramidOn('resnet101', {
    detectron2: { ...detectron2Body('backbone.bottom_up', 23), ...DETECTRON2_FPN },
  }),
};

const onOneMap = (resnet: BackboneDescriptor, blocks: number, title: string): BackboneDescriptor => ({
  ...resnet,
  name: `${resnet.name}_c4`,
  title,
  pyramid: {
    channels: 1024,
    normalised: false,
    anchorSizes: 'all',
    rpnConvolutions: 1,
    regionLayers: 'connected',
    levelStrides: [resnet.stride],
    regionLevels: 1,
    marks: {
      detectron2: { ...detectron2Body('backbone', blocks), 'roi_heads.res5.0.conv1.weight': [512, 1024, 1, 1] },
    },
  },
});

export const resnet50C4 = onOneMap(resnet50, 6, "resnet50 with a sigmoid RPN: detectron2's R_50_C4");
export const resnet101C4 = onOneMap(resnet101, 23, "resnet101 with a sigmoid RPN: detectron2's R_101_C4");
