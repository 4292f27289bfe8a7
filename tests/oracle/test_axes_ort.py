# SPDX-License-Identifier: BSD-2-Clause
"""Operators that work along axes or at named places, against ONNX Runtime: softmaxes, normalisations, ArgMax and ArgMin, gathers
and scatters. Places: equal. Sums and powers: within the bound of their length, against float64. VD_SEED and VD_CASES change a run."""
import numpy as np
import pytest

from test_ops_ort import CASES, EPS, F32, MOVED, S8, S32, S64, SEED, U8, Case, axes_of, axis_of, check, data, opset, shape
from vmaf_dnn import Session


def run(tmp, model, feeds, threads):
    path = tmp / "m.onnx"
    path.write_bytes(model.SerializeToString())
    with Session(path, threads=threads) as s:
        return s.run(feeds)


def softmax(op):
    def make(rng):
        v = opset(rng, 7, 11, 13)
        x = data(rng, shape(rng, 2 if v < 13 else 1)) * F32(rng.choice([1, 10, 0.1]))
        axis = axis_of(rng, x.ndim) if v >= 11 else int(rng.integers(x.ndim))
        attrs = {} if rng.random() < 0.2 else {"axis": axis}
        axis = (attrs.get("axis", 1 if v < 13 else -1)) % x.ndim
        if op == "Hardmax":
            x = np.round(x)  # equals
            return Case(op, v, [x], **attrs)
        d = x.astype(np.float64)
        if v < 13:
            d = d.reshape(int(np.prod(x.shape[:axis])), -1)
        over = 1 if v < 13 else axis
        n = d.shape[over]
        d = d - d.max(axis=over, keepdims=True)
        total = np.exp(d).sum(axis=over, keepdims=True)
        exact = np.exp(d) / total if op == "Softmax" else d - np.log(total)
        # ONNX Runtime: an exponential of a rounded difference, n roundings of the sum
        bound = (n + 8) * EPS * (exact * (1 + np.abs(d)) if op == "Softmax" else 1 + np.abs(d) + np.log(total)) + 1e-37
        return Case(op, v, [x], bound=(exact.reshape(x.shape), bound.reshape(x.shape)), **attrs)
    return make


def deviation(x, over, eps):
    d = x.astype(np.float64)
    mean = d.mean(axis=over, keepdims=True)
    var = ((d - mean) ** 2).mean(axis=over, keepdims=True)
    return d, mean, 1 / np.sqrt(var + eps)


def normal_bound(d, mean, inverse, scale, bias, n):
    exact = (d - mean) * inverse * scale + bias
    # ONNX Runtime sums in float32: the mean is n roundings of the largest off, and so is the deviation, relatively
    size = np.abs(d).max() + np.abs(mean)
    return exact, (n + 16) * EPS * ((size + np.abs(d)) * inverse * np.abs(scale) + np.abs(exact) * (1 + (size * inverse) ** 2) + np.abs(bias))


def instance_norm(rng):
    x = data(rng, shape(rng, 3, 5))
    c, over = x.shape[1], tuple(range(2, x.ndim))
    scale, bias, eps = data(rng, [c]), data(rng, [c]), float(F32(rng.choice([1e-5, 1e-2])))
    side = [1, c] + [1] * (x.ndim - 2)
    d, mean, inverse = deviation(x, over, eps)
    return Case("InstanceNormalization", opset(rng, 7, 22), [x, scale, bias],
                bound=normal_bound(d, mean, inverse, scale.reshape(side), bias.reshape(side), x[0, 0].size), epsilon=eps)


