# SPDX-License-Identifier: BSD-2-Clause
"""Models for the tests of the static form: every operator that it knows, and one that collapses per tensor."""
import numpy as np
from onnx import TensorProto as T, helper as h, numpy_helper as nh


class Builder:
    def __init__(self, seed=0, channels=1, opset=17):
        self.nodes, self.inits, self.rng, self.n, self.opset = [], [], np.random.default_rng(seed), 0, opset
        self.x = h.make_tensor_value_info("x", T.FLOAT, ["N", channels, "H", "W"])

    def const(self, a, name=None):
        self.n += 1
        name = name or f"c{self.n}"
        self.inits.append(nh.from_array(np.ascontiguousarray(a), name))
        return name

    def node(self, op, *inputs, **attrs):
        self.n += 1
        self.nodes.append(h.make_node(op, list(inputs), [f"v{self.n}"], f"{op}_{self.n}", **attrs))
        return f"v{self.n}"

    def conv(self, x, cin, cout, k=3, group=1, bias=True, gain=1.0, **attrs):
        w = self.rng.normal(0, gain / np.sqrt(cin // group * k * k), (cout, cin // group, k, k)).astype(np.float32)
        inputs = [x, self.const(w)] + ([self.const(self.rng.normal(0, 0.1, cout).astype(np.float32))] if bias else [])
        return self.node("Conv", *inputs, pads=[k // 2] * 4, group=group, **attrs)

    def model(self, y, rank=4):
        out = h.make_tensor_value_info(y, T.FLOAT, [None] * rank)
        g = h.make_graph(self.nodes, "g", [self.x], [out], self.inits)
        return h.make_model(g, opset_imports=[h.make_opsetid("", self.opset)], ir_version=8)


def residual(opset=17):
    """The filter's shape: a stream of sums, a tail that stays float."""
    b = Builder(1, opset=opset)
    x = b.conv("x", 1, 8)
    for _ in range(2):
        x = b.node("Add", x, b.conv(b.node("Relu", b.conv(x, 8, 8)), 8, 8))
    y = b.node("Add", "x", b.conv(x, 8, 1, gain=0.1))
    return b.model(b.node("Clip", y, b.const(np.float32(0)), b.const(np.float32(1))))


def score(opset=17):
    """Strides, depthwise, Relu6, pools, a product; a scalar comes out."""
    b = Builder(2, opset=opset)
    bounds = b.const(np.float32(0)), b.const(np.float32(6))
    x = b.node("Clip", b.conv("x", 1, 8, bias=False, strides=[2, 2]), *bounds)
    x = b.node("Clip", b.conv(x, 8, 8, group=8), *bounds)
    x = b.node("Clip", b.conv(x, 8, 12, k=1), *bounds)
    x = b.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = b.node("Relu", b.conv(x, 12, 16))
    x = b.node("Flatten", b.node("GlobalAveragePool", x))
    w = b.const(b.rng.normal(0, 0.5, (5, 16)).astype(np.float32))
    x = b.node("Relu", b.node("Gemm", x, w, b.const(b.rng.normal(0, 1, 5).astype(np.float32)), transB=1))
    return b.model(b.node("MatMul", x, b.const(b.rng.normal(0, 0.5, (5, 1)).astype(np.float32))), 2)


def branches(opset=17):
    """Concat with one scale, Mul, Sigmoid, LeakyRelu, AveragePool, a value that three read, an output inside the graph's run."""
    b = Builder(3, opset=opset)
    a = b.conv("x", 1, 4)
    left, right = b.node("LeakyRelu", b.conv(a, 4, 4), alpha=0.1), b.node("Relu", b.conv(a, 4, 4, k=1, gain=4))
    gate = b.node("Sigmoid", b.conv(a, 4, 4))
    x = b.node("Concat", left, b.node("Mul", right, gate), axis=1)
    x = b.node("AveragePool", x, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    x = b.node("DepthToSpace", b.conv(b.node("SpaceToDepth", x, blocksize=2), 32, 8), blocksize=2)
    return b.model(b.conv(x, 2, 2))


def clamps(opset=17):
    """Relu and Clip that the range of what they write does not do by itself: it is shared with negative values, or read in float too."""
    b = Builder(5, opset=opset)
    six = b.const(np.float32(-0.3)), b.const(np.float32(0.6))
    x = b.node("Concat", b.node("Relu", b.conv("x", 1, 4, gain=2)), b.conv("x", 1, 4, gain=2), b.node("Clip", b.conv("x", 1, 4, gain=2), *six), axis=1)
    x = b.node("Clip", b.conv(x, 12, 8), *six)
    x = b.node("Flatten", b.node("GlobalAveragePool", b.node("Relu", b.conv(x, 8, 12, gain=2))))
    w = b.const(b.rng.normal(0, 0.8, (12, 6)).astype(np.float32))
    x = b.node("Relu", b.node("Gemm", x, w, b.const(b.rng.normal(0, 0.1, 6).astype(np.float32))))
    both = b.node("MatMul", x, b.const(b.rng.normal(0, 0.5, (6, 2)).astype(np.float32))), b.node("MatMul", b.node("Exp", x), b.const(b.rng.normal(0, 0.5, (6, 2)).astype(np.float32)))
    return b.model(b.node("Add", *both), 2)


def collapsing():
    """Depthwise, with channels from 1/100 to 30: one scale for all weights of a layer leaves nothing of the small ones, which the next
    layer brings up again."""
    b = Builder(4)
    spread = np.geomspace(0.01, 30, 16).astype(np.float32)
    x = b.node("Relu", b.conv("x", 1, 16))
    for i in range(3):
        w = b.rng.normal(0, 0.4, (16, 1, 3, 3)).astype(np.float32) * (spread if i % 2 == 0 else spread[::-1]).reshape(16, 1, 1, 1)
        x = b.node("Relu", b.node("Conv", x, b.const(w), group=16, pads=[1, 1, 1, 1]))
        back = 1 / (spread if i % 2 == 0 else spread[::-1])
        w = b.rng.normal(0, 0.3, (16, 16, 1, 1)).astype(np.float32) * back.reshape(1, 16, 1, 1)
        x = b.node("Relu", b.node("Conv", x, b.const(w.astype(np.float32))))
    return b.model(b.conv(x, 16, 1, k=1))
