# SPDX-License-Identifier: BSD-2-Clause
"""Generated cases: a few nodes that belong together."""
import math

import numpy as np
import onnx
from onnx import helper as h

from cases import F16, F32, S8, S32, S64, U8, Case, maker


# --- patterns: a few nodes that belong together ---


class Net:
    """A model in the making; nodes return the names of their outputs."""

    def __init__(self, d):
        self.d, self.nodes, self.arrays, self.fixed, self.count = d, [], {}, set(), 0

    def name(self):
        self.count += 1
        return f"v{self.count}"

    def input(self, array):
        name = self.name()
        self.arrays[name] = np.asarray(array)
        return name

    def const(self, array):
        name = self.input(array)
        self.fixed.add(name)
        return name

    def node(self, op, *inputs, n_out=1, **attrs):
        outs = [self.name() for _ in range(n_out)]
        self.nodes.append(h.make_node(op, list(inputs), outs, **{k: v for k, v in attrs.items() if v is not None}))
        return outs[0] if n_out == 1 else outs

    def case(self, *outputs):
        return Case(self.d.opset, self.nodes, self.arrays, self.fixed, dict.fromkeys(outputs))


PATTERNS = []


def pattern(f):
    PATTERNS.append(f.__name__)
    return maker(f.__name__)(f)


def clamp(d, n, v):
    how = d.pick("none", "Relu", "Clip", "Clip6")
    if how == "Relu":
        return n.node("Relu", v)
    if how == "none":
        return v
    lo, hi = (0, 6) if how == "Clip6" else (-0.5, 1.25)
    return n.node("Clip", v, n.const(np.float32(lo)) if d.chance(0.9) else "", n.const(np.float32(hi)))


