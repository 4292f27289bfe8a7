# SPDX-License-Identifier: BSD-2-Clause
"""ADR-0174's measure_quant_drop, written here with NumPy and ONNX Runtime, beside `vmaf-dnn gate`: the same PLCC and drop to six digits.
And the gate's exit codes, on models that are as they should be and on models that are not."""
import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

BIN = os.environ["VMAF_DNN_BIN"]
SOURCE = Path(os.environ["VMAF_DNN_SOURCE"])
TINY = SOURCE / "tests/data/dynamic"  # a dynamic file whose figures are known
SHIPPED = SOURCE / "model/tiny"
STEM = "learned_filter_v1"
INSIDE, OVER, OTHER = 0, 1, 2
LINE = re.compile(r"\[(PASS|FAIL|INSUFFICIENT)\] (\S+) +mode=(\w+) PLCC=(-?[\d.]+|none|nan) drop=(-?[\d.]+|none|nan) budget=(\d\.\d{4}) worst_abs=(\d+\.\d{4}|inf)"
                  r"((?: \([^)]*\))*)")


def command(*argv, code=0, cwd=None, env=None):
    r = subprocess.run([BIN, *map(str, argv)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, cwd=cwd,
                       env=dict(os.environ, **(env or {})))
    assert r.returncode == code, f"vmaf-dnn {' '.join(map(str, argv))}: exit {r.returncode}\n{r.stdout}{r.stderr}"
    return r


def record_gate(fp32, int8, size=(224, 224), samples=16, seed=0):
    """All inputs and all outputs; symbolic height and width as given, other symbolic dims 1."""
    o = ort.SessionOptions()
    o.intra_op_num_threads = 2
    a, b = (ort.InferenceSession(str(p), o, providers=["CPUExecutionProvider"]) for p in (fp32, int8))
    rng = np.random.default_rng(seed)
    outs = [], []
    for _ in range(samples):
        feed = {}
        for i in a.get_inputs():
            n = len(i.shape)
            shape = [d if isinstance(d, int) else size[k - n + 2] if n >= 3 and k >= n - 2 else 1 for k, d in enumerate(i.shape)]
            feed[i.name] = rng.random(shape, dtype=np.float32)
        for session, list_ in zip((a, b), outs):
            list_ += [y.ravel() for y in session.run(None, feed)]
    y, z = (np.concatenate(o).astype(np.float64) for o in outs)
    plcc = np.corrcoef(y, z)[0, 1]
    return f"{plcc:.6f}", f"{1 - plcc:.6f}", f"{np.abs(y - z).max():.4f}"


@pytest.fixture
def tiny(tmp_path):
    folder = tmp_path / "tiny"
    shutil.copytree(TINY, folder)
    return folder


def gate(*argv, code=0, **how):
    r = command("gate", *argv, code=code, **how)
    return r, {m[2]: m for m in map(LINE.match, r.stdout.splitlines()) if m}


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def pin(folder, **digests):
    """Record the digests of a model's files, as somebody who trusts them would."""
    for path in (folder / "registry.json", folder / f"{STEM}.json"):
        j = json.loads(path.read_text())
        for row in j.get("models", [j]):
            if row["id"] == STEM:
                row |= digests
        path.write_text(json.dumps(j, indent=2) + "\n")


def change(path, edit):
    m = onnx.load(str(path))
    edit(m.graph, {t.name: t for t in m.graph.initializer})
    onnx.save(m, str(path))


def fill(t, value):
    a = numpy_helper.to_array(t)
    t.CopyFrom(numpy_helper.from_array(np.full_like(a, value), t.name))


# --- the record

@pytest.mark.parametrize("how", [[], ["--threads", "1"], ["--kernels", "c"]])
def test_same_digits(how):
    want = record_gate(TINY / f"{STEM}.onnx", TINY / f"{STEM}.int8.onnx")
    assert float(want[1]) <= 0.0004
    if "c" in how:  # the reference kernels take their time: the record's samples alone; sets of kernels agree in test_int8_ort
        _, lines = gate("--compat", TINY / f"{STEM}.onnx", *how)
        assert (lines[STEM][4], lines[STEM][5], lines[STEM][7]) == want and lines[STEM][1] == "PASS"
        return
    r, lines = gate("--all", "--registry", TINY / "registry.json", *how)
    m = lines[STEM]
    assert (m[4], m[5], m[7]) == want and m[1] == "PASS" and m[8] == ""
    first = r.stdout.splitlines()[0]
    assert first == f"[PASS] learned_filter_v1   mode=dynamic PLCC={want[0]} drop={want[1]} budget=0.0100 worst_abs={want[2]}"
    assert "[skip] smoke_v0 \u2014 quant_mode=fp32, no quantised model to gate" in r.stdout.splitlines()
    assert "[skip] smoke_fp16_v0 \u2014 quant_mode=fp32, no quantised model to gate" in r.stdout.splitlines()
    m = re.search(r"^ +16 noise: PLCC=(\S+) drop=(\S+) bound=([\d.]+) worst_abs=(\S+)$", r.stdout, re.M)
    assert (m[1], m[2], m[4]) == want and float(m[2]) < float(m[3]) < 1.1 * float(m[2])
    m = re.search(r"^ +12 pictures: PLCC=([\d.]+) drop=([\d.]+) bound=([\d.]+) worst_abs=[\d.]+$", r.stdout, re.M)
    assert m and float(m[2]) <= 0.00006 and float(m[2]) < float(m[3])
    m = re.search(r"^ +what it adds: PLCC=([\d.]+); PSNR gain fp32=\+([\d.]+) dB int8=\+([\d.]+) dB \((.[\d.]+) dB;", r.stdout, re.M)
    assert m and float(m[1]) > 0.99 and float(m[2]) > 2 and abs(float(m[4])) <= 0.04
    compat, _ = gate("--compat", "--all", "--registry", TINY / "registry.json", *how)
    assert compat.stdout.splitlines() == [line for line in r.stdout.splitlines() if line.startswith("[")]


def test_same_digits_of_what_is_shipped():
    """Whatever its form, every model of model/tiny is inside its budget, and the record's gate in Python says the same of it."""
    rows = [r for r in json.loads((SHIPPED / "registry.json").read_text())["models"] if r.get("quant_mode", "fp32") != "fp32"]
    r, lines = gate("--all", "--registry", SHIPPED / "registry.json")
    assert any(row["quant_mode"] == "static" for row in rows) and set(lines) == {row["id"] for row in rows}
    for row in rows:
        stem, size = row["onnx"].removesuffix(".onnx"), json.loads((SHIPPED / row["onnx"].replace(".onnx", ".json")).read_text())["input"]
        want = record_gate(SHIPPED / row["onnx"], SHIPPED / f"{stem}.int8.onnx", (size.get("height", 224), size.get("width", 224)))
        m = lines[row["id"]]
        assert (m[4], m[5], m[7]) == want and m[1] == "PASS" and f"mode={row['quant_mode']} " in m[0]


@pytest.mark.parametrize("options", [["--per-tensor"], ["--weight-type", "int8"]])
def test_same_digits_of_other_forms(options, tiny):
    command("quantize", "dynamic", tiny / f"{STEM}.onnx", "-q", *options)
    if "int8" in options and tuple(map(int, ort.__version__.split(".")[:2])) < (1, 24):
        pytest.skip("this ONNX Runtime has no signed ConvInteger")
    want = record_gate(tiny / f"{STEM}.onnx", tiny / f"{STEM}.int8.onnx")
    _, lines = gate(tiny / f"{STEM}.onnx")
    assert (lines[STEM][4], lines[STEM][5], lines[STEM][7]) == want


def save(path, nodes, inits, inputs, outputs):
    def value(name, shape):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    graph = helper.make_graph(nodes, "g", [value(*v) for v in inputs], [value(*v) for v in outputs],
                              [numpy_helper.from_array(v, k) for k, v in inits.items()])
    m = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(m, full_check=True)
    onnx.save(m, str(path))


def test_all_inputs_and_outputs(tmp_path):
    """Two inputs of different shapes, one of them symbolic, and two outputs: samples are drawn for one after the other, and all that
    comes out is correlated."""
    rng = np.random.default_rng(2)
    inits = {"w": rng.standard_normal((3, 1, 3, 3)).astype(np.float32), "v": rng.standard_normal((10, 4)).astype(np.float32)}
    save(tmp_path / "m.onnx", [helper.make_node("Conv", ["a", "w"], ["p"], pads=[1, 1, 1, 1]), helper.make_node("MatMul", ["b", "v"], ["q"])],
         inits, [("a", ["N", 1, "H", "W"]), ("b", ["N", 10])], [("p", ["N", 3, "H", "W"]), ("q", ["N", 4])])
    command("quantize", "dynamic", tmp_path / "m.onnx", "-q")
    r, lines = gate(tmp_path / "m.onnx")
    assert (lines["m"][4], lines["m"][5], lines["m"][7]) == record_gate(tmp_path / "m.onnx", tmp_path / "m.int8.onnx")
    assert lines["m"][8] == " (default budget) (UNPINNED: no registry row or sidecar)" and lines["m"][6] == "0.0100"
    assert "pictures" not in r.stdout  # the input is no picture


def test_score(tmp_path):
    """One number a picture: sixteen points, and twelve pictures. The sidecar's size counts."""
    rng = np.random.default_rng(3)
    inits = {"w": rng.standard_normal((8, 1, 3, 3)).astype(np.float32), "v": rng.standard_normal((8, 1)).astype(np.float32)}
    save(tmp_path / "nr_test.onnx", [helper.make_node("Conv", ["frame", "w"], ["c"], strides=[2, 2]), helper.make_node("Relu", ["c"], ["r"]),
         helper.make_node("GlobalAveragePool", ["r"], ["g"]), helper.make_node("Flatten", ["g"], ["f"]),
         helper.make_node("Gemm", ["f", "v"], ["mos"])], inits, [("frame", ["N", 1, "H", "W"])], [("mos", ["N", 1])])
    row = {"id": "nr_test", "kind": "nr", "onnx": "nr_test.onnx", "opset": 17, "sha256": sha256(tmp_path / "nr_test.onnx")}
    (tmp_path / "registry.json").write_text(json.dumps({"schema_version": 1, "models": [row | {"quant_accuracy_budget_plcc": 0.02}]}))
    (tmp_path / "nr_test.json").write_text(json.dumps(row | {"input": {"name": "frame", "width": 100, "height": 60}, "output": {"name": "mos"}}))
    command("quantize", "dynamic", tmp_path / "nr_test.onnx", "-q")
    command("verify", "--all", "--registry", tmp_path / "registry.json")
    r, lines = gate("nr_test", "--registry", tmp_path / "registry.json", "--budget", "1")
    assert (lines["nr_test"][4], lines["nr_test"][5], lines["nr_test"][7]) == record_gate(
        tmp_path / "nr_test.onnx", tmp_path / "nr_test.int8.onnx", size=(60, 100))
    assert lines["nr_test"][8] == " (given budget)" and "12 pictures: " in r.stdout and "what it adds" not in r.stdout


# --- verdicts

def break_layer(graph, init):
    fill(init["blocks.1.a.weight_quantized"], 128)


def test_broken_layer(tiny):
    """One layer's weights are zero, and the file is pinned: only the gate can see it."""
    int8 = tiny / f"{STEM}.int8.onnx"
    change(int8, break_layer)
    r, lines = gate(tiny / f"{STEM}.onnx", code=OTHER)  # not pinned yet
    assert not lines and "this is not the file that was pinned" in r.stderr
    pin(tiny, int8_sha256=sha256(int8))
    command("verify", "--all", "--registry", tiny / "registry.json")
    r, lines = gate("--all", "--registry", tiny / "registry.json", "--json", tiny / "g.json", code=OVER)
    assert lines[STEM][1] == "FAIL" and float(lines[STEM][5]) > 0.01
    assert (lines[STEM][4], lines[STEM][5], lines[STEM][7]) == record_gate(tiny / f"{STEM}.onnx", int8)
    assert re.search(r"^ +a drop of 0\.\d{6} on the record's samples is over the budget of 0\.0100$", r.stdout, re.M)
    assert sum(line.startswith("[skip]") for line in r.stdout.splitlines()) == 2  # the skipped ones are still there
    j, *others = sorted(json.loads((tiny / "g.json").read_text()), key=lambda m: m["id"] != STEM)
    assert j["id"] == STEM and j["verdict"] == "fail" and "over the budget" in j["why"] and f"{j['drop']:.6f}" == lines[STEM][5]
    assert {o["id"]: o["verdict"] for o in others if o["verdict"] != "pass"} == {"smoke_v0": "skip", "smoke_fp16_v0": "skip"}


def test_adds_nothing(tiny):
    """The last layer is zero: what comes out is what went in, and that has a PLCC of 0.99 on pictures."""
    int8 = tiny / f"{STEM}.int8.onnx"

    def edit(graph, init):
        fill(init["exit.weight_quantized"], 128)
        fill(init["exit.bias"], 0)
    change(int8, edit)
    pin(tiny, int8_sha256=sha256(int8))
    r, lines = gate(tiny / f"{STEM}.onnx", "--budget", "0.9", code=OVER)
    assert "the int8 file adds nothing to pictures, the fp32 file does" in r.stdout
    assert float(re.search(r"pictures: PLCC=([\d.]+)", r.stdout)[1]) > 0.98


def test_constant_output(tiny):
    int8 = tiny / f"{STEM}.int8.onnx"
    change(int8, lambda graph, init: fill(init["clip_bound_1"], 0))
    pin(tiny, int8_sha256=sha256(int8))
    r, _ = gate(tiny / f"{STEM}.onnx", "--budget", "1", "--json", "-", code=OVER, cwd=tiny)
    lines = {m[2]: m for m in map(LINE.match, r.stderr.splitlines()) if m}
    assert lines[STEM][1] == "FAIL" and lines[STEM][4] == lines[STEM][5] == "none" and "the int8 output is constant on the record's samples" in r.stderr
    assert "UNPINNED" not in r.stderr and not re.search(r"\bnan\b", r.stdout + r.stderr, re.I)
    (j,) = json.loads(r.stdout)
    assert j["plcc"] is None and j["verdict"] == "fail"
    _, lines = gate(tiny / f"{STEM}.onnx", "--budget", "1", "--compat", code=OVER)
    assert lines[STEM][4] == lines[STEM][5] == "nan"  # as Python prints it


def test_not_finite_output(tmp_path):
    """A division by zero, in the int8 file only."""
    one = np.ones((1, 1, 1, 1), np.float32)
    save(tmp_path / "m.onnx", [helper.make_node("Conv", ["x", "w"], ["y"]), helper.make_node("Div", ["y", "d"], ["z"])], {"w": one, "d": one},
         [("x", [1, 1, 20, 20])], [("z", [1, 1, 20, 20])])
    command("quantize", "dynamic", tmp_path / "m.onnx", "-q")
    change(tmp_path / "m.int8.onnx", lambda graph, init: fill(init["d"], 0))
    r, lines = gate(tmp_path / "m.onnx", "--budget", "1", code=OVER)
    assert lines["m"][1] == "FAIL" and lines["m"][7] == "inf" and "the int8 output is not finite on the record's samples" in r.stdout
    assert not re.search(r"\bnan\b", r.stdout, re.I)


def test_budgets(tiny):
    model = tiny / f"{STEM}.onnx"
    _, lines = gate(model, "--budget", "0.0003", code=OVER)
    assert lines[STEM][6] == "0.0003" and lines[STEM][8] == " (given budget)"
    pin(tiny, quant_accuracy_budget_plcc=0.0002)
    j = json.loads((tiny / f"{STEM}.json").read_text())
    j.pop("quant_accuracy_budget_plcc", None)
    (tiny / f"{STEM}.json").write_text(json.dumps(j))
    _, lines = gate(model, code=OVER)
    assert lines[STEM][6] == "0.0002" and lines[STEM][8] == ""
    gate(model, "--budget", "0.0005")
    # The drop is 0.000398 and inside, its bound of 0.000403 is not: to the record that is enough, to the gate it is not.
    r, lines = gate(model, "--budget", "0.0004", code=OVER)
    assert lines[STEM][1] == "INSUFFICIENT" and "16 samples cannot decide; measure more (--samples N)" in r.stdout
    r, lines = gate(model, "--budget", "0.0004", "--compat")
    assert lines[STEM][1] == "PASS" and len(r.stdout.splitlines()) == 1


# --- anything else is 2

def test_errors(tiny, tmp_path):
    model, int8, registry = tiny / f"{STEM}.onnx", tiny / f"{STEM}.int8.onnx", tiny / "registry.json"

    def other(text, *argv, **how):
        r, lines = gate(*argv, code=OTHER, **how)
        assert text in r.stderr and STEM not in lines, r.stderr
    other("no such file", tiny / "none.onnx")
    other("no such id", "none", "--registry", registry)
    other("--budget 2: a number from 0 to 1", model, "--budget", "2")
    other("--budget x", model, "--budget", "x")
    other("give one or the other", "--all", model)
    other("mmx", model, "--kernels", "mmx")
    other("there is no registry", cwd=tmp_path, env={"VMAF_DNN_REGISTRY": ""})
    bytes_ = int8.read_bytes()
    int8.unlink()
    other("no such file", model)
    other("no such file", "--all", "--registry", registry)
    int8.write_bytes(b"")
    other("empty", model)
    int8.write_bytes(bytes_[:-1])
    other("this is not the file that was pinned", model)
    int8.write_bytes(bytes_)
    model.write_bytes(model.read_bytes() + b"\0")
    other("this is not the file that was pinned", model)
    registry.write_text("{")
    other("registry.json", "--all", "--registry", registry)


def test_error_outweighs_over(tiny):
    """What could not be gated is not hidden behind what is over its budget, and the rest is gated all the same."""
    r, lines = gate(tiny / "none.onnx", tiny / f"{STEM}.onnx", "--budget", "0.0001", "--json", tiny / "g.json", code=OTHER)
    assert lines[STEM][1] == "FAIL"
    assert [j["verdict"] for j in json.loads((tiny / "g.json").read_text())] == ["error", "fail"]


def test_two_models_of_one_name(tiny, tmp_path):
    """An int8 file of another model, pinned by mistake: no verdict."""
    one = np.ones((1, 1, 3, 3), np.float32)
    save(tmp_path / "other.onnx", [helper.make_node("Conv", ["x", "w"], ["y"])], {"w": one}, [("x", [1, 1, 20, 20])], [("y", [1, 1, 18, 18])])
    command("quantize", "dynamic", tmp_path / "other.onnx", "-q")
    int8 = tiny / f"{STEM}.int8.onnx"
    shutil.copy(tmp_path / "other.int8.onnx", int8)
    pin(tiny, int8_sha256=sha256(int8))
    r, lines = gate(tiny / f"{STEM}.onnx", code=OTHER)
    assert "of the fp32 file is not input 'x' of the int8 file" in r.stderr and not lines
    shutil.copy(tiny / f"{STEM}.onnx", int8)  # and the fp32 file itself under that name
    pin(tiny, int8_sha256=sha256(int8))
    r, lines = gate(tiny / f"{STEM}.onnx", code=OTHER)
    assert "the graph is not quantised" in r.stderr and not lines
