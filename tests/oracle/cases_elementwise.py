# SPDX-License-Identifier: BSD-2-Clause
"""Generated cases: one element at a time, and reductions."""
import numpy as np
from onnx import helper as h

from cases import BOOL, F16, F32, S8, S32, S64, U8, maker


# --- one element at a time ---


@maker("Add", "Sub", "Mul", "Div", "PRelu", "Mod", named=True)
def arithmetic(d, op):
    kind = d.kind()
    a, b = (d.array(s, kind, special=0.1) for s in d.broadcasts(2))
    if op == "PRelu":
        b = d.array(b.shape[-a.ndim:] if a.ndim else [], kind)
        shape = list(a.shape)[a.ndim - b.ndim:]
        b = d.array([1 if d.chance(0.3) else v for v in shape], kind)
    if op in ("Div", "Mod") and kind.kind != "f":
        b = np.where(np.isin(b, (0, -1)), 3, b).astype(kind)
    if op == "Mod":
        a, b = np.nan_to_num(a, posinf=5, neginf=5), np.nan_to_num(b, posinf=5, neginf=5)
        b = np.where(b == 0, 3, b).astype(kind)
        return d.one(a, b, fmod=1 if kind.kind == "f" or d.chance(0.3) else None)
    return d.one(a, b, fixed=(1,) if d.chance(0.4) else ())


@maker("Pow")
def power(d):
    base, exponent = d.kind("T"), d.kind("T1", but=(U8, S8)) if d.opset >= 12 else F32
    if d.opset < 12:
        base = F32
    sa, sb = d.broadcasts(2)
    if base.kind == "i":
        return d.one(d.rng.integers(-6, 7, sa).astype(base), d.rng.integers(0, 7, sb).astype(exponent))
    a = (d.rng.random(sa) * 4 + 0.01).astype(base)
    b = np.full(sb, d.int(-1, 4)) if d.chance(0.5) else d.rng.random(sb) * 4 - 2
    return d.one(a, b.astype(exponent), fixed=(1,) if d.chance(0.5) else ())


@maker("Max", "Min", "Sum", "Mean", named=True)
def variadic(d, op):
    kind, shapes = d.kind(), d.broadcasts(d.int(1, 4))
    return d.one(*(d.array(s if d.opset >= 8 else shapes[0], kind) for s in shapes))


@maker("Exp", "Log", "Sigmoid", "Tanh", "Erf", "Softplus", "Softsign", "Reciprocal", "Sqrt", "Neg", "Abs", "Sign", "Floor", "Ceil", "Round",
       "Relu", "Identity", "Elu", "Selu", "Celu", "HardSigmoid", "HardSwish", "LeakyRelu", "ThresholdedRelu", "Gelu", "Mish", "Not", "IsNaN",
       "Atan", "Sin", "Cos", "Tan", "Asin", "Acos", "Atanh", "Acosh", "Asinh", "Sinh", "Cosh", "Shrink", "BitwiseNot", "IsInf", named=True)
def unary(d, op):
    kind = d.kind()
    scale = d.pick(1, 3, 10, 0.01)
    x = d.array(d.shape(), kind, scale, special=0.3 if op in ("Relu", "Identity", "Neg", "Abs", "Floor", "Ceil", "Sqrt", "IsNaN", "IsInf") else 0)
    if op in ("Log", "Sqrt", "Reciprocal") and kind.kind == "f":
        x = np.abs(x) + kind.type(0.01)
    if op in ("Asin", "Acos", "Atanh"):
        x = np.clip(x, -1, 1) * kind.type(0.99)
    if op == "Acosh":
        x = np.abs(x) + kind.type(1)
    attrs = {}
    if op == "IsInf":
        attrs = {"detect_positive": d.pick(None, 0, 1), "detect_negative": d.pick(None, 0, 1)}
    if op in ("Elu", "Celu", "LeakyRelu", "HardSigmoid", "ThresholdedRelu", "Selu") and d.chance(0.6):
        attrs["alpha"] = d.pick(0.3, 1.5, 0.05)
    if op == "HardSigmoid" and d.chance(0.5):
        attrs["beta"] = d.pick(0.2, 0.6)
    if op == "Gelu" and d.chance(0.5):
        attrs["approximate"] = d.pick("none", "tanh")
    if op == "Shrink":
        attrs = {"lambd": d.pick(0.5, 1.5), "bias": d.pick(0.0, 1.0)}
        x = np.clip(x, -1000, 1000)
    return d.one(np.asarray(x, kind), **attrs)


@maker("Clip")
def clip(d):
    lo, hi = sorted([d.int(-4, 4), d.int(-4, 4)])
    if d.chance(0.2) and d.opset >= 11:
        lo, hi = hi, lo
    kind = d.kind()
    if d.opset < 11:
        return d.one(d.array(d.shape(), kind, special=0.2), min=float(lo) if d.chance(0.8) else None, max=float(hi) if d.chance(0.8) else None)
    if kind.kind == "u":
        lo, hi = lo + 5, hi + 5
    bounds = [None if d.chance(0.2) else np.asarray(v, kind) for v in (lo, hi)]
    return d.one(d.array(d.shape(), kind, special=0.2), *bounds, fixed=d.pick((), (1, 2), (1,)))


