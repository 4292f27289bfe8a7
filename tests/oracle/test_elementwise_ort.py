# SPDX-License-Identifier: BSD-2-Clause
"""Elementwise operators over opsets, shapes, attributes and types. Functions of float32 are within 0.51 units in the last place of
the exact value, which double precision stands for here, and near ONNX Runtime, whose own are coarser; everything else equals ONNX
Runtime (or the reference evaluator of the onnx package, where that lacks a type). VD_SEED and VD_CASES change a run."""
import math

import numpy as np
import onnx
import pytest

from test_ops_ort import CASES, F32, S8, S32, S64, SEED, U8, Case, broadcast_pair, check, data, opset, reference, shape
from vmaf_dnn import Session

F16, F64 = np.float16, np.float64
SIGNED = [S8, np.int16, S32, S64]
UNSIGNED = [U8, np.uint16, np.uint32, np.uint64]
INTS = SIGNED + UNSIGNED
INT_32_64 = [S32, S64, np.uint32, np.uint64]
FLOATS = [F32, F32, F64, F16]


def ours(tmp, model, feeds, threads):
    """Through the library: the command's .npy files are of fewer types."""
    (tmp / "m.onnx").write_bytes(model.SerializeToString())
    with Session(tmp / "m.onnx", threads=threads) as s:
        return s.run(feeds)


def gelu(x, approximate="none"):
    if approximate == "tanh":
        u = np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)
        return x / (1 + np.exp(-2 * u))
    return 0.5 * x * np.vectorize(math.erfc, otypes=[F64])(-x / np.sqrt(2))


def celu(x, alpha=1.0):
    return np.maximum(x, 0) + np.minimum(0, alpha * np.expm1(x / alpha))


def mish(x):
    return x * np.tanh(np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))))


# The exact function, the opset it is from, further opsets at which its text changed, attributes.
FUNCTIONS = {
    "Exp": (np.exp, (7, 13)), "Log": (np.log, (7, 13)), "Tanh": (np.tanh, (7, 13)), "Sigmoid": (lambda x: 1 / (1 + np.exp(-x)), (7, 13)),
    "Erf": (np.vectorize(math.erf, otypes=[F64]), (9, 13)), "Sin": (np.sin, (7, 22)), "Cos": (np.cos, (7, 22)), "Tan": (np.tan, (7, 22)),
    "Asin": (np.arcsin, (7, 22)), "Acos": (np.arccos, (7, 22)), "Atan": (np.arctan, (7, 22)), "Sinh": (np.sinh, (9, 22)),
    "Cosh": (np.cosh, (9, 22)), "Asinh": (np.arcsinh, (9, 22)), "Acosh": (np.arccosh, (9, 22)), "Atanh": (np.arctanh, (9, 22)),
    "Sqrt": (np.sqrt, (7, 13)), "Reciprocal": (lambda x: 1 / x, (7, 13)),
    "Softplus": (lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))), (7, 22)), "Softsign": (lambda x: x / (1 + np.abs(x)), (7, 22)),
    "LeakyRelu": (lambda x, alpha=float(F32(0.01)): np.where(x < 0, alpha * x, x), (7, 16), "alpha"),
    "Elu": (lambda x, alpha=1.0: np.where(x < 0, alpha * np.expm1(x), x), (7, 22), "alpha"),
    "Selu": (lambda x, alpha=1.67326319217681884765625, gamma=1.05070102214813232421875:
             gamma * np.where(x < 0, alpha * np.expm1(x), x), (7, 22), "alpha", "gamma"),
    "Celu": (celu, (12,), "alpha"),
    "ThresholdedRelu": (lambda x, alpha=1.0: np.where(x > alpha, x, 0), (10, 22), "alpha"),
    "HardSigmoid": (lambda x, alpha=float(F32(0.2)), beta=0.5: np.clip(alpha * x + beta, 0, 1), (7, 22), "alpha", "beta"),
    "HardSwish": (lambda x: x * np.clip((x + 3) / 6, 0, 1), (14, 22)), "Mish": (mish, (18, 22)), "Gelu": (gelu, (20,), "approximate"),
}


