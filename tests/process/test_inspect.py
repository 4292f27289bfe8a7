# SPDX-License-Identifier: BSD-2-Clause
"""`vmaf-dnn inspect`: what is in a model; and of one that does not run every operator, attribute, output, type, opset and shape that is in the way, each once."""
import json
import os
import re
import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper as nh

BIN = os.environ["VMAF_DNN_BIN"]
SOURCE = Path(os.environ["VMAF_DNN_SOURCE"])
SHIPPED = [m["id"] for m in json.loads((SOURCE / "model/tiny/registry.json").read_text())["models"] if not m.get("smoke")]


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


def command(*argv, code=0):
    r = subprocess.run([BIN, *map(str, argv)], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    assert r.returncode == code, r.stdout + r.stderr
    return r


def counted(path, *options):
    text = command("inspect", *options, path).stdout
    weights = re.search(r"^weights    (\d+) in (\d+) tensors?, (\d+) bytes$", text, re.M)
    constants = re.search(r"^constants  (\d+) in (\d+) tensors?, (\d+) bytes: ", text, re.M)
    return [int(v) for v in weights.groups()], [int(v) for v in constants.groups()] if constants else [0, 0, 0], text


@pytest.mark.parametrize("model", SHIPPED)
def test_weights_are_those_of_the_card(model):
    """Of the fp32 file and of the int8 file; everything else that the files hold is constants."""
    card = (SOURCE / f"docs/models/{model}.md").read_text()
    said = int(re.search(r"^\| weights \| (\d+) \||\b(\d\d,\d{3}) weights", card, re.M)[0].strip("| weights").replace(",", ""))
    for name in (f"{model}.onnx", f"{model}.int8.onnx"):
        held = [nh.to_array(i) for i in onnx.load(SOURCE / "model/tiny" / name).graph.initializer]
        weights, constants, _ = counted(SOURCE / "model/tiny" / name)
        assert weights[0] == said, name
        assert [a + b for a, b in zip(weights, constants)] == [sum(a.size for a in held), len(held), sum(a.nbytes for a in held)]


@pytest.mark.parametrize("form", [["dynamic"], ["dynamic", "--per-tensor", "--weight-type", "int8"], ["static", "--tails", "none"], ["static", "--two-bytes", "sums"],
                                  ["static", "--tails", "none", "--format", "qoperator"]])
def test_every_form_has_the_same_weights(tmp_path, form):
    np.save(tmp_path / "c.npy", np.random.default_rng(1).random((2, 1, 24, 32), np.float32))
    more = [] if form[0] == "dynamic" else ["--calibration", tmp_path / "c.npy"]
    command("quantize", form[0], SOURCE / "model/tiny/learned_filter_v1.onnx", "-o", tmp_path / "m.onnx", "-q", *form[1:], *more)
    assert counted(tmp_path / "m.onnx")[0][0] == 18865


def test_what_is_a_weight(tmp_path):
    """By what reads it: one that multiplies, adds a bias or normalises is, a bound, a shape or a scalar is not."""
    f = np.float32
    held = {"w": np.ones((4, 1, 3, 3), f), "b": np.ones(4, f), "lo": f(0), "hi": f(6), "shape": np.array([1, -1]), "gain": np.ones((1, 4, 1, 1), f), "half": f(0.5),
            "t": np.ones((5, 64), f), "one": np.ones(5, f), "unused": np.ones(7, f), "slope": np.ones((4, 1, 1), f)}
    nodes = [h.make_node("Conv", ["x", "w", "b"], ["c"], pads=[1, 1, 1, 1]), h.make_node("Clip", ["c", "lo", "hi"], ["k"], "clip"), h.make_node("Mul", ["k", "gain"], ["g"]),
             h.make_node("Mul", ["g", "half"], ["f"]), h.make_node("PRelu", ["f", "slope"], ["p"]), h.make_node("Reshape", ["p", "shape"], ["r"]),
             h.make_node("Transpose", ["t"], ["tt"]), h.make_node("MatMul", ["r", "tt"], ["m"]), h.make_node("Add", ["m", "one"], ["y"], "last one")]
    code, lines = inspect(tmp_path, nodes, [("x", T.FLOAT, [1, 1, 4, 4])], ["y"], held.items())
    assert (code, lines) == (0, ["yes"])
    (n, tensors, _), (constants, rest, _), text = counted(tmp_path / "m.onnx", "--layers")
    assert (n, tensors) == (36 + 4 + 4 + 4 + 320 + 5, 6) and (constants, rest) == (1 + 1 + 2 + 1 + 7, 5)
    # A line a node, by the name that --exclude takes: its own, else its output's.
    listed = text.split("\nlayers ")[1].split("\nint8 ")[0].split("\n")[1:]
    want = [["c", "Conv", "40", "[4,1,3,3]"], ["clip", "Clip", "writes", "k"], ["g", "Mul", "4", "[1,4,1,1]"], ["f", "Mul"], ["p", "PRelu", "4", "[4,1,1]"], ["r", "Reshape"],
            ["tt", "Transpose", "320", "[5,64]"], ["m", "MatMul"]]
    assert [line.split() for line in listed[:-1]] == want
    assert re.fullmatch(r" +last one +Add +5  \[5\]  writes y", listed[-1])
    assert all(line == line.rstrip() for line in text.split("\n"))


def test_excluded_by_the_names_that_are_listed(tmp_path):
    model = SOURCE / "model/tiny/learned_filter_v1.onnx"
    listed = re.findall(r"^ {11}(\S+) +Conv +\d+  ", counted(model, "--layers")[2], re.M)
    assert len(listed) == 10
    out = tmp_path / "m.onnx"
    command("quantize", "dynamic", model, "-o", out, "-q", *[w for name in listed[1:] for w in ("--exclude", name)])
    assert sum(n.op_type == "Conv" for n in onnx.load(out).graph.node) == 9
    r = command("quantize", "dynamic", model, "-o", tmp_path / "no.onnx", "--exclude", "nobody", code=2)
    assert "'vmaf-dnn inspect --layers MODEL' lists them" in r.stderr