def same_conv(d, c):
    """Attributes of a convolution that keeps the size, and its kernel."""
    k = d.pick(1, 3, 3, 5)
    return [k, k], dict(kernel_shape=[k, k], pads=[k // 2] * 4) if d.chance(0.7) else dict(auto_pad=d.pick("SAME_UPPER", "SAME_LOWER"))


@pattern
def conv_chain(d):
    """Convolutions with bias, clamps, residual additions, shared and asked-for values."""
    n, c = Net(d), d.int(1, 6)
    size = [1, c, d.int(1, 14), d.int(1, 40)]
    kind = d.pick(F32, F32, F32, F16)
    x = n.input(d.array(size, kind, 1))
    def conv(v):
        kernel, attrs = same_conv(d, c)
        group = c if d.chance(0.2) else 1
        bias = [n.const(d.array([c], kind, 1))] if d.chance(0.6) else []
        y = n.node("Conv", v, n.const(d.array([c, c // group, *kernel], kind, 0.5)), *bias, group=group, **attrs)
        if not bias and d.chance(0.4):
            y = n.node("Add", *d.pick(lambda a, b: (a, b), lambda a, b: (b, a))(y, n.const(d.array([1, c, 1, 1], kind, 1))))
        return y
    a = conv(x)
    a = clamp(d, n, a) if kind == F32 else a
    b = conv(a)
    other = d.pick(x, a, None, b, "conv", n.const(d.array([1, c, 1, size[3]], kind, 1)))
    if other == "conv":
        other = conv(x)
    if other:
        b = n.node("Add", *d.pick((b, other), (other, b)))
    b = clamp(d, n, b) if kind == F32 else b
    return n.case(b, *([a] if d.chance(0.2) else []))


def dynamic(d, n, quantised, w, product, lead, **attrs):
    """ONNX Runtime's dynamic form of a product with constant weights, the operands of Mul in any order."""
    q8, sx, zp = quantised
    wt, axis = d.pick(U8, S8), tuple(range(1, w.ndim)) if product == "ConvInteger" else (0,)
    per = product == "ConvInteger" and d.chance(0.5) or w.ndim == 2 and product != "ConvInteger" and d.chance(0.5)
    s = (np.abs(w).max(axis if per else None) / np.float32(127)).astype(F32)
    s = np.maximum(s, np.float32(1e-3))
    spread = s.reshape([-1] + [1] * (w.ndim - 1)) if per and product == "ConvInteger" else s
    zero = 128 if wt == U8 else 0
    q = np.clip(np.rint(w / spread), -127, 127) + zero
    zw = n.const(np.full(s.shape if per and d.chance(0.3) and product != "ConvInteger" else [], zero, wt))
    acc = n.node(product, q8, n.const(q.astype(wt)), zp, zw, **attrs)
    f = n.node("Cast", acc, to=onnx.TensorProto.FLOAT)
    held = n.const(s.reshape(lead(len(s))) if per else s)
    scales = n.node("Mul", *d.pick((sx, held), (held, sx)))
    return n.node("Mul", *d.pick((f, scales), (scales, f)))


@pattern
def dynamic_conv(d):
    """Two convolutions of quantize_dynamic, which may share a quantiser, with what is fused to them."""
    n, c = Net(d), d.int(1, 6)
    x = n.input(d.array([1, c, d.int(1, 16), d.int(1, 40)], F32, d.pick(1, 1, 100)))
    def conv(quantised):
        kernel, attrs = same_conv(d, c)
        y = dynamic(d, n, quantised, d.array([c, c, *kernel], F32, 1), "ConvInteger", lambda k: d.pick([1, k, 1, 1], [k, 1, 1]), **attrs)
        if d.chance(0.7):
            bias = n.node("Reshape", n.const(d.array([c], F32, 1)), n.const(np.array([1, -1, 1, 1], S64)))
            y = n.node("Add", *d.pick((y, bias), (bias, y)))
        return y
    quantised = n.node("DynamicQuantizeLinear", x, n_out=3)
    a = clamp(d, n, conv(quantised))
    b = clamp(d, n, conv(n.node("DynamicQuantizeLinear", a, n_out=3)))
    how = d.int(0, 5)
    if how == 0:
        b = n.node("Add", b, x)
    elif how == 1:
        b = n.node("Add", conv(quantised), b)
    elif how == 2:
        b = n.node("Add", b, b)
    elif how == 3:
        b = n.node("Concat", a, b, axis=1)
    b = clamp(d, n, b)
    return n.case(b, *([a] if d.chance(0.2) else []))


@pattern
def dynamic_matmul(d):
    """A matrix product of quantize_dynamic, and what it makes of a fully connected layer."""
    n, k, m = Net(d), d.int(1, 40), d.int(1, 20)
    x = n.input(d.array(d.pick([d.int(1, 6), k], [2, 3, k], [k]), F32, 2))
    y = dynamic(d, n, n.node("DynamicQuantizeLinear", x, n_out=3), d.array([k, m], F32, 1), "MatMulInteger", lambda c: [c])
    if d.chance(0.7):
        y = n.node("Add", y, n.const(d.array([m], F32, 1)))
    return n.case(clamp(d, n, y))


def quantised(d, n, v, low=-4.0, high=4.0):
    """QuantizeLinear and DequantizeLinear, as quantize_static writes them: a clipped range, u8 or s8."""
    kind = d.pick(U8, S8)
    s = np.float32((high - low) / 255)
    zp = np.asarray(np.rint(-low / s) + (0 if kind == U8 else -128), kind)
    args = n.const(s), n.const(zp)
    return n.node("DequantizeLinear", n.node("QuantizeLinear", v, *args), *args)


@pattern
def qdq_conv(d):
    """Static int8 in QDQ form: quantised activations, weights per tensor or per channel, an int32 bias."""
    n, c, m = Net(d), d.int(1, 5), d.int(1, 6)
    d.opset = max(d.opset, 13)
    x = quantised(d, n, n.input(d.array([1, c, d.int(3, 9), d.int(3, 20)], F32, 1.5)))
    kernel, attrs = same_conv(d, c)
    per = d.chance(0.5)
    s = (d.rng.random([m] if per else []) * 0.02 + 0.005).astype(F32)
    sx = n.arrays[n.nodes[-1].input[1]]
    w = n.node("DequantizeLinear", n.const(d.rng.integers(-127, 128, [m, c, *kernel]).astype(S8)), n.const(s), n.const(np.zeros(s.shape, S8)),
               axis=0 if per else None)
    bias = []
    if d.chance(0.7):
        bias = [n.node("DequantizeLinear", n.const(d.rng.integers(-3000, 3000, m).astype(S32)), n.const((sx * s).astype(F32)),
                       n.const(np.zeros(s.shape, S32)), axis=0 if per else None)]
    y = n.node("Conv", x, w, *bias, **attrs)
    if d.chance(0.4):
        y = n.node("Relu", y)
    y = quantised(d, n, y, *d.pick((-6.0, 6.0), (0.0, 5.0), (-1.0, 8.0)))
    return n.case(y if d.chance(0.5) else n.nodes[-1].input[0])


@pattern
def qdq_rest(d):
    """Quantised operators between two quantisers."""
    d.opset = d.pick(13, 17, 18, 21)
    n = Net(d)
    size = [1, 4, d.int(2, 6), d.int(2, 6)]
    a, b = (quantised(d, n, n.input(d.array(size, F32, 1.5))) for _ in range(2))
    y = d.pick(lambda: n.node("Add", a, b), lambda: n.node("Mul", a, b), lambda: n.node("Concat", a, b, axis=1), lambda: n.node("Sigmoid", a),
               lambda: n.node("MaxPool", a, kernel_shape=[2, 2]), lambda: n.node("AveragePool", a, kernel_shape=[2, 2], pads=[1, 1, 0, 0]),
               lambda: n.node("GlobalAveragePool", a), lambda: n.node("LeakyRelu", a, alpha=0.1), lambda: n.node("Relu", n.node("Add", a, b)),
               lambda: n.node("Transpose", a, perm=[0, 2, 3, 1]), lambda: n.node("Reshape", a, n.const(np.array([1, -1], S64))),
               lambda: n.node("Softmax", a, axis=1), lambda: n.node("MatMul", a, n.node("Transpose", b, perm=[0, 1, 3, 2])))()
    return n.case(quantised(d, n, y, *d.pick((-6.0, 6.0), (0.0, 5.0))))


@pattern
def shapes_of_shapes(d):
    """What exporters write for x.view(x.shape[i], ..., -1): dims computed from dims."""
    n, size = Net(d), [d.int(1, 4) for _ in range(4)]
    d.opset = max(d.opset, 13)
    x = n.input(d.array(size, d.pick(F32, U8, S64)))
    s, zero = n.node("Shape", x), n.const(np.array([0], S64))
    def one(i):
        """Dim i as a list of one, by one of two ways."""
        if d.chance(0.5):
            return n.node("Unsqueeze", n.node("Gather", s, n.const(np.array(d.pick(i, i - 4), S64)), axis=0), zero)
        part = n.node("Slice", s, n.const(np.array([i], S64)), n.const(np.array([i + 1], S64)))
        if d.chance(0.5):  # by way of floats, as a scale factor is applied
            part = n.node("Cast", n.node("Mul", n.node("Cast", part, to=onnx.TensorProto.FLOAT), n.const(np.float32(1))), to=onnx.TensorProto.INT64)
        return part
    kept = [one(i) for i in d.some(range(4))]
    if d.chance(0.3):  # four times as many, whatever the axis
        x = n.node("Concat", x, x, x, x, axis=d.int(0, 3))
    rest = n.const(np.array([-1], S64))
    return n.case(n.node("Reshape", x, n.node("Concat", *d.pick([*kept, rest], [rest, *kept]), axis=0)))


@pattern
def elementwise_graph(d):
    """A small graph of element-wise operators whose values broadcast; some are read twice."""
    d.opset = d.pick(13, 15, 17, 20)
    n = Net(d)
    full = d.shape(1, 4)
    values = [n.input(d.array([1 if d.chance(0.3) else v for v in full], F32, 1)) for _ in range(d.int(1, 3))]
    for _ in range(d.int(2, 6)):
        a, b = d.pick(*values), d.pick(*values)
        values.append(d.pick(
            lambda: n.node(d.pick("Add", "Sub", "Mul", "Max", "Min"), a, b), lambda: n.node("Relu", a), lambda: n.node("Sigmoid", a),
            lambda: n.node("Tanh", a), lambda: n.node("Neg", a), lambda: n.node("Abs", a), lambda: n.node("LeakyRelu", a),
            lambda: n.node("Clip", a, n.const(np.float32(-1)), n.const(np.float32(0.5))), lambda: n.node("HardSigmoid", a),
            lambda: n.node("Sqrt", n.node("Add", n.node("Mul", a, a), n.const(np.float32(0.5)))),
            lambda: n.node("Div", a, n.node("Add", n.node("Abs", b), n.const(np.float32(1)))),
            lambda: n.node("Mul", a, n.const(d.array([full[-1]], F32, 1))))())
    return n.case(values[-1], *([values[-2]] if d.chance(0.3) and values[-2] not in n.arrays else []))


@pattern
def distance(d):
    """The end of a perceptual distance: unit length over channels, squared difference, weights, means."""
    d.opset = d.pick(13, 17, 18)
    n = Net(d)
    size = [1, d.int(1, 8), d.int(1, 9), d.int(1, 9)]
    def unit(v):
        square = n.node("Mul", v, v) if d.chance(0.5) else n.node("Pow", v, n.const(np.float32(2)))
        length = n.node("Sqrt", n.node("ReduceSum", square, n.const(np.array([1], S64)), keepdims=1))
        return n.node("Div", v, n.node("Add", length, n.const(np.float32(1e-2))))
    a, b = (unit(n.input(d.array(size, F32, 1))) for _ in range(2))
    diff = n.node("Sub", a, b)
    y = n.node("Conv", n.node("Mul", diff, diff), n.const(np.abs(d.array([1, size[1], 1, 1], F32, 1))))
    mean = n.node("ReduceMean", y, axes=[2, 3], keepdims=1) if d.opset < 18 else n.node("ReduceMean", y, n.const(np.array([2, 3], S64)), keepdims=1)
    return n.case(mean)