def function_input(rng, op):
    """All sizes of numbers: also where the function is flat, where it overflows, and near 0, where a difference would cancel."""
    x = np.asarray(data(rng, shape(rng)), F32) * F32(2.0 ** rng.integers(-24, 6))
    x = np.asarray(x)
    if x.size > 12:
        x.flat[:12] = [0, -0.0, 1, -1, 88, -87, 1e-30, -1e-42, 3e38, -3e38, -103.9, 20]
    if x.size > 20 and rng.random() < 0.4:
        x.flat[12:15] = [np.nan, np.inf, -np.inf]
    if op in ("Sin", "Cos", "Tan"):
        x = np.asarray(np.where(np.abs(x) > 1e6, F32(3), x))
    return x


@pytest.mark.parametrize("op", FUNCTIONS)
def test_functions(op, tmp_path):
    exact_of, since, *names = FUNCTIONS[op]
    print(f"VD_SEED={SEED}")
    for k in range(CASES):
        rng = np.random.default_rng([SEED, k, *op.encode()])
        attrs = {}
        for name in names:
            if rng.random() < 0.6:
                attrs[name] = str(rng.choice(["none", "tanh"])) if name == "approximate" else float(F32(rng.choice([0.1, 0.5, 1.5, 2])))
        half = k % 4 == 3
        with np.errstate(over="ignore"):
            x = function_input(rng, op).astype(F16 if half else F32)
        case = Case(op, opset(rng, *since), [x], **attrs)
        model, feeds = case.model()
        with np.errstate(all="ignore"):
            exact = np.asarray(exact_of(x.astype(F64), **attrs), F64)
            got = ours(tmp_path, model, feeds, 1 + k % 2)[0]
            rounded = exact.astype(got.dtype)
        assert got.dtype == x.dtype and got.shape == x.shape, case
        with np.errstate(all="ignore"):
            near = np.abs(got.astype(F64) - exact) <= 0.51 * np.spacing(np.abs(rounded)).astype(F64)
        near |= (got == rounded) | (np.isnan(got) & np.isnan(exact))
        assert near.all(), f"{case}: {got[~near][:4]} for {exact[~near][:4]} at {x[~near][:4]}"
        if not half:
            want = reference(model, feeds)[0]
            with np.errstate(all="ignore"):
                size = np.nanmax(np.abs(x), initial=0, where=np.isfinite(x) & (np.abs(x) < 1e4))
                same = (np.abs(got - want) <= 1e-4 * np.abs(want) + 1e-6 * (1 + size)) | (got == want) | (np.isnan(got) & np.isnan(want))
            if op in ("Erf", "Mish", "Softplus", "Tanh", "Sinh", "Cosh", "Gelu"):  # ONNX Runtime overflows or saturates early
                same |= ~np.isfinite(want) | (np.abs(x) > 80)
            assert same.all(), f"{case}: {got[~same][:4]}, ONNX Runtime {want[~same][:4]} at {x[~same][:4]}"


def kind_at(rng, v, *kinds):
    """A type of those that hold at opset v: (from, types) in order."""
    return rng.choice([t for since, types in kinds if v >= since for t in types])


def special(rng, x):
    if np.asarray(x).dtype.kind == "f" and np.asarray(x).size > 4:
        x.flat[:4] = rng.permutation([np.nan, np.inf, -np.inf, -0.0, 0.0])[:4]
    return x


def unary(op, since, *kinds, **choices):
    def make(rng):
        v = opset(rng, *since)
        x = data(rng, shape(rng), kind_at(rng, v, *kinds))
        if op in ("Round", "Floor", "Ceil"):
            x = np.asarray((x * 2).round() / 2).astype(x.dtype)  # half of them ties
        if op != "Sign" or x.dtype != F16:  # there ONNX Runtime has 0 for the sign of NaN; of float32 it is NaN
            x = special(rng, np.asarray(x))
        return Case(op, v, [x], **{k: int(rng.choice(c)) for k, c in choices.items() if rng.random() < 0.7})
    return make


def binary(op, since, *kinds, **attrs):
    def make(rng):
        v = opset(rng, *since)
        dtype = kind_at(rng, v, *kinds)
        a, b = (np.asarray(data(rng, s, dtype)) for s in broadcast_pair(rng))
        if a.dtype.kind != "b" and rng.random() < 0.5:  # equal ones among them
            a, b = np.asarray(a % 4).astype(dtype), np.asarray(b % 4).astype(dtype)
        if op == "Div" and a.dtype.kind != "f":
            b = np.asarray(np.where(np.isin(b, (0, -1)), 3, b)).astype(dtype)
        if op not in ("Add", "Sub", "Mul", "Div"):
            a = special(rng, a)
        extra = {k: c[int(rng.integers(len(c)))] for k, c in attrs.items()}
        if op == "BitShift":
            b = np.asarray(b % (8 * a.itemsize + 3)).astype(dtype)
        return Case(op, v, [a, b], fixed=(1,) if rng.random() < 0.3 else (), **extra)
    return make


