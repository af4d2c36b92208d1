/**
 * The paper's experiments on the digit scenes: what is trained, how each network is tested, and the paper's own figures.
 * Sizes suit the scenes (160 x 160 pixels, digits of 18 to 80) as the paper's suit photographs.
 */

import type { Schedule } from '../src/run/config/stages.ts';
import type { ProposalSource } from './proposals.ts';

/** A network: the demo preset with some choices changed, trained once per seed. */
export interface Variant {
  id: string;
  schedule?: Schedule;
  /** The method whose proposals it is trained and tested on. */
  proposals?: ProposalSource;
  /** It is trained on this many scenes at most; without it, one with proposals on as many as there are steps. */
  scenes?: number;
  /** The network whose weights it starts from; of the same seed, and earlier in the list. */
  init?: string;
  /** In the form of `rcnn train --set`. */
  set?: string[];
}

/** A row of a table: a trained network, and the settings that are changed for the test, if any. */
export interface Row {
  label: string;
  variant: string;
  /** In the form of `rcnn eval --set`. */
  set?: string[];
  /** The mAP that the paper prints for the corresponding row, in per cent. */
  paper?: number;
}

export interface Experiment {
  id: string;
  title: string;
  /** The paper's table and setting. */
  source: string;
  /** Whether the milliseconds of a test image stand in the table. */
  timed?: boolean;
  rows: Row[];
}

const anchors = (sizes: number[], ratios: number[]): string[] => [
  `detector.anchors.sizes=${JSON.stringify(sizes)}`,
  `detector.anchors.ratios=${JSON.stringify(ratios)}`,
];
const lambda = (value: number): string[] => ['detector.rpn.normalisation=locations', `detector.rpn.lambda=${value}`];
const proposals = (count: number, without: string): string[] => [
  `detector.rpn.test.postNms=${count}`,
  `detector.rpn.test.preNms=${Math.max(1000, count)}`,
  `detector.rpn.test.without=${without}`,
];

/** SPP-net's five scales (480 to 1200 where one scale has 600), for scenes of 160 pixels; 60 of them correspond to its 224. */
const SCALES = 'detector.input.scales=[128,154,183,230,320]';
const SCALE_SIDE = 'detector.head.scaleSide=60';

const SPP_NET: Variant = { id: 'spp-net-ss', schedule: 'spp-net', proposals: 'selective-search', init: 'joint' };

export const VARIANTS: readonly Variant[] = [
  { id: 'joint' },
  { id: 'joint-warp', schedule: 'joint-warp' },
  { id: 'alternating', schedule: 'alternating' },
  { id: 'unshared', schedule: 'unshared' },
  { id: 'anchors-1x1', set: anchors([36], [1]) },
  { id: 'anchors-1x3', set: anchors([36], [0.5, 1, 2]) },
  { id: 'anchors-3x1', set: anchors([20, 36, 64], [1]) },
  ...[0.1, 1, 10, 100].map((value) => ({ id: `lambda-${value}`, set: lambda(value) })),
  { id: 'one-stage', set: ['detector.stages=1'] },
  { id: 'one-stage-5', set: ['detector.stages=1', SCALES] },
  { id: 'fast-rcnn-ss', schedule: 'fast-rcnn', proposals: 'selective-search' },
  { id: 'fast-rcnn-eb', schedule: 'fast-rcnn', proposals: 'edge-boxes' },
  { id: 'fast-rcnn-mb', schedule: 'fast-rcnn', proposals: 'multibox' },
  // Each region goes through the whole network: a scene costs thirty times as much as with shared features.
  { id: 'rcnn-ss', schedule: 'rcnn', proposals: 'selective-search', scenes: 300 },
  SPP_NET,
  { ...SPP_NET, id: 'spp-net-ss-5', set: [SCALES, SCALE_SIDE] },
];

