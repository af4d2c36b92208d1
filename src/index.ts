/** Public API, browser-safe. */
export { Gpu, type AdapterSummary, type GpuStatistics } from './engine/gpu.ts';
