# SPDX-License-Identifier: BSD-2-Clause
"""Every operator of the op table but the convolutions, against ONNX Runtime (and where that lacks a type, the reference evaluator of
the onnx package), over opsets, shapes, attributes and types. Data that moves, integers, and float operations of one rounding:
equal. Sums: within the bound of their length, against float64. VD_SEED and VD_CASES (cases for each operator) change a run."""
import os
import subprocess
import warnings

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper as nh
from onnx.reference import ReferenceEvaluator

BIN = os.environ["VMAF_DNN_BIN"]
SEED = int(os.environ.get("VD_SEED", "20261125"))
CASES = int(os.environ.get("VD_CASES", "16"))
EPS = 2.0**-24
F32, U8, S8, S32, S64 = np.float32, np.uint8, np.int8, np.int32, np.int64
MOVED = [F32, U8, S8, S32, S64, np.bool_, np.float16]


class Case:
    """One operator. Arrays in `fixed` are initialisers, the others graph inputs; None is an omitted input."""

    def __init__(self, op, opset, inputs, fixed=(), n_out=1, bound=None, **attrs):
        self.op, self.opset, self.inputs, self.fixed = op, int(opset), [None if v is None else np.asarray(v) for v in inputs], fixed
        self.n_out, self.bound, self.attrs = n_out, bound, attrs

    def model(self):
        names = ["" if v is None else f"i{k}" for k, v in enumerate(self.inputs)]
        outs = [f"o{k}" for k in range(self.n_out)]
        node = h.make_node(self.op, names, outs, **self.attrs)
        given = [(n, v) for k, (n, v) in enumerate(zip(names, self.inputs)) if n and k not in self.fixed]
        held = [nh.from_array(self.inputs[k], names[k]) for k in self.fixed if self.inputs[k] is not None]
        kind = h.np_dtype_to_tensor_dtype
        nodes = [node]
        if not given:  # a model without inputs is of no use: give it one that passes through
            given = [("x", np.zeros(1, F32))]
            nodes.append(h.make_node("Identity", ["x"], ["pass"]))
            outs = outs + ["pass"]
        graph = h.make_graph(nodes, "g", [h.make_tensor_value_info(n, kind(v.dtype), v.shape) for n, v in given],
                             [onnx.ValueInfoProto(name=o) for o in outs], held)
        m = h.make_model(graph, opset_imports=[h.make_opsetid("", self.opset)], ir_version=8 if self.opset < 19 else 10)
        m = onnx.shape_inference.infer_shapes(m, strict_mode=True, data_prop=True)
        for o in m.graph.output:
            if not o.type.tensor_type.elem_type and self.op == "GroupNormalization":  # a function, which inference leaves alone
                o.CopyFrom(h.make_tensor_value_info(o.name, T.FLOAT, self.inputs[0].shape))
            if not o.type.tensor_type.elem_type:
                raise AssertionError(f"no type for {o.name}")
        return m, dict(given)

    def __str__(self):
        kinds = [None if v is None else f"{v.dtype}{list(v.shape)}" for v in self.inputs]
        return f"{self.op}-{self.opset} {kinds} {self.attrs}"


def reference(model, feeds):
    o = ort.SessionOptions()
    o.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    o.log_severity_level = 4
    try:
        session = ort.InferenceSession(model.SerializeToString(), o, providers=["CPUExecutionProvider"])
    except Exception as e:  # the type of ONNX Runtime's exceptions is not public
        if "NOT_IMPLEMENTED" not in str(e):
            raise
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ReferenceEvaluator(model).run(None, feeds)
    return session.run(None, feeds)


def ours(tmp, model, feeds, threads):
    path = tmp / "m.onnx"
    path.write_bytes(model.SerializeToString())
    cmd = [BIN, "run", str(path), "--threads", str(threads), "-f", "-q"]
    for name, value in feeds.items():
        np.save(tmp / f"{name}.npy", value)
        cmd += ["--in", f"{name}={tmp / name}.npy"]
    outs = [o.name for o in model.graph.output]
    for name in outs:
        cmd += ["--out", f"{name}={tmp / name}.npy"]
    r = subprocess.run(cmd, capture_output=True, text=True)
    assert r.returncode == 0, r.stderr
    return [np.load(tmp / f"{name}.npy") for name in outs]


