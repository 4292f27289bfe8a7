#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""bench/make_models.py FOLDER: the models that bench_ort times, for those forms that no shipped file has.

filter.static.onnx   learned_filter_v1 by ONNX Runtime's quantize_static: QDQ, per channel, u8 activations, s8 weights
filter.dynamic.onnx  the same by this project's `quantize dynamic` (VMAF_DNN_BIN)
nr.onnx              a no-reference net of nr_metric_v1's shape (19,105 weights, 224x224), seeded weights
nr.dynamic.onnx      that one by `quantize dynamic`"""
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper as oh, numpy_helper as nh
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

ROOT = Path(__file__).resolve().parent.parent
# Stride and output channels of each depthwise-separable block.
BLOCKS = ((2, 32), (1, 32), (2, 64), (1, 64), (2, 128))


class Pictures(CalibrationDataReader):
    """Smooth pictures with some noise, in 0..1: enough for ranges, and speed does not depend on them."""

    def __init__(self, name, shape, n=4):
        rng = np.random.default_rng(7)
        y, x = np.mgrid[0 : shape[2], 0 : shape[3]]
        self.feeds = []
        for i in range(n):
            wave = 0.5 + 0.4 * np.sin(x / (7 + 9 * i)) * np.cos(y / (5 + 4 * i))
            self.feeds.append({name: np.clip(wave + rng.normal(0, 0.03, shape), 0, 1).astype(np.float32)})
        self.at = iter(self.feeds)

    def get_next(self):
        return next(self.at, None)


def static_filter(path):
    source = ROOT / "model/tiny/learned_filter_v1.onnx"
    logging.getLogger().setLevel(logging.ERROR)
    quantize_static(source, path, Pictures("degraded", (1, 1, 180, 320)), quant_format=QuantFormat.QDQ, per_channel=True,
                    activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8)


def nr_net(path):
    rng = np.random.default_rng(11)
    nodes, weights = [], []

    def constant(name, value):
        weights.append(nh.from_array(np.asarray(value, np.float32), name))
        return name

    zero, six = constant("zero", 0.0), constant("six", 6.0)

    def conv(x, name, ic, oc, kernel, stride, group=1):
        fan = ic // group * kernel * kernel
        w = constant(name + ".weight", rng.normal(0, (2 / fan) ** 0.5, (oc, ic // group, kernel, kernel)))
        b = constant(name + ".bias", rng.normal(0, 0.05, oc))
        nodes.append(oh.make_node("Conv", [x, w, b], [name], name=name, kernel_shape=[kernel, kernel], strides=[stride, stride],
                                  pads=[kernel // 2] * 4, group=group))
        nodes.append(oh.make_node("Clip", [name, zero, six], [name + ".relu6"], name=name + ".clip"))
        return name + ".relu6"

    x, ic = conv("frame", "stem", 1, 16, 3, 2), 16
    for i, (stride, oc) in enumerate(BLOCKS):
        x = conv(x, f"block{i}.depthwise", ic, ic, 3, stride, group=ic)
        x = conv(x, f"block{i}.pointwise", ic, oc, 1, 1)
        ic = oc
    nodes.append(oh.make_node("GlobalAveragePool", [x], ["pool"], name="pool"))
    nodes.append(oh.make_node("Flatten", ["pool"], ["flat"], name="flat"))
    constant("head.weight", rng.normal(0, 0.1, (1, ic)))
    constant("head.bias", rng.normal(0, 0.1, 1))
    nodes.append(oh.make_node("Gemm", ["flat", "head.weight", "head.bias"], ["mos"], name="head", transB=1))
    graph = oh.make_graph(nodes, "nr", [oh.make_tensor_value_info("frame", TensorProto.FLOAT, ["N", 1, 224, 224])],
                          [oh.make_tensor_value_info("mos", TensorProto.FLOAT, ["N", 1])], weights)
    onnx.save(oh.make_model(graph, opset_imports=[oh.make_opsetid("", 17)], ir_version=8), path)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    static_filter(folder / "filter.static.onnx")
    nr_net(folder / "nr.onnx")
    binary = os.environ.get("VMAF_DNN_BIN", ROOT / "build/vmaf-dnn")
    for source, name in ((ROOT / "model/tiny/learned_filter_v1.onnx", "filter"), (folder / "nr.onnx", "nr")):
        subprocess.run([binary, "quantize", "dynamic", "-f", "-o", folder / f"{name}.dynamic.onnx", source], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
