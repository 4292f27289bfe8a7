# SPDX-License-Identifier: BSD-2-Clause
"""Float models with seeded weights, as people quantise them, and what ONNX Runtime's quantiser makes of them.

    float_model(name) -> onnx.ModelProto          names: NETS
    quantised(name, way, folder) -> path          ways: WAYS
    frames(model, count) -> a list of feeds

A MobileNet (depthwise 3x3, 1x1, stride 2, ReLU6, residual Add, GlobalAveragePool; a Gemm or a MatMul at the end), a U-Net (MaxPool
or strided convolutions down; ConvTranspose, or Resize of one mode and a convolution, up; Concat and a residual), and the filter of
model/tiny."""
import logging
import os
from pathlib import Path

import numpy as np
import onnx
from onnx import helper as h
from onnx import numpy_helper as nh
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static

SEED = int(os.environ.get("VD_SEED", "20261127"))
FILTER = Path(os.environ["VMAF_DNN_SOURCE"]) / "model/tiny/learned_filter_v1.onnx"
F32 = np.float32


class Net:
    """A graph in the making. Weights are drawn so that every layer keeps the size of its numbers."""

    def __init__(self, name, size):
        self.rng = np.random.default_rng([SEED, *name.encode()])
        self.name, self.size, self.nodes, self.weights, self.channels = name, size, [], [], {"x": size[1]}

    def const(self, array):
        self.weights.append(nh.from_array(np.asarray(array), f"w{len(self.weights)}"))
        return self.weights[-1].name

    def node(self, op, *inputs, **attrs):
        out = f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(h.make_node(op, list(inputs), [out], name=f"n_{out}", **attrs))
        self.channels[out] = self.channels[inputs[0]]
        return out

    def conv(self, x, channels, k=3, stride=1, depthwise=False, act="relu6", gain=2.0):
        into = self.channels[x]
        per = 1 if depthwise else into
        channels = into if depthwise else channels
        w = self.rng.standard_normal([channels, per, k, k]) * np.sqrt(gain / (per * k * k)) * self.rng.uniform(0.5, 1.5, [channels, 1, 1, 1])
        y = self.node("Conv", x, self.const(w.astype(F32)), self.const((self.rng.standard_normal(channels) * 0.1).astype(F32)),
                      kernel_shape=[k, k], strides=[stride, stride], pads=[k // 2] * 4, group=into if depthwise else 1)
        self.channels[y] = channels
        if act == "relu":
            return self.node("Relu", y)
        return self.node("Clip", y, self.const(F32(0)), self.const(F32(6))) if act == "relu6" else y

    def model(self, *outputs):
        size = ["N", *self.size[1:]]
        value = h.make_tensor_value_info
        graph = h.make_graph(self.nodes, self.name, [value("x", onnx.TensorProto.FLOAT, size)],
                             [value(o, onnx.TensorProto.FLOAT, None) for o in outputs], self.weights)
        model = onnx.shape_inference.infer_shapes(h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], ir_version=8))
        onnx.checker.check_model(model, full_check=True)
        return model


def mobilenet(end):
    n = Net(f"mobilenet-{end}", [1, 3, 32, 32])
    x = n.conv("x", 12, stride=2)
    for channels, stride in ((12, 1), (16, 2), (16, 1), (24, 2), (24, 1)):
        y = n.conv(x, n.channels[x] * 3, k=1)
        y = n.conv(y, 0, stride=stride, depthwise=True)
        y = n.conv(y, channels, k=1, act=None, gain=1.0)
        x = n.node("Add", x, y) if stride == 1 and n.channels[x] == channels else y
    x = n.conv(x, 48, k=1)
    features = x
    x = n.node("Flatten", n.node("GlobalAveragePool", x), axis=1)
    w, b = (n.rng.standard_normal([48, 10]) * 0.3).astype(F32), n.rng.standard_normal(10).astype(F32)
    if end == "gemm":
        x = n.node("Gemm", x, n.const(w.T.copy()), n.const(b), transB=1)
    else:
        x = n.node("Add", n.node("MatMul", x, n.const(w)), n.const(b))
    return n.model(x, features)


