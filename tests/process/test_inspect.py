# SPDX-License-Identifier: BSD-2-Clause
"""`vmaf-dnn inspect` on models that do not run: every operator, attribute, output, type, opset and shape that is in the way, each once."""
import os
import re
import subprocess

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper as nh

BIN = os.environ["VMAF_DNN_BIN"]


def inspect(tmp_path, nodes, inputs, outputs, held=(), opset=17):
    graph = h.make_graph(nodes, "g", [h.make_tensor_value_info(n, t, s) for n, t, s in inputs],
                         [h.make_tensor_value_info(n, T.FLOAT, None) for n in outputs], [nh.from_array(np.asarray(v), n) for n, v in held])
    path = tmp_path / "m.onnx"
    path.write_bytes(h.make_model(graph, opset_imports=[h.make_opsetid("", opset)], ir_version=8).SerializeToString())
    r = subprocess.run([BIN, "inspect", str(path)], capture_output=True, text=True, timeout=60)
    verdict = re.search(r"^runs       (yes|no: .*(?:\n {11}.*)*)", r.stdout, flags=re.M)
    assert verdict, r.stdout + r.stderr
    return r.returncode, [line.strip() for line in verdict[1].removeprefix("no: ").split("\n")]


def test_every_reason_is_listed(tmp_path):
    nodes = [
        h.make_node("Det", ["x"], ["d1"], "det"), h.make_node("Det", ["x"], ["d2"], "det again"), h.make_node("Loop", ["", "", "d1"], ["l"], "loop"),
        h.make_node("Gelu", ["x"], ["g"], "gelu"), h.make_node("Relu", ["x"], ["r"], "relu", alpha=0.5),
        h.make_node("MaxPool", ["x"], ["p", "places", ], "pool", kernel_shape=[2, 2], storage_order=1),
        h.make_node("Conv", ["x", "w"], ["c"], "conv", auto_pad="SAME"), h.make_node("Neg", ["c"], ["n"], "after the conv"),
        h.make_node("Sin", ["f64"], ["s"], "sine"), h.make_node("Reshape", ["x", "shape"], ["y"], "reshape"),
        h.make_node("Concat", ["x", "x"], ["wide"], "concat", axis=4), h.make_node("Add", ["x", "other"], ["sum"], "add"),
    ]
    code, lines = inspect(tmp_path, nodes, [("x", T.FLOAT, [1, 3, 8, 8]), ("f64", T.DOUBLE, [4]), ("shape", T.INT64, [2]), ("other", T.FLOAT, [5])],
                          ["l", "g", "r", "p", "n", "s", "y", "wide", "sum", "d2"], [("w", np.zeros((2, 3, 3, 3), np.float32))])
    assert code == 4
    assert len(lines) == len(set(lines)) == 10, lines
    wanted = [r"operator Det is not supported$", r"operator Loop is not supported$", r"operator Gelu is not supported at opset 17$",
              r"relu.*attribute alpha is not supported", r"conv \(Conv\): attribute auto_pad is 'SAME'",
              r"sine \(Sin\): input 0 'f64' of type float64 is not supported", r"reshape \(Reshape\): input 1 \(\w+\) is computed at run time",
              r"concat \(Concat\): axis 4 is outside", r"add \(Add\): sizes 8 and 5", r"pool.*places"]
    for want in wanted:
        assert sum(bool(re.search(want, line)) for line in lines) == 1, (want, lines)


def test_what_runs_is_not_blamed(tmp_path):
    """Types are followed through the graph: shapes made of Shape are known, and nothing behind a refused node is blamed for it."""
    nodes = [h.make_node("Shape", ["x"], ["s"]), h.make_node("Slice", ["s", "zero", "two"], ["nc"]), h.make_node("Concat", ["nc", "rest"], ["d"], axis=0),
             h.make_node("Reshape", ["x", "d"], ["y"])]
    held = [("zero", np.array([0])), ("two", np.array([2])), ("rest", np.array([-1]))]
    code, lines = inspect(tmp_path, nodes, [("x", T.FLOAT, ["n", 3, "h", "w"])], ["y"], held)
    assert (code, lines) == (0, ["yes"])
    nodes.append(h.make_node("Det", ["y"], ["z"]))
    nodes.append(h.make_node("Reshape", ["z", "d"], ["q"]))
    code, lines = inspect(tmp_path, nodes, [("x", T.FLOAT, ["n", 3, "h", "w"])], ["q"], held)
    assert (code, lines) == (4, ["operator Det is not supported"])


def test_a_broken_graph_says_why(tmp_path):
    broken = h.make_node("Relu", ["nowhere"], ["y"])
    code, lines = inspect(tmp_path, [broken], [("x", T.FLOAT, [3, 3])], ["y"])
    assert code == 4 and len(lines) == 1 and "nowhere" in lines[0]
    code, lines = inspect(tmp_path, [broken, h.make_node("Det", ["x"], ["d"])], [("x", T.FLOAT, [3, 3])], ["y"])
    assert (code, lines) == (4, ["operator Det is not supported"])  # operators come first, the graph after them
