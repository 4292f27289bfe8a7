#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""make_smoke_models.py [--check] [FOLDER]: the two smoke models, the same bytes every time.

smoke_v0       Conv 3x3 (a binomial blur: weights 1, 2 and 4 of 16, zeros around the edge) and Identity, float32
               [1,1,4,4], features -> score
smoke_fp16_v0  Identity, float16 [1,1,2,2], x -> y

FOLDER is model/tiny. --check writes nothing and fails when a file there has other bytes. Prints the digests, which
registry.json and the sidecars pin. Needs the onnx package (tests/oracle/requirements.txt)."""
import argparse
import hashlib
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET, IR = 17, 8


def finish(name, nodes, inputs, outputs, initializer=()):
    graph = helper.make_graph(nodes, name, inputs, outputs, list(initializer))
    model = helper.make_model(graph, producer_name="vmaf-dnn", opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = IR
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


def smoke_v0():
    kernel = np.outer([1, 2, 1], [1, 2, 1]).astype(np.float32) / np.float32(16)
    weight = numpy_helper.from_array(kernel.reshape(1, 1, 3, 3), "weight")
    nodes = [
        helper.make_node("Conv", ["features", "weight"], ["blurred"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Identity", ["blurred"], ["score"]),
    ]
    shape = [1, 1, 4, 4]
    return finish("smoke_v0", nodes, [helper.make_tensor_value_info("features", TensorProto.FLOAT, shape)],
                  [helper.make_tensor_value_info("score", TensorProto.FLOAT, shape)], [weight])


def smoke_fp16_v0():
    shape = [1, 1, 2, 2]
    return finish("smoke_fp16_v0", [helper.make_node("Identity", ["x"], ["y"])],
                  [helper.make_tensor_value_info("x", TensorProto.FLOAT16, shape)],
                  [helper.make_tensor_value_info("y", TensorProto.FLOAT16, shape)])


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder", nargs="?", type=Path, default=Path(__file__).resolve().parent.parent / "model" / "tiny")
    p.add_argument("--check", action="store_true")
    a = p.parse_args()
    wrong = 0
    for name, make in (("smoke_v0", smoke_v0), ("smoke_fp16_v0", smoke_fp16_v0)):
        path, data = a.folder / f"{name}.onnx", make()
        digest = hashlib.sha256(data).hexdigest()
        if not a.check:
            path.write_bytes(data)
        elif not path.is_file() or path.read_bytes() != data:
            wrong += 1
            print(f"{path}: not what this script makes", file=sys.stderr)
        print(digest, name, len(data), "bytes")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
