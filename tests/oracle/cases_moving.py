# SPDX-License-Identifier: BSD-2-Clause
"""Generated cases: data that moves."""
import math

import numpy as np
from onnx import helper as h
from onnx import numpy_helper as nh

from cases import BOOL, F16, F32, S8, S32, S64, U8, maker


# --- moving data ---


@maker("Reshape")
def reshape(d):
    x = d.array(d.shape(1), d.kind())
    rest, into = x.size, []
    while rest > 1 and len(into) < 5:
        into.append(d.pick(*[k for k in range(1, rest + 1) if rest % k == 0][:10]))
        rest //= into[-1]
    into.append(rest)
    if d.chance(0.5):
        into[d.int(0, len(into) - 1)] = -1
    if d.chance(0.3):
        into = [0] * (x.ndim - 1) + [-1]
    return d.one(x, np.array(into, S64), fixed=(1,))


@maker("Flatten")
def flatten(d):
    x = d.array(d.shape(1), d.kind())
    return d.one(x, axis=d.int(-x.ndim if d.opset >= 11 else 0, x.ndim))


@maker("Squeeze", "Unsqueeze", named=True)
def squeeze(d, op):
    if op == "Squeeze":
        s = [1 if d.chance(0.5) else v for v in d.shape(1, 5)]
        axes = [k for k, v in enumerate(s) if v == 1]
        axes = d.some(axes) if axes else []
        rank = len(s)
    else:
        s = d.shape(0, 4)
        rank = len(s) + d.int(1, 3)
        axes = [int(v) for v in d.rng.permutation(rank)[: rank - len(s)]]
    if d.opset >= 11:
        axes = [a - rank if d.chance(0.3) else a for a in axes]
    x = d.array(s, d.kind())
    if not axes:
        return d.one(x)
    return d.one(x, np.array(axes, S64), fixed=(1,)) if d.opset >= 13 else d.one(x, axes=axes)


@maker("Transpose")
def transpose(d):
    x = d.array(d.shape(0, 6, 5), d.kind())
    return d.one(x, perm=[int(v) for v in d.rng.permutation(x.ndim)] if x.ndim and d.chance(0.9) else None)


@maker("Concat")
def concat(d):
    s, kind = d.shape(1), d.kind()
    axis, parts = d.axis(len(s), d.opset >= 11), []
    for _ in range(d.int(1, 4)):
        s[axis] = d.int(1, 6)
        parts.append(d.array(s, kind))
    return d.one(*parts, axis=axis)


@maker("Split")
def split(d):
    s = d.shape(1, 4)
    axis = d.axis(len(s), d.opset >= 11)
    n_out = d.int(1, 4)
    if d.chance(0.3):
        s[axis] = n_out * d.int(1, 4)
        x = d.array(s, d.kind())
        return d.one(x, n_out=n_out, axis=axis, num_outputs=n_out if d.opset >= 18 else None)
    sizes = [d.int(1, 4) for _ in range(n_out)]
    s[axis] = sum(sizes)
    x = d.array(s, d.kind())
    return d.one(x, np.array(sizes, S64), fixed=(1,), n_out=n_out, axis=axis) if d.opset >= 13 else d.one(x, n_out=n_out, axis=axis, split=sizes)


@maker("Slice")
def slice_(d):
    x = d.array(d.shape(1, 4, 12), d.kind())
    axes = d.axes(x.ndim, d.opset >= 11)
    n = len(axes)
    starts = [d.int(-14, 14) for _ in axes]
    ends = [d.pick(2**31 - 1, -(2**31) + 1) if d.chance(0.3) else d.int(-14, 14) for _ in axes]
    steps = [d.pick(1, 1, 2, 3, -1, -2, 50, -50) if d.opset >= 10 else 1 for _ in axes]
    for k, a in enumerate(axes):  # at least one element
        picked = range(x.shape[a])[slice(starts[k], None if ends[k] < -100 else ends[k], steps[k])]
        if not len(picked):
            starts[k], ends[k] = (0, 1) if steps[k] > 0 else (-1, -x.shape[a] - 1)
    if d.opset < 10:
        return d.one(x, starts=starts, ends=ends, axes=axes)
    kind = d.pick(S32, S64)
    last = [np.array(axes, kind), np.array(steps, kind)]
    if d.chance(0.3) and axes == list(range(n)) and set(steps) == {1}:
        last = []
    return d.one(x, np.array(starts, kind), np.array(ends, kind), *last, fixed=(1, 2, 3, 4))


