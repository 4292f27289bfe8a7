# SPDX-License-Identifier: BSD-2-Clause
"""The second engine (engine.py): one element at a time."""
import math

import numpy as np
import onnx

from engine_values import BOOL, F64, TINY, U, Value, bound, exact, lift, moved, near, once, op


# --- one element at a time ---


def broadcast(*values):
    shape = np.broadcast_shapes(*(v.shape for v in values))
    return [moved(lambda t: np.broadcast_to(t, shape), v) for v in values]


def arithmetic(name, f):
    """Rounds once; integers wrap."""
    @op(name)
    def run_arithmetic(n, a, b):
        a, b = broadcast(a, b)
        if not a.float:
            return exact(f(a.x, b.x), a.dtype)
        return once(*lift(f, a, b), a.dtype)


def divide(a, b):
    if a.dtype.kind == "f":
        return a / b
    q = np.abs(a.astype(object)) // np.abs(b.astype(object))  # towards zero
    return np.where((a < 0) != (b < 0), -q, q).astype(a.dtype)


def modulo(a, b, like_c):
    return np.fmod(a, b) if like_c else a - b * np.floor_divide(a, b)


arithmetic("Add", np.add)
arithmetic("Sub", np.subtract)
arithmetic("Mul", np.multiply)
arithmetic("Div", divide)


@op("Mod")
def mod(n, a, b):
    a, b = broadcast(a, b)
    assert not (np.any(a.e) or np.any(b.e)), "Mod of inexact values"
    return exact(modulo(a.x, b.x, n("fmod", 0) or a.float), a.dtype)


@op("Pow")
def power(n, a, b):
    a, b = broadcast(a, b)
    if not a.float:  # an integer base: of the exact power, its low bits
        p = b.x.astype(np.int64) if not b.float else b.x
        y = [int(float(u) ** float(w)) if float(w) < 0 or float(w) != int(w) else int(u) ** int(w) for u, w in zip(a.x.ravel(), p.ravel())]
        bits = 8 * a.dtype.itemsize
        y = [(v + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1) for v in y]
        return exact(np.array(y, dtype=object).reshape(a.shape), a.dtype)
    b = b if b.float else exact(b.x, np.float64)
    y, e = lift(np.power, a, b)
    return near(y, e + 8 * U * np.abs(y) + TINY, a.dtype)


def variadic(name, f, many=lambda y, k: y):
    @op(name)
    def run_variadic(n, *values):
        values = broadcast(*values)
        x, e, size = values[0].x, values[0].e, np.abs(values[0].x)
        for v in values[1:]:
            x, e, size = f(x, v.x), np.maximum(e, v.e) if f in (np.maximum, np.minimum) else e + v.e, size + np.abs(v.x)
        if not values[0].float or f in (np.maximum, np.minimum):
            return Value(x, e, values[0].dtype)  # of NaN and a number: NaN
        k = len(values)
        return near(many(x, k), many(e + bound(k, size), k), values[0].dtype)


variadic("Max", np.maximum)
variadic("Min", np.minimum)
variadic("Sum", np.add)
variadic("Mean", np.add, lambda y, k: y / k)


def rises(name, f, ulps=8, absolute=0.0):
    """A function of one float that rises or falls throughout, with a relative and an absolute error of its float32 evaluation."""
    @op(name)
    def run_rising(n, v):
        y, e = lift(f, v)
        return near(y, e + ulps * U * np.abs(y) + absolute + TINY, v.dtype) if ulps or absolute or np.any(e) else exact(y, v.dtype)


erf = np.vectorize(math.erf, otypes=[np.float64])
logistic = np.vectorize(lambda x: 1 / (1 + math.exp(-x)) if x > -700 else math.exp(x) if x == x else x, otypes=[np.float64])

