/** Checks of the functions of one number. */
import {
  readsInput,
  unaryBackward,
  unaryBackwardReference,
  unaryForward,
  type UnaryName,
  unaryReference,
} from '../unary.ts';
import type { KernelCheck } from './check.ts';
import { doubles, held, normals, rounded } from './inputs.ts';

/** At least 0.05 if the function is defined for positive numbers only; otherwise some are so large that exp overflows. */
function unaryInputs(name: UnaryName, n: number): Float32Array {
  if (['log', 'sqrt', 'reciprocal'].includes(name)) return held(normals(n, 1, 3).map((x) => Math.abs(x) + 0.05));
  const x = normals(n, 1, 3);
  if (name !== 'exp') [100, -100, 88, -88, 20, -20, 0].forEach((extreme, i) => (x[i * Math.floor(n / 7)] = extreme));
  return x;
}

/** WGSL's exp and log may be off by some units in the last place, more for larger arguments: exp(12) by 1e-5 of itself. */
const FUNCTION = { atol: 2e-6, rtol: 1e-5 };

export function unaryForwardCheck(name: UnaryName, n: number): KernelCheck {
  const x = unaryInputs(name, n);
  return {
    name: `${name} ${n}`,
    kernel: unaryForward(name),
    buffers: { x, y: new Float32Array(n) },
    uniforms: { n },
    expected: { y: unaryReference(name, doubles(x)) },
    ...FUNCTION,
  };
}

export function unaryBackwardCheck(name: UnaryName, n: number): KernelCheck {
  const x = unaryInputs(name, n);
  const dy = normals(n, 2);
  return {
    name: `${name}_backward ${n}`,
    kernel: unaryBackward(name),
    buffers: { value: readsInput(name) ? x : rounded(unaryReference(name, doubles(x))), dy, dx: normals(n, 3) },
    uniforms: { n },
    expected: { dx: unaryBackwardReference(name, doubles(x), doubles(dy)) },
    ...FUNCTION,
  };
}