def unet(down, up):
    n = Net(f"unet-{down}-{up}", [1, 3, 32, 48])
    def shrunk(x, channels):
        return n.conv(n.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2]) if down == "pool" else x, channels, act="relu",
                      stride=1 if down == "pool" else 2)
    def grown(x, channels):
        if up == "transpose":
            w = n.rng.standard_normal([n.channels[x], channels, 2, 2]) * np.sqrt(2 / n.channels[x])
            y = n.node("ConvTranspose", x, n.const(w.astype(F32)), n.const((n.rng.standard_normal(channels) * 0.1).astype(F32)),
                       kernel_shape=[2, 2], strides=[2, 2])
        else:
            how = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"} if up == "nearest" else \
                {"coordinate_transformation_mode": "half_pixel"}
            y = n.conv(n.node("Resize", x, "", n.const(np.array([1, 1, 2, 2], F32)), mode=up, **how), channels, k=1, act="relu")
        n.channels[y] = channels
        return y
    a = n.conv("x", 8, act="relu")
    b = shrunk(a, 16)
    c = n.conv(shrunk(b, 24), 24, act="relu")
    up_b = n.node("Concat", grown(c, 16), b, axis=1)
    n.channels[up_b] = 32
    b = n.conv(up_b, 16, act="relu")
    up_a = n.node("Concat", grown(b, 8), a, axis=1)
    n.channels[up_a] = 16
    y = n.conv(n.conv(up_a, 8, act="relu"), 3, act=None, gain=0.5)
    return n.model(n.node("Add", y, "x"))


NETS = {
    "filter": lambda: onnx.load(str(FILTER)),
    "mobilenet-gemm": lambda: mobilenet("gemm"),
    "mobilenet-matmul": lambda: mobilenet("matmul"),
    "unet-pool-transpose": lambda: unet("pool", "transpose"),
    "unet-stride-nearest": lambda: unet("stride", "nearest"),
    "unet-pool-linear": lambda: unet("pool", "linear"),
}


def float_model(name):
    return NETS[name]()


def frames(model, count, seed=0):
    """Pictures, smooth with a little noise, as 8-bit video gives them: whole steps of 1/255."""
    slot = model.graph.input[0]
    size = [d.dim_value or wanted for d, wanted in zip(slot.type.tensor_type.shape.dim, (1, 1, 40, 56))]
    rng = np.random.default_rng([SEED, seed, *model.graph.name.encode()])
    made = []
    for _ in range(count):
        y, x = np.mgrid[0:size[2], 0:size[3]] / 32
        f = rng.uniform(-3, 3, (3, *size[:2], 1, 1))
        v = 0.5 + 0.3 * np.sin(f[0] * x + f[1] * y + f[2]) + rng.normal(0, 0.05, size)
        made.append({slot.name: (np.rint(np.clip(v, 0, 1) * 255) / 255).astype(F32)})
    return made


class Reader(CalibrationDataReader):
    def __init__(self, feeds):
        self.feeds = iter(feeds)

    def get_next(self):
        return next(self.feeds, None)


def dynamic(weights):
    def make(source, target, feeds):
        quantize_dynamic(source, target, weight_type=weights)
    return make


def static(form, activations, per_channel):
    def make(source, target, feeds):
        quantize_static(source, target, Reader(feeds), quant_format=form, activation_type=activations, weight_type=QuantType.QInt8,
                        per_channel=per_channel)
    return make


WAYS = {"dynamic-s8": dynamic(QuantType.QInt8), "dynamic-u8": dynamic(QuantType.QUInt8)}
for form in (QuantFormat.QDQ, QuantFormat.QOperator):
    for activations in (QuantType.QUInt8, QuantType.QInt8):
        for per_channel in (False, True):
            text = f"{form.name.lower()}-{'u8' if activations == QuantType.QUInt8 else 's8'}-{'channel' if per_channel else 'tensor'}"
            WAYS[text] = static(form, activations, per_channel)


def quantised(name, way, folder):
    model, source, target = float_model(name), Path(folder) / f"{name}.onnx", Path(folder) / f"{name}-{way}.onnx"
    onnx.save(model, source)
    logging.getLogger().setLevel(logging.ERROR)  # it advises to pre-process, which is not what is tested
    WAYS[way](str(source), str(target), frames(model, 8, seed=1))
    return target