rises("Exp", np.exp)
rises("Log", np.log, absolute=2 * U)
rises("Sigmoid", logistic, absolute=4 * U)
rises("Tanh", np.tanh, absolute=2 * U)
rises("Erf", erf, absolute=4 * U)
rises("Softplus", lambda x: np.logaddexp(0, x), absolute=4 * U)
rises("Softsign", lambda x: x / (1 + np.abs(x)))
rises("Reciprocal", lambda x: 1 / x, ulps=2)
rises("Ceil", np.ceil, ulps=0)
rises("Floor", np.floor, ulps=0)
rises("Round", np.rint, ulps=0)
rises("Atan", np.arctan)
rises("Asin", np.arcsin)
rises("Acos", np.arccos, absolute=2 * U)
rises("Atanh", np.arctanh, absolute=2 * U)
rises("Acosh", np.arccosh, absolute=2 * U)
rises("Asinh", np.arcsinh, absolute=2 * U)
rises("Sinh", np.sinh, absolute=2 * U)


@op("Sqrt")
def square_root(n, v):
    return once(*lift(np.sqrt, v), v.dtype)


@op("Neg", "Identity", "Dropout")
def negative(n, v, *_):
    y = Value(-v.x, v.e, v.dtype) if n.op == "Neg" else v
    return [y, exact(np.ones(v.shape, bool))][: n.n_out]  # Dropout does nothing when not trained, and its mask says so


@op("Abs", "Sign")
def absolute(n, v):
    return Value(np.abs(v.x), v.e, v.dtype) if n.op == "Abs" else Value(np.sign(v.x), (v.e >= np.abs(v.x)) * v.e * 2, v.dtype)


@op("Relu")
def relu(n, v):
    return Value(np.where(np.isnan(v.x) if v.float else False, v.x, np.maximum(v.x, 0)).astype(v.x.dtype), v.e, v.dtype)


@op("Clip")
def clip(n, v, lo=None, hi=None):
    """Below lo: lo; then above hi: hi, also where lo > hi. NaN stays. A bound that is left out is the type's last finite value."""
    if n.opset < 11:
        lo, hi = n("min"), n("max")
        lo, hi = (None if t is None else exact(np.float32(t)) for t in (lo, hi))
    ends = np.finfo(v.dtype) if v.float else np.iinfo(v.dtype)
    lo, hi = lo or exact(ends.min, v.dtype), hi or exact(ends.max, v.dtype)
    return Value(np.minimum(np.maximum(v.x, lo.x), hi.x), np.maximum(v.e, np.maximum(lo.e, hi.e)), v.dtype)


def piecewise(name, f, steepest, ulps=8, flat=0):
    """A function of one float that no error of its argument grows through by more than steepest(n); flat: exp(x) - 1 is a step
    of 1 off near 0, unless it is computed with more care."""
    @op(name)
    def run_piecewise(n, v):
        y = f(n, v.x)
        grown = v.e * steepest(n) if np.any(v.e) else 0.0
        return near(y, grown + ulps * U * (np.abs(y) + np.minimum(np.abs(v.x), 1)) + flat * U + TINY, v.dtype)


piecewise("Elu", lambda n, x: np.where(x < 0, n.f32("alpha", 1) * np.expm1(x), x), lambda n: max(1, abs(n.f32("alpha", 1))), flat=4)
piecewise("Celu", lambda n, x: np.maximum(x, 0) + np.minimum(0, n.f32("alpha", 1) * np.expm1(x / n.f32("alpha", 1))), lambda n: 1, flat=4)
SELU = (1.67326319217681884765625, 1.05070102214813232421875)
piecewise("Selu", lambda n, x: n.f32("gamma", SELU[1]) * np.where(x > 0, x, n.f32("alpha", SELU[0]) * np.expm1(x)),
          lambda n: abs(n.f32("gamma", SELU[1])) * max(1, abs(n.f32("alpha", SELU[0]))), ulps=16, flat=8)
piecewise("HardSigmoid", lambda n, x: np.clip(n.f32("alpha", 0.2) * x + n.f32("beta", 0.5), 0, 1), lambda n: abs(n.f32("alpha", 0.2)))
piecewise("HardSwish", lambda n, x: x * np.clip(x / 6 + 0.5, 0, 1), lambda n: 1.5)
piecewise("Mish", lambda n, x: x * np.tanh(np.logaddexp(0, x)), lambda n: 1.1)
piecewise("Swish", lambda n, x: x * logistic(n.f32("alpha", 1) * x), lambda n: 1.1 + abs(n.f32("alpha", 1)))
piecewise("ThresholdedRelu", lambda n, x: np.where(x > n.f32("alpha", 1), x, 0), lambda n: 1, ulps=0)
piecewise("Gelu", lambda n, x: 0.5 * x * (1 + (np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)) if n("approximate", "none") == "tanh"
                                               else erf(x / math.sqrt(2)))), lambda n: 1.13, ulps=16)
