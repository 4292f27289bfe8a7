# SPDX-License-Identifier: BSD-2-Clause
"""Generated cases: products, windows, normalisation, Resize, quantising."""
import math

import numpy as np
from onnx import helper as h

from cases import F16, F32, S8, S32, S64, U8, maker


# --- products ---


def matrices(d):
    long = d.chance(0.1)
    m, k, n = (d.int(1, 150 if long else 16) for _ in range(3))
    batch = [d.int(1, 3) for _ in range(d.int(0, 2))]
    def side(s):
        t = [1 if d.chance(0.3) else v for v in batch]
        return (t[d.int(0, len(t)):] if d.chance(0.3) else t) + s
    a, b = side([m, k]), side([k, n])
    if len(a) == 2 and d.chance(0.3):
        a = [k]
    if len(b) == 2 and d.chance(0.3):
        b = [k]
    return a, b


@maker("MatMul")
def matmul(d):
    a, b = matrices(d)
    kind = d.kind()
    return d.one(d.array(a, kind), d.array(b, kind), fixed=d.pick((), (1,)))


@maker("Gemm")
def gemm(d):
    kind, long = d.kind(only=(F32, F16)), d.chance(0.1)
    m, k, n = (d.int(1, 150 if long else 16) for _ in range(3))
    ta, tb = d.int(0, 1), d.int(0, 1)
    c = d.array(d.pick([], [1], [n], [1, n], [m, 1], [m, n], [1, 1]), kind)
    return d.one(d.array([k, m] if ta else [m, k], kind), d.array([n, k] if tb else [k, n], kind), None if d.opset >= 11 and d.chance(0.3) else c,
                 fixed=d.pick((), (1, 2), (1,)), transA=ta or None, transB=tb or None, alpha=d.pick(None, 0.5, -1.7, 0.0), beta=d.pick(None, 0.5, -1.7))


@maker("MatMulInteger")
def matmul_integer(d):
    a, b = matrices(d)
    x, w = d.array(a, U8 if d.chance(0.7) else S8), d.array(b, d.pick(U8, S8))
    za = zb = None
    if d.chance(0.7):
        za = d.array([a[-2]] if len(a) == 2 and d.chance(0.3) else d.pick([], [1]), x.dtype)  # one for each row
        zb = d.array([w.shape[-1]] if w.ndim == 2 and d.chance(0.6) else [], w.dtype) if d.chance(0.7) else None
    return d.one(x, w, za, zb, fixed=d.pick((), (1, 3)))


def scale(d, n):
    """Any, or whole numbers of 1/256, of which many results lie half way between two steps."""
    return (d.rng.random(n) * 0.1 + 0.01 if d.chance(0.6) else d.rng.integers(3, 28, n) / 256).astype(F32)


@maker("QLinearMatMul")
def qlinear_matmul(d):
    a, b = matrices(d)
    if len(a) < 2 or len(b) < 2:
        a, b = [3, 5], [5, 4]
    x, w = d.array(a, d.pick(U8, S8)), d.array(b, d.pick(U8, S8))
    n = d.pick([], [w.shape[-1]]) if w.ndim == 2 else []
    sx, sw = scale(d, []), scale(d, n)
    sy = np.asarray(sx * sw.max() * np.float32(100 * math.sqrt(a[-1])), F32)
    return d.one(x, sx, d.array([], x.dtype), w, sw, d.array(n, w.dtype), sy, d.array([], x.dtype), fixed=(1, 2, 3, 4, 5, 6, 7))


# --- windows ---


def geometry(d, spatial, transposed=False):
    """Kernel, its attributes, and a picture at least as large as the kernel."""
    kernel = [d.int(1, 4) for _ in range(spatial)]
    attrs = {"kernel_shape": kernel if d.chance(0.7) else None, "strides": [d.int(1, 3) for _ in kernel] if d.chance(0.7) else None,
             "dilations": [d.int(1, 2) for _ in kernel] if d.chance(0.5) else None}
    mode = d.pick("pads", "pads", "none", "SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET")
    if mode == "pads":
        attrs["pads"] = [d.int(0, 3) for _ in kernel * 2]
    elif mode != "none":
        attrs["auto_pad"] = mode
    dilation = attrs["dilations"] or [1] * spatial
    if mode.startswith("SAME"):
        attrs["dilations"], dilation = None, [1] * spatial
    pads = attrs.get("pads") or [0] * 2 * spatial
    need = [(k - 1) * r + 1 - pads[i] - pads[i + spatial] for i, (k, r) in enumerate(zip(kernel, dilation))]
    size = [d.int(max(1, v), max(1, v) + (40 if d.chance(0.15) else 9)) for v in need]
    return kernel, attrs, size