def mod(rng):
    v = opset(rng, 10, 13)
    dtype = rng.choice([F32, *INTS])
    a, b = (np.asarray(data(rng, s, dtype)) for s in broadcast_pair(rng))
    floats = np.dtype(dtype).kind == "f"
    if not floats:
        b = np.asarray(np.where(np.isin(b, (0, -1)), 3, b)).astype(dtype)
    if np.dtype(dtype).itemsize == 8 and rng.random() < 0.5:
        return Case("Mod", v, [a, b])
    a, b = (np.clip(t, 0 if t.dtype.kind == "u" else -(2**31), 2**31).astype(dtype) for t in (a, b))  # ONNX Runtime goes through double
    return Case("Mod", v, [np.asarray(a), np.asarray(np.where(b == 0, 3, b)).astype(dtype)], fmod=1 if floats else int(rng.integers(2)))


def variadic(op):
    def make(rng):
        v = opset(rng, 7, 8, 12, 13)
        n = int(rng.integers(1, 6))
        s = shape(rng)
        dtype = rng.choice([F32, F64, *(INTS if v >= 12 else [])]) if op in ("Min", "Max") else F32
        parts = []
        for _ in range(n):
            t = s
            if v >= 8:
                t = [1 if rng.random() < 0.3 else d for d in s]
                t = t[int(rng.integers(len(t) + 1)):] if rng.random() < 0.3 else t
            x = np.asarray(data(rng, t, dtype))
            parts.append(special(rng, x) if op in ("Min", "Max") else x)
        bound = None
        if op in ("Sum", "Mean"):
            exact, size = sum(p.astype(F64) for p in parts), sum(np.abs(p.astype(F64)) for p in parts)
            by = n if op == "Mean" else 1
            bound = (np.asarray(exact / by), np.asarray(size / by * (n + 1) * 2.0**-24))
        return Case(op, v, parts, fixed=(n - 1,) if n > 1 and rng.random() < 0.3 else (), bound=bound)
    return make


def where(rng):
    v = opset(rng, 9, 16)
    sa, sb = broadcast_pair(rng)
    full = np.broadcast_shapes(tuple(sa), tuple(sb))
    sc = [1 if rng.random() < 0.4 else d for d in full][int(rng.integers(len(full) + 1)):]
    dtype = rng.choice([*FLOATS, *INTS, np.bool_])
    return Case("Where", v, [data(rng, sc, np.bool_), data(rng, sa, dtype), data(rng, sb, dtype)], fixed=(2,) if rng.random() < 0.3 else ())


def prelu(rng):
    v = opset(rng, 7, 9, 16)
    x = special(rng, np.asarray(data(rng, shape(rng))))
    t = [1 if rng.random() < 0.4 else d for d in x.shape]
    slope = data(rng, t[int(rng.integers(len(t) + 1)):] if rng.random() < 0.4 else t)
    return Case("PRelu", v, [x, slope], fixed=(1,) if rng.random() < 0.6 else ())


def cast_like(rng):
    x = data(rng, shape(rng), rng.choice([F32, F64, *INTS, np.bool_]))
    to = rng.choice([F32, F64, *INTS, np.bool_])
    if x.dtype.kind == "f":
        x = np.abs(x) if np.dtype(to).kind == "u" else x
    return Case("CastLike", opset(rng, 15, 19, 21, 23), [x, np.asarray(data(rng, [2], to))], fixed=(1,) if rng.random() < 0.5 else ())


def cast_u64(rng):
    if rng.random() < 0.5:
        x = rng.integers(0, 2**64 - 1, shape(rng), dtype=np.uint64, endpoint=True) >> np.uint64(rng.integers(0, 60))
        to = rng.choice([F32, F64, S8, S32, S64, np.uint64, np.bool_])
    else:
        x = np.asarray(rng.random(shape(rng)) * 2.0 ** rng.integers(0, 65)).astype(rng.choice([F32, F64]))
        x = np.minimum(x, np.nextafter(x.dtype.type(2.0**64), x.dtype.type(0)))
        to = np.uint64
    return Case("Cast", opset(rng, 9, 13, 19), [np.asarray(x)], to=int(onnx.helper.np_dtype_to_tensor_dtype(np.dtype(to))))


