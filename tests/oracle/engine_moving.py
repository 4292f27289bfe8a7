# SPDX-License-Identifier: BSD-2-Clause
"""The second engine (engine.py): reductions, and data that moves."""
import math

import numpy as np
import onnx

from engine_values import F32, S64, TINY, U, Value, bound, exact, moved, near, op


# --- reductions ---


def axes_of(n, v, given, since):
    """The axes, and whether there is nothing to do: an attribute, an input from opset `since` on."""
    axes = given.ints() if given is not None else list(n("axes", ())) if n.opset < since else []
    if not axes and n("noop_with_empty_axes", 0):
        return None
    return tuple(sorted(a % len(v.shape) for a in axes)) or tuple(range(len(v.shape)))


def reduction(name, since, f):
    @op(name)
    def run_reduction(n, v, given=None):
        axes = axes_of(n, v, given, since)
        if axes is None and name in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd"):
            return v
        axes = () if axes is None else axes
        k = math.prod(v.shape[a] for a in axes)
        over = {"axis": axes, "keepdims": bool(n("keepdims", 1))}
        return f(v, k, lambda t: np.sum(t, **over), over)


def reduce_sum(v, k, total, over):
    if not v.float:
        return exact(total(v.x), v.dtype)
    return near(total(v.x), total(v.e) + bound(k, total(np.abs(v.x))), v.dtype)


def reduce_mean(v, k, total, over):
    if not v.float:  # ONNX leaves the rounding of integers open: towards zero
        return exact(np.trunc(total(v.x.astype(np.float64)) / k), v.dtype)
    return near(total(v.x) / k, (total(v.e) + bound(k + 1, total(np.abs(v.x)))) / k, v.dtype)


def reduce_extreme(f):
    def extreme(v, k, total, over):
        return Value(f(v.x, **over), np.max(v.e, initial=0, **over), v.dtype)  # NaN wins
    return extreme


def reduce_product(v, k, total, over):
    y = np.prod(v.x, **over)
    if not v.float:
        return exact(y, v.dtype)
    grown = np.prod(np.abs(v.x) + v.e, **over)
    return near(y, grown - np.abs(y) + bound(k, grown), v.dtype)


def of_sum(inside, outer, slope):
    """outer(sum of inside): error of the sum times the greatest slope of outer there."""
    def reduce(v, k, total, over):
        if not v.float:
            return exact(outer(total(inside(v.x.astype(np.float64)))), v.dtype)
        s = total(inside(v.x))
        e = total(inside(np.abs(v.x) + v.e) - inside(np.abs(v.x))) + bound(k + 2, total(np.abs(inside(v.x))))
        y = outer(s)
        return near(y, e * slope(np.maximum(s - e, TINY)) + 8 * U * np.abs(y) + (2 * U if outer is np.log else 0), v.dtype)
    return reduce


def reduce_log_sum_exp(v, k, total, over):
    most = np.max(v.x, axis=over["axis"], keepdims=True) if v.x.size else 0.0
    most = np.where(np.isfinite(most), most, 0)
    s = total(np.exp(v.x - most))
    y = np.log(s) + most.reshape(s.shape)
    e = np.max(v.e + 4 * U * np.abs(v.x), **{**over, "initial": 0})
    return near(y, e + (k + 16) * U + 8 * U * np.abs(y), v.dtype)


reduction("ReduceSum", 13, reduce_sum)
reduction("ReduceMean", 18, reduce_mean)
reduction("ReduceMax", 18, reduce_extreme(np.max))
reduction("ReduceMin", 18, reduce_extreme(np.min))
reduction("ReduceProd", 18, reduce_product)
reduction("ReduceL1", 18, of_sum(np.abs, lambda s: s, lambda s: 1.0))
reduction("ReduceL2", 18, of_sum(np.square, np.sqrt, lambda s: np.minimum(0.5 / np.sqrt(s), 1e30)))
reduction("ReduceSumSquare", 18, of_sum(np.square, lambda s: s, lambda s: 1.0))
reduction("ReduceLogSum", 18, of_sum(lambda x: x, np.log, lambda s: 1 / s))
reduction("ReduceLogSumExp", 18, reduce_log_sum_exp)