@maker("Cast")
def cast(d):
    source, target = d.kind("T1"), d.kind("T2")
    x = d.array(d.shape(), source)
    if source.kind == "f" and target.kind == "u":
        x = np.abs(x)
    if target == F16 and source.itemsize > 1 and source.kind == "i":
        x = np.clip(x, -60000, 60000).astype(source)
    return d.one(x, to=int(h.np_dtype_to_tensor_dtype(target)))


@maker("CastLike")
def cast_like(d):
    source, target = d.kind("T1"), d.kind("T2")
    x = d.array(d.shape(), source)
    if source.kind == "f" and target.kind == "u":
        x = np.abs(x)
    return d.one(x, d.array(d.shape(0, 2), target))


@maker("Dropout")
def dropout(d):
    x = d.array(d.shape(1), d.kind())
    n_out = d.int(1, 2) if d.opset >= 12 else 1  # before, the mask is left open
    if d.opset < 12:
        return d.one(x, n_out=n_out, ratio=d.pick(None, 0.3))
    return d.one(x, np.float32(0.4) if d.chance(0.5) else None, np.bool_(False) if d.chance(0.4) else None, fixed=(1, 2), n_out=n_out)


@maker("Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual", "And", "Or", "Xor", "BitwiseAnd", "BitwiseOr", "BitwiseXor", named=True)
def compare(d, op):
    kind = d.kind("T")
    a, b = (d.array(s, kind, 1) for s in d.broadcasts(2))
    if kind.kind != "b" and d.chance(0.7):
        a, b = np.clip(np.rint(a), 0, 4).astype(kind), np.clip(np.rint(b), 0, 4).astype(kind)
    return d.one(a, b)


@maker("BitShift")
def bit_shift(d):
    sa, sb = d.broadcasts(2)
    kind = d.kind()
    return d.one(d.array(sa, kind), d.rng.integers(0, 8 * kind.itemsize, sb).astype(kind), direction=d.pick("LEFT", "RIGHT"))


@maker("Where")
def where(d):
    kind, (c, a, b) = d.kind(), d.broadcasts(3)
    return d.one(d.array(c, BOOL), d.array(a, kind, special=0.2), d.array(b, kind), fixed=d.pick((), (0,), (2,)))


# --- reductions ---

REDUCE = ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSum",
          "ReduceLogSumExp")


@maker(*REDUCE, named=True)
def reduce(d, op):
    whole = (S32, S64, np.dtype(np.uint32), np.dtype(np.uint64))  # of these ONNX Runtime makes no logarithms, or other ones
    kind = d.kind(but=(F16,) if op == "ReduceProd" else (F16, *whole) if op == "ReduceLogSum" else whole if op == "ReduceLogSumExp" else ())
    x = d.array(d.shape(1, 4, 5 if op == "ReduceProd" else 7), kind, 1 if op in ("ReduceProd", "ReduceL2", "ReduceSumSquare") else 3)
    if kind.kind == "f" and op == "ReduceLogSum":
        x = np.abs(x) + kind.type(0.5)
    if kind.kind in "iu":
        x = np.clip(x, *((-3 * (kind.kind == "i"), 3) if op == "ReduceProd" else (-7 * (kind.kind == "i"), 7))).astype(kind)
        x = np.abs(x) + kind.type(1) if op == "ReduceL2" else x
        x = np.where(np.arange(x.size).reshape(x.shape) % (x.size // 12 + 1), 1, x).astype(kind) if op == "ReduceProd" else x  # fits
    axes = None if d.chance(0.2) else d.axes(x.ndim, d.opset >= 11)
    attrs = {"keepdims": d.pick(0, 1, None)}
    if d.opset < (13 if op == "ReduceSum" else 18):
        return d.one(x, axes=axes, **attrs)
    if axes is None and d.chance(0.5) and op in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin"):
        attrs["noop_with_empty_axes"] = 1
    return d.one(x, np.array(axes, S64) if axes is not None else None, fixed=(1,), **attrs)


@maker("ArgMax", "ArgMin", named=True)
def arg_extreme(d, op):
    x = d.array(d.shape(1, 4), d.kind())
    x = np.rint(np.asarray(x) / 2).astype(x.dtype) if d.chance(0.5) else x
    return d.one(x, axis=d.axis(x.ndim, d.opset >= 11), keepdims=d.pick(0, 1, None),
                 select_last_index=d.pick(0, 1) if d.opset >= 12 else None)


@maker("CumSum")
def cumulative_sum(d):
    x = d.array(d.shape(1, 4), d.kind())
    x = np.clip(x, -1000, 1000).astype(x.dtype)
    return d.one(x, np.asarray(d.axis(x.ndim), d.pick(S32, S64)), fixed=(1,), exclusive=d.pick(0, 1), reverse=d.pick(0, 1))


@maker("GlobalLpPool")
def global_lp_pool(d):
    return d.one(d.array(d.shape(3, 5), d.kind()), p=d.pick(None, 1, 2))  # docs/operators.md: no other


@maker("GlobalAveragePool", "GlobalMaxPool", named=True)
def global_pool(d, op):
    return d.one(d.array(d.shape(3, 5), d.kind()))
