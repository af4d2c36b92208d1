/** Public API, browser-safe: the engine on any `GPUDevice`. Node's entry is node.ts. The engine's part: docs/engine.md. */
export { Gpu, type AdapterSummary, type GpuStatistics } from './engine/gpu.ts';
export { tune, type TuneOptions, type TuneReport } from './engine/tuner.ts';
export { reportedLimits } from './engine/limits.ts';
export { requestGpu } from './engine/request.ts';
export { UserError } from './engine/errors.ts';
export type { Dtype } from './engine/dtype.ts';
export { Tensor, type Shape } from './engine/tensor.ts';
export { constant, gaussian, heNormal, zeros, type Initializer } from './engine/initializers.ts';
export { conv2d, type Conv2dOptions } from './engine/ops/conv2d.ts';
export { convTranspose2d, type ConvTranspose2dOptions } from './engine/ops/convTranspose2d.ts';
export { linear, type LinearOptions } from './engine/ops/linear.ts';
export { cast } from './engine/ops/cast.ts';
export { add, scale } from './engine/ops/arithmetic.ts';
export {
  divide,
  equal,
  greater,
  greaterEqual,
  less,
  lessEqual,
  maximum,
  minimum,
  multiply,
  notEqual,
  type Operand,
  pow,
  subtract,
} from './engine/ops/binary.ts';
export {
  abs,
  dropout,
  exp,
  gelu,
  hardSigmoid,
  hardSwish,
  log,
  reciprocal,
  addRelu,
  relu,
  sigmoid,
  silu,
  softplus,
  sqrt,
  tanh,
  type DropoutOptions,
} from './engine/ops/pointwise.ts';
export { reshape } from './engine/ops/reshape.ts';
export { concat, permute, slice, softmax } from './engine/ops/axes.ts';
export { mean, sum } from './engine/ops/sums.ts';
export type { AxesOptions } from './engine/ops/shapes.ts';
export { matmul, type MatmulOptions } from './engine/ops/matmul.ts';
export { batchNorm, foldBatchNorm, type BatchNormOptions, type RunningStatistics } from './engine/ops/batchNorm.ts';
export { localResponseNorm, type LocalResponseNormOptions } from './engine/ops/localResponseNorm.ts';
export { upsampleBilinear, upsampleNearest } from './engine/ops/upsample.ts';
export { groupNorm, layerNorm } from './engine/ops/normalisation.ts';
export { type AttentionOptions, scaledDotProductAttention } from './engine/ops/attention.ts';
export { argMax, argMin, max, min, topK } from './engine/ops/extrema.ts';
export { embedding, gather } from './engine/ops/gather.ts';
export { pad, split, stack } from './engine/ops/joining.ts';
export { broadcastTo } from './engine/ops/broadcastTo.ts';
export { clip } from './engine/ops/clip.ts';
export { cumsum } from './engine/ops/cumulativeSum.ts';
export { logSoftmax } from './engine/ops/logSoftmax.ts';
export { where } from './engine/ops/where.ts';
export { BatchNorm2d, type BatchNorm2dOptions } from './engine/modules/batchNorm2d.ts';
export { Conv2d, type Conv2dModuleOptions } from './engine/modules/conv2d.ts';
export { Embedding, type EmbeddingOptions } from './engine/modules/embedding.ts';
export { LayerNorm } from './engine/modules/layerNorm.ts';
export { Linear, type LinearModuleOptions } from './engine/modules/linear.ts';
export { Module } from './engine/modules/module.ts';
export { Sequential, type SequentialLayer } from './engine/modules/sequential.ts';
export { averagePool2d, maxPool2d, type Pool2dOptions } from './engine/ops/pooling.ts';
export {
  binaryCrossEntropyWithLogits,
  meanSquaredError,
  classWeightedLogLoss,
  sigmoidLogLoss,
  smoothL1Loss,
  softmaxLogLoss,
  type SmoothL1Options,
  type SoftmaxLogLossOptions,
} from './engine/ops/losses.ts';
export {
  nms,
  pyramidPool,
  roiAlign,
  roiPool,
  roiWarp,
  type NmsOptions,
  type RoiAlignOptions,
  type RoiPoolOptions,
} from './engine/ops/rois.ts';
export { FasterRcnn } from './model/fasterRcnn.ts';
export { makeDetector } from './model/detectors.ts';
export {
  type Detections,
  type Detector,
  type LabelledBox,
  LOSS_TERMS,
  type Losses,
  type LossTerm,
  type PreparedImage,
  type Sampling,
} from './model/detector.ts';
export type { DecodedImage } from './kernels/imagePrepare.ts';
export { detectImage, detectInStages, type Proposal, type StagedDetection, STAGES } from './run/evaluation/detect.ts';
export type { Detection } from './eval/voc.ts';
export { type MinedSvm, type MiningOptions, trainWithHardNegatives } from './model/rcnn/hardNegatives.ts';
export {
  featureScale,
  type LinearSvm,
  type Rows,
  type SvmOptions,
  svmScores,
  trainLinearSvm,
} from './model/rcnn/linearSvm.ts';
export { type LinearRegression, ridgeRegression } from './model/rcnn/ridgeRegression.ts';
export { PROPOSAL_METHODS, type ProposalMethod, type ProposalSettings, proposeBoxes } from './proposals/propose.ts';
export type { MeasuredEdges } from './proposals/edgeMap.ts';
export {
  type DetectorTask,
  type DetectorTraining,
  type ImageLosses,
  trainDetector,
} from './run/training/trainDetector.ts';
export { makeOptimizer } from './run/training/makeOptimizer.ts';
export type { LoopStorage } from './run/training/loop.ts';
export type { MetricsLine } from './run/storage/metrics.ts';
export { evaluate, type Evaluation, type EvaluationReport } from './run/evaluation/evaluate.ts';
export { PRESETS, type Preset } from './run/config/presets.ts';
export { withSteps } from './run/config/stages.ts';
export { type Progress, restoreCheckpoint, serializeCheckpoint } from './run/storage/checkpointFormat.ts';
export { fillInitialWeights, type InitReport } from './run/storage/initialWeights.ts';
export { loadRun } from './run/storage/loadRun.ts';
export { loadPublished } from './run/storage/publishedDetector.ts';
export { parseRunConfig, type RunConfig } from './run/config/configSchema.ts';
export type { AnnotatedBox, Dataset, Sample } from './data/types.ts';
export { openDigits } from './data/digits.ts';
export type { Glyphs } from './data/glyphs.ts';
export type { WrittenImage, WrittenSplit } from './data/format.ts';
export { LABEL_FORMATS, type LabelFiles, type LabelFormat, writeLabels } from './data/labelFiles.ts';
export { type ImportedImage, type ImportedLabels, type ImportedObject, importLabels } from './data/labelImport.ts';
export { exportOnnx } from './onnx/exportDetector.ts';
export { exportOnnxNetwork, type OnnxNetworkInput, type OnnxNetworkOptions } from './onnx/exportNetwork.ts';
export type { OnnxExportOptions } from './onnx/proto.ts';
export { placeLabels } from './draw/labelPlaces.ts';
export { classColour, scoreColour } from './draw/colours.ts';
export { median } from './bench/statistics.ts';
export { stageTimes } from './bench/stageTimes.ts';
export { type CheckOutcome, kernelChecks, runKernelCheck } from './bench/kernelChecks.ts';
export {
  type Backbone,
  type BackboneBuilder,
  type BackboneDescriptor,
  type BackboneOptions,
  chain,
  connect,
  convolve,
  type Layer,
  ParameterStore,
} from './model/backbones/backbone.ts';
export { BACKBONES, registerBackbone } from './model/backbones/index.ts';
export { INPUT_FORMS, type InputForm } from './model/inputForms.ts';
export { CONVENTIONS } from './model/conventions.ts';
export {
  HEAD_DEFAULTS,
  RPN_DEFAULTS,
  TEST_DEFAULTS,
  type DetectorConfig,
  type TrainingConfig,
} from './model/config.ts';
export {
  operation,
  onTape,
  type BackwardOptions,
  type GradientRequest,
  type GradientRule,
  type GradientTarget,
  type Operation,
} from './engine/autograd.ts';
export { elementwise, elementwise4, type ElementwiseSpec } from './kernels/elementwise.ts';
export {
  ceilDiv,
  kernel,
  linear as linearGrid,
  type BufferSpec,
  type Grid,
  type Kernel,
  type KernelSpec,
} from './kernels/kernel.ts';
export { Optimizer, type ParameterGroup, type Update, type UpdateRule, type UpdateStep } from './engine/optimizer.ts';
export { Sgd, type SgdOptions } from './engine/sgd.ts';
export { Adam, AdamW, type AdamOptions } from './engine/adam.ts';
export { clipGradNorm, clipGradValue } from './engine/clipGradients.ts';
export { MovingAverage } from './engine/movingAverage.ts';
export { parseWeights } from './engine/weightsFile.ts';
export { parseSafetensors, serializeSafetensors, type Safetensors, type StoredTensor } from './engine/safetensors.ts';