@op("ArgMax", "ArgMin")
def arg_extreme(n, v):
    assert not np.any(v.e), f"{n.op} of inexact values"
    axis, f = n("axis", 0) % len(v.shape), np.argmax if n.op == "ArgMax" else np.argmin
    if n("select_last_index", 0):
        i = v.shape[axis] - 1 - f(np.flip(v.x, axis), axis)
    else:
        i = f(v.x, axis)
    return exact(np.expand_dims(i, axis) if n("keepdims", 1) else i, S64)


@op("CumSum")
def cumulative_sum(n, v, axis):
    a = int(axis.x.ravel()[0]) % len(v.shape)
    def along(t):
        t = np.flip(t, a) if n("reverse", 0) else t
        s = np.cumsum(t, axis=a, dtype=t.dtype)
        s = s - t if n("exclusive", 0) and v.dtype.kind != "f" else np.roll(s, 1, a) if n("exclusive", 0) else s
        if n("exclusive", 0):
            s = s.copy()
            s[(slice(None),) * a + (0,)] = 0
            if v.dtype.kind != "f":
                s = np.cumsum(t, axis=a, dtype=t.dtype) - t
        return np.flip(s, a) if n("reverse", 0) else s
    return near(along(v.x), along(v.e) + bound(v.shape[a], along(np.abs(v.x))), v.dtype) if v.float else exact(along(v.x), v.dtype)


@op("GlobalAveragePool")
def global_average_pool(n, v):
    over = {"axis": tuple(range(2, v.x.ndim)), "keepdims": True}
    return reduce_mean(v, math.prod(v.shape[2:]), lambda t: np.sum(t, **over), over)


@op("GlobalMaxPool")
def global_max_pool(n, v):
    over = {"axis": tuple(range(2, v.x.ndim)), "keepdims": True}
    return Value(np.max(v.x, **over), np.max(v.e, **over), v.dtype)


@op("GlobalLpPool")
def global_lp_pool(n, v):
    over, p = {"axis": tuple(range(2, v.x.ndim)), "keepdims": True}, n("p", 2)
    power = lambda t: np.sum(np.abs(t) ** p, **over)
    s, most = power(v.x), power(np.abs(v.x) + v.e)
    y = s ** (1 / p)
    relative = (math.prod(v.shape[2:]) + 2 + 8 * p) * U + (most - s) / np.maximum(s, TINY)
    return near(y, y * relative + 8 * U * y + TINY, v.dtype)


# --- moving data ---


@op("Constant")
def constant(n):
    (name, v), = n.attr.items()
    return exact(v, {"value_float": F32, "value_floats": F32, "value_int": S64, "value_ints": S64}.get(name))


@op("ConstantOfShape")
def constant_of_shape(n, shape):
    value = n("value", np.zeros(1, np.float32))
    return exact(np.full(shape.ints(), value.ravel()[0], value.dtype))


@op("Shape", "Size")
def shape_of(n, v):
    if n.op == "Size":
        return exact(np.int64(v.x.size))
    return exact(np.array(v.shape[n("start", 0):n("end") if n("end") is not None else None], np.int64))


@op("Reshape")
def reshape(n, v, to):
    dims = [v.shape[i] if d == 0 and not n("allowzero", 0) else d for i, d in enumerate(to.ints())]
    return moved(lambda t: t.reshape(dims), v)


@op("Flatten")
def flatten(n, v):
    axis = n("axis", 1)
    axis += len(v.shape) if axis < 0 else 0
    return moved(lambda t: t.reshape(math.prod(v.shape[:axis]), -1) if t.size else t.reshape(math.prod(v.shape[:axis]), math.prod(v.shape[axis:])), v)


@op("Squeeze", "Unsqueeze")
def squeeze(n, v, axes=None):
    axes = axes.ints() if axes is not None else list(n("axes", ()))
    if n.op == "Unsqueeze":
        return moved(lambda t: np.expand_dims(t, tuple(a % (t.ndim + len(axes)) for a in axes)), v)
    return moved(lambda t: np.squeeze(t, tuple(axes) if axes else None), v)