def channels(d):
    groups = d.pick(1, 1, 2, 3)
    ic, oc = groups * d.int(1, 4), groups * d.int(1, 5)
    if d.chance(0.25):  # depthwise
        groups = ic = d.int(1, 6)
        oc = ic * d.int(1, 2)
    return groups, ic, oc


@maker("Conv")
def conv(d):
    kernel, attrs, size = geometry(d, 1 if d.chance(0.15) else 2)
    groups, ic, oc = channels(d)
    kind = d.kind(only=(F32, F16))
    x, w = d.array([d.int(1, 2), ic, *size], kind), d.array([oc, ic // groups, *kernel], kind, 1)
    return d.one(x, w, d.array([oc], kind) if d.chance(0.6) else None, fixed=d.pick((1, 2), (1, 2), (1,), ()), group=groups if groups > 1 else None, **attrs)


@maker("ConvTranspose")
def conv_transpose(d):
    spatial = d.pick(1, 2, 2, 2, 2, 3)
    kernel = [d.int(1, 4 if spatial < 3 else 3) for _ in range(spatial)]
    groups, ic, oc = channels(d)
    stride = [d.int(1, 3) for _ in kernel]
    dilation = [d.int(1, 2) if d.chance(0.3) else 1 for _ in kernel]
    attrs = {"kernel_shape": kernel if d.chance(0.7) else None, "strides": stride, "dilations": dilation if max(dilation) > 1 else None}
    reach = [(k - 1) * r + 1 for k, r in zip(kernel, dilation)]
    size = [d.int(2, 8 if spatial < 3 else 4) for _ in kernel]
    how = d.pick("pads", "pads", "none", "SAME_UPPER", "SAME_LOWER", "shape", "extra")
    if any(s > r for s, r in zip(stride, reach)) and how.startswith("SAME"):
        how = "none"  # ONNX's and ONNX Runtime's sizes differ
    if how == "pads":
        attrs["pads"] = [d.int(0, (r - 1) // 2) for r in reach * 2]
    elif how.startswith("SAME"):
        attrs["auto_pad"] = how
    elif how == "shape":
        attrs["output_shape"] = [s * (n - 1) + r - d.int(0, min(r - 1, 3)) for s, n, r in zip(stride, size, reach)]
    elif how == "extra":
        attrs["output_padding"] = [d.int(0, s - 1) for s in stride]
    kind = d.kind(only=(F32, F16))
    return d.one(d.array([d.int(1, 2), ic, *size], kind), d.array([ic, oc // groups, *kernel], kind, 1), d.array([oc], kind) if d.chance(0.6) else None,
                 fixed=d.pick((1, 2), (1, 2), ()), group=groups if groups > 1 else None, **attrs)


@maker("ConvInteger")
def conv_integer(d):
    kernel, attrs, size = geometry(d, 2)
    groups, ic, oc = channels(d)
    xt, wt = d.pick((U8, U8), (U8, S8), (S8, S8), (S8, U8))
    x, w = d.array([d.int(1, 2), ic, *size], xt), d.array([oc, ic // groups, *kernel], wt)
    zx = d.array([], xt) if d.chance(0.6) else None
    zw = d.array(d.pick([], [], [oc]), wt) if zx is not None and d.chance(0.6) else None
    return d.one(x, w, zx, zw, fixed=d.pick((1, 2, 3), (1, 3), ()), group=groups if groups > 1 else None, **attrs)


@maker("QLinearConv")
def qlinear_conv(d):
    kernel, attrs, size = geometry(d, 2)
    groups, ic, oc = channels(d)
    xt, wt = d.pick((U8, U8), (U8, S8), (S8, S8))
    x, w = d.array([d.int(1, 2), ic, *size], xt), d.array([oc, ic // groups, *kernel], wt)
    n = d.pick([], [oc])
    sx, sw = scale(d, []), scale(d, n)
    sy = np.asarray(sx * sw.max() * np.float32(60 * math.sqrt(w[0].size)), F32)
    zw = d.array(n, wt) if not n or d.chance(0.3) else np.full(n, d.array([], wt))
    bias = d.rng.integers(-5000, 5000, oc).astype(S32) if d.chance(0.6) else None
    return d.one(x, sx, d.array([], xt), w, sw, zw, sy, d.array([], xt), bias, fixed=tuple(range(1, 9)), group=groups if groups > 1 else None, **attrs)


@maker("MaxPool", "AveragePool", named=True)
def pool(d, op):
    kernel, attrs, size = geometry(d, d.int(1, 3))
    attrs["kernel_shape"] = kernel
    dilated = d.opset >= (10 if op == "MaxPool" else 19)
    if not dilated:
        attrs["dilations"] = None
    if attrs.get("auto_pad", "").startswith("SAME") and attrs["strides"]:
        attrs["strides"] = [min(v, k) for v, k in zip(attrs["strides"], kernel)]  # else ONNX Runtime pads by less than nothing
    if "pads" in attrs:
        attrs["pads"] = [min(p, k - 1) for p, k in zip(attrs["pads"], kernel * 2)]
        size = [s + 6 for s in size]
    if d.opset >= 10 and d.chance(0.4) and "auto_pad" not in attrs:
        attrs["ceil_mode"] = 1
    if op == "AveragePool":
        attrs["count_include_pad"] = d.pick(None, 0, 1)
    return d.one(d.array([d.int(1, 2), d.int(1, 3), *size], d.kind()), **attrs)


# --- normalisation ---


@maker("BatchNormalization")
def batch_normalization(d):
    kind = d.kind(only=(F32, F16))
    x = d.array(d.shape(2, 5), kind)
    c = x.shape[1]
    scale_, bias, mean = (d.array([c], kind) for _ in range(3))
    return d.one(x, scale_, bias, mean, (d.rng.random(c) + 0.05).astype(kind), fixed=d.pick((1, 2, 3, 4), ()), epsilon=d.pick(None, 1e-3))


@maker("InstanceNormalization")
def instance_normalization(d):
    kind = d.kind(only=(F32, F16))
    x = d.array(d.shape(3, 5), kind)
    return d.one(x, d.array([x.shape[1]], kind), d.array([x.shape[1]], kind), fixed=d.pick((1, 2), ()), epsilon=d.pick(None, 1e-2))


@maker("LayerNormalization")
def layer_normalization(d):
    kind = d.kind(only=(F32, F16))
    x = d.array(d.shape(1, 4, 9), kind)
    axis = d.axis(x.ndim)
    s = x.shape[axis % x.ndim:]
    return d.one(x, d.array(s, kind), d.array(s, kind) if d.chance(0.7) else None, fixed=d.pick((1, 2), ()), axis=axis if d.chance(0.8) or axis % x.ndim == x.ndim - 1 else axis,
                 epsilon=d.pick(None, 1e-2))


@maker("GroupNormalization")
def group_normalization(d):
    kind, groups = d.kind(only=(F32, F16)), d.int(1, 3)
    d.opset = max(d.opset, 21) if d.chance(0.7) else d.opset  # scales of groups until 20: ONNX Runtime has another text
    x = d.array([d.int(1, 2), groups * d.int(1, 3), *d.shape(1, 2)], kind)
    c = x.shape[1] if d.opset >= 21 else groups
    return d.one(x, d.array([c], kind), d.array([c], kind), fixed=d.pick((1, 2), ()), num_groups=groups, epsilon=d.pick(None, 1e-2))


@maker("RMSNormalization")
def rms_normalization(d):
    kind = d.kind(only=(F32, F16))
    x = d.array(d.shape(1, 4, 9), kind)
    axis = d.axis(x.ndim)
    return d.one(x, d.array(x.shape[axis % x.ndim:], kind), fixed=d.pick((1,), ()), axis=axis, epsilon=d.pick(None, 1e-2))


@maker("MeanVarianceNormalization")
def mean_variance_normalization(d):
    s = [d.int(1, 3), d.int(1, 4), d.int(2, 6), d.int(2, 6)]
    return d.one(d.array(s, F32), axes=d.pick(None, [0, 2, 3], [0, 1, 2, 3], [2, 3]))


@maker("LpNormalization")
def lp_normalization(d):
    x = d.array(d.shape(1, 4), d.kind(only=(F32, F16)))
    return d.one(x, axis=d.axis(x.ndim), p=d.pick(None, 1, 2))


@maker("LRN")
def local_response_normalization(d):
    x = d.array([d.int(1, 2), d.int(1, 9), *d.shape(2, 2)], d.kind(only=(F32, F16)))
    return d.one(x, size=d.pick(1, 3, 5), alpha=d.pick(None, 0.01), beta=d.pick(None, 0.5), bias=d.pick(None, 2.0))


@maker("Softmax", "LogSoftmax", "Hardmax", named=True)
def softmax(d, op):
    x = d.array(d.shape(1, 4, 9), d.kind(only=(F32, F16)), d.pick(1, 10))
    return d.one(x, axis=d.axis(x.ndim, d.opset >= 11) if d.chance(0.8) or (d.opset < 13 and x.ndim < 2) else None)


# --- Resize ---


@maker("Resize")
def resize(d):
    d.opset = max(d.opset, 11)
    mode = d.pick("nearest", "nearest", "linear", "linear", "cubic")
    rank = 4 if mode == "cubic" else d.pick(3, 4, 4) if mode == "linear" else d.int(2, 4)
    spatial = 1 if rank == 3 else 2
    kind = d.kind("T1", only=(F32, U8, S8) if mode == "nearest" else (F32,))
    x = d.array([d.int(1, 2) for _ in range(rank - spatial)] + [d.int(2, 8) for _ in range(spatial)], kind)
    transforms = ["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel", "tf_crop_and_resize", None]
    transforms += ["tf_half_pixel_for_nn"] if d.opset < 13 and mode == "nearest" else []
    transforms += ["half_pixel_symmetric"] if d.opset >= 19 else []
    attrs = {"mode": mode, "coordinate_transformation_mode": d.pick(*transforms)}
    crop = attrs["coordinate_transformation_mode"] == "tf_crop_and_resize"
    if mode == "nearest":
        attrs["nearest_mode"] = d.pick("round_prefer_floor", "round_prefer_ceil", "floor", "ceil", None)
    if mode == "cubic":
        attrs["cubic_coeff_a"] = d.pick(None, -0.5)
        attrs["exclude_outside"] = d.pick(None, 0, 1)
    if mode != "nearest" and d.opset >= 18 and rank == 4 and not crop:
        attrs["antialias"] = d.pick(None, 0, 1)
    axes = None
    if d.opset >= 18 and d.chance(0.3) and not crop:
        axes = attrs["axes"] = [a - rank if d.chance(0.3) else a for a in range(rank - spatial, rank)]
    lead = [] if axes else [1.0] * (rank - spatial)
    roi = None
    if crop:
        attrs["extrapolation_value"] = d.pick(None, 7.5)
        lo = [0.0] * (rank - spatial) + [d.pick(0.0, 0.25, -0.25) for _ in range(spatial)]
        hi = [1.0] * (rank - spatial) + [d.pick(1.0, 0.75, 1.5) for _ in range(spatial)]
        roi = np.array(lo + hi, F32)
    none = None if d.opset >= 13 else np.zeros(0, F32)
    if d.chance(0.5):
        choices = (2.0, 3.0, 4.0) if attrs["coordinate_transformation_mode"] == "align_corners" else (2.0, 0.5, 1.5, 0.75, 3.0, 4.0, 0.6)
        # of corners by a scale that makes no whole length ONNX Runtime makes another, docs/numerics.md
        scales = np.array(lead + [d.pick(*choices) for _ in range(spatial)], F32)
        return d.one(x, none if roi is None else roi, scales, fixed=(1, 2, 3), **attrs)
    sizes = [d.int(1, 16) for _ in range(spatial)]
    sizes = [v + (crop and v == size) for v, size in zip(sizes, x.shape[-spatial:])]  # ONNX Runtime does not crop what keeps its size
    if d.opset >= 18 and d.chance(0.3) and axes and axes[0] >= 0 and axes[-1] >= 0:  # of negative axes ONNX Runtime keeps the size
        attrs["keep_aspect_ratio_policy"] = d.pick("stretch", "not_larger", "not_smaller")
    sizes = np.array(([] if axes else list(x.shape[: rank - spatial])) + sizes, S64)
    return d.one(x, none if roi is None else roi, none, sizes, fixed=(1, 2, 3), **attrs)


@maker("Upsample")
def upsample(d):
    d.opset = d.pick(7, 9) if d.opset != 8 else 8
    x = d.array([1, d.int(1, 3), d.int(1, 6), d.int(1, 6)], F32)
    scales = [1.0, 1.0, d.pick(1.0, 2.0, 3.0), d.pick(1.0, 2.0, 3.0)]
    mode = d.pick("nearest", "linear")
    return d.one(x, np.array(scales, F32), fixed=(1,), mode=mode) if d.opset >= 9 else d.one(x, scales=scales, mode=mode)


# --- quantising ---


@maker("QuantizeLinear", "DequantizeLinear", named=True)
def quantize(d, op):
    s, kind = d.shape(1, 4), d.pick(U8, S8)
    axis = d.axis(len(s)) if d.opset >= 13 else 1
    per = d.opset >= 13 and d.chance(0.6)
    n = [s[axis]] if per else d.pick([], [1])
    sc, zp = scale(d, n), d.array(n, kind)
    attrs = {"axis": axis if d.opset >= 13 else None}
    if op == "DequantizeLinear":
        if d.chance(0.2):
            kind, zp = S32, np.zeros(n, S32)
        return d.one(d.array(s, kind), sc, zp if d.chance(0.7) else None, fixed=d.pick((), (1, 2)), **attrs)
    x = d.array(s)
    if d.chance(0.5):  # ties, and values beyond both ends
        x = np.asarray((d.rng.integers(-700, 700, s) * 0.5).astype(F32) * (sc.flat[0] if not per else F32.type(1)))
    if d.opset >= 21 and d.chance(0.3):
        return d.one(x, sc, fixed=(1,), output_dtype=int(h.np_dtype_to_tensor_dtype(kind)), **attrs)
    return d.one(x, sc, zp if kind == S8 or d.chance(0.7) else None, fixed=d.pick((), (1, 2)), **attrs)


@maker("DynamicQuantizeLinear")
def dynamic_quantize(d):
    x = d.array(d.shape(0, 4), F32, d.pick(1, 1e-3, 1e4))
    return d.one(np.asarray(d.pick(x, np.abs(x), -np.abs(x), x * 0, np.round(x)), F32), n_out=3)


@maker("com.microsoft:QLinearAdd", "com.microsoft:QLinearMul", named=True)
def qlinear_arithmetic(d, op):
    kind, (sa, sb) = d.pick(U8, S8), d.broadcasts(2)
    if d.chance(0.1):
        sa = sb = []
    a, b = d.array(sa, kind), d.array(sb, kind)
    ka, kb = scale(d, []), scale(d, [])
    ky = np.asarray((ka + kb if op.endswith("Add") else ka * kb * np.float32(100)) * np.float32(d.rng.uniform(0.5, 1)), F32)
    if op.endswith("Add") and d.chance(0.5):
        ky = np.asarray((ka + kb) / 2 if d.chance(0.5) else scale(d, []), F32)  # many ties
    return d.one(a, ka, d.array([], kind), b, kb, d.array([], kind), ky, d.array([], kind), fixed=d.pick((1, 2, 4, 5, 6, 7), (1, 2, 3, 4, 5, 6, 7)))


@maker("com.microsoft:QLinearSigmoid", "com.microsoft:QLinearLeakyRelu", "com.microsoft:QLinearGlobalAveragePool",
       "com.microsoft:QLinearAveragePool", named=True)
def qlinear_map(d, op):
    kind = d.pick(U8, S8)
    attrs, s = {}, d.shape(3, 4) if "Pool" in op else d.shape()
    if op.endswith("LeakyRelu"):
        attrs["alpha"] = d.pick(None, 0.1, 0.5)
    if op.endswith("QLinearAveragePool"):
        kernel, attrs, size = geometry(d, 2)
        attrs["kernel_shape"], attrs["dilations"] = kernel, None
        if attrs.get("auto_pad", "").startswith("SAME") and attrs["strides"]:
            attrs["strides"] = [min(v, k) for v, k in zip(attrs["strides"], kernel)]
        if "pads" in attrs:
            attrs["pads"] = [min(p, k - 1) for p, k in zip(attrs["pads"], kernel * 2)]
        s = [d.int(1, 2), d.int(1, 3), *(v + 6 for v in size)]
        attrs["count_include_pad"] = d.pick(None, 0, 1)
    ky = np.asarray(1 / 256, F32) if op.endswith("Sigmoid") else scale(d, [])
    return d.one(d.array(s, kind), scale(d, []), d.array([], kind), ky, d.array([], kind), fixed=(1, 2, 3, 4), **attrs)


@maker("com.microsoft:QLinearConcat")
def qlinear_concat(d):
    s, kind = d.shape(1, 4), d.pick(U8, S8)
    axis, triples = d.int(0, len(s) - 1), []
    for _ in range(d.int(1, 4)):
        s[axis] = d.int(1, 6)
        triples += [d.array(s, kind), scale(d, []), d.array([], kind)]
    fixed = [0, 1] + [2 + k for k in range(len(triples)) if k % 3]
    return d.one(scale(d, []), d.array([], kind), *triples, fixed=tuple(fixed), axis=axis)
