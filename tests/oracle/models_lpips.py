# SPDX-License-Identifier: BSD-2-Clause
"""The graph of LPIPS on SqueezeNet 1.1 as PyTorch exports it, with seeded weights: two pictures, `ref` and `dist` [1,3,H,W] in -1..1, one
number, `score`. The features of seven depths are normalised over channels, their squared differences weighed by a 1x1
convolution, averaged over the picture and summed."""
import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper as nh

# Fire modules: squeeze, expand (1x1 and 3x3 each); "pool" between. A feature is taken in front of each pool and after the last four.
TRUNK = [("fire", 16, 64), ("fire", 16, 64), ("pool",), ("fire", 32, 128), ("fire", 32, 128), ("pool",), ("fire", 48, 192), ("tap",),
         ("fire", 48, 192), ("tap",), ("fire", 64, 256), ("tap",), ("fire", 64, 256), ("tap",)]
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)


class Build:
    def __init__(self, seed):
        self.rng, self.nodes, self.held, self.n = np.random.default_rng(seed), [], [], 0

    def constant(self, value, name=None):
        name = name or f"c{len(self.held)}"
        self.held.append(nh.from_array(np.asarray(value, np.float32) if np.asarray(value).dtype.kind == "f" else np.asarray(value), name))
        return name

    def node(self, op, *inputs, **attrs):
        self.n += 1
        self.nodes.append(h.make_node(op, inputs, [f"{op.lower()}{self.n}"], f"{op}_{self.n}", **attrs))
        return self.nodes[-1].output[0]

    def weights(self, out, inside, k):
        w = self.rng.standard_normal((out, inside, k, k)) * np.sqrt(2 / (inside * k * k))
        return self.constant(w), self.constant(self.rng.standard_normal(out) * 0.05)


def trunk_weights(b):
    """Both pictures go through the same: made once."""
    made, channels = [b.weights(64, 3, 3)], 64
    for step in TRUNK:
        if step[0] == "fire":
            made.append((b.weights(step[1], channels, 1), b.weights(step[2], step[1], 1), b.weights(step[2], step[1], 3)))
            channels = 2 * step[2]
    return made


def conv(b, x, w, **attrs):
    return b.node("Relu", b.node("Conv", x, *w, **attrs))


def features(b, x, made, shift, scale):
    made = iter(made)
    taps = []
    x = conv(b, b.node("Div", b.node("Sub", x, shift), scale), next(made), kernel_shape=[3, 3], strides=[2, 2])
    pool = {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}
    taps.append(x)
    x = b.node("MaxPool", x, **pool)
    for step in TRUNK:
        if step[0] == "fire":
            squeeze, one, three = next(made)
            s = conv(b, x, squeeze, kernel_shape=[1, 1])
            x = b.node("Concat", conv(b, s, one, kernel_shape=[1, 1]), conv(b, s, three, kernel_shape=[3, 3], pads=[1, 1, 1, 1]), axis=1)
        else:
            taps.append(x)
            x = b.node("MaxPool", x, **pool) if step[0] == "pool" else x
    return taps


def lpips(seed, height=None, width=None, opset=18):
    """height, width None: any size."""
    b = Build(seed)
    shift, scale = (b.constant(np.array(v).reshape(1, 3, 1, 1)) for v in (SHIFT, SCALE))
    two, eps, over = b.constant(2.0), b.constant(1e-10), b.constant(np.array([1]))
    made = trunk_weights(b)
    score = None
    for k, (r, d) in enumerate(zip(features(b, "ref", made, shift, scale), features(b, "dist", made, shift, scale))):
        unit = []
        for x in (r, d):
            norm = b.node("Sqrt", b.node("ReduceSum", b.node("Pow", x, two), over, keepdims=1))
            unit.append(b.node("Div", x, b.node("Add", norm, eps)))
        channels = (64, 128, 256, 384, 384, 512, 512)[k]
        lin = b.constant(b.rng.random((1, channels, 1, 1)))
        part = b.node("ReduceMean", b.node("Conv", b.node("Pow", b.node("Sub", *unit), two), lin, kernel_shape=[1, 1]),
                      *([b.constant(np.array([2, 3]))] if opset >= 18 else []), keepdims=1, **({} if opset >= 18 else {"axes": [2, 3]}))
        score = part if score is None else b.node("Add", score, part)
    b.nodes.append(h.make_node("Identity", [score], ["score"]))
    dims = [1, 3, height or "h", width or "w"]
    graph = h.make_graph(b.nodes, "lpips_squeezenet", [h.make_tensor_value_info(n, T.FLOAT, dims) for n in ("ref", "dist")],
                         [h.make_tensor_value_info("score", T.FLOAT, [1, 1, 1, 1])], b.held)
    m = h.make_model(graph, opset_imports=[h.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(m, full_check=True)
    return m