@op("Transpose")
def transpose(n, v):
    return moved(lambda t: np.transpose(t, n("perm")), v)


@op("Concat")
def concat(n, *values):
    return Value(np.concatenate([v.x for v in values], n("axis")), np.concatenate([v.e for v in values], n("axis")), values[0].dtype)


@op("Split")
def split(n, v, sizes=None):
    axis = n("axis", 0) % len(v.shape)
    sizes = sizes.ints() if sizes is not None else list(n("split", ()))
    if not sizes:
        each = -(-v.shape[axis] // n.n_out)
        sizes = [each] * (n.n_out - 1) + [v.shape[axis] - each * (n.n_out - 1)]
    at = np.cumsum(sizes)[:-1]
    return [Value(x, e, v.dtype) for x, e in zip(np.split(v.x, at, axis), np.split(v.e, at, axis))]


@op("Slice")
def slice_(n, v, starts=None, ends=None, axes=None, steps=None):
    get = lambda given, name: given.ints() if given is not None else n(name)
    starts, ends = get(starts, "starts"), get(ends, "ends")
    axes, steps = get(axes, "axes") or range(len(starts)), get(steps, "steps") or [1] * len(starts)
    cut = [slice(None)] * len(v.shape)
    for a, start, end, step in zip(axes, starts, ends, steps):
        d = v.shape[a]
        start, end = start + d * (start < 0), end + d * (end < 0)
        start = min(max(start, 0), d - (step < 0))
        end = min(max(end, -1 if step < 0 else 0), d)
        cut[a] = slice(start, None if end < 0 else end, step)
    return moved(lambda t: t[tuple(cut)], v)


@op("Gather")
def gather(n, v, i):
    axis = n("axis", 0) % len(v.shape)
    return moved(lambda t: np.take(t, np.where(i.x < 0, i.x + v.shape[axis], i.x), axis), v)


@op("ReverseSequence")
def reverse_sequence(n, v, lengths):
    time, batch = n("time_axis", 0), n("batch_axis", 1)
    def turned(t):
        t = np.moveaxis(t, (batch, time), (0, 1)).copy()
        for b, length in enumerate(lengths.ints()):
            t[b, :length] = t[b, :length][::-1]
        return np.moveaxis(t, (0, 1), (batch, time))
    return moved(turned, v)


@op("GatherElements")
def gather_elements(n, v, i):
    axis = n("axis", 0) % len(v.shape)
    part = tuple(slice(None if a == axis else size) for a, size in enumerate(i.shape))
    return moved(lambda t: np.take_along_axis(t[part], np.where(i.x < 0, i.x + v.shape[axis], i.x), axis), v)


@op("GatherND")
def gather_nd(n, v, i):
    b = n("batch_dims", 0)
    def pick(t):
        lead = t.shape[:b]
        flat, index = t.reshape(-1, *t.shape[b:]), i.x.reshape(-1, *i.shape[b:])
        rows = [flat[k][tuple(np.moveaxis(index[k], -1, 0))] for k in range(len(flat))]
        return np.stack(rows).reshape(*lead, *rows[0].shape)
    return moved(pick, v)


@op("ScatterElements", "Scatter")
def scatter_elements(n, v, i, u):
    axis, kind = n("axis", 0), n("reduction", "none")
    f = {"none": lambda old, new: new, "add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}[kind]
    x, e = v.x.copy(), v.e.copy()
    for at in np.ndindex(*i.shape):
        to = list(at)
        to[axis] = i.x[at]
        to = tuple(to)
        x[to], e[to] = f(x[to], u.x[at]), u.e[at] if kind == "none" or not v.float else e[to] + 8 * U * (np.abs(x[to]) + np.abs(u.x[at]))
    return Value(x, e, v.dtype)


@op("ScatterND")
def scatter_nd(n, v, i, u):
    kind = n("reduction", "none")
    f = {"none": lambda old, new: new, "add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}[kind]
    x, e = v.x.copy(), v.e.copy()
    for at in np.ndindex(*i.shape[:-1]):
        to = tuple(i.x[at])
        x[to], e[to] = f(x[to], u.x[at]), 0 if kind == "none" else e[to] + 8 * U * (np.abs(x[to]) + np.abs(u.x[at]))
    return Value(x, e, v.dtype)


@op("Expand")
def expand(n, v, to):
    return moved(lambda t: np.broadcast_to(t, np.broadcast_shapes(v.shape, tuple(to.ints()))), v)


@op("Tile")
def tile(n, v, times):
    return moved(lambda t: np.tile(t, times.ints()), v)


@op("Range")
def range_(n, start, limit, step):
    if not start.float:
        return exact(np.arange(start.x.item(), limit.x.item(), step.x.item()), start.dtype)
    count = max(math.ceil((limit.x - start.x) / step.x), 0)
    y = start.x + np.arange(count) * step.x
    return near(y, 2 * U * (np.abs(start.x) + np.arange(count) * np.abs(step.x)), start.dtype)


@op("EyeLike", "Trilu")
def triangle(n, v, k=None):
    if n.op == "EyeLike":
        return exact(np.eye(*v.shape, k=n("k", 0)), onnx.helper.tensor_dtype_to_np_dtype(n("dtype")) if n("dtype") else v.dtype)
    return moved(lambda t: (np.triu if n("upper", 1) else np.tril)(t, 0 if k is None else int(k.x.ravel()[0])), v)


@op("OneHot")
def one_hot(n, index, depth, values):
    """An index outside -depth to depth - 1 is nowhere on; of floats the fraction is dropped."""
    size = int(depth.x.ravel()[0])
    axis = n("axis", -1) % (len(index.shape) + 1)
    at = np.expand_dims(np.trunc(index.x).astype(np.int64), axis)
    places = np.arange(size).reshape([-1 if a == axis else 1 for a in range(at.ndim)])
    return exact(np.where((at == places) | (at + size == places), values.x[1], values.x[0]), values.dtype)


@op("Pad")
def pad(n, v, pads=None, value=None, axes=None):
    rank = len(v.shape)
    pads = pads.ints() if pads is not None else list(n("pads"))
    fill = value.x.ravel()[0] if value is not None else n("value", 0)
    at = [a % rank for a in axes.ints()] if axes is not None else range(rank)
    before, after = [0] * rank, [0] * rank
    for k, a in enumerate(at):
        before[a], after[a] = pads[k], pads[k + len(at)]
    mode = n("mode", "constant")
    def grown(t):
        t = t[tuple(slice(max(-b, 0), d - max(-a, 0)) for b, a, d in zip(before, after, t.shape))]
        grow = [(max(b, 0), max(a, 0)) for b, a in zip(before, after)]
        return np.pad(t, grow, mode, **({"constant_values": fill if t.dtype == v.x.dtype else 0} if mode == "constant" else {}))
    x = grown(v.x)
    return Value(x, grown(v.e) if np.any(v.e) else np.zeros(x.shape), v.dtype)


@op("DepthToSpace")
def depth_to_space(n, v):
    b, (N, C, H, W) = n("blocksize"), v.shape
    if n("mode", "DCR") == "DCR":
        return moved(lambda t: t.reshape(N, b, b, C // b**2, H, W).transpose(0, 3, 4, 1, 5, 2).reshape(N, C // b**2, H * b, W * b), v)
    return moved(lambda t: t.reshape(N, C // b**2, b, b, H, W).transpose(0, 1, 4, 2, 5, 3).reshape(N, C // b**2, H * b, W * b), v)


@op("SpaceToDepth")
def space_to_depth(n, v):
    b, (N, C, H, W) = n("blocksize"), v.shape
    return moved(lambda t: t.reshape(N, C, H // b, b, W // b, b).transpose(0, 3, 5, 1, 2, 4).reshape(N, C * b**2, H // b, W // b), v)
