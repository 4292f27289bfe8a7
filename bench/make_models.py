#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""bench/make_models.py FOLDER: the models that bench_ort times, for those forms that no shipped file has.

filter.static.onnx   learned_filter_v1 by ONNX Runtime's quantize_static: QDQ, per channel, u8 activations, s8 weights
filter.dynamic.onnx  the same by this project's `quantize dynamic` (VMAF_DNN_BIN)"""
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

ROOT = Path(__file__).resolve().parent.parent


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


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    static_filter(folder / "filter.static.onnx")
    binary = os.environ.get("VMAF_DNN_BIN", ROOT / "build/vmaf-dnn")
    subprocess.run([binary, "quantize", "dynamic", "-f", "-o", folder / "filter.dynamic.onnx", ROOT / "model/tiny/learned_filter_v1.onnx"], check=True,
                   stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