@maker("Gather", "GatherElements", named=True)
def gather(d, op):
    x = d.array(d.shape(1, 4), d.kind())
    axis = d.axis(x.ndim, d.opset >= 11)
    size = x.shape[axis]
    s = d.shape(0, 3, 4)
    if op == "GatherElements":
        s = [d.int(1, v) for v in x.shape]
        s[axis] = d.int(1, 5)
    return d.one(x, d.rng.integers(-size if d.opset >= 11 else 0, size, s).astype(d.pick(S32, S64)), fixed=d.pick((), (1,)), axis=axis)


@maker("GatherND", "ScatterND", named=True)
def gather_nd(d, op):
    x = d.array(d.shape(2, 4), d.kind())
    b = d.int(0, 1) if op == "GatherND" and d.opset >= 12 else 0
    k = d.int(1, x.ndim - b)
    lead = list(x.shape[:b]) + d.shape(1, 2, 3)
    index = np.stack([d.rng.integers(0, x.shape[b + j], lead) for j in range(k)], -1).astype(S64)
    if op == "GatherND":
        return d.one(x, index, batch_dims=b or None)
    flat = d.rng.permutation(math.prod(x.shape[:k]))[: d.int(1, math.prod(x.shape[:k]))]
    index = np.stack(np.unravel_index(flat, x.shape[:k]), -1).astype(S64)
    return d.one(x, index, d.array([len(flat), *x.shape[k:]], x.dtype))


@maker("ReverseSequence")
def reverse_sequence(d):
    x = d.array(d.shape(2, 4), d.kind())
    time = d.int(0, 1)
    lengths = d.rng.integers(1, x.shape[time] + 1, x.shape[1 - time])
    return d.one(x, lengths.astype(S64), fixed=d.pick((), (1,)), time_axis=time, batch_axis=1 - time)


@maker("ScatterElements", "Scatter", named=True)
def scatter_elements(d, op):
    if op == "Scatter":
        d.opset = d.pick(9, 10)
    x = d.array(d.shape(1, 3), d.kind())
    axis = d.axis(x.ndim, d.opset >= 11)
    s = [d.int(1, v) for v in x.shape]
    index = np.argsort(d.rng.random([v if k != axis % x.ndim else x.shape[k] for k, v in enumerate(s)]), axis)
    index = np.take(index, range(s[axis]), axis)
    return d.one(x, index.astype(S64), d.array(s, x.dtype), axis=axis)


@maker("Expand")
def expand(d):
    x, to = d.broadcasts(2, 1)
    return d.one(d.array(x, d.kind()), np.array(to or [1], S64), fixed=(1,))


@maker("Tile")
def tile(d):
    x = d.array(d.shape(1, 4, 4), d.kind())
    return d.one(x, np.array([d.int(1, 3) for _ in x.shape], S64), fixed=(1,))


@maker("Shape", "Size", named=True)
def shape_of(d, op):
    x = d.array(d.shape(), d.kind())
    if op == "Size" or d.opset < 15:
        return d.one(x)
    return d.one(x, start=d.pick(None, d.int(-6, 6)), end=d.pick(None, d.int(-6, 6)))


