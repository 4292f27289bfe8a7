# SPDX-License-Identifier: BSD-2-Clause
"""vmaf-dnn bench: what it prints, in both forms, and what it refuses. How fast anything is is not tested."""
import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto
from onnx import helper as h
from onnx import numpy_helper as nh

BIN = os.environ["VMAF_DNN_BIN"]
TINY = Path(os.environ["VMAF_DNN_SOURCE"]) / "model/tiny"
FORMS = {"static": TINY / "learned_filter_v1.onnx", "dynamic": Path(os.environ["VMAF_DNN_SOURCE"]) / "tests/data/dynamic/learned_filter_v1.onnx"}


def bench(*args):
    return subprocess.run([BIN, "bench", *map(str, args)], capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("form", FORMS)
def test_int8_in_turn_with_the_baseline(form):
    r = bench("--json", "--size", "48x32", "--runs", 3, "--threads", 1, FORMS[form])
    assert r.returncode == 0, r.stderr
    got = json.loads(r.stdout)
    assert got["id"] == "learned_filter_v1" and got["input"] == [1, 1, 32, 48] and got["threads"] == 1 and got["runs"] == 3
    weights = 9 * (16 + 8 * 256 + 16)  # of ten 3x3 convolutions, one multiplication each a pixel
    assert got["gmac"] == pytest.approx(weights * 48 * 32 * 1e-9)
    assert [f["quant_mode"] for f in got["forms"]] == [form, "fp32"]
    for f in got["forms"]:
        assert 0 < f["min_s"] <= f["median_s"] and f["gmac_per_s"] == pytest.approx(got["gmac"] / f["median_s"], rel=1e-4)
    assert ("warning: int8 is slower" in r.stderr) == (got["int8_times_as_fast"] < 1)


def test_one_form_alone():
    for args in (["--baseline", TINY / "learned_filter_v1.onnx"], [TINY / "smoke_v0.onnx"], [TINY / "smoke_fp16_v0.onnx"]):
        r = bench("--json", "--size", "16x16", "--runs", 1, *args)
        assert r.returncode == 0 and r.stderr == "", r.stderr
        got = json.loads(r.stdout)
        assert [f["quant_mode"] for f in got["forms"]] == ["fp32"] and "int8_times_as_fast" not in got


@pytest.mark.parametrize("form", FORMS)
def test_table(form):
    r = bench("--size", "40x24", "--runs", 2, FORMS[form])
    assert r.returncode == 0
    assert "learned_filter_v1 at [1,1,24,40], 0.018 GMAC a run; kernels " in r.stdout and "in turn" in r.stdout
    assert f"\n{form} " in r.stdout and "\nfp32 " in r.stdout and "times as fast as fp32" in r.stdout


def layers(*args):
    r = bench("--layers", "--runs", 2, *args)
    assert r.returncode == 0 and r.stderr == "", r.stderr
    return r.stdout


@pytest.mark.parametrize("form", FORMS)
def test_layers(form):
    for threads in (1, 2):
        got = json.loads(layers("--json", "--size", "48x32", "--threads", threads, FORMS[form]))
        assert got["quant_mode"] == form and got["threads"] == threads
        convs = [l for l in got["layers"] if l["what"] == "ConvInteger"]
        assert [l["macs"] for l in convs] == [9 * n * 48 * 32 for n in (16, *8 * [256], 16)]
        assert sum(l["macs"] for l in got["layers"]) == pytest.approx(got["gmac"] * 1e9)
        assert all(l["node"] and l["seconds"] > 0 and l["bytes"] > 0 for l in got["layers"])
        # what tails are made of is a row of its own, without a product; second products are counted as they are made
        rests = [l for l in got["layers"] if l["what"] == "quantize rest"]
        assert len(rests) == (9 if form == "static" else 0) and not any(l["macs"] or l["tail_macs"] for l in rests)
        assert (sum(l["tail_macs"] for l in got["layers"]) > 0) == (form == "static")
        if threads == 1:  # the parts are within the run
            assert sum(l["seconds"] for l in got["layers"]) <= got["seconds"] * 1.001
    first = convs[0]  # 1 channel of bytes, 16 of float32 out
    assert first["bytes"] == 48 * 32 * (1 + 16 * 4)


@pytest.mark.parametrize("what, widest, options", [("inside", 4, []), ("outside", 1e-3, []), ("two bytes", 4, ["--two-bytes", "second"])])
def test_second_products_are_counted(tmp_path, what, widest, options):
    """Of a layer whose range has all that the picture gives: none. Of one whose range has next to nothing: each. In two bytes: each, of any picture."""
    w = [np.full((16, 1, 1, 1), 0.5, np.float32), np.full((8, 16, 1, 1), 0.1, np.float32)]
    graph = h.make_graph([h.make_node("Conv", ["x", "w0"], ["c"], "first"), h.make_node("Conv", ["c", "w1"], ["d"], "second"), h.make_node("Relu", ["d"], ["y"], "last")], "g",
                         [h.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1, "H", "W"])], [h.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 8, "H", "W"])],
                         [nh.from_array(v, f"w{i}") for i, v in enumerate(w)])
    (tmp_path / "m.onnx").write_bytes(h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], ir_version=8).SerializeToString())
    (tmp_path / "o.json").write_text(json.dumps({"c": {"rmin": 0, "rmax": widest}}))
    np.save(tmp_path / "c.npy", np.random.default_rng(1).random((2, 32, 32), np.float32))
    subprocess.run([BIN, "quantize", "static", tmp_path / "m.onnx", "--calibration", tmp_path / "c.npy", "--overrides", tmp_path / "o.json", "-q", *options,
                    "-o", tmp_path / "q.onnx"], check=True)
    for threads in (1, 2):
        got = json.loads(layers("--json", "--size", "96x64", "--threads", threads, tmp_path / "q.onnx"))
        (l,) = (l for l in got["layers"] if l["node"].startswith("second") and l["what"] == "ConvInteger")
        one = 96 * 64 * 16 * 8
        assert (l["macs"], l["tail_macs"]) == {"inside": (one, 0), "outside": (one, one), "two bytes": (one, one)}[what]
        assert sum(l["macs"] for l in got["layers"]) == pytest.approx(got["gmac"] * 1e9)
    text = layers("--size", "96x64", "--threads", 1, tmp_path / "q.onnx")
    assert ("\n0.001 GMAC are second products, of tails" in text) == (what != "inside")


