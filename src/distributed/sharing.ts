/** What process 0 has on its device, given to all. */
import type { Tensor } from '../engine/tensor.ts';
import type { Processes } from './processes.ts';

/** Every process calls it, with tensors of the same shapes; process 0's values are then everybody's. */
export async function shareTensors(processes: Processes, tensors: readonly Tensor[]): Promise<void> {
  if (processes.size === 1) return;
  for (const tensor of tensors) {
    const values = await tensor.read();
    await processes.share(new Uint8Array(values.buffer));
    if (!processes.leads) tensor.write(values);
  }
}
