/**
 * A table of elementwise functions of one number: y = f(x), dx = dy f'(x), the derivative in terms of x and y.
 *
 * WGSL leaves the result of an overflowing exp open, so sigmoid and softplus go through exp(-|x|), and tanh is 1 from 9.1
 * on, exact to the last bit. NaN must give NaN, which functions made of polynomials and bounds may lose, so it is detected
 * by its bits (ieee.ts), in the gradient too. ReLU has kernels of its own (relu.ts), which layers fuse. Four elements a
 * turn (elementwise.ts).
 */
import { elementwise4 } from './elementwise.ts';
import { IEEE_LOG_WGSL, IEEE_WGSL } from './ieee.ts';
import { memoize } from './kernel.ts';

interface UnaryFunction {
  /** WGSL of f(x), x a vec4f. */
  y: string;
  /** WGSL of f'(x), of `x` or `y`. */
  slope: string;
  reference: (x: number) => number;
  slopeReference: (x: number) => number;
}

const EXP_ABS = 'exp(-abs(x))';
const one = 'vec4f(1.0)';
const LOGISTIC = `select(${EXP_ABS}, ${one}, x >= vec4f()) / (1.0 + ${EXP_ABS})`;
const LOGISTIC_WGSL = `fn logistic(x: vec4f) -> vec4f { return ${LOGISTIC}; }`;
const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const hardSigmoid = (x: number): number => Math.min(Math.max(x + 3, 0), 6) / 6;

/**
 * The distribution function of the normal distribution, by Abramowitz and Stegun's formula 7.1.26 for erfc, whose error is below
 * 1.5e-7; and its density.
 */
const NORMAL_WGSL = /* wgsl */ `
fn normal_density(x: vec4f) -> vec4f { return 0.3989422804 * exp(-0.5 * x * x); }
fn normal_below(x: vec4f) -> vec4f {
  let z = abs(x) * 0.7071067812;
  let t = 1.0 / (1.0 + 0.3275911 * z);
  let series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  let tail = 0.5 * series * exp(-z * z);
  return select(tail, 1.0 - tail, x >= vec4f());
}
`;

/** The same for references: the series of the error function, or its continued fraction for large numbers. */
function normalBelow(x: number): number {
  const z = Math.abs(x) / Math.SQRT2;
  let tail: number;
  if (z < 3) {
    let [term, sum] = [z, z];
    for (let n = 1; n < 100; n++) {
      term *= (-z * z) / n;
      sum += term / (2 * n + 1);
    }
    tail = 0.5 - sum / Math.sqrt(Math.PI);
  } else {
    let fraction = z;
    for (let n = 60; n > 0; n--) fraction = z + n / 2 / fraction;
    tail = Math.exp(-z * z) / fraction / Math.sqrt(Math.PI) / 2;
  }
  return x >= 0 ? 1 - tail : tail;
}