def test_layers_of_the_baseline_and_of_steps_that_are_no_stream():
    out = layers("--baseline", "--size", "48x32", TINY / "learned_filter_v1.onnx")
    assert "learned_filter_v1, fp32: " in out and "\nblock0.conv1 " in out and "ConvInteger" not in out and "GMAC/s" in out
    got = json.loads(layers("--json", "--size", "16x16", TINY / "smoke_fp16_v0.onnx"))
    assert got["layers"] and got["layers"][0]["seconds"] > 0


def test_layers_of_a_model_of_one_size(tmp_path):
    """Shaped when it is opened, so before it is profiled."""
    w = np.full((4, 1, 3, 3), 0.1, np.float32)
    graph = h.make_graph([h.make_node("Conv", ["x", "w"], ["c"], "conv"), h.make_node("GlobalAveragePool", ["c"], ["y"], "pool")], "g",
                         [h.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 12, 10])], [h.make_tensor_value_info("y", TensorProto.FLOAT, None)],
                         [nh.from_array(w, "w")])
    path = tmp_path / "m.onnx"
    path.write_bytes(h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], ir_version=8).SerializeToString())
    got = json.loads(layers("--json", path))["layers"]
    assert [(l["node"], l["what"]) for l in got if l["what"] not in ("load", "store")] == [("conv", "Conv"), ("pool", "GlobalAveragePool")]
    assert sum(l["macs"] for l in got) == 4 * 9 * 10 * 8


def test_refusals(tmp_path):
    for args, code, words in (
        ([], 2, "name one model"),
        (["a", "b"], 2, "name one model"),
        (["--runs", "0", "x.onnx"], 2, "--runs 0: give a number of 1 to 999"),
        (["--size", "12", "x.onnx"], 2, "--size 12: give WIDTHxHEIGHT"),
        (["--kernels", "mmx", TINY / "smoke_v0.onnx"], 2, "kernel set 'mmx' is unknown"),
        ([tmp_path / "none.onnx"], 2, "none.onnx"),
    ):
        r = bench(*args)
        assert r.returncode == code and words in r.stderr and r.stdout == "", (args, r)


def test_no_int8_file_is_an_error_and_fp32_is_not_run(tmp_path):
    for name in ("learned_filter_v1.onnx", "learned_filter_v1.json"):
        shutil.copy(TINY / name, tmp_path)
    r = bench("--runs", 1, "--size", "8x8", tmp_path / "learned_filter_v1.onnx")
    assert r.returncode == 2 and "learned_filter_v1.int8.onnx" in r.stderr and r.stdout == ""
