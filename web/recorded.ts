/** Reads the recorded training that lies beside the page (scripts/recordRun.ts): its weights, and what the Train part shows of it. */
import {
  type EvaluationReport,
  parseSafetensors,
  type Safetensors,
  type StagedDetection,
  UserError,
} from '../src/index.ts';

import type { LossLine } from './lossChart.ts';

const FOLDER = 'recorded';

/** The digits' network. */
export async function readDigitsWeights(): Promise<Safetensors> {
  const { body } = await get('digits.bin'); // hosts unpack files named .gz on the way
  const unpacked = body!.pipeThrough(new DecompressionStream('gzip'));
  return parseSafetensors(new Uint8Array(await new Response(unpacked).arrayBuffer()), 'digits.safetensors');
}

export interface RecordedRun {
  /** The device that trained. */
  adapter: string;
  steps: number;
  seconds: number;
  losses: LossLine[];
  /** What was found in the scenes that are shown. */
  scenes: StagedDetection[];
  report: Pick<EvaluationReport, 'mAP' | 'ap' | 'images'>;
}

export async function readRecordedRun(): Promise<RecordedRun> {
  const { losses, ...run } = (await (await get('run.json')).json()) as Omit<RecordedRun, 'losses'> & {
    losses: [step: number, loss: number, ...terms: [number, number, number, number]][];
  };
  return {
    ...run,
    losses: losses.map(([step, loss, rpn_cls, rpn_box, head_cls, head_box]) => ({
      ...{ step, loss, rpn_cls, rpn_box, head_cls, head_box },
    })),
  };
}

async function get(file: string): Promise<Response> {
  const response = await fetch(`${FOLDER}/${file}`);
  if (!response.ok) throw new UserError(`${file}: ${response.status} ${response.statusText}; build the page again`);
  return response;
}
