# SPDX-License-Identifier: BSD-2-Clause
"""The second engine (engine.py): normalisation, Resize."""
import math

import numpy as np

from engine_values import F32, TINY, U, Value, bound, exact, moved, near, op, per_channel


# --- normalisation ---


@op("BatchNormalization")
def batch_normalization(n, x, scale, bias, mean, var):
    s, b, m, v = (moved(lambda t: per_channel(t, x.x.ndim), t) for t in (scale, bias, mean, var))
    gain = s.x / np.sqrt(v.x + n.f32("epsilon", 1e-5))
    y = (x.x - m.x) * gain + b.x
    assert not any(np.any(t.e) for t in (s, b, m, v)), "inexact statistics"
    return near(y, x.e * np.abs(gain) + 8 * U * ((np.abs(x.x) + np.abs(m.x)) * np.abs(gain) + np.abs(b.x)), x.dtype)


def standardised(x, axes, epsilon):
    """(x - mean) / sqrt(variance + epsilon) over axes, and its error; mean and 1 / deviation, each with its own."""
    over = {"axis": axes, "keepdims": True}
    k = math.prod(x.shape[a] for a in axes)
    mean = x.x.mean(**over)
    d = x.x - mean
    e_mean = x.e.mean(**over) + bound(k + 4, np.abs(x.x).mean(**over))
    e = x.e + e_mean + 2 * U * (np.abs(x.x) + np.abs(mean))
    v = (d * d).mean(**over) + epsilon
    # the variance may be taken as the mean of squares less the square of the mean
    ev = ((2 * np.abs(d) + e) * e).mean(**over) + bound(2 * k + 8, (x.x * x.x).mean(**over)) + 4 * U * v
    relative = np.minimum(ev / np.maximum(v - ev, TINY), 1e30) / 2
    y = d / np.sqrt(v)
    inverse = 1 / np.sqrt(v)
    return y, e * inverse * (1 + relative) + np.abs(y) * (relative + 8 * U), (mean, e_mean), (inverse, inverse * (relative + 8 * U))


def scaled(y, e, s, b, dtype):
    x = y * s.x + (0 if b is None else b.x)
    e = e * np.abs(s.x) + np.abs(y) * s.e + 4 * U * (np.abs(y * s.x) + np.abs(x)) + (0 if b is None else b.e)
    return near(x, e, dtype)


@op("InstanceNormalization")
def instance_normalization(n, x, scale, bias):
    y, e, _, _ = standardised(x, tuple(range(2, x.x.ndim)), n.f32("epsilon", 1e-5))
    return scaled(y, e, *(moved(lambda t: per_channel(t, x.x.ndim), t) for t in (scale, bias)), x.dtype)


@op("LayerNormalization")
def layer_normalization(n, x, scale, bias=None):
    y, e, mean, inverse = standardised(x, tuple(range(n("axis", -1) % x.x.ndim, x.x.ndim)), n.f32("epsilon", 1e-5))
    out = [scaled(y, e, scale, bias, x.dtype), near(*mean, F32), near(*inverse, F32)]
    return out[: n.n_out]


