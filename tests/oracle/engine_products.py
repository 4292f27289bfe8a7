# SPDX-License-Identifier: BSD-2-Clause
"""The second engine (engine.py): products, windows, quantising."""
import math
from dataclasses import dataclass

import numpy as np
import onnx

from engine_values import F32, S32, U, U8, Value, bound, exact, moved, near, once, op, per_channel


# --- products ---


def product(a, b, extra=0):
    """a @ b of two Values, with its error as the sum of extra more terms than its own."""
    x = a.x @ b.x
    size = np.abs(a.x) @ np.abs(b.x)
    e = (np.abs(a.x) + a.e) @ b.e + a.e @ np.abs(b.x) if np.any(a.e) or np.any(b.e) else 0.0
    return x, e + bound(a.shape[-1] + extra, size)


@op("MatMul")
def matmul(n, a, b):
    if not a.float:
        return exact(np.matmul(a.x, b.x), a.dtype)
    return near(*product(a, b), a.dtype)


@op("Gemm")
def gemm(n, a, b, c=None):
    a = moved(np.transpose, a) if n("transA", 0) else a
    b = moved(np.transpose, b) if n("transB", 0) else b
    alpha, beta = n.f32("alpha", 1), n.f32("beta", 1)
    x, e = product(a, b, 4)
    x, e = alpha * x, abs(alpha) * e
    if c is not None:
        x, e = x + beta * c.x, e + abs(beta) * c.e + 4 * U * np.abs(beta * c.x) + 2 * U * np.abs(alpha * x)
    return near(x, e, a.dtype)


def zero_point(v):
    return 0 if v is None else v.x.astype(np.int64)


def rows(zp):
    """Zero points of a matrix's rows: one for all, or one each."""
    return zp if np.size(zp) == 1 or np.ndim(zp) != 1 else zp.reshape(-1, 1)


def to_s32(x):
    """An exact int64 sum; beyond 32 bits ONNX leaves the result open, and vmaf-dnn refuses."""
    assert np.abs(x).max(initial=0) < 2**31, "a sum beyond 32 bits"
    return exact(x, S32)


@op("MatMulInteger")
def matmul_integer(n, a, b, za=None, zb=None):
    return to_s32(np.matmul(a.x.astype(np.int64) - rows(zero_point(za)), b.x.astype(np.int64) - zero_point(zb)))


def requantised(total, multiplier, zp):
    """QLinear's last step as ONNX Runtime has it: float32 sum times float32 multiplier, rounded to even, then the zero point."""
    y = np.rint(total.astype(np.float32) * multiplier.astype(np.float32)).astype(np.float64)
    info = np.iinfo(zp.dtype)
    return exact(np.clip(y + zp.x.astype(np.int64), info.min, info.max), zp.dtype)


def multiplier(sa, sb, sy):
    return (sa.x.astype(np.float32) * sb.x.astype(np.float32)) / sy.x.astype(np.float32)


@op("QLinearMatMul")
def qlinear_matmul(n, a, sa, za, b, sb, zb, sy, zy):
    total = np.matmul(a.x.astype(np.int64) - rows(zero_point(za)), b.x.astype(np.int64) - zero_point(zb))
    assert not (np.any(sa.e) or np.any(sb.e) or np.any(sy.e))
    sa = moved(rows, sa)
    return requantised(total, multiplier(sa, sb, sy), zy)


# --- windows ---


@dataclass
class Window:
    """Kernel, strides, dilations, pads before and after, output sizes, for each spatial dimension."""
    kernel: list
    stride: list
    dilation: list
    before: list
    after: list
    out: list


