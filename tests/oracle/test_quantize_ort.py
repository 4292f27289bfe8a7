# SPDX-License-Identifier: BSD-2-Clause
"""`quantize dynamic` against onnx.checker, ONNX Runtime's own quantiser, NumPy's formula, and ONNX Runtime running the result; and what
it does to registry, sidecar and files."""
import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

BIN = os.environ["VMAF_DNN_BIN"]
SOURCE = Path(os.environ["VMAF_DNN_SOURCE"])
TINY = SOURCE / "tests/data/dynamic"
STEM = "learned_filter_v1"
USAGE, REFUSED = 2, 4
# Signed weights have kernels for ConvInteger and MatMulInteger since 1.24.
SIGNED = tuple(map(int, ort.__version__.split(".")[:2])) >= (1, 24)
VARIANTS = {"u8-channel": [], "s8-channel": ["--weight-type", "int8"], "u8-tensor": ["--per-tensor"],
            "s8-tensor": ["--weight-type", "int8", "--per-tensor"]}


def command(*argv, code=0, cwd=None):
    r = subprocess.run([BIN, *map(str, argv)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, cwd=cwd)
    assert r.returncode == code, f"vmaf-dnn {' '.join(map(str, argv))}: exit {r.returncode}\n{r.stdout}{r.stderr}"
    return r


def sha256(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def session(path):
    o = ort.SessionOptions()
    o.intra_op_num_threads = 1
    o.log_severity_level = 3
    o.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC  # its fused MatMul rounds otherwise when B is a stack
    return ort.InferenceSession(str(path), o, providers=["CPUExecutionProvider"])


@pytest.fixture
def tiny(tmp_path):
    """A copy of the registry and all that it names, in which nothing is quantised yet."""
    folder = tmp_path / "tiny"
    shutil.copytree(TINY, folder)
    for path in folder.glob("*.int8.onnx"):
        path.unlink()
    rows = json.loads((folder / "registry.json").read_text())["models"]
    for path in (folder / "registry.json", *(folder / row["onnx"].replace(".onnx", ".json") for row in rows)):
        j = json.loads(path.read_text())
        for row in j.get("models", [j]):
            row.pop("int8_sha256", None)
            row.pop("quant_mode", None)
        path.write_text(json.dumps(j, indent=2) + "\n")
    return folder


def quantised_weights(graph, variant):
    """Of each integer product: name of the source's weights, their values again, scale."""
    init = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    feeds = {o: n for n in graph.node for o in n.output}
    for n in graph.node:
        if n.op_type not in ("ConvInteger", "MatMulInteger"):
            continue
        q, zp = init[n.input[1]], init[n.input[3]]
        assert q.dtype == zp.dtype == (np.int8 if "s8" in variant else np.uint8)
        assert zp.shape == () and int(zp) == (0 if "s8" in variant else 128)
        assert n.input[1].endswith("_quantized")
        cast = next(m for m in graph.node if m.op_type == "Cast" and m.input[0] == n.output[0])
        mul = next(m for m in graph.node if m.op_type == "Mul" and m.input[0] == cast.output[0])
        scales = feeds[mul.input[1]]
        assert scales.op_type == "Mul"
        assert [n.op_type for n in graph.node if n.output[0] == n.input[0]] == []
        yield n.input[1].removesuffix("_quantized"), q.astype(np.int32) - int(zp), init[scales.input[1]], n.op_type


def formula(w, channel_axis):
    """The weights' arithmetic, in NumPy. channel_axis None: per tensor."""
    axes = tuple(i for i in range(w.ndim) if i != channel_axis)
    absmax = np.abs(w).max(axis=axes, keepdims=True).astype(np.float64)
    scale = (absmax / 127).astype(np.float32)
    scale[scale < np.finfo(np.float32).tiny] = 1
    return np.clip(np.rint(w / scale), -127, 127).astype(np.int32), scale


@pytest.mark.parametrize("variant", VARIANTS)
def test_shipped_model(variant, tiny):
    model = tiny / f"{STEM}.onnx"
    command("quantize", "dynamic", model, *VARIANTS[variant])
    int8 = tiny / f"{STEM}.int8.onnx"
    onnx.checker.check_model(str(int8), full_check=True)
    assert int8.stat().st_size <= model.stat().st_size / 3
    if SIGNED or "u8" in variant:
        session(int8)
    source = {t.name: numpy_helper.to_array(t) for t in onnx.load(str(model)).graph.initializer}
    found = list(quantised_weights(onnx.load(str(int8)).graph, variant))
    assert len(found) == 10
    for name, q, scale, _ in found:
        want, want_scale = formula(source[name], None if "tensor" in variant else 0)
        assert np.array_equal(q, want), name
        assert scale.shape == (() if "tensor" in variant else (1, len(want_scale), 1, 1))
        assert scale.astype(np.float32).ravel().tobytes() == want_scale.ravel().tobytes(), name


def test_as_onnx_runtime_quantises(tiny, tmp_path):
    """Per tensor and signed, symmetric: weights, scales, their names, and the names of activations and products are ONNX Runtime's."""
    model = tiny / f"{STEM}.onnx"
    command("quantize", "dynamic", model, "--weight-type", "int8", "--per-tensor", "-q")
    theirs = tmp_path / "theirs.onnx"
    quantize_dynamic(str(model), str(theirs), weight_type=QuantType.QInt8)
    a, b = (onnx.load(str(p)).graph for p in (tiny / f"{STEM}.int8.onnx", theirs))
    ours, other = ({t.name: numpy_helper.to_array(t) for t in g.initializer} for g in (a, b))
    for name, value in other.items():
        if name.endswith(("_quantized", "_scale")):
            assert ours[name].dtype == value.dtype and ours[name].shape == value.shape and ours[name].tobytes() == value.tobytes(), name
    ops = [[n.op_type for n in g.node if n.op_type != "Reshape"] for g in (a, b)]
    assert sorted(ops[0]) == sorted(ops[1])
    for kind in ("DynamicQuantizeLinear", "ConvInteger"):
        lists = [[(n.name if kind == "ConvInteger" else "", *n.input[:3 if kind == "ConvInteger" else 1],
                   *(n.output if kind != "ConvInteger" else ())) for n in g.node if n.op_type == kind] for g in (a, b)]
        assert lists[0] == lists[1]


# --- models made here

def value(name, shape):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def save(path, nodes, inits, inputs, outputs, opset=17):
    graph = helper.make_graph(nodes, "g", inputs, outputs, [numpy_helper.from_array(v, k) for k, v in inits.items()])
    m = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(m, full_check=True)
    onnx.save(m, str(path))


RNG = np.random.default_rng(11)


def weights(*shape):
    return (RNG.standard_normal(shape) * RNG.uniform(0.1, 2, shape[0]).reshape(-1, *[1] * (len(shape) - 1))).astype(np.float32)


CONVS = {  # weights' shape, bias, input's shape, attributes
    "plain": ((4, 3, 3, 3), True, (1, 3, 9, 11), {}),
    "no-bias": ((4, 3, 3, 3), False, (2, 3, 9, 11), {"pads": [1, 1, 1, 1]}),
    "strided": ((5, 2, 3, 2), True, (1, 2, 12, 9), {"strides": [2, 3], "pads": [0, 1, 2, 1], "dilations": [2, 1]}),
    "grouped": ((6, 2, 3, 3), True, (1, 6, 8, 8), {"group": 3, "pads": [1, 1, 1, 1]}),
    "depthwise": ((8, 1, 5, 5), True, (1, 8, 9, 9), {"group": 8, "auto_pad": "SAME_UPPER"}),
    "pointwise": ((7, 5, 1, 1), True, (1, 5, 4, 6), {}),
    "one-dimensional": ((4, 2, 5), True, (1, 2, 30), {"pads": [2, 2]}),
}
DENSE = {  # operator, weights' shape, C's shape, input's shape, attributes
    "matmul": ("MatMul", (16, 5), None, (3, 16), {}),
    "matmul-batch": ("MatMul", (16, 5), None, (2, 3, 16), {}),
    "matmul-stack": ("MatMul", (2, 16, 5), None, (2, 3, 16), {}),
    "matmul-vector": ("MatMul", (16,), None, (3, 16), {}),
    "gemm": ("Gemm", (16, 5), (5,), (3, 16), {}),
    "gemm-alone": ("Gemm", (16, 5), None, (3, 16), {"alpha": 0.5}),
    "gemm-transposed": ("Gemm", (5, 16), (1, 5), (3, 16), {"transB": 1}),
    "gemm-factors": ("Gemm", (5, 16), (3, 5), (3, 16), {"transB": 1, "alpha": 4.0, "beta": 0.25}),
    "gemm-no-c": ("Gemm", (16, 5), (5,), (3, 16), {"beta": 0.0}),
}


def make_conv(path, case, opset):
    shape, bias, x, attrs = CONVS[case]
    inits = {"w": weights(*shape)} | ({"b": weights(shape[0])} if bias else {})
    node = helper.make_node("Conv", ["x", *inits], ["y"], name="c" if case != "strided" else "", **attrs)
    save(path, [node], inits, [value("x", x)], [value("y", [None] * len(x))], opset)
    return x


def make_dense(path, case, opset):
    op, shape, c, x, attrs = DENSE[case]
    inits = {"w": weights(*shape)} | ({"b": weights(*c)} if c else {})
    node = helper.make_node(op, ["x", *inits], ["y"], name="fc" if case != "gemm" else "", **attrs)
    out = np.matmul(np.zeros(x), np.zeros(shape[::-1] if attrs.get("transB") else shape)).ndim
    save(path, [node], inits, [value("x", x)], [value("y", [None] * out)], opset)
    return x


# Every variant at one opset, the default at others.
@pytest.mark.parametrize("variant, opset", [*((v, 17) for v in VARIANTS), *(("u8-channel", o) for o in (11, 13, 21))])
@pytest.mark.parametrize("case", [*CONVS, *DENSE])
def test_runs_close_to_fp32(case, variant, opset, tmp_path):
    """ONNX Runtime on both files, and vmaf-dnn with ONNX Runtime's bits."""
    model = tmp_path / "m.onnx"
    shape = (make_conv if case in CONVS else make_dense)(model, case, opset)
    command("quantize", "dynamic", model, "-q", *VARIANTS[variant])
    int8 = tmp_path / "m.int8.onnx"
    onnx.checker.check_model(str(int8), full_check=True)
    graph = onnx.load(str(int8)).graph
    ((_, q, scale, kind),) = quantised_weights(graph, variant)
    w = next(numpy_helper.to_array(t) for t in onnx.load(str(model)).graph.initializer if t.name == "w")
    attrs = {**CONVS, **DENSE}[case][-1]
    w = w * np.float32(attrs.get("alpha", 1))
    if attrs.get("transB"):
        w = w.T
    axis = None if "tensor" in variant or w.ndim == 1 else 0 if kind == "ConvInteger" else w.ndim - 1
    want, want_scale = formula(w, axis)
    assert np.array_equal(q, want) and scale.ravel().tobytes() == want_scale.ravel().tobytes()
    if "tensor" not in variant and w.ndim > 1:
        assert scale.shape == ((1, len(w)) + (1,) * (w.ndim - 2) if kind == "ConvInteger" else (w.shape[-1],))
    if not SIGNED and "s8" in variant:
        return
    if "s8" in variant and case in ("matmul-stack",):
        return  # ONNX Runtime's own limit for stacked signed weights
    a, b = session(model), session(int8)
    terms = w[0].size if kind == "ConvInteger" else w.shape[max(w.ndim - 2, 0)]
    for scaled in (1, 30):
        x = (RNG.standard_normal(shape) * scaled).astype(np.float32)
        y, z = a.run(None, {"x": x})[0], b.run(None, {"x": x})[0]
        assert y.shape == z.shape
        noise = np.sqrt(np.mean((y - z) ** 2)) / (scaled * np.sqrt(np.mean(w**2) * terms))  # over what y's deviation should be
        assert noise < 0.03, noise
        np.save(tmp_path / "x.npy", x)
        command("run", int8, "--in", tmp_path / "x.npy", "--out", tmp_path / "z.npy", "-f", "-q")
        assert np.load(tmp_path / "z.npy").tobytes() == z.tobytes()


def test_what_would_not_run_is_not_written(tmp_path):
    w = weights(3, 2, 2, 3, 2)
    save(tmp_path / "m.onnx", [helper.make_node("Conv", ["x", "w"], ["y"], name="c")], {"w": w}, [value("x", (1, 2, 4, 5, 6))], [value("y", [None] * 5)])
    r = subprocess.run([BIN, "quantize", "dynamic", tmp_path / "m.onnx"], capture_output=True, text=True)
    assert r.returncode == 4 and "3 spatial dimensions" in r.stderr and not (tmp_path / "m.int8.onnx").exists(), r


def test_what_stays_in_fp32_is_said(tmp_path):
    w = weights(4, 4)
    save(tmp_path / "m.onnx", [helper.make_node("Gemm", ["x", "w"], ["y"], name="first", transA=1),
                               helper.make_node("MatMul", ["y", "w"], ["z"], name="second")], {"w": w}, [value("x", (4, 3))],
         [value("z", (3, 4))])
    out = command("quantize", "dynamic", tmp_path / "m.onnx").stdout
    assert "first" in out and "stays in fp32: transA is set" in out
    ops = [n.op_type for n in onnx.load(str(tmp_path / "m.int8.onnx")).graph.node]
    assert ops == ["Gemm", "DynamicQuantizeLinear", "MatMulInteger", "Cast", "Mul", "Mul"]


def test_excluded(tiny, tmp_path):
    """By node and by output: as ONNX Runtime's nodes_to_exclude."""
    model = tiny / f"{STEM}.onnx"
    nodes = [n for n in onnx.load(str(model)).graph.node if n.op_type == "Conv"]
    first, last = nodes[0], nodes[-1]
    out = command("quantize", "dynamic", model, "--exclude", first.name or first.output[0], "--exclude", last.output[0], "-o", tmp_path / "ours.onnx").stdout
    assert out.count("stays in fp32: it is excluded") == 2
    graph = onnx.load(str(tmp_path / "ours.onnx")).graph
    kept = {n.output[0]: n for n in graph.node if n.op_type == "Conv"}
    assert kept == {n.output[0]: n for n in (first, last)}
    values = {t.name: t for t in graph.initializer}
    assert all(values[t.name] == t for t in onnx.load(str(model)).graph.initializer if t.name in {*first.input, *last.input})
    quantize_dynamic(str(model), str(tmp_path / "theirs.onnx"), weight_type=QuantType.QInt8, nodes_to_exclude=[first.name, last.name])
    count = lambda g: {k: sum(n.op_type == k for n in g.node) for k in ("Conv", "ConvInteger", "DynamicQuantizeLinear")}  # noqa: E731
    assert count(graph) == count(onnx.load(str(tmp_path / "theirs.onnx")).graph)
    x = np.random.default_rng(3).random((1, 1, 24, 32), np.float32)
    run = lambda path: session(path).run(None, {"degraded": x})[0]  # noqa: E731
    assert np.abs(run(tmp_path / "ours.onnx") - run(model)).max() < 0.1
    assert "no such node" in command("quantize", "dynamic", model, "--exclude", "zzz", "-o", tmp_path / "no.onnx", code=USAGE).stderr
    every = [a for n in nodes for a in ("--exclude", n.output[0])]
    assert "it is excluded" in command("quantize", "dynamic", model, *every, "-o", tmp_path / "no.onnx", code=REFUSED).stderr
    assert not (tmp_path / "no.onnx").exists()


# --- files

def test_same_bytes(tiny, tmp_path):
    """Again, from another folder, under another name of the folder, and as shipped."""
    command("quantize", "dynamic", tiny / f"{STEM}.onnx")
    first = (tiny / f"{STEM}.int8.onnx").read_bytes()
    command("quantize", "dynamic", tiny / f"{STEM}.onnx")
    assert (tiny / f"{STEM}.int8.onnx").read_bytes() == first
    elsewhere = tmp_path / "an other place"
    elsewhere.mkdir()
    shutil.copy(tiny / f"{STEM}.onnx", elsewhere / "other.onnx")
    command("quantize", "dynamic", "other.onnx", cwd=elsewhere)
    assert (elsewhere / "other.int8.onnx").read_bytes() == first
    assert (TINY / f"{STEM}.int8.onnx").read_bytes() == first
    meta = {p.key: p.value for p in onnx.load_model_from_string(first).metadata_props}
    assert meta["vmaf_dnn.quant"] == "dynamic" and meta["vmaf_dnn.source_sha256"] == sha256(tiny / f"{STEM}.onnx")
    assert command("--version").stdout == f"vmaf-dnn {meta['vmaf_dnn.version']}\n"


def test_registry_and_sidecar(tiny):
    """Two keys change, in one row and one sidecar; all else stays, in its order."""
    registry, sidecar = tiny / "registry.json", tiny / f"{STEM}.json"
    j = json.loads(registry.read_text())
    row = next(r for r in j["models"] if r["id"] == STEM)
    row["description"] = "by hand \u2014 kept"
    registry.write_text(json.dumps(j))
    before = {p: json.loads(p.read_text()) for p in (registry, sidecar)}
    others = {p.name: p.read_bytes() for p in tiny.iterdir() if p not in before and p.is_file()}
    out = command("quantize", "dynamic", tiny / f"{STEM}.onnx").stdout
    digest = sha256(tiny / f"{STEM}.int8.onnx")
    assert f"sha256 {digest}, pinned in" in out
    after = {p: json.loads(p.read_text()) for p in before}
    added = {"quant_mode": "dynamic", "int8_sha256": digest}
    assert after[sidecar] == before[sidecar] | added
    row = next(r for r in before[registry]["models"] if r["id"] == STEM)
    row |= added
    assert after[registry] == before[registry]
    assert [list(r)[:5] for r in after[registry]["models"]] == [list(r)[:5] for r in before[registry]["models"]]
    assert {n: (tiny / n).read_bytes() for n in others} == others
    assert {p.name for p in tiny.iterdir() if p.is_file()} == set(others) | {"registry.json", f"{STEM}.json", f"{STEM}.int8.onnx"}
    command("verify", "--all", "--registry", registry)


def test_registry_elsewhere(tiny, tmp_path):
    elsewhere = tmp_path / "registry.json"
    (tiny / "registry.json").rename(elsewhere)
    command("quantize", "dynamic", tiny / f"{STEM}.onnx", "--registry", elsewhere)
    row = next(r for r in json.loads(elsewhere.read_text())["models"] if r["id"] == STEM)
    assert row["int8_sha256"] == sha256(tiny / f"{STEM}.int8.onnx")
    assert not (tiny / "registry.json").exists()


def test_only_a_sidecar(tiny):
    (tiny / "registry.json").unlink()
    out = command("quantize", "dynamic", tiny / f"{STEM}.onnx")
    assert f"pinned in {tiny / STEM}.json" in out.stdout and out.stderr == ""
    assert json.loads((tiny / f"{STEM}.json").read_text())["int8_sha256"] == sha256(tiny / f"{STEM}.int8.onnx")


def test_neither(tmp_path):
    model = tmp_path / "m.onnx"
    shutil.copy(TINY / f"{STEM}.onnx", model)
    r = command("quantize", "dynamic", model)
    digest = sha256(tmp_path / "m.int8.onnx")
    assert f"sha256 {digest}\n" in r.stdout
    assert "unpinned" in r.stderr and digest in r.stderr and sha256(model) in r.stderr
    assert {p.name for p in tmp_path.iterdir()} == {"m.onnx", "m.int8.onnx"}
    r = command("quantize", "dynamic", model, code=USAGE)  # not known to be its own
    assert "is there already: -f replaces it" in r.stderr
    command("quantize", "dynamic", model, "-f", "--per-tensor")
    assert sha256(tmp_path / "m.int8.onnx") != digest


def test_output_elsewhere(tiny, tmp_path):
    model, out = tiny / f"{STEM}.onnx", tmp_path / "x.onnx"
    before = {p.name: p.read_bytes() for p in tiny.iterdir() if p.is_file()}
    text = command("quantize", "dynamic", model, "-o", out).stdout
    assert "registry and sidecar were not touched" in text and sha256(out) in text
    assert "is there already: -f replaces it" in command("quantize", "dynamic", model, "-o", out, code=USAGE).stderr
    command("quantize", "dynamic", model, "-o", out, "-f")
    assert {p.name: p.read_bytes() for p in tiny.iterdir() if p.is_file()} == before
    # The model's own int8 file by another spelling of its path is still its own.
    text = command("quantize", "dynamic", model, "-o", tmp_path / "tiny" / ".." / "tiny" / f"{STEM}.int8.onnx").stdout
    assert "pinned in" in text
    piped = subprocess.run([BIN, "quantize", "dynamic", str(model), "-o", "-"], capture_output=True, check=True)
    assert piped.stdout == out.read_bytes()


def test_refusals(tiny, tmp_path):
    model = tiny / f"{STEM}.onnx"

    def refused(code, text, *argv):
        before = {p.name: p.read_bytes() for p in tiny.iterdir() if p.is_file()}
        r = command("quantize", *argv, code=code)
        assert text in r.stderr, r.stderr
        assert r.stdout == ""
        assert {p.name: p.read_bytes() for p in tiny.iterdir() if p.is_file()} == before

    refused(USAGE, "which form?")
    refused(USAGE, "'qat' is not a form", "qat", model)
    refused(USAGE, "nothing to calibrate with", "static", model)
    refused(USAGE, "no model", "dynamic")
    refused(USAGE, "is a second one", "dynamic", model, model)
    refused(USAGE, "--weight-type int4: uint8 or int8", "dynamic", model, "--weight-type", "int4")
    refused(USAGE, "no such file", "dynamic", tiny / "none.onnx")
    refused(USAGE, "give the output another name", "dynamic", model, "-o", model, "-f")
    refused(USAGE, "is a folder", "dynamic", model, "-o", tmp_path, "-f")
    refused(USAGE, "its folder does not exist", "dynamic", model, "-o", tmp_path / "no" / "folder.onnx")
    refused(REFUSED, "nothing to quantise", "dynamic", tiny / "smoke_fp16_v0.onnx")
    refused(REFUSED, "already quantised", "dynamic", tiny / f"{STEM}.int8.onnx")
    command("quantize", "dynamic", model)
    shutil.copy(tiny / f"{STEM}.int8.onnx", tiny / "renamed.onnx")
    refused(REFUSED, "already quantised: node degraded_quantized is DynamicQuantizeLinear", "dynamic", tiny / "renamed.onnx")
    data = bytearray(model.read_bytes())
    data[-100] ^= 1
    model.write_bytes(data)
    refused(REFUSED, "this is not the file that was pinned", "dynamic", model)


def test_old_opset(tmp_path):
    for opset in (7, 10):
        make_conv(tmp_path / "m.onnx", "plain", opset)
        r = command("quantize", "dynamic", tmp_path / "m.onnx", code=REFUSED)
        assert f"opset is {opset}" in r.stderr and "opset 11 or later" in r.stderr
        assert not (tmp_path / "m.int8.onnx").exists()


def test_a_result_that_would_not_open_is_not_written(tmp_path):
    """The quantiser does not mind the other operators, the op table does."""
    save(tmp_path / "m.onnx", [helper.make_node("MatMul", ["x", "w"], ["y"]), helper.make_node("Det", ["y"], ["z"])], {"w": weights(4, 4)},
         [value("x", (4, 4))], [value("z", ())])
    r = command("quantize", "dynamic", tmp_path / "m.onnx", code=REFUSED)
    assert "Det" in r.stderr and "would not open" in r.stderr
    assert not (tmp_path / "m.int8.onnx").exists()


def test_quiet_and_table(tiny):
    model = tiny / f"{STEM}.onnx"
    r = command("quantize", "dynamic", model, "-q")
    assert r.stdout == r.stderr == ""
    lines = command("quantize", "dynamic", model).stdout.splitlines()
    assert lines[0].split() == ["layer", "kind", "weights", "SQNR", "dB"]
    rows = [line.split() for line in lines[1:11]]
    assert [r[1] for r in rows] == ["Conv"] * 10 and [int(r[2]) for r in rows] == [144] + [2304] * 8 + [144]
    source = {t.name: numpy_helper.to_array(t).astype(np.float64) for t in onnx.load(str(model)).graph.initializer}
    for row, (name, q, scale, _) in zip(rows, quantised_weights(onnx.load(str(tiny / f"{STEM}.int8.onnx")).graph, "u8-channel")):
        w = source[name]
        e = w - q * scale.astype(np.float64).reshape(-1, 1, 1, 1)
        assert abs(float(row[3]) - 10 * np.log10((w**2).sum() / (e**2).sum())) < 0.0051
    big, small = model.stat().st_size, (tiny / f"{STEM}.int8.onnx").stat().st_size
    assert f"{big} bytes" in lines[12] and f"{small} bytes, {big / small:.2f} times smaller" in lines[13]
