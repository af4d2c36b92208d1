/** The limits of a device that decide what fits on it. */
const NAMES = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupsPerDimension',
] as const;

/** These limits by their names, to show and to put into a bug report. */
export const reportedLimits = ({ limits }: Pick<GPUDevice, 'limits'>): Record<string, number> =>
  Object.fromEntries(NAMES.map((name) => [name, Number(limits[name])]));