piecewise("Sin", lambda n, x: np.sin(x), lambda n: 1)
piecewise("Cos", lambda n, x: np.cos(x), lambda n: 1)
piecewise("Tan", lambda n, x: np.tan(x), lambda n: math.inf)
piecewise("Cosh", lambda n, x: np.cosh(x), lambda n: math.inf)


@op("LeakyRelu")
def leaky_relu(n, v):
    a = n.f32("alpha", 0.01)
    return once(*lift(lambda x: np.where(x < 0, a * x, x), v), v.dtype)


@op("PRelu")
def prelu(n, v, slope):
    v, slope = broadcast(v, slope)
    if not v.float:
        return exact(np.where(v.x < 0, v.x * slope.x, v.x), v.dtype)
    return once(*lift(lambda x, a: np.where(x < 0, a * x, x), v, slope), v.dtype)


@op("Shrink")
def shrink(n, v):
    lambd, bias = n.f32("lambd", 0.5), n.f32("bias", 0)
    return once(np.where(v.x < -lambd, v.x + bias, np.where(v.x > lambd, v.x - bias, 0)), v.e, v.dtype)


COMPARE = {"Equal": np.equal, "Greater": np.greater, "Less": np.less, "GreaterOrEqual": np.greater_equal, "LessOrEqual": np.less_equal,
           "And": np.logical_and, "Or": np.logical_or, "Xor": np.logical_xor}
BITS = {"BitwiseAnd": np.bitwise_and, "BitwiseOr": np.bitwise_or, "BitwiseXor": np.bitwise_xor}


@op(*COMPARE, *BITS)
def compare(n, a, b):
    a, b = broadcast(a, b)
    if n.op in BITS:
        return exact(BITS[n.op](a.x, b.x))
    y = exact(COMPARE[n.op](a.x, b.x))
    unsure = np.abs(a.x - b.x) <= a.e + b.e if a.float and (np.any(a.e) or np.any(b.e)) else 0.0
    return Value(y.x, y.e + unsure, BOOL)


@op("BitShift")
def bit_shift(n, a, b):
    a, b = broadcast(a, b)
    return exact(np.left_shift(a.x, b.x) if n("direction") == "LEFT" else np.right_shift(a.x, b.x))


@op("Not", "BitwiseNot")
def logical_not(n, v):
    return exact(np.invert(v.x))


@op("IsNaN", "IsInf")
def is_special(n, v):
    if n.op == "IsNaN":
        return exact(np.isnan(v.x))
    return exact(np.isposinf(v.x) * bool(n("detect_positive", 1)) | np.isneginf(v.x) * bool(n("detect_negative", 1)))


@op("Where")
def where(n, c, a, b):
    c, a, b = broadcast(c, a, b)
    return Value(np.where(c.x, a.x, b.x), np.where(c.x, a.e, b.e), a.dtype)


@op("Cast", "CastLike")
def cast(n, v, like=None):
    to = like.dtype if like else onnx.helper.tensor_dtype_to_np_dtype(n("to"))
    if to.kind == "b":
        return Value(v.x != 0, (np.abs(v.x) <= v.e) * (v.e > 0) * 1.0, to)
    if to.kind == "f":
        return exact(v.x, to) if not np.any(v.e) else Value(v.x, v.e, to) if to == F64 else near(v.x, v.e, to)
    if not v.float:
        return exact(v.x.astype(to))
    lo, hi = np.trunc(v.x - v.e), np.trunc(v.x + v.e)
    return Value(np.trunc(v.x).astype(np.int64).astype(to), np.maximum(hi - np.trunc(v.x), np.trunc(v.x) - lo), to)