def check(tmp, case, threads, run=ours):
    try:
        model, feeds = case.model()
    except Exception as e:
        raise AssertionError(f"{case}: the test made a wrong model: {e}") from e
    want = reference(model, feeds)
    got = run(tmp, model, feeds, threads)
    for k, (w, g) in enumerate(zip(want, got)):
        w = np.asarray(w)
        assert g.dtype == w.dtype and g.shape == w.shape, f"{case}: output {k} is {g.dtype}{g.shape}, not {w.dtype}{w.shape}"
        if k or case.bound is None:
            same = (g == w) | ((g != g) & (w != w)) if g.dtype.kind == "f" else g == w
            assert np.all(same), f"{case}: output {k}, {np.count_nonzero(~same)} of {same.size} differ: {g[~same][:4]} for {w[~same][:4]}"
        else:
            exact, bound = case.bound
            assert exact.shape == g.shape, f"{case}: the bound is of another shape"
            for who, v in (("vmaf-dnn", g), ("ONNX Runtime", w)):
                bad = ~(np.abs(v.astype(np.float64) - exact) <= bound)
                assert not np.any(bad), f"{case}: {who} leaves the bound: {v[bad][:4]} for {exact[bad][:4]} within {np.broadcast_to(bound, bad.shape)[bad][:4]}"


def opset(rng, *since):
    """A random opset from the first of since on, the versions at which the operator changed among the likelier."""
    return int(rng.choice(since) if rng.random() < 0.6 else rng.integers(since[0], 24))


def data(rng, shape, dtype=F32):
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return (rng.standard_normal(shape) * 3).astype(dtype)
    if dtype.kind == "b":
        return rng.random(shape) < 0.5
    info = np.iinfo(dtype)
    wide = rng.random() < 0.3
    lo, hi = (info.min, info.max) if wide else (max(info.min, -100), min(info.max, 100))
    return rng.integers(lo, hi, shape, dtype=dtype, endpoint=True)