export const EXPERIMENTS: readonly Experiment[] = [
  {
    id: 'sharing',
    title: 'Sharing features',
    source: 'section 3.2; table 2 (ZF, VOC 2007): shared 59.9, unshared 58.7',
    rows: [
      { label: 'alternating, shared', variant: 'alternating', paper: 59.9 },
      { label: 'unshared', variant: 'unshared', paper: 58.7 },
      { label: 'joint', variant: 'joint' },
      { label: 'joint, RoI warping', variant: 'joint-warp' },
    ],
  },
  {
    id: 'systems',
    title: 'The systems side by side',
    source:
      'tables 2 (ZF, VOC 2007) and 5 (ZF on a K40: proposals 3 ms, the rest 56 ms; Selective Search 1 to 2 s, EdgeBoxes 0.2 s); 2000 proposals for training there, 300 here; EdgeBoxes on gradient edges here',
    timed: true,
    rows: [
      { label: 'R-CNN, Selective Search, SVMs', variant: 'rcnn-ss' },
      { label: 'SPP-net, Selective Search (convolutions of the joint network)', variant: 'spp-net-ss' },
      { label: 'SPP-net, the same, five scales', variant: 'spp-net-ss-5' },
      { label: 'Fast R-CNN, Selective Search', variant: 'fast-rcnn-ss', paper: 58.7 },
      { label: 'Fast R-CNN, EdgeBoxes', variant: 'fast-rcnn-eb', paper: 58.6 },
      { label: 'Fast R-CNN, MultiBox (100 boxes)', variant: 'fast-rcnn-mb' },
      { label: 'one stage, dense anchors', variant: 'one-stage' },
      { label: 'one stage, five scales', variant: 'one-stage-5' },
      { label: 'RPN and Fast R-CNN, unshared', variant: 'unshared', paper: 58.7 },
      { label: 'Faster R-CNN, shared (alternating)', variant: 'alternating', paper: 59.9 },
      { label: 'Faster R-CNN, joint', variant: 'joint' },
      { label: 'the same network, tested at five scales', variant: 'joint', set: [SCALES, SCALE_SIDE] },
    ],
  },
  {
    id: 'anchors',
    title: 'Anchors',
    source: 'table 8 (VGG-16, VOC 2007), scales of 128 or 256, 128 to 512',
    rows: [
      { label: '1 scale, 1 ratio', variant: 'anchors-1x1', paper: 66.7 },
      { label: '1 scale, 3 ratios', variant: 'anchors-1x3', paper: 67.9 },
      { label: '3 scales, 1 ratio', variant: 'anchors-3x1', paper: 69.8 },
      { label: '3 scales, 3 ratios', variant: 'joint', paper: 69.9 },
    ],
  },
  {
    id: 'lambda',
    title: 'Weight of the RPN’s box loss',
    source: 'table 9 (VGG-16, VOC 2007); divided by the number of locations, 1600 here, about 2400 there',
    rows: [
      { label: 'lambda 0.1', variant: 'lambda-0.1', paper: 67.2 },
      { label: 'lambda 1', variant: 'lambda-1', paper: 68.9 },
      { label: 'lambda 10', variant: 'lambda-10', paper: 69.9 },
      { label: 'lambda 100', variant: 'lambda-100', paper: 69.1 },
    ],
  },
  {
    id: 'stages',
    title: 'One stage against two',
    source:
      'table 10 (ZF, VOC 2007): unshared RPN and detector against the detector on all anchors, at one scale of an image and at five',
    rows: [
      { label: 'two stages, unshared', variant: 'unshared', paper: 58.7 },
      { label: 'one stage, dense anchors', variant: 'one-stage', paper: 53.8 },
      { label: 'one stage, five scales', variant: 'one-stage-5', paper: 53.9 },
    ],
  },
  {
    id: 'proposals',
    title: 'Proposals at test time',
    source:
      'table 2 (ZF, VOC 2007, the detector trained on Selective Search); here the jointly trained network, a tenth as many proposals',
    rows: [
      { label: '10 proposals', variant: 'joint', set: proposals(10, 'nothing'), paper: 55.1 },
      { label: '30', variant: 'joint', set: proposals(30, 'nothing'), paper: 56.8 },
      { label: '100', variant: 'joint', set: proposals(100, 'nothing'), paper: 56.3 },
      { label: 'no NMS, 600', variant: 'joint', set: proposals(600, 'nms'), paper: 55.2 },
      { label: 'no cls, 10', variant: 'joint', set: proposals(10, 'cls'), paper: 44.6 },
      { label: 'no cls, 30', variant: 'joint', set: proposals(30, 'cls'), paper: 51.4 },
      { label: 'no cls, 100', variant: 'joint', set: proposals(100, 'cls'), paper: 55.8 },
      { label: 'no reg, 30', variant: 'joint', set: proposals(30, 'reg'), paper: 52.1 },
      { label: 'no reg, 100', variant: 'joint', set: proposals(100, 'reg'), paper: 51.3 },
    ],
  },
];
