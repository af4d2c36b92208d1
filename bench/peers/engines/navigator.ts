/** `navigator.gpu` in Node, for engines made for browsers: Dawn through the npm package `webgpu`. */
import { create, globals } from 'webgpu';

/** Installs it and returns the name of the adapter that an engine will get. */
export async function provideNavigator(): Promise<string> {
  Object.assign(globalThis, globals);
  const gpu = create([]);
  const requestAdapter = () => gpu.requestAdapter({ powerPreference: 'high-performance' });
  const value = {
    userAgent: 'Node',
    hardwareConcurrency: 1,
    gpu: { requestAdapter, getPreferredCanvasFormat: () => 'bgra8unorm', wgslLanguageFeatures: new Set() },
  };
  Object.defineProperty(globalThis, 'navigator', { value, configurable: true });
  const adapter = await requestAdapter();
  if (!adapter) throw new Error('the system has no Vulkan, Metal or D3D12 driver that it could use');
  const { description, vendor, architecture, device } = adapter.info;
  return description || [vendor, architecture, device].filter(Boolean).join(' ') || 'GPU';
}