def pow_types(rng):
    sa, sb = broadcast_pair(rng)
    a = rng.integers(-6, 7, sa).astype(rng.choice([S32, S64, F32]))
    b = rng.integers(0, 5, sb).astype(rng.choice([*INTS, F64]))
    exact = np.power(a.astype(F64), b.astype(F64))
    return Case("Pow", opset(rng, 12, 13, 15), [a, b], bound=(exact, 0) if np.abs(exact).max(initial=0) < 2**24 else None)


def clip_types(rng):
    dtype = rng.choice([F64, *INTS])
    x = data(rng, shape(rng), dtype)
    lo, hi = (np.asarray(data(rng, [], dtype)) for _ in range(2))
    return Case("Clip", opset(rng, 12, 13), [x, lo, hi][: int(rng.integers(1, 4))])


def dropout(rng):
    v = opset(rng, 7, 10, 12, 13, 22)
    x = data(rng, shape(rng), rng.choice([F32, F64]))
    if v < 12:
        return Case("Dropout", v, [x], **({"ratio": 0.3} if rng.random() < 0.5 else {}))
    more = [[], [np.array(0.4, F32)], [np.array(0.4, F32), np.array(False)]][int(rng.integers(3))]
    return Case("Dropout", v, [x, *more], fixed=(1, 2)[: len(more)], n_out=int(rng.integers(1, 3)))


ORDERED = ((7, FLOATS[:3]), (9, INTS))
ARITHMETIC = ((7, [F32, F64, *INT_32_64]), (14, INTS))
MAKERS = {
    **{op: binary(op, (7, 13, 14), *ARITHMETIC) for op in ("Add", "Sub", "Mul", "Div")},
    "Neg": unary("Neg", (7, 13), (7, FLOATS + SIGNED)), "Abs": unary("Abs", (7, 13), (7, FLOATS + INTS)),
    "Sign": unary("Sign", (9, 13), (9, FLOATS + INTS)), "Floor": unary("Floor", (7, 13), (7, FLOATS)),
    "Ceil": unary("Ceil", (7, 13), (7, FLOATS)), "Round": unary("Round", (11, 22), (11, FLOATS)),
    "Relu": unary("Relu", (7, 13, 14), (7, [F32, F16]), (14, SIGNED)),
    "IsNaN": unary("IsNaN", (9, 13, 20), (9, FLOATS)),
    "IsInf": unary("IsInf", (10, 20), (10, [F32, F64]), (20, [F16]), detect_negative=(0, 1), detect_positive=(0, 1)),
    "Not": unary("Not", (7,), (7, [np.bool_])), "BitwiseNot": unary("BitwiseNot", (18,), (18, INTS)),
    "And": binary("And", (7,), (7, [np.bool_])), "Or": binary("Or", (7,), (7, [np.bool_])), "Xor": binary("Xor", (7,), (7, [np.bool_])),
    "Equal": binary("Equal", (7, 11, 13, 19), (7, [np.bool_, S32, S64]), (11, FLOATS + INTS)),
    "Greater": binary("Greater", (7, 9, 13), *ORDERED), "Less": binary("Less", (7, 9, 13), *ORDERED),
    "GreaterOrEqual": binary("GreaterOrEqual", (12, 16), (12, FLOATS + INTS)),
    "LessOrEqual": binary("LessOrEqual", (12, 16), (12, FLOATS + INTS)),
    "BitwiseAnd": binary("BitwiseAnd", (18,), (18, INTS)), "BitwiseOr": binary("BitwiseOr", (18,), (18, INTS)),
    "BitwiseXor": binary("BitwiseXor", (18,), (18, INTS)),
    "BitShift": binary("BitShift", (11,), (11, UNSIGNED), direction=("LEFT", "RIGHT")),
    "Mod": mod, **{op: variadic(op) for op in ("Min", "Max", "Sum", "Mean")}, "Where": where, "PRelu": prelu, "CastLike": cast_like,
    "Cast": cast_u64, "Pow": pow_types, "Clip": clip_types, "Dropout": dropout,
}


@pytest.mark.parametrize("op", MAKERS)
def test_operator(op, tmp_path):
    print(f"VD_SEED={SEED}")
    for k in range(CASES):
        rng = np.random.default_rng([SEED, k, *op.encode(), 1])
        case = MAKERS[op](rng)
        check(tmp_path, case, threads=1 + k % 2, run=ours)