export const UNARY = {
  sigmoid: {
    y: LOGISTIC,
    slope: 'y * (1.0 - y)',
    reference: sigmoid,
    slopeReference: (x) => sigmoid(x) * sigmoid(-x),
  },
  tanh: {
    y: 'tanh(clamp(x, vec4f(-10.0), vec4f(10.0)))',
    slope: '1.0 - y * y',
    reference: Math.tanh,
    slopeReference: (x) => 1 - Math.tanh(x) ** 2,
  },
  /** log(1 + e^x): a smooth ReLU, and the log loss of a sigmoid. */
  softplus: {
    y: `max(x, vec4f()) + log(1.0 + ${EXP_ABS})`,
    slope: LOGISTIC,
    reference: (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
    slopeReference: sigmoid,
  },
  exp: { y: 'exp(x)', slope: 'y', reference: Math.exp, slopeReference: Math.exp },
  log: { y: 'ieee_log(x)', slope: '1.0 / x', reference: Math.log, slopeReference: (x) => 1 / x },
  sqrt: { y: 'sqrt(x)', slope: '0.5 / y', reference: Math.sqrt, slopeReference: (x) => 0.5 / Math.sqrt(x) },
  /** The derivative at 0 is 0. */
  abs: { y: 'abs(x)', slope: 'sign(x)', reference: Math.abs, slopeReference: Math.sign },
  /** min(max(x + 3, 0), 6) / 6 (MobileNetV3, Howard et al. 2019, section 5.2); no slope at the ends, as in PyTorch. */
  hardSigmoid: {
    y: 'clamp((x + 3.0) / 6.0, vec4f(), vec4f(1.0))',
    slope: 'select(vec4f(), vec4f(1.0 / 6.0), abs(x) < vec4f(3.0))',
    reference: hardSigmoid,
    slopeReference: (x) => (Math.abs(x) < 3 ? 1 / 6 : 0),
  },
  /** x hardSigmoid(x), from the same paper. */
  hardSwish: {
    y: 'x * clamp((x + 3.0) / 6.0, vec4f(), vec4f(1.0))',
    slope: 'select(select(x / 3.0 + 0.5, vec4f(1.0), x > vec4f(3.0)), vec4f(), x < vec4f(-3.0))',
    reference: (x) => x * hardSigmoid(x),
    slopeReference: (x) => (x < -3 ? 0 : x > 3 ? 1 : x / 3 + 0.5),
  },
  /** x times the probability that a standard normal number is below x (Hendrycks and Gimpel 2016), not its approximation by tanh. */
  gelu: {
    y: 'x * normal_below(x)',
    slope: 'normal_below(x) + select(x * normal_density(x), vec4f(), abs(x) > vec4f(20.0))',
    reference: (x) => x * normalBelow(x),
    slopeReference: (x) => normalBelow(x) + (x * Math.exp(-0.5 * x * x)) / Math.sqrt(2 * Math.PI),
  },
  /** x sigmoid(x), the swish of Ramachandran et al. 2017. */
  silu: {
    y: 'x * logistic(x)',
    slope: 'logistic(x) * (1.0 + select(x * (1.0 - logistic(x)), vec4f(), x > vec4f(100.0)))',
    reference: (x) => x * sigmoid(x),
    slopeReference: (x) => sigmoid(x) * (1 + x * sigmoid(-x)),
  },
  reciprocal: { y: '1.0 / x', slope: '-y * y', reference: (x) => 1 / x, slopeReference: (x) => -1 / (x * x) },
} satisfies Record<string, UnaryFunction>;

export type UnaryName = keyof typeof UNARY;

/** Whether the derivative is computed from the input; if not, x need not be kept. */
export const readsInput = (name: UnaryName): boolean => /\bx\b/.test(UNARY[name].slope);

export const unaryForward = memoize((name: UnaryName) =>
  elementwise4({
    name,
    buffers: { x: 'read vec4f', y: 'write vec4f' },
    functions: /* wgsl */ `${IEEE_WGSL}${IEEE_LOG_WGSL}${NORMAL_WGSL}${LOGISTIC_WGSL}
fn f(x: vec4f) -> vec4f { return ${UNARY[name].y}; }`,
    body: 'y[i] = select(f(x[i]), x[i], is_nan4(x[i]));',
  }),
);

/** `value`: the input x where `readsInput`, else the result y. */
export const unaryBackward = memoize((name: UnaryName) =>
  elementwise4({
    name: `${name}_backward`,
    buffers: { value: 'read vec4f', dy: 'read vec4f', dx: 'write vec4f' },
    functions: /* wgsl */ `${IEEE_WGSL}${NORMAL_WGSL}${LOGISTIC_WGSL}
fn slope(${readsInput(name) ? 'x' : 'y'}: vec4f) -> vec4f { return ${UNARY[name].slope}; }`,
    body: 'dx[i] = dy[i] * select(slope(value[i]), value[i], is_nan4(value[i]));',
  }),
);

export const unaryReference = (name: UnaryName, x: Float64Array): Float64Array => x.map(UNARY[name].reference);

export const unaryBackwardReference = (name: UnaryName, x: Float64Array, dy: Float64Array): Float64Array =>
  dy.map((value, i) => value * UNARY[name].slopeReference(x[i]!));