def window(n, spatial, kernel):
    k = len(spatial)
    stride, dilation = list(n("strides", [1] * k)), list(n("dilations", [1] * k))
    pads, mode = list(n("pads", [0] * 2 * k)), n("auto_pad", "NOTSET")
    before, after, out = pads[:k], pads[k:], []
    for i in range(k):
        reach = (kernel[i] - 1) * dilation[i] + 1
        if mode.startswith("SAME"):
            out.append(-(-spatial[i] // stride[i]))
            both = max((out[i] - 1) * stride[i] + reach - spatial[i], 0)
            before[i] = both // 2 if mode == "SAME_UPPER" else both - both // 2
            after[i] = both - before[i]
            continue
        if mode == "VALID":
            before[i] = after[i] = 0
        room = spatial[i] + before[i] + after[i] - reach
        out.append(room // stride[i] + 1)
        if n("ceil_mode", 0) and mode != "VALID":
            out[i] = -(-room // stride[i]) + 1
            if (out[i] - 1) * stride[i] >= spatial[i] + before[i]:  # a window must start on the picture or before it
                out[i] -= 1
        elif n("ceil_mode", 0):
            out[i] = -(-(room + 1) // stride[i])
    return Window(list(kernel), stride, dilation, before, after, out)


def taps(w, x, fill):
    """(place in the kernel, what it sees at every output place), for every place in the kernel."""
    need = [(o - 1) * s + (k - 1) * d + 1 for o, s, k, d in zip(w.out, w.stride, w.kernel, w.dilation)]
    grow = [(0, 0), (0, 0)] + [(b, max(m - b - size, 0)) for b, m, size in zip(w.before, need, x.shape[2:])]
    padded = np.pad(x, grow, constant_values=fill)
    for at in np.ndindex(*w.kernel):
        cut = [slice(i * d, i * d + (o - 1) * s + 1, s) for i, d, o, s in zip(at, w.dilation, w.out, w.stride)]
        yield at, padded[(slice(None), slice(None), *cut)]


def correlate(w, x, weight, groups):
    N, C = x.shape[:2]
    M = weight.shape[0]
    y = np.zeros((N, groups, M // groups, *w.out), x.dtype)
    for at, seen in taps(w, x, 0):
        part = weight[(slice(None), slice(None), *at)].reshape(groups, M // groups, C // groups)
        y += np.einsum("ngc...,gmc->ngm...", seen.reshape(N, groups, C // groups, *w.out), part)
    return y.reshape(N, M, *w.out)


def conv_error(run_conv, x, w, k, bias):
    """Error of a sum of k products for each output: run_conv(x, w) is linear in both."""
    size, e = run_conv(np.abs(x.x), np.abs(w.x)), 0.0
    if np.any(x.e) or np.any(w.e):
        e = run_conv(x.e, np.abs(w.x) + w.e) + run_conv(np.abs(x.x), w.e)
    if bias is not None:
        size, e = size + per_channel(np.abs(bias.x), size.ndim), e + per_channel(bias.e, size.ndim)
    return e + bound(k + 1, size)


# Winograd's F(4,3): four outputs of a row are A ((G w) * (B x)) of the six inputs that reach them (docs/numerics.md).
WINOGRAD_B = np.array([[4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0], [0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1]])
WINOGRAD_G = np.array([[1 / 4, 0, 0], [-1 / 6, -1 / 6, -1 / 6], [-1 / 6, 1 / 6, -1 / 6], [1 / 24, 1 / 12, 1 / 6], [1 / 24, -1 / 12, 1 / 6], [0, 0, 1]])
WINOGRAD_A = np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]])


def winograd_error(win, x, w, groups):
    """Bound where three taps of a row may be computed so: (sums + 6) U |A| (|G||w| * |B||x|). Which four outputs go together is left
    open: the largest row of A, and of the inputs around an output the largest. An output whose own inputs are zero may be off too."""
    gain = np.max(np.abs(WINOGRAD_A) @ (np.abs(w) @ np.abs(WINOGRAD_G).T * np.abs(WINOGRAD_B).sum(1))[..., None], axis=-2)
    x = np.pad(np.abs(x), [(0, 0)] * (x.ndim - 1) + [(win.before[-1], win.after[-1])])
    # the six inputs of any four outputs lie no more than 4 from the middle tap of each
    around = Window([9], [1], [1], [4], [4], [x.shape[-1]])
    spread = np.max([t for _, t in taps(around, x.reshape(-1, 1, x.shape[-1]), 0)], axis=0).reshape(x.shape)
    reach = np.concatenate([np.zeros_like(gain), gain, np.zeros_like(gain)], -1)
    inner = Window(win.kernel, win.stride, win.dilation, win.before[:-1] + [0], win.after[:-1] + [0], win.out)
    return 1.01 * (math.prod(w.shape[1:-1]) + 6) * U * correlate(inner, spread, reach, groups)


@op("Conv")
def conv(n, x, w, b=None):
    win, g = window(n, x.shape[2:], w.shape[2:]), n("group", 1)
    y = correlate(win, x.x, w.x, g)
    e = conv_error(lambda s, t: correlate(win, s, t, g), x, w, math.prod(w.shape[1:]), b)
    if win.kernel[-1] == 3 and win.stride[-1] == win.dilation[-1] == 1:
        e = e + winograd_error(win, x.x, w.x, g)
    return near(y if b is None else y + per_channel(b.x, y.ndim), e, x.dtype)


def int_conv(n, x, w, zx, zw):
    zw = zero_point(zw)
    zw = zw.reshape([-1] + [1] * (w.x.ndim - 1)) if np.ndim(zw) else zw
    win = window(n, x.shape[2:], w.shape[2:])
    return correlate(win, x.x.astype(np.int64) - zero_point(zx), w.x.astype(np.int64) - zw, n("group", 1))


@op("ConvInteger")
def conv_integer(n, x, w, zx=None, zw=None):
    return to_s32(int_conv(n, x, w, zx, zw))


@op("QLinearConv")
def qlinear_conv(n, x, sx, zx, w, sw, zw, sy, zy, b=None):
    total = int_conv(n, x, w, zx, zw)
    if b is not None:
        total = total + per_channel(b.x.astype(np.int64), total.ndim)
    m = multiplier(sx, sw, sy)
    return requantised(to_s32(total).x, per_channel(m, total.ndim), zy)


@op("ConvTranspose")
def conv_transpose(n, x, w, b=None):
    k, g = len(x.shape) - 2, n("group", 1)
    kernel, stride, dilation = w.shape[2:], n("strides", [1] * k), n("dilations", [1] * k)
    extra, pads, mode = list(n("output_padding", [0] * k)), list(n("pads", [0] * 2 * k)), n("auto_pad", "NOTSET")
    reach = [(a - 1) * d + 1 for a, d in zip(kernel, dilation)]
    full = [s * (size - 1) + r + o for s, size, r, o in zip(stride, x.shape[2:], reach, extra)]
    wanted = n("output_shape") or ([size * s for size, s in zip(x.shape[2:], stride)] if mode.startswith("SAME") else None)
    if mode == "VALID":
        pads = [0] * 2 * k
    elif wanted:
        wanted = list(wanted)[-k:]
        for i in range(k):
            both = max(full[i] - wanted[i], 0)
            pads[i] = both // 2 if mode == "SAME_UPPER" else both - both // 2
            pads[i + k] = full[i] - wanted[i] - pads[i]  # less than 0: zeros at the end
    size = [full[i] - pads[i] - pads[i + k] for i in range(k)]

    def scatter(s, t):
        N, C = s.shape[:2]
        M = t.shape[1]
        y = np.zeros((N, g, M, *(a - min(pads[i + k], 0) for i, a in enumerate(full))))
        for at in np.ndindex(*kernel):
            part = t[(slice(None), slice(None), *at)].reshape(g, C // g, M)
            to = [slice(i * d, i * d + (a - 1) * c + 1, c) for i, d, a, c in zip(at, dilation, s.shape[2:], stride)]
            y[(slice(None),) * 3 + tuple(to)] += np.einsum("ngc...,gcm->ngm...", s.reshape(N, g, C // g, *s.shape[2:]), part)
        y = y.reshape(N, g * M, *y.shape[3:])
        return y[(slice(None), slice(None), *(slice(p, p + o) for p, o in zip(pads, size)))]

    y = scatter(x.x, w.x)
    e = conv_error(scatter, x, w, x.shape[1] // g * math.prod(kernel), b)
    return near(y if b is None else y + per_channel(b.x, y.ndim), e, x.dtype)


@op("MaxPool")
def max_pool(n, x):
    win = window(n, x.shape[2:], n("kernel_shape"))
    least = -np.inf if x.float else np.iinfo(x.dtype).min
    seen = [t for _, t in taps(win, x.x, least)]
    errors = [t for _, t in taps(win, x.e, 0)] if np.any(x.e) else [np.zeros(seen[0].shape)]
    return Value(np.max(seen, axis=0), np.max(errors, axis=0), x.dtype)


@op("AveragePool")
def average_pool(n, x):
    win = window(n, x.shape[2:], n("kernel_shape"))
    ones = np.ones((1, 1, *x.shape[2:]))
    if n("count_include_pad", 0):  # what ceil_mode adds at the end counts nowhere
        ones = np.pad(ones, [(0, 0), (0, 0)] + list(zip(win.before, win.after)), constant_values=1)
        win_of_ones = Window(win.kernel, win.stride, win.dilation, [0] * len(win.out), [0] * len(win.out), win.out)
        count = sum(t for _, t in taps(win_of_ones, ones, 0))
    else:
        count = sum(t for _, t in taps(win, ones, 0))
    total = lambda s: sum(t for _, t in taps(win, s, 0))
    return near(total(x.x) / count, (total(x.e) + bound(math.prod(win.kernel) + 1, total(np.abs(x.x)))) / count, x.dtype)


# --- quantising ---


def along(t, v, axis):
    """A scale or zero point: one for all, or one for each place of an axis."""
    return t if t.ndim == 0 or t.size == 1 else t.reshape([-1 if a == axis % v.x.ndim else 1 for a in range(v.x.ndim)])


@op("QuantizeLinear")
def quantize_linear(n, v, scale, zp=None):
    """saturate(rint(x / scale) + zero point): the quotient is rounded to float32, then to an integer, both to even."""
    to = zp.dtype if zp is not None else onnx.helper.tensor_dtype_to_np_dtype(n("output_dtype")) if n("output_dtype") else U8
    assert not n("block_size", 0)
    info, axis = np.iinfo(to), n("axis", 1)
    s = along(scale.x, v, axis)
    z = 0 if zp is None else along(zp.x.astype(np.float64), v, axis)
    step = lambda x: np.clip(np.rint((x / s).astype(np.float32).astype(np.float64)) + z, info.min, info.max)
    y = step(np.asarray(v.x, np.float64))
    y = np.where(np.isnan(y), info.min, y)  # NaN: open in ONNX; the least value, as ONNX Runtime has it
    e = np.zeros(y.shape)
    if np.any(v.e) or np.any(scale.e):
        slack = v.e + np.abs(v.x) * along(scale.e, v, axis) / s
        e = np.maximum(step(v.x + slack) - y, y - step(v.x - slack))
    return Value(y.astype(to), e, to)


@op("DequantizeLinear")
def dequantize_linear(n, v, scale, zp=None):
    axis = n("axis", 1)
    z = 0 if zp is None else along(zp.x.astype(np.float64), v, axis)
    d, s = (v.x.astype(np.float64) - z).astype(np.float32).astype(np.float64), along(scale.x, v, axis)  # int32 rounds to float32 first
    return once(d * s, v.e * s + np.abs(d) * along(scale.e, v, axis), scale.dtype)


@op("DynamicQuantizeLinear")
def dynamic_quantize_linear(n, v):
    """In float32, a rounding at a time. Where all is zero the scale is 1, as ONNX Runtime has it."""
    assert not np.any(v.e), "DynamicQuantizeLinear of inexact values"
    x = v.x.astype(np.float32)
    lo, hi = np.minimum(np.float32(0), x.min()), np.maximum(np.float32(0), x.max())
    scale = (hi - lo) / np.float32(255) if hi > lo else np.float32(1)
    zp = np.rint(np.clip(np.float32(0) - lo / scale, np.float32(0), np.float32(255)))
    y = np.clip(np.rint(x / scale) + zp, 0, 255)
    return exact(y, U8), exact(scale, F32), exact(zp, U8)


# --- ONNX Runtime's own 8-bit operators: the float operator on dequantised values, requantised; errors as of a float32 evaluation ---


def real(q, scale, zp):
    return scale.x * (q.x.astype(np.float64) - zero_point(zp))


def to_step(y, size, scale, zp, dtype):
    """y / scale, rounded to even; one step of either way is right where some roundings of numbers up to size reach it."""
    info, z = np.iinfo(dtype), zero_point(zp)
    step = lambda x: np.clip(np.rint(x / scale.x) + z, info.min, info.max)
    slack = 8 * U * (size + np.abs(z * scale.x))
    return Value(step(y).astype(dtype), np.maximum(step(y + slack) - step(y), step(y) - step(y - slack)), dtype)


def microsoft(name):
    return op("com.microsoft:" + name)


@microsoft("QLinearAdd")
def qlinear_add(n, a, sa, za, b, sb, zb, sy, zy=None):
    p, q = real(a, sa, za), real(b, sb, zb)
    # a float32 evaluation may fold zero points and scales first
    size = np.abs(p) + np.abs(q) + np.abs(zero_point(za) * sa.x) + np.abs(zero_point(zb) * sb.x)
    return to_step(p + q, size, sy, zy, a.dtype)


@microsoft("QLinearMul")
def qlinear_mul(n, a, sa, za, b, sb, zb, sy, zy=None):
    y = real(a, sa, za) * real(b, sb, zb)
    return to_step(y, np.abs(y), sy, zy, a.dtype)


@microsoft("QLinearSigmoid")
def qlinear_sigmoid(n, x, sx, zx, sy, zy=None):
    return to_step(1 / (1 + np.exp(-real(x, sx, zx))), 1, sy, zy, x.dtype)


@microsoft("QLinearLeakyRelu")
def qlinear_leaky_relu(n, x, sx, zx, sy, zy=None):
    y = real(x, sx, zx)
    return to_step(np.where(y < 0, n.f32("alpha", 0.01) * y, y), np.abs(y), sy, zy, x.dtype)


@microsoft("QLinearConcat")
def qlinear_concat(n, sy, zy, *triples):
    parts = [real(*triples[k:k + 3]) for k in range(0, len(triples), 3)]
    y = np.concatenate(parts, n("axis"))
    return to_step(y, np.abs(y), sy, zy, triples[0].dtype)


@microsoft("QLinearGlobalAveragePool")
def qlinear_global_average_pool(n, x, sx, zx, sy, zy=None):
    over = {"axis": tuple(range(2, x.x.ndim)), "keepdims": True}
    return to_step(real(x, sx, zx).mean(**over), np.abs(sx.x * x.x.astype(np.float64)).mean(**over) + np.abs(sx.x * zero_point(zx)), sy, zy, x.dtype)


@microsoft("QLinearAveragePool")
def qlinear_average_pool(n, x, sx, zx, sy, zy=None):
    r = real(x, sx, zx)
    mean = average_pool(n, exact(r, F32))
    size = average_pool(n, exact(np.abs(r), F32))
    return to_step(mean.x, size.x * math.prod(n("kernel_shape")), sy, zy, x.dtype)