def group_norm(rng):
    v = opset(rng, 18, 21)
    s = shape(rng, 3, 5)
    groups = int(rng.integers(1, 4))
    s[1] = groups * int(rng.integers(1, 4))
    x, eps = data(rng, s), float(F32(rng.choice([1e-5, 1e-2])))
    scale, bias = (data(rng, [groups if v < 21 else s[1]]) for _ in range(2))
    g = x.reshape(s[0], groups, -1)
    d, mean, inverse = deviation(g, 2, eps)
    def wide(t):
        t = np.repeat(t, s[1] // groups) if v < 21 else t
        return np.broadcast_to(t.reshape([1, -1] + [1] * (x.ndim - 2)), s).reshape(g.shape)
    exact, bound = normal_bound(d, mean, inverse, wide(scale), wide(bias), g.shape[2])
    return Case("GroupNormalization", v, [x, scale, bias], bound=(exact.reshape(s), bound.reshape(s)), num_groups=groups, epsilon=eps)


def layer_norm(op):
    def make(rng):
        x = data(rng, shape(rng, 1))
        axis = axis_of(rng, x.ndim)
        over = tuple(range(axis % x.ndim, x.ndim))
        side, eps = list(x.shape[over[0]:]), float(F32(rng.choice([1e-5, 1e-2])))
        scale = data(rng, side)
        bias = data(rng, side) if op == "LayerNormalization" and rng.random() < 0.7 else None
        attrs = {} if axis == -1 and rng.random() < 0.5 else {"axis": axis}
        d, mean, inverse = deviation(x, over, eps)
        if op == "RMSNormalization":
            mean, inverse = 0 * mean, 1 / np.sqrt((d * d).mean(axis=over, keepdims=True) + eps)
        exact, bound = normal_bound(d, mean, inverse, scale, 0 * scale if bias is None else bias, d.size // max(1, mean.size))
        return Case(op, 23 if op == "RMSNormalization" else opset(rng, 17), [x, scale] + ([] if bias is None else [bias]),
                    bound=(exact, bound), epsilon=eps, **attrs)
    return make


def mean_variance(rng):
    while True:
        x = data(rng, shape(rng, 4, 4))
        axes = [int(k) for k in rng.permutation(4)[: rng.integers(1, 5)]]
        over = tuple(axes)
        d = x.astype(np.float64)
        mean, dev = d.mean(axis=over, keepdims=True), d.std(axis=over, keepdims=True)
        size = np.abs(d).max() / dev.min() if dev.min() else np.inf
        if size < 100:  # ONNX Runtime takes the mean of the squares less the square of the mean, and its root
            break
    exact = (d - mean) / (dev + 1e-9)
    return Case("MeanVarianceNormalization", opset(rng, 9, 13), [x],
                bound=(exact, (d.size / mean.size + 16) * EPS * (np.abs(exact) * size**2 + size)), axes=axes)


def lp_norm(rng):
    x = data(rng, shape(rng, 1))
    axis, p = axis_of(rng, x.ndim), int(rng.integers(1, 3))
    d = x.astype(np.float64)
    norm = np.abs(d).sum(axis=axis, keepdims=True) if p == 1 else np.sqrt((d * d).sum(axis=axis, keepdims=True))
    exact = d / norm
    return Case("LpNormalization", int(rng.integers(7, 22)), [x], bound=(exact, (x.shape[axis] + 8) * EPS * np.abs(exact)), axis=axis, p=p)


def lrn(rng):
    x = data(rng, shape(rng, 4, 4))
    size, alpha, beta, bias = int(rng.choice([1, 3, 5, 7])), *(float(F32(w)) for w in (rng.random() + 1e-4, rng.choice([0.75, 0.5, 1.3]), rng.random() + 0.5))
    d = x.astype(np.float64)
    total = np.zeros_like(d)
    for c in range(x.shape[1]):
        total[:, c] = (d[:, max(0, c - (size - 1) // 2): c + size // 2 + 1] ** 2).sum(axis=1)
    base = bias + alpha / size * total
    exact = d / base**beta
    # ONNX Runtime adds and takes away the squares of the channels as it goes
    lost = beta * alpha / size * (x.shape[1] + 4) * (d**2).sum(axis=1, keepdims=True) / base
    return Case("LRN", opset(rng, 7, 13), [x], bound=(exact, (32 + lost) * EPS * np.abs(exact)), size=size, alpha=alpha, beta=beta, bias=bias)


def arg(op):
    def make(rng):
        v = opset(rng, 7, 11, 12, 13)
        x = np.round(data(rng, shape(rng, 1), rng.choice([F32, F32, S32] + ([U8, S8] if v >= 12 else []))))
        axis = axis_of(rng, x.ndim) if v >= 11 else int(rng.integers(x.ndim))
        attrs = {"axis": axis, "keepdims": int(rng.integers(2)), "select_last_index": int(rng.integers(2))}
        if v < 12:
            del attrs["select_last_index"]
        return Case(op, v, [x], **{k: w for k, w in attrs.items() if rng.random() < 0.8})
    return make


def some_places(rng, count):
    return (0,) if rng.random() < 0.2 else (1,) if rng.random() < 0.5 else ()


def gather_elements(rng):
    x = data(rng, shape(rng, 1, 4), rng.choice(MOVED))
    axis = axis_of(rng, x.ndim)
    s = [int(rng.integers(1, d + 1)) for d in x.shape]
    s[axis] = int(rng.integers(1, 6))
    d = x.shape[axis]
    index = rng.integers(-d, d, s).astype(rng.choice([S32, S64]))
    return Case("GatherElements", opset(rng, 11, 13), [x, index], fixed=some_places(rng, 2), axis=axis)


def reduction(rng, v, dtype):
    kind = np.dtype(dtype).kind
    names = ["none"] if kind == "b" or v < 16 else ["none", "add", "mul"] + (["max", "min"] if v >= 18 else [])
    name = str(rng.choice(names))
    return {} if v < 16 or name == "none" and rng.random() < 0.5 else {"reduction": name}


def scatter_elements(rng):
    v = opset(rng, 11, 13, 16, 18)
    dtype = rng.choice([F32, F32, U8, S32, S64, np.bool_])
    x = data(rng, shape(rng, 1, 4, 9), dtype)
    axis = axis_of(rng, x.ndim)
    attrs = reduction(rng, v, dtype)
    d = x.shape[axis]
    s = [int(rng.integers(1, k + 1)) for k in x.shape]
    index = rng.integers(0, d, s)
    if not attrs:  # of equal ones, which is written last is left open
        index = np.argsort(rng.random(x.shape), axis=axis)[tuple(slice(k) for k in s)]
    index = np.where(rng.random(index.shape) < 0.3, index - d, index).astype(rng.choice([S32, S64]))
    small = np.clip(x, 0, 1) if np.dtype(dtype).kind in "iu" else x
    update = data(rng, index.shape, dtype)
    update = np.clip(update, 0, 2).astype(dtype) if np.dtype(dtype).kind in "iu" else update
    return Case("Scatter" if v < 11 else "ScatterElements", v, [small.astype(dtype), index, update], fixed=some_places(rng, 3), axis=axis, **attrs)


def gather_nd(rng):
    v = opset(rng, 11, 12, 13)
    x = data(rng, shape(rng, 1, 5), rng.choice(MOVED))
    batch = int(rng.integers(0, min(3, x.ndim))) if v >= 12 else 0
    depth = int(rng.integers(1, x.ndim - batch + 1))
    s = list(x.shape[:batch]) + [int(k) for k in rng.integers(1, 5, rng.integers(0, 3))]
    index = np.stack([rng.integers(-x.shape[batch + k], x.shape[batch + k], s) for k in range(depth)], axis=-1)
    return Case("GatherND", v, [x, index.astype(S64)], fixed=some_places(rng, 2), **({"batch_dims": batch} if v >= 12 else {}))


def scatter_nd(rng):
    v = opset(rng, 11, 13, 16, 18)
    dtype = rng.choice([F32, F32, S32, S64])
    x = data(rng, shape(rng, 1, 4), dtype)
    depth = int(rng.integers(1, x.ndim + 1))
    attrs = reduction(rng, v, dtype)
    n = int(rng.integers(1, 6))
    index = np.stack([rng.integers(-x.shape[k], x.shape[k], n) for k in range(depth)], axis=-1)
    if not attrs.get("reduction"):
        index = np.unique(index % x.shape[:depth], axis=0)
    update = data(rng, [len(index)] + list(x.shape[depth:]), dtype)
    if np.dtype(dtype).kind == "i":
        x, update = np.clip(x, 0, 3).astype(dtype), np.clip(update, 0, 3).astype(dtype)
    return Case("ScatterND", v, [x, index.astype(S64), update], fixed=some_places(rng, 3), **attrs)


def reverse_sequence(rng):
    x = data(rng, shape(rng, 2, 4), rng.choice(MOVED))
    time = int(rng.integers(2))
    lens = rng.integers(1, x.shape[time] + 1, x.shape[1 - time]).astype(S64)
    return Case("ReverseSequence", opset(rng, 10), [x, lens], fixed=some_places(rng, 2), time_axis=time, batch_axis=1 - time)


MAKERS = {
    "Softmax": softmax("Softmax"), "LogSoftmax": softmax("LogSoftmax"), "Hardmax": softmax("Hardmax"),
    "InstanceNormalization": instance_norm, "GroupNormalization": group_norm, "LayerNormalization": layer_norm("LayerNormalization"),
    "RMSNormalization": layer_norm("RMSNormalization"), "MeanVarianceNormalization": mean_variance, "LpNormalization": lp_norm, "LRN": lrn,
    "ArgMax": arg("ArgMax"), "ArgMin": arg("ArgMin"), "GatherElements": gather_elements, "ScatterElements": scatter_elements,
    "GatherND": gather_nd, "ScatterND": scatter_nd, "ReverseSequence": reverse_sequence,
}


@pytest.mark.parametrize("op", MAKERS)
def test_operator(op, tmp_path):
    print(f"VD_SEED={SEED}")
    for k in range(3 * CASES):
        rng = np.random.default_rng([SEED, k, *op.encode()])
        check(tmp_path, MAKERS[op](rng), threads=1 + k % 2, run=run)