def shape(rng, lo=0, hi=5, most=7):
    """Mostly small; sometimes longer than one piece of work, so that threads share it."""
    s = [int(v) for v in rng.integers(1, most, rng.integers(lo, hi + 1))]
    if s and rng.random() < 0.15:
        s[int(rng.integers(len(s)))] = int(rng.integers(3000, 9000) // max(1, np.prod(s) // 8))
    return s


def broadcast_pair(rng):
    s = shape(rng)
    def part():
        t = [1 if rng.random() < 0.3 else v for v in s]
        return t[int(rng.integers(len(t) + 1)):] if rng.random() < 0.3 else t
    return part(), part()


def axis_of(rng, rank):
    return int(rng.integers(-rank, rank))


def axes_of(rng, rank):
    some = [int(v) for v in rng.permutation(rank)[: rng.integers(1, rank + 1)]]
    return [v - rank if rng.random() < 0.3 else v for v in some]


def arithmetic(op):
    def make(rng):
        v = opset(rng, 7, 13, 14)
        dtype = rng.choice([F32, F32, S32, S64] + ([U8, S8] if v >= 14 else []))
        a, b = (data(rng, s, dtype) for s in broadcast_pair(rng))
        if op == "Div" and np.dtype(dtype).kind != "f":
            b = np.where(np.isin(b, (0, -1)), 3, b).astype(dtype)
        return Case(op, v, [a, b], fixed=(1,) if rng.random() < 0.3 else ())
    return make


def pow_case(rng):
    v = opset(rng, 7, 12, 13, 15)
    sa, sb = broadcast_pair(rng)
    base = rng.choice([F32, F32, S32, S64]) if v >= 12 else F32
    power = rng.choice([F32, S32, S64]) if v >= 12 else F32
    if np.dtype(base).kind == "i":
        a = rng.integers(-6, 7, sa).astype(base)
        b = rng.integers(0, 7, sb).astype(power)
        return Case("Pow", v, [a, b])
    a = (rng.random(sa) * 4 + 0.01).astype(base)
    b = np.full(sb, rng.integers(-1, 5)) if rng.random() < 0.5 else rng.random(sb) * 6 - 3
    b = b.astype(power)
    exact = np.power(a.astype(np.float64), b.astype(np.float64))
    return Case("Pow", v, [a, b], bound=(exact, np.abs(exact) * 4 * EPS))


def unary(op, *since):
    def make(rng):
        x = data(rng, shape(rng)) * F32(rng.choice([1, 10, 0.01]))
        x = np.asarray(x)
        if x.size > 3 and rng.random() < 0.5:
            x.flat[:3] = [np.nan, np.inf, -np.inf]
        bound = None
        if op == "Sigmoid":
            with np.errstate(over="ignore"):
                exact = 1 / (1 + np.exp(-x.astype(np.float64)))
            x = np.where(np.isnan(x), F32(0), x)
            exact = np.where(np.isnan(exact), 0.5, exact)
            bound = (exact, 4 * EPS)
        v = opset(rng, *since)
        if op == "Relu" and v >= 14 and rng.random() < 0.3:
            return Case(op, v, [data(rng, shape(rng), rng.choice([S8, S32, S64]))])
        return Case(op, v, [x], bound=bound)
    return make


def clip(rng):
    v = opset(rng, 7, 11, 12, 13)
    lo, hi = sorted(rng.integers(-4, 5, 2))
    if v >= 11 and rng.random() < 0.2:  # before, ONNX Runtime refuses it
        lo, hi = hi, lo
    attrs, dtype = {}, F32
    if v < 11:
        attrs = {k: float(w) for k, w in (("min", lo), ("max", hi)) if rng.random() < 0.8}
        return Case("Clip", v, [data(rng, shape(rng))], **attrs)
    if v >= 12:
        dtype = rng.choice([F32, F32, U8, S8, S32, S64])
    if dtype is U8 or dtype == U8:
        lo, hi = lo + 5, hi + 5
    x = data(rng, shape(rng), dtype)
    lo, hi = (None if rng.random() < 0.2 else np.array(w).astype(dtype) for w in (lo, hi))
    return Case("Clip", v, [x, lo, hi][: 3 if hi is not None else 2 if lo is not None else 1], fixed=(1, 2)[: rng.integers(0, 3)] if hi is not None and lo is not None else ())


def moved(rng):
    return rng.choice(MOVED)


def identity(rng):
    return Case("Identity", opset(rng, 7, 13, 14, 16, 19, 21, 23), [data(rng, shape(rng), moved(rng))])


CASTS = {F32: T.FLOAT, U8: T.UINT8, S8: T.INT8, S32: T.INT32, S64: T.INT64, np.bool_: T.BOOL, np.float16: T.FLOAT16}


def cast(rng):
    source, target = moved(rng), moved(rng)
    x = data(rng, shape(rng), source)
    if np.dtype(source).kind == "f" and np.dtype(target).kind == "u":
        x = np.abs(x)  # what ONNX leaves open is tested by the unit test
    if np.dtype(target) == np.float16 and np.dtype(source).kind in "iu":
        x = np.clip(x, -60000, 60000).astype(source) if np.dtype(source).itemsize > 1 else x
    return Case("Cast", opset(rng, 9, 13, 19, 21, 23), [x], to=CASTS[source if False else target])


def reshape(rng):
    v = opset(rng, 7, 13, 14, 19, 21, 23)
    x = data(rng, shape(rng, 1), moved(rng))
    dims, rest, into = list(x.shape), x.size, []
    while rest > 1 and len(into) < 6:
        d = int(rng.choice([k for k in range(1, rest + 1) if rest % k == 0][:12]))
        into.append(d)
        rest //= d
    into.append(rest)
    if rng.random() < 0.5:
        into[int(rng.integers(len(into)))] = -1
    if rng.random() < 0.3:
        into = [0] * len(dims[:-1]) + [-1]
    return Case("Reshape", v, [x, np.array(into, S64)], fixed=(1,))


def flatten(rng):
    v = opset(rng, 7, 9, 11, 13, 21)
    x = data(rng, shape(rng, 1), moved(rng) if v >= 9 else F32)
    return Case("Flatten", v, [x], axis=int(rng.integers(-x.ndim if v >= 11 else 0, x.ndim + 1)))


def squeeze(rng):
    v = opset(rng, 7, 11, 13, 21)
    s = [1 if rng.random() < 0.5 else d for d in shape(rng, 1, 5)]
    ones = [k for k, d in enumerate(s) if d == 1]
    some = ones[: int(rng.integers(len(ones) + 1))]
    x = data(rng, s, moved(rng))
    if v >= 11:
        some = [k - len(s) if rng.random() < 0.4 else k for k in some]
    if not some:
        return Case("Squeeze", v, [x])
    return Case("Squeeze", v, [x, np.array(some, S64)], fixed=(1,)) if v >= 13 else Case("Squeeze", v, [x], axes=some)


def unsqueeze(rng):
    v = opset(rng, 7, 11, 13, 21)
    x = data(rng, shape(rng, 0, 4), moved(rng))
    n = int(rng.integers(1, 4))
    some = [int(k) for k in rng.permutation(x.ndim + n)[:n]]
    if v >= 11:
        some = [k - x.ndim - n if rng.random() < 0.3 else k for k in some]
    return Case("Unsqueeze", v, [x, np.array(some, S64)], fixed=(1,)) if v >= 13 else Case("Unsqueeze", v, [x], axes=some)


def concat(rng):
    v = opset(rng, 7, 11, 13)
    s, dtype = shape(rng, 1), moved(rng)
    axis = axis_of(rng, len(s)) if v >= 11 else int(rng.integers(len(s)))
    parts = []
    for _ in range(rng.integers(1, 5)):
        t = list(s)
        t[axis] = int(rng.integers(1, 6))
        parts.append(data(rng, t, dtype))
    return Case("Concat", v, parts, axis=axis)


def shape_case(rng):
    v = opset(rng, 7, 13, 15, 19, 21, 23)
    attrs = {k: int(rng.integers(-7, 8)) for k in ("start", "end") if v >= 15 and rng.random() < 0.6}
    return Case("Shape", v, [data(rng, shape(rng), moved(rng))], **attrs)


def gather(rng):
    v = opset(rng, 7, 11, 13)
    x = data(rng, shape(rng, 1, 4), moved(rng))
    axis = axis_of(rng, x.ndim) if v >= 11 else int(rng.integers(x.ndim))
    d = x.shape[axis]
    index = rng.integers(-d if v >= 11 else 0, d, shape(rng, 0, 3, 4)).astype(rng.choice([S32, S64]))
    return Case("Gather", v, [x, index], fixed=(1,) if rng.random() < 0.6 else (), axis=axis)


def slice_case(rng):
    v = opset(rng, 7, 10, 11, 13)
    x = data(rng, shape(rng, 1, 4, 12), moved(rng))
    axes = [a % x.ndim if v < 11 else a for a in axes_of(rng, x.ndim)]
    n = len(axes)
    starts, ends = rng.integers(-14, 15, n), rng.integers(-14, 15, n)
    big = np.iinfo(np.int32)
    ends = np.where(rng.random(n) < 0.3, rng.choice([big.max, big.min + 1], n), ends)
    if v < 10:
        return Case("Slice", v, [x], starts=[int(k) for k in starts], ends=[int(k) for k in ends], axes=axes)
    kind = rng.choice([S32, S64])
    steps = rng.choice([1, 1, 2, 3, -1, -2, 50, -50], n)
    last = [np.array(axes, kind), steps.astype(kind)]
    if axes == list(range(n)) and rng.random() < 0.5:
        last = []
    return Case("Slice", v, [x, starts.astype(kind), ends.astype(kind)] + last, fixed=(1, 2, 3, 4)[: 2 + len(last)])


def constant(rng):
    v = opset(rng, 7, 9, 11, 12, 13, 19, 21, 23)
    if v < 12 or rng.random() < 0.4:
        return Case("Constant", v, [], value=nh.from_array(np.asarray(data(rng, shape(rng), moved(rng)))))
    name = str(rng.choice(["value_int", "value_ints", "value_float", "value_floats"]))
    value = {"value_int": 7, "value_ints": [3, -4, 5], "value_float": 2.5, "value_floats": [1.0, -0.5]}[name]
    return Case("Constant", v, [], **{name: value})


def product_bound(a, b, c=0.0, alpha=1.0, beta=1.0):
    a, b, c = (np.asarray(v, np.float64) for v in (a, b, c))
    k = a.shape[-1]
    exact = alpha * (a @ b) + beta * c
    return exact, (k + 4) * EPS * (abs(alpha) * (np.abs(a) @ np.abs(b)) + np.abs(beta * c)) + 1e-30


def matrices(rng):
    long = rng.random() < 0.2
    m, k, n = (int(v) for v in (rng.integers(1, 300 if long else 20, 3)))
    batch = [int(v) for v in rng.integers(1, 4, rng.integers(0, 3))]
    def side(s):
        t = [1 if rng.random() < 0.3 else d for d in batch]
        return (t[int(rng.integers(len(t) + 1)):] if rng.random() < 0.3 else t) + s
    a, b = side([m, k]), side([k, n])
    if len(a) == 2 and rng.random() < 0.3:
        a = [k]
    if len(b) == 2 and rng.random() < 0.3:
        b = [k]
    return a, b


def matmul(rng):
    v = opset(rng, 7, 9, 13)
    sa, sb = matrices(rng)
    dtype = rng.choice([F32, F32, S32, S64]) if v >= 9 else F32
    a, b = data(rng, sa, dtype), data(rng, sb, dtype)
    return Case("MatMul", v, [a, b], fixed=(1,) if rng.random() < 0.5 else (), bound=product_bound(a, b) if a.dtype == F32 else None)


def gemm(rng):
    v = opset(rng, 7, 9, 11, 13)
    long = rng.random() < 0.2
    m, k, n = (int(w) for w in rng.integers(1, 300 if long else 20, 3))
    ta, tb = (int(w) for w in rng.integers(0, 2, 2))
    a, b = data(rng, [k, m] if ta else [m, k]), data(rng, [n, k] if tb else [k, n])
    c = data(rng, [[], [1], [n], [1, n], [m, 1], [m, n], [1, 1]][int(rng.integers(7))])
    alpha, beta = (float(F32(w)) for w in rng.choice([1, 0.5, -1.7, 0], 2))
    if v >= 11 and rng.random() < 0.3:
        c = None
    exact, bound = product_bound(a.T if ta else a, b.T if tb else b, 0.0 if c is None else c, alpha, beta)
    return Case("Gemm", v, [a, b] + ([] if c is None else [c]), fixed=(1, 2)[: 2 if c is not None else 1], bound=(exact, bound), transA=ta, transB=tb, alpha=alpha,
                beta=beta)


def matmul_integer(rng):
    sa, sb = matrices(rng)
    a, b = data(rng, sa, U8), data(rng, sb, rng.choice([U8, S8]))
    case = [a, b]
    if rng.random() < 0.7:
        case.append(data(rng, [[], [1]][int(rng.integers(2))], U8))
        if rng.random() < 0.7:
            case.append(data(rng, [b.shape[-1]] if b.ndim == 2 and rng.random() < 0.6 else [], b.dtype))
    return Case("MatMulInteger", opset(rng, 10), case, fixed=(1, 3) if len(case) > 3 else ())


def reduced(op, x, over, keep):
    """The exact result of a reduction of floats in float64, and how far n roundings of its sum may be from it."""
    d, s = x.astype(np.float64), {"axis": over, "keepdims": keep}
    n = d.size / max(1, np.sum(d, **s).size)
    size = np.sum(np.abs(d), **s)
    if op == "ReduceMean":
        return np.sum(d, **s) / n, (n + 2) * EPS * size / n
    if op == "ReduceProd":
        return np.prod(d, **s), (n + 2) * EPS * np.abs(np.prod(d, **s))
    if op in ("ReduceSumSquare", "ReduceL2"):
        square = np.sum(d * d, **s)
        return (square, (n + 2) * EPS * square) if op != "ReduceL2" else (np.sqrt(square), (n + 4) * EPS * np.sqrt(square))
    if op == "ReduceLogSum":
        exact = np.log(np.sum(d, **s))
        return exact, (n + 4) * EPS * (1 + np.abs(exact))
    if op == "ReduceLogSumExp":
        most = np.max(d, axis=over, keepdims=True)
        exact = np.log(np.sum(np.exp(d - most), **s)) + most.reshape(np.sum(d, **s).shape)
        return exact, (n + 12) * EPS * (1 + np.abs(exact) + np.abs(most.reshape(exact.shape)))
    return np.sum(np.abs(d) if op == "ReduceL1" else d, **s), (n + 2) * EPS * size


def reduce(op, moved_at=18):
    def make(rng):
        v = opset(rng, 7, 11, 13, 18)
        kinds = [F32, F32, S32, S64]
        if op in ("ReduceMax", "ReduceMin") and v >= 12:
            kinds += [U8, S8] + [np.bool_] * (v >= 20)
        if op in ("ReduceLogSum", "ReduceLogSumExp"):
            kinds = [F32]  # of integers nobody says more than that they are integers
        x = data(rng, shape(rng, 1), rng.choice(kinds))
        if x.dtype in (S32, S64) and op not in ("ReduceMax", "ReduceMin"):
            most = {"ReduceProd": 1, "ReduceSumSquare": 30, "ReduceL2": 30}.get(op, 100)
            x = np.clip(x, -most, most).astype(x.dtype)  # ONNX Runtime does not wrap
        if x.dtype == F32 and op == "ReduceProd":
            x = (rng.random(x.shape) + 0.5).astype(F32) if x.size < 100 else (1 + (rng.random(x.shape) - 0.5) * 1e-3).astype(F32)
        if op == "ReduceLogSum":
            x = np.abs(x) + F32(0.01)
        axes = None if rng.random() < 0.2 else axes_of(rng, x.ndim)
        if v < 11 and axes:
            axes = [k % x.ndim for k in axes]
        attrs = {"keepdims": int(rng.integers(2))}
        inputs, over = [x], tuple(axes) if axes else None
        if v >= moved_at:
            if axes is None and rng.random() < 0.5:
                attrs["noop_with_empty_axes"] = 1
                over = ()
            inputs += [np.array(axes, S64)] if axes else []
        elif axes:
            attrs["axes"] = axes
        bound = None
        if x.dtype == F32 and op not in ("ReduceMax", "ReduceMin"):
            bound = tuple(np.asarray(b) for b in reduced(op, x, over, bool(attrs["keepdims"])))
        return Case(op, v, inputs, fixed=(1,) if len(inputs) > 1 else (), bound=bound, **attrs)
    return make


def global_pool(op):
    def make(rng):
        x = data(rng, shape(rng, 3, 5))
        over = tuple(range(2, x.ndim))
        p = int(rng.integers(1, 3))
        same = {"GlobalAveragePool": "ReduceMean", "GlobalMaxPool": "ReduceMax", "GlobalLpPool": "ReduceL1" if p == 1 else "ReduceL2"}[op]
        return Case(op, opset(rng, 7, 22) if op != "GlobalLpPool" else int(rng.integers(7, 22)), [x], bound=None if same == "ReduceMax" else reduced(same, x, over, True),
                    **({"p": p} if op == "GlobalLpPool" else {}))
    return make


def pool(op):
    def make(rng):
        v = opset(rng, *((7, 8, 10, 11, 12, 22) if op == "MaxPool" else (7, 10, 11, 19, 22)))
        n = int(rng.integers(1, 4))
        k = [int(w) for w in rng.integers(1, 4, n)]
        attrs = {"kernel_shape": k}
        if rng.random() < 0.8:
            attrs["strides"] = [int(w) for w in rng.integers(1, 4, n)]
        dilated = v >= (10 if op == "MaxPool" else 19) and rng.random() < 0.4
        if dilated:
            attrs["dilations"] = [int(w) for w in rng.integers(1, 3, n)]
        mode = str(rng.choice(["pads", "none", "VALID", "SAME_UPPER", "SAME_LOWER", "NOTSET"]))
        if mode == "pads":
            attrs["pads"] = [int(rng.integers(0, w)) for w in k + k]
        elif mode != "none" and not (mode.startswith("SAME") and (dilated or any(a > b for a, b in zip(attrs.get("strides", []), k)))):
            attrs["auto_pad"] = mode
        if v >= 10 and rng.random() < 0.4 and "auto_pad" not in attrs:
            attrs["ceil_mode"] = 1
        if op == "AveragePool":
            attrs["count_include_pad"] = int(rng.integers(2))
        dtype = rng.choice([F32, U8, S8]) if op == "MaxPool" and v >= 12 else F32
        reach = [(w - 1) * 2 + 1 for w in k]
        s = shape(rng, 2, 2, 4) + [int(rng.integers(w, w + (300 if n == 1 else 14))) for w in reach]
        x = data(rng, s, dtype)
        bound = None
        if op == "AveragePool":
            near, size = (reference(Case(op, v, [t], **attrs).model()[0], {"i0": t})[0].astype(np.float64) for t in (x, np.abs(x)))
            bound = (near, 2 * (np.prod(k) + 2) * EPS * size)  # around ONNX Runtime's own result: twice the error of one
        return Case(op, v, [x], bound=bound, **attrs)
    return make


def batch_normalization(rng):
    v = opset(rng, 7, 9, 14, 15)
    x = data(rng, shape(rng, 2, 5))
    c = x.shape[1]
    scale, bias, mean = (data(rng, [c]) for _ in range(3))
    var = (rng.random(c) + 0.01).astype(F32)
    eps = float(F32(rng.choice([1e-5, 1e-3])))
    s, b, m, w = (k.astype(np.float64).reshape([1, c] + [1] * (x.ndim - 2)) for k in (scale, bias, mean, var))
    gain = s / np.sqrt(w + eps)
    exact = (x - m) * gain + b
    size = (np.abs(x) + np.abs(m)) * np.abs(gain) + np.abs(b)
    return Case("BatchNormalization", v, [x, scale, bias, mean, var], fixed=(1, 2, 3, 4), bound=(exact, 8 * EPS * size), epsilon=eps)


def quantize(op):
    def make(rng):
        v = opset(rng, 10, 13, 19, 21, 23)
        s = shape(rng, 1, 4)
        kind = rng.choice([U8, S8])
        axis = axis_of(rng, len(s)) if v >= 13 else 1
        per = v >= 13 and rng.random() < 0.6
        n = [s[axis]] if per else [[], [1]][int(rng.integers(2))]
        scale = (rng.random(n) * 0.1 + 0.01).astype(F32)
        zp = data(rng, n, kind)
        attrs = {"axis": axis} if v >= 13 else {}
        if op == "QuantizeLinear":
            x = np.asarray(data(rng, s))
            if rng.random() < 0.5:  # ties and values beyond both ends
                x = np.asarray((rng.integers(-700, 700, s) * 0.5).astype(F32) * (scale.flat[0] if not per else F32(1)))
            if x.size > 3 and rng.random() < 0.3:
                x.flat[:3] = [np.nan, np.inf, -np.inf]
            if v >= 21 and rng.random() < 0.3:
                return Case(op, v, [x, scale], fixed=(1,), output_dtype=int(h.np_dtype_to_tensor_dtype(np.dtype(kind))), **attrs)
            return Case(op, v, [x, scale, zp] if kind == S8 or rng.random() < 0.7 else [x, scale], fixed=(1, 2)[: rng.integers(0, 2)], **attrs)
        if rng.random() < 0.2:
            kind, zp = S32, np.zeros(n, S32)
        x = data(rng, s, kind)
        return Case(op, v, [x, scale, zp] if rng.random() < 0.7 else [x, scale], fixed=(1, 2)[: rng.integers(0, 2)], **attrs)
    return make


def dynamic_quantize(rng):
    x = data(rng, shape(rng, 0, 4)) * F32(rng.choice([1, 1e-3, 1e4]))
    how = rng.integers(5)
    x = np.asarray([x, np.abs(x), -np.abs(x), x * 0, np.round(x)][how], F32)
    return Case("DynamicQuantizeLinear", opset(rng, 11), [x], n_out=3)


MAKERS = {
    "Add": arithmetic("Add"), "Sub": arithmetic("Sub"), "Mul": arithmetic("Mul"), "Div": arithmetic("Div"), "Pow": pow_case,
    "Relu": unary("Relu", 7, 13, 14), "Sqrt": unary("Sqrt", 7, 13), "Sigmoid": unary("Sigmoid", 7, 13), "Clip": clip,
    "Identity": identity, "Cast": cast, "Reshape": reshape, "Flatten": flatten, "Squeeze": squeeze, "Unsqueeze": unsqueeze,
    "Concat": concat, "Shape": shape_case, "Gather": gather, "Slice": slice_case, "Constant": constant, "MatMul": matmul,
    "Gemm": gemm, "MatMulInteger": matmul_integer, "ReduceSum": reduce("ReduceSum", 13),
    **{f"Reduce{r}": reduce(f"Reduce{r}") for r in ("Mean", "L1", "L2", "SumSquare", "Prod", "Max", "Min", "LogSum", "LogSumExp")},
    **{f"Global{p}Pool": global_pool(f"Global{p}Pool") for p in ("Average", "Max", "Lp")}, "MaxPool": pool("MaxPool"), "AveragePool": pool("AveragePool"),
    "BatchNormalization": batch_normalization, "QuantizeLinear": quantize("QuantizeLinear"),
    "DequantizeLinear": quantize("DequantizeLinear"), "DynamicQuantizeLinear": dynamic_quantize,
}


@pytest.mark.parametrize("op", MAKERS)
def test_operator(op, tmp_path):
    print(f"VD_SEED={SEED}")
    for k in range(CASES):
        rng = np.random.default_rng([SEED, k, *op.encode()])
        check(tmp_path, MAKERS[op](rng), threads=1 + k % 2)


def chain(nodes, x, held=(), v=17):
    graph = h.make_graph(nodes, "g", [h.make_tensor_value_info("x", h.np_dtype_to_tensor_dtype(x.dtype), x.shape)],
                         [onnx.ValueInfoProto(name="y")], [nh.from_array(np.asarray(a), n) for n, a in held])
    m = h.make_model(graph, opset_imports=[h.make_opsetid("", v)], ir_version=8)
    return onnx.shape_inference.infer_shapes(m, data_prop=True)


def test_shapes_computed_from_shapes(tmp_path):
    """What exporters make of x.view(x.shape[0], -1): Shape, Gather, Unsqueeze, Concat, Reshape; also Cast, Mul and Slice of dims."""
    x = np.arange(2 * 3 * 4 * 5, dtype=F32).reshape(2, 3, 4, 5)
    nodes = [
        h.make_node("Shape", ["x"], ["s"]), h.make_node("Gather", ["s", "zero"], ["n"]),
        h.make_node("Unsqueeze", ["n", "axis"], ["n1"]), h.make_node("Slice", ["s", "two", "four"], ["hw"]),
        h.make_node("Cast", ["hw"], ["hwf"], to=T.FLOAT), h.make_node("Mul", ["hwf", "half"], ["hw2"]),
        h.make_node("Cast", ["hw2"], ["hwi"], to=T.INT64), h.make_node("Concat", ["n1", "hwi", "rest"], ["d"], axis=0),
        h.make_node("Reshape", ["x", "d"], ["y"]),
    ]
    held = [("zero", S64(0)), ("axis", np.array([0], S64)), ("two", np.array([2], S64)), ("four", np.array([4], S64)),
            ("half", np.array([0.5, 1], F32)), ("rest", np.array([-1], S64))]
    model = chain(nodes, x, held)
    assert np.array_equal(ours(tmp_path, model, {"x": x}, 1)[0], reference(model, {"x": x})[0])


@pytest.mark.parametrize("kind", [T.DOUBLE, T.UINT16, T.INT16, T.UINT32, T.FLOAT16])
def test_types_that_are_only_passed_through(kind, tmp_path):
    rng = np.random.default_rng([SEED, int(kind)])
    x = (rng.random((3, 700)) * 60000).astype(F32)
    nodes = [h.make_node("Cast", ["x"], ["a"], to=kind), h.make_node("Reshape", ["a", "d"], ["b"]),
             h.make_node("Concat", ["b", "b"], ["c"], axis=1), h.make_node("Cast", ["c"], ["y"], to=T.FLOAT)]
    model = chain(nodes, x, [("d", np.array([-1, 3], S64))])
    assert np.array_equal(ours(tmp_path, model, {"x": x}, 2)[0], reference(model, {"x": x})[0])


REFUSED = [
    ("MaxPool", [np.zeros((1, 1, 4, 4), F32)], dict(kernel_shape=[2, 2]), 2, 17, "output 1"),
    ("BatchNormalization", [np.zeros((1, 1, 4), F32)] + [np.ones(1, F32)] * 4, dict(training_mode=1), 3, 15, "output 1"),
    ("QuantizeLinear", [np.zeros((4, 4), F32), np.ones((4, 2), F32), np.zeros((4, 2), U8)], dict(axis=1, block_size=2), 1, 21,
     "block_size"),
    ("Det", [np.zeros((3, 3), F32)], {}, 1, 17, "Det"),
    ("AveragePool", [np.zeros((1, 1, 9), F32)], dict(kernel_shape=[3], dilations=[2], auto_pad="SAME_UPPER"), 1, 19, "auto_pad"),
]


@pytest.mark.parametrize("op,inputs,attrs,n_out,v,word", REFUSED, ids=[r[0] for r in REFUSED])
def test_refused_by_name(op, inputs, attrs, n_out, v, word, tmp_path):
    model, feeds = Case(op, v, inputs, n_out=n_out, **attrs).model()
    with pytest.raises(AssertionError, match=word) as e:
        ours(tmp_path, model, feeds, 1)
    assert op in str(e.value)