@op("GroupNormalization")
def group_normalization(n, x, scale, bias):
    g, C = n("num_groups"), x.shape[1]
    y, e, _, _ = standardised(moved(lambda t: t.reshape(x.shape[0], g, -1), x), (2,), n.f32("epsilon", 1e-5))
    spread = (lambda t: per_channel(np.repeat(t, C // g), x.x.ndim)) if n.opset < 21 else (lambda t: per_channel(t, x.x.ndim))
    return scaled(y.reshape(x.shape), e.reshape(x.shape), moved(spread, scale), moved(spread, bias), x.dtype)


@op("MeanVarianceNormalization")
def mean_variance_normalization(n, x):
    """The text divides by the deviation + 1e-9."""
    y, e, _, (inverse, _) = standardised(x, tuple(n("axes", [0, 2, 3])), 0.0)
    return near(y / (1 + 1e-9 * inverse), e, x.dtype)


@op("RMSNormalization")
def rms_normalization(n, x, scale):
    axes = tuple(range(n("axis", -1) % x.x.ndim, x.x.ndim))
    k = math.prod(x.shape[a] for a in axes)
    v = np.mean(x.x * x.x, axes, keepdims=True) + n.f32("epsilon", 1e-5)
    assert not np.any(x.e)
    return scaled(x.x / np.sqrt(v), (k + 8) * U * np.abs(x.x) / np.sqrt(v), scale, None, x.dtype)


@op("LpNormalization")
def lp_normalization(n, x):
    axis, p = n("axis", -1), n("p", 2)
    size = np.linalg.norm(x.x, p, axis, keepdims=True)
    y = np.where(size == 0, 0, x.x / size)
    return near(y, (x.e + x.e.sum(axis, keepdims=True)) / size + (x.shape[axis] + 8) * U * np.abs(y), x.dtype)


@op("LRN")
def local_response_normalization(n, x):
    size, C = n("size"), x.shape[1]
    square = np.stack([(x.x[:, max(0, c - (size - 1) // 2):min(C, c + size // 2 + 1)] ** 2).sum(1) for c in range(C)], 1)
    y = x.x * (n.f32("bias", 1) + n.f32("alpha", 1e-4) / size * square) ** -n.f32("beta", 0.75)
    assert not np.any(x.e)
    return near(y, (size + 16) * U * np.abs(y), x.dtype)


@op("Softmax", "LogSoftmax", "Hardmax")
def softmax(n, v):
    axis = n("axis", 1 if n.opset < 13 else -1) % max(v.x.ndim, 1)
    flat = v if n.opset >= 13 else moved(lambda t: t.reshape(math.prod(v.shape[:axis]), -1), v)  # until opset 12: all axes from there on
    axis = axis if n.opset >= 13 else 1
    if n.op == "Hardmax":
        first = np.expand_dims(np.argmax(flat.x, axis), axis)
        return exact((np.arange(flat.shape[axis]).reshape([-1 if a == axis else 1 for a in range(flat.x.ndim)]) == first).reshape(v.shape), v.dtype)
    d = flat.x - flat.x.max(axis, keepdims=True)
    total = np.exp(d).sum(axis, keepdims=True)
    reach = 2 * flat.e.max(axis, keepdims=True) + 2 * U * np.abs(d) + (flat.shape[axis] + 16) * U
    if n.op == "Softmax":
        y = np.exp(d) / total
        return near(y.reshape(v.shape), (y * np.expm1(reach) + 4 * TINY).reshape(v.shape), v.dtype)
    y = d - np.log(total)
    return near(y.reshape(v.shape), (reach + 4 * U * np.abs(y)).reshape(v.shape), v.dtype)


# --- Resize ---


def resize_coordinates(mode, size_in, size_out, scale, length, roi):
    """Where output places lie on the input, in float32 step by step: near ties the steps decide, and these are ONNX Runtime's."""
    x, s = np.arange(size_out, dtype=np.float32), np.float32(scale)
    half = np.float32(0.5)
    if mode == "asymmetric":
        return x / s
    if mode == "half_pixel":
        return (x + half) / s - half
    if mode == "pytorch_half_pixel":
        return (x + half) / s - half if size_out > 1 else np.zeros(1, np.float32)
    if mode == "align_corners":
        return x * np.float32(size_in - 1) / (length - np.float32(1)) if length != 1 else np.zeros(size_out, np.float32)
    if mode == "tf_half_pixel_for_nn":
        return (x + half) / s
    if mode == "half_pixel_symmetric":
        adjust = np.float32(size_out) / (s * np.float32(size_in))
        return np.float32(size_in) / np.float32(2) * (1 - adjust) + (x + half) / s - half
    if mode == "tf_crop_and_resize":
        lo, hi = np.float32(roi[0]), np.float32(roi[1])
        if size_out > 1:
            return lo * np.float32(size_in - 1) + x * (hi - lo) * np.float32(size_in - 1) / np.float32(size_out - 1)
        return np.full(1, half * (lo + hi) * np.float32(size_in - 1), np.float32)
    raise AssertionError(mode)


def halfway(x):
    """Whether a coordinate is half way between two places: ONNX Runtime calls 0.000001 about it half way too."""
    return np.abs(x - np.floor(x) - 0.5) < 1e-6


NEAREST = {"round_prefer_floor": lambda x: np.where(halfway(x), np.floor(x), np.rint(x)),
           "round_prefer_ceil": lambda x: np.where(halfway(x), np.floor(x) + 1, np.rint(x)), "floor": np.floor, "ceil": np.ceil}


def cubic(t, a):
    t = np.abs(t)
    return np.where(t <= 1, ((a + 2) * t - (a + 3)) * t * t + 1, np.where(t < 2, ((a * t - 5 * a) * t + 8 * a) * t - 4 * a, 0))


def resize_matrix(n, size_in, size_out, scale, length, roi):
    """Weights [out, in] of one axis, and the output places that lie outside the input; length: the output's, before it was made whole."""
    mode, transform = n("mode", "nearest"), n("coordinate_transformation_mode", "half_pixel")
    at = resize_coordinates(transform, size_in, size_out, scale, length, roi)
    w = np.zeros((size_out, size_in))
    beyond = (at < 0) | (at > size_in - 1)
    if mode == "nearest":
        pick = np.clip(NEAREST[n("nearest_mode", "round_prefer_floor")](at.astype(np.float64)).astype(int), 0, size_in - 1)
        w[np.arange(size_out), pick] = 1
        return w, beyond
    stretch = max(1.0, 1 / scale) if n("antialias", 0) else 1.0
    kernel = (lambda t: np.maximum(0, 1 - np.abs(t))) if mode == "linear" else (lambda t: cubic(t, n.f32("cubic_coeff_a", -0.75)))
    reach = (1 if mode == "linear" else 2) * stretch
    for o, x in enumerate(at.astype(np.float64)):
        if mode == "linear" and not n("antialias", 0):
            x = min(max(x, 0), size_in - 1)
        places = np.arange(math.floor(x - reach) + 1, math.ceil(x + reach))
        if not len(places):
            places = np.array([round(x)])
        weights = kernel((places - x) / stretch)
        if n("exclude_outside", 0):
            weights = np.where((places < 0) | (places >= size_in), 0, weights)
        if n("exclude_outside", 0) or n("antialias", 0):
            weights = weights / weights.sum()
        np.add.at(w[o], np.clip(places, 0, size_in - 1), weights)
    return w, beyond


@op("Resize", "Upsample")
def resize(n, v, roi=None, scales=None, sizes=None):
    rank = len(v.shape)
    if n.op == "Upsample" or n.opset < 11:  # (x, scales)
        n.attr.setdefault("coordinate_transformation_mode", "asymmetric")
        n.attr.setdefault("nearest_mode", "floor")
        scales, roi = roi, None
        given = scales.x.ravel() if scales is not None else np.float32(n("scales"))
    axes = [a % rank for a in n("axes", range(rank))]
    fit = n("keep_aspect_ratio_policy", "stretch")
    out, scale, length = list(v.shape), [1.0] * rank, [np.float32(d) for d in v.shape]
    if sizes is not None and sizes.x.size:
        wanted = sizes.ints()
        ratio = [np.float32(s) / np.float32(v.shape[a]) for s, a in zip(wanted, axes)]
        if fit != "stretch":
            one = min(ratio) if fit == "not_larger" else max(ratio)
            wanted, ratio = [math.floor(float(one * np.float32(v.shape[a])) + 0.5) for a in axes], [one] * len(axes)
        for a, s, r in zip(axes, wanted, ratio):
            out[a], scale[a], length[a] = s, float(r), np.float32(s)
    else:
        given = scales.x.ravel() if n.opset >= 11 and n.op == "Resize" else given
        for a, s in zip(axes, given):
            length[a] = np.float32(v.shape[a]) * np.float32(s)
            out[a], scale[a] = math.floor(length[a]), float(s)
    crop = n("coordinate_transformation_mode") == "tf_crop_and_resize"
    corners = roi.x.ravel() if crop else None
    x, e, outside_of = v.x.astype(np.float64), v.e, np.zeros(out, bool)
    for k, a in enumerate(axes):
        if out[a] == v.shape[a] and scale[a] == 1 and not crop:
            continue
        w, beyond = resize_matrix(n, v.shape[a], out[a], scale[a], length[a], (corners[k], corners[k + len(axes)]) if crop else None)
        apply = lambda t, m: np.moveaxis(np.tensordot(m, t, (1, a)), 0, a)
        # a float32 weight comes of a coordinate with an error of some steps of the coordinate's own size
        e = apply(e, np.abs(w)) + (0 if n("mode", "nearest") == "nearest" else
                                   apply(np.abs(x), np.abs(w) * 16 * U + (w != 0) * 8 * U * (v.shape[a] + out[a]) / max(min(scale[a], 1), 1e-3)))
        x = apply(x, w)
        if crop:
            outside_of |= np.expand_dims(beyond, [b for b in range(rank) if b != a])
    x = np.where(outside_of, n.f32("extrapolation_value", 0), x)
    if not v.float:
        if n("mode", "nearest") == "nearest":
            return exact(x, v.dtype)
        lo, hi = np.iinfo(v.dtype).min, np.iinfo(v.dtype).max  # ONNX leaves it open; ONNX Runtime drops the fraction
        return Value(np.trunc(np.clip(x, lo, hi)).astype(v.dtype), (np.trunc(x + e) != np.trunc(x - e)) * 1.0, v.dtype)
    return near(x, e, v.dtype)