@maker("ConstantOfShape")
def constant_of_shape(d):
    kind = d.kind("T2")
    value = nh.from_array(d.array([1], kind)) if d.chance(0.8) else None
    d2 = d.one(np.array(d.shape(1, 4), S64), fixed=(0,), value=value)
    return with_pass(d2)


@maker("Constant")
def constant(d):
    if d.opset < 12 or d.chance(0.4):
        return with_pass(d.one(value=nh.from_array(d.array(d.shape(), d.pick(F32, U8, S8, S32, S64, F16, BOOL)))))
    return with_pass(d.one(**d.pick({"value_int": 7}, {"value_ints": [3, -4, 5]}, {"value_float": 2.5}, {"value_floats": [1.0, -0.5]})))


@maker("Range")
def range_(d):
    kind = d.kind(only=(F32, S32, S64))
    start, step = d.int(-9, 9), d.pick(1, 2, 3, -1, -2)
    return with_pass(d.one(*(np.asarray(v, kind) for v in (start, start + step * d.int(1, 40), step)), fixed=(0, 1, 2)))


def with_pass(case):
    """A model must have an input: one that passes through."""
    case.nodes.append(h.make_node("Identity", ["x"], ["pass"]))
    case.arrays["x"] = np.zeros(1, F32)
    case.outputs.append("pass")
    return case


@maker("Trilu")
def trilu(d):
    return d.one(d.array(d.shape(2, 4), d.kind()), np.asarray(d.int(-3, 3), S64) if d.chance(0.6) else None, fixed=(1,), upper=d.pick(0, 1, None))


@maker("EyeLike")
def eye_like(d):
    kind = d.kind("T2")
    return d.one(d.array(d.shape(2, 2), d.kind("T1")), k=d.pick(None, d.int(-4, 4)), dtype=d.pick(None, int(h.np_dtype_to_tensor_dtype(kind))))


@maker("OneHot")
def one_hot(d):
    depth, s = d.int(1, 6), d.shape(1, 3)
    kind = d.kind("T1")
    index = d.rng.integers(-depth - 2 if kind.kind != "u" else 0, depth + 2, s).astype(kind)
    return d.one(index, np.full(d.pick([], [1]), depth, d.kind("T2")), d.array([2], d.kind("T3")), fixed=d.pick((1,), (1, 2)),
                 axis=d.pick(None, d.int(-len(s) - 1, len(s))))


@maker("Pad")
def pad(d):
    x = d.array(d.shape(1, 5, 6), d.kind())
    mode = d.pick("constant", "edge", "reflect", None)
    most = lambda size: min(size - 1, 3) if mode == "reflect" else 3
    axes = d.axes(x.ndim, True) if d.opset >= 18 and d.chance(0.4) else None
    over = [x.shape[a] for a in axes] if axes is not None else x.shape
    pads = [d.int(0, most(v)) for v in over] + [d.int(0, most(v)) for v in over]
    if d.chance(0.2) and mode != "reflect":
        pads = [-d.int(0, (v - 1) // 2) for v in over] * 2
    value = d.array([], x.dtype) if mode in ("constant", None) and d.chance(0.6) else None
    if d.opset < 11:
        return d.one(x, pads=pads, mode=mode, value=float(value) if value is not None else None)
    return d.one(x, np.array(pads, S64), value, np.array(axes, S64) if axes is not None else None, fixed=d.pick((1, 3), (1, 2, 3)), mode=mode)


@maker("DepthToSpace", "SpaceToDepth", named=True)
def depth_to_space(d, op):
    b, c, hh, w = d.int(1, 3), d.int(1, 3), d.int(1, 5), d.int(1, 5)
    s = [d.int(1, 2), c * b * b, hh, w] if op == "DepthToSpace" else [d.int(1, 2), c, hh * b, w * b]
    return d.one(d.array(s, d.kind()), blocksize=b, mode=d.pick("DCR", "CRD", None) if op == "DepthToSpace" and d.opset >= 11 else None)
