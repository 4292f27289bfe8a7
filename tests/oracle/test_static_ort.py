# SPDX-License-Identifier: BSD-2-Clause
"""The static form against ONNX Runtime and NumPy: files open there, numbers are the same, calibrations merge, budgets are kept."""
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

sys.path.insert(0, str(Path(__file__).parent))
import static_models
from vmaf_dnn import Session

BIN = os.environ["VMAF_DNN_BIN"]
SOURCE = Path(os.environ["VMAF_DNN_SOURCE"])
FILTER = SOURCE / "model/tiny/learned_filter_v1.onnx"
BYTES, EQUAL = ("--tails", "none"), ("--equalize", "on")
PLAIN = (*BYTES, *EQUAL)
FORMS = [PLAIN, (*EQUAL, "--format", "qoperator"), (*PLAIN, "--per-tensor"), (*EQUAL, "--format", "qoperator", "--per-tensor"), BYTES,
         (*PLAIN, "--method", "minmax"), (*PLAIN, "--method", "percentile"), (*PLAIN, "--method", "entropy"), (*PLAIN, "--method", "average"),
         (*PLAIN, "--bias-correction", "off"), (*EQUAL, "--sums", "float"), (*EQUAL, "--two-bytes", "sums", "--margin", "2"), (), EQUAL]


def command(*argv, code=0, **more):
    r = subprocess.run([BIN, *map(str, argv)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300, **more)
    assert r.returncode == code, f"{argv}: exit {r.returncode}, not {code}\n{r.stderr.decode()}"
    r.err, r.out = r.stderr.decode(), r.stdout.decode(errors="replace")
    return r


def ort_session(path, optimise=True):
    o = ort.SessionOptions()
    o.log_severity_level = 3
    if not optimise:
        o.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(str(path), o, providers=["CPUExecutionProvider"])


def picture(seed, h=48, w=64):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:h, 0:w]
    v = 0.5 + 0.3 * np.sin(x / (3 + seed)) * np.cos(y / 5) + 0.2 * (x + y > h) - 0.1 + rng.normal(0, 0.05, (h, w))
    return np.clip(v, 0, 1).astype(np.float32)


def y4m(path, frames):
    h, w = frames[0].shape
    data = f"YUV4MPEG2 W{w} H{h} F25:1 Ip A1:1 Cmono\n".encode()
    path.write_bytes(data + b"".join(b"FRAME\n" + np.rint(f * 255).astype(np.uint8).tobytes() for f in frames))
    return path


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    return [y4m(folder / f"{i}.y4m", [picture(3 * i + k) for k in range(3)]) for i in range(3)]


@pytest.fixture(scope="module", params=["residual", "score", "branches", "clamps"])
def model(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / f"{request.param}.onnx"
    onnx.save(getattr(static_models, request.param)(), path)
    return path


def convolutions_are_integer(path):
    m = onnx.load(path)
    made = {o: n for n in m.graph.node for o in n.output}
    for n in m.graph.node:
        assert n.op_type not in ("Gemm", "MatMul"), n.name
        if n.op_type == "Conv":
            assert all(made[i].op_type == "DequantizeLinear" for i in n.input), n.name
            readers = [r for r in m.graph.node if n.output[0] in r.input]
            if readers[0].op_type in ("Relu", "Clip"):
                readers = [r for r in m.graph.node if readers[0].output[0] in r.input]
            assert [r.op_type for r in readers] == ["QuantizeLinear"], n.name


@pytest.mark.parametrize("form", FORMS, ids=" ".join)
def test_opens_and_agrees(model, clips, tmp_path, form):
    out = tmp_path / "q.onnx"
    command("quantize", "static", model, *clips, "-o", out, *form)
    onnx.checker.check_model(onnx.load(out), full_check="qoperator" not in form)
    convolutions_are_integer(out)
    there, here, fp32 = ort_session(out), Session(out), ort_session(model)
    assert here.info().all_int8
    worst = signal = 0
    for seed in (0, 4, 11):
        x = picture(seed)[None, None]
        a, b, f = there.run(None, {"x": x})[0], here.run({"x": x})[0], fp32.run(None, {"x": x})[0]
        assert np.allclose(a, b, rtol=0, atol=2e-6 * max(1, np.abs(a).max())), np.abs(a - b).max()
        worst, signal = worst + np.square(f - a).sum(), signal + np.square(f).sum()
    assert 10 * np.log10(signal / worst) > (10 if "--per-tensor" in form else 17)


@pytest.mark.parametrize("opset", [10, 12, 17])
@pytest.mark.parametrize("form", [(), ("--format", "qoperator")], ids=" ".join)
def test_clamps_stay(clips, tmp_path, form, opset):
    """A Relu whose range is given with negative values, and a Clip whose range has a margin, clamp all the same."""
    b = static_models.Builder(6, opset=opset)
    bounds = [b.const(np.float32(v)) for v in (0, 0.4)] if opset > 10 else []
    r = b.node("Relu", b.conv("x", 1, 6, gain=3))
    c = b.node("Clip", b.conv(r, 6, 6, gain=3), *bounds, **({} if bounds else {"min": 0.0, "max": 0.4}))
    m = b.model(b.conv(c, 6, 1))
    onnx.save(m, tmp_path / "m.onnx")
    (tmp_path / "o.json").write_text(json.dumps({r: {"symmetric": True}}))
    argv = ["quantize", "static", tmp_path / "m.onnx", *clips, "-o", tmp_path / "q.onnx", "--overrides", tmp_path / "o.json", "--margin", 1.5, *BYTES, *(["--per-tensor"] if opset < 13 else []), *form]
    if form and opset < 12:
        assert "clamp of bytes, which came with opset 12" in command(*argv, code=4).err
        return
    command(*argv)
    convolutions_are_integer(tmp_path / "q.onnx")
    x = picture(3)[None, None]
    f, a, h = ort_session(tmp_path / "m.onnx").run(None, {"x": x})[0], ort_session(tmp_path / "q.onnx").run(None, {"x": x})[0], Session(tmp_path / "q.onnx").run({"x": x})[0]
    assert np.allclose(a, h, rtol=0, atol=2e-6) and np.corrcoef(f.ravel(), a.ravel())[0, 1] > 0.99


def test_integers_in_onnx_runtime(clips, tmp_path):
    """What ONNX Runtime makes of the file has no float convolution."""
    command("quantize", "static", FILTER, "--calibration", "synthetic", *PLAIN, "-o", tmp_path / "q.onnx")
    o = ort.SessionOptions()
    o.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    o.log_severity_level = 3
    ort.InferenceSession(str(tmp_path / "q.onnx"), o, providers=["CPUExecutionProvider"])
    ops = [n.op_type for n in onnx.load(tmp_path / "optimised.onnx").graph.node]
    assert ops.count("QLinearConv") + ops.count("NhwcQLinearConv") == 9 and ops.count("ConvInteger") == 2 and "Conv" not in ops


def test_same_bytes(model, clips, tmp_path):
    """One run, three merged in two orders, any number of threads, the file or the clips: one calibration, one model."""
    for i, c in enumerate(clips):
        command("calibrate", model, c, *EQUAL, "-o", tmp_path / f"{i}.json")
    parts = [tmp_path / f"{i}.json" for i in range(3)]
    command("calibrate", model, *clips, *EQUAL, "-o", tmp_path / "all.json", "--threads", 1)
    command("calibrate", model, *reversed(clips), *EQUAL, "-o", tmp_path / "threads.json", "--threads", 3)
    command("calibrate", model, *parts, "-o", tmp_path / "merged.json")
    command("calibrate", model, parts[2], parts[0], clips[1], "-o", tmp_path / "mixed.json")
    want = (tmp_path / "all.json").read_bytes()
    for name in ("threads", "merged", "mixed"):
        assert (tmp_path / f"{name}.json").read_bytes() == want, name
    c = json.loads(want)
    assert c["frames"] == 9 and [s["name"] for s in c["sources"]] == ["0.y4m", "1.y4m", "2.y4m"]
    command("quantize", "static", model, *clips, *EQUAL, "-o", tmp_path / "a.onnx", "--save-calibration", tmp_path / "saved.json")
    command("quantize", "static", model, "--calibration", parts[0], "--calibration", parts[1], "--calibration", parts[2], "-o", tmp_path / "b.onnx")
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
    assert (tmp_path / "saved.json").read_bytes() == want


def test_what_was_seen(model, clips, tmp_path):
    """Every tensor's extremes, counts and channel sums against ONNX Runtime's activations."""
    command("calibrate", model, *clips, "-o", tmp_path / "c.json")
    c = json.loads((tmp_path / "c.json").read_text())
    m = onnx.load(model)
    names = [t["name"] for t in c["tensors"] if t["name"] != "x"]
    del m.graph.output[:]
    m.graph.output.extend(onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, None) for n in names)
    s = ort.InferenceSession(m.SerializeToString(), providers=["CPUExecutionProvider"])
    seen = {n: [] for n in names}
    for i in range(9):
        x = (np.rint(picture(i) * 255) / np.float32(255)).astype(np.float32)[None, None]
        for n, v in zip(names, s.run(names, {"x": x})):
            seen[n].append(v)
    assert len(names) > 5
    for t in c["tensors"]:
        if t["name"] == "x":
            assert t["fixed"] and (t["min"], t["max"]) == (0, 1)
            continue
        v = np.concatenate(seen[t["name"]])
        near = dict(rtol=2e-5, atol=2e-6 * np.abs(v).max())
        assert np.allclose([t["min"], t["max"]], [v.min(), v.max()], **near)
        assert sum(t["counts"]) == v.size
        width = 2.0 ** t["exponent"]
        edges = (t["first"] + np.arange(len(t["counts"]) + 1)) * width
        assert np.abs(np.histogram(v, edges)[0] - t["counts"]).sum() <= 2e-3 * v.size + 8
        assert np.isclose(int(t["frame_min"], 16) * 2.0**-50, sum(f.min() for f in seen[t["name"]]), **near)
        for k, (lo, hi, total) in enumerate(t["channels"]):
            assert np.allclose([lo, hi], [v[:, k].min(), v[:, k].max()], **near)
            assert np.isclose(int(total, 16) * 2.0**-50, v[:, k].sum(dtype=np.float64), rtol=1e-4, atol=1e-5 * np.abs(v[:, k]).sum())


def test_equalised_is_the_same_function(clips, tmp_path):
    """The equalisation of the filter, applied here by hand, changes nothing but rounding."""
    command("calibrate", FILTER, "synthetic", *EQUAL, "-o", tmp_path / "c.json")
    groups = json.loads((tmp_path / "c.json").read_text())["equalization"]
    assert len(groups) == 5 and {len(g["scale"]) for g in groups} == {16}
    m = onnx.load(FILTER)
    scale = {t: np.array(g["scale"]) for g in groups for t in g["tensors"]}
    w = {i.name: i for i in m.graph.initializer}
    for n in m.graph.node:
        if n.op_type != "Conv":
            continue
        a, b = (onnx.numpy_helper.to_array(w[k]).astype(np.float64) for k in n.input[1:3])
        if n.output[0] in scale:
            a, b = a * scale[n.output[0]].reshape(-1, 1, 1, 1), b * scale[n.output[0]]
        if n.input[0] in scale:
            a = a / scale[n.input[0]].reshape(1, -1, 1, 1)
        for k, v in zip(n.input[1:3], (a, b)):
            w[k].CopyFrom(onnx.numpy_helper.from_array(v.astype(np.float32), k))
    onnx.save(m, tmp_path / "e.onnx")
    x = picture(2)[None, None]
    a, b = (ort_session(p).run(None, {"degraded": x})[0] for p in (FILTER, tmp_path / "e.onnx"))
    assert np.abs(a - b).max() < 1e-5


def test_ranges_become_scales(clips, tmp_path):
    """Scales and zero points in the file follow from the calibration, min-max; a Relu's zero point is 0; int32 biases have their steps."""
    onnx.save(static_models.residual(), tmp_path / "m.onnx")
    command("quantize", "static", tmp_path / "m.onnx", *clips, "-o", tmp_path / "q.onnx", "--method", "minmax", "--save-calibration", tmp_path / "c.json",
            *BYTES, "--bias-correction", "off")
    tensors = {t["name"]: t for t in json.loads((tmp_path / "c.json").read_text())["tensors"]}
    m = onnx.load(tmp_path / "q.onnx")
    value = {i.name: onnx.numpy_helper.to_array(i) for i in m.graph.initializer}
    source = {i.name: onnx.numpy_helper.to_array(i) for i in onnx.load(tmp_path / "m.onnx").graph.initializer}
    checked = 0
    for n in m.graph.node:
        if n.op_type == "QuantizeLinear":
            t = tensors[n.input[0]]
            lo, hi = min(t["min"], 0), max(t["max"], 0)
            scale = np.float32((np.float64(np.float32(hi)) - np.float64(np.float32(lo))) / 255)
            assert value[n.input[1]] == scale and value[n.input[2]] == np.rint(np.float32(-lo) / scale)
            checked += 1
        if n.op_type == "Conv":
            x, w, b = ({o: k for k in m.graph.node for o in k.output}[i] for i in n.input)
            step = value[x.input[1]] * value[w.input[1]]
            assert (value[b.input[1]] == step).all()
            name = w.input[0].removesuffix("_q")
            assert (value[w.input[1]] == (np.abs(source[name]).max((1, 2, 3)).astype(np.float64) / 127).astype(np.float32)).all()
            plain = next(k for k in onnx.load(tmp_path / "m.onnx").graph.node if k.op_type == "Conv" and k.input[1] == name)
            assert (value[b.input[0]] == np.rint(source[plain.input[2]].astype(np.float64) / step.astype(np.float64))).all()
    assert checked >= 6


def test_bias_that_would_not_fit(clips, tmp_path):
    """A bias of 2^31 steps and more: the channel's scale grows, and the file still is what fp32 is."""
    m = static_models.residual()
    w = next(i for i in m.graph.initializer if onnx.numpy_helper.to_array(i).shape == (8, 8, 3, 3))
    conv = next(n for n in m.graph.node if w.name in n.input)
    b = next(i for i in m.graph.initializer if i.name == conv.input[2])
    a, c = onnx.numpy_helper.to_array(w).copy(), onnx.numpy_helper.to_array(b).copy()
    a[0] *= 1e-9
    a[1] = 0
    c[0], c[1] = 0.9, 0.7
    w.CopyFrom(onnx.numpy_helper.from_array(a, w.name))
    b.CopyFrom(onnx.numpy_helper.from_array(c, b.name))
    onnx.save(m, tmp_path / "m.onnx")
    command("quantize", "static", tmp_path / "m.onnx", *clips, "-o", tmp_path / "q.onnx", *BYTES, "--method", "minmax")
    x = picture(1)[None, None]
    f, a, b = (s.run(None, {"x": x})[0] for s in (ort_session(tmp_path / "m.onnx"), ort_session(tmp_path / "q.onnx"), ort_session(tmp_path / "q.onnx", False)))
    assert np.abs(f - a).max() < 0.1 and np.abs(f - b).max() < 0.1
    assert np.array_equal(a, Session(tmp_path / "q.onnx").run({"x": x})[0])


def test_arrays_are_clips(model, clips, tmp_path):
    """.npy, .npz stored and deflated, raw samples, 8 and 16 bits: the same frames, the same ranges."""
    frames = np.stack([np.rint(picture(i) * 255).astype(np.uint8) for i in range(3)])
    as_float = (frames / np.float32(255)).astype(np.float32)
    np.save(tmp_path / "a.npy", frames[:, None])
    np.save(tmp_path / "three.npy", as_float)
    np.savez(tmp_path / "stored.npz", x=as_float[:, None])
    np.savez_compressed(tmp_path / "deflated.npz", anything=as_float[:, None, None])
    (tmp_path / "raw.yuv").write_bytes(frames.tobytes())
    chroma = bytes(2 * 24 * 32)
    (tmp_path / "raw420.yuv").write_bytes(b"".join(f.tobytes() + chroma for f in frames))
    (tmp_path / "raw16.yuv").write_bytes((frames.astype("<u2") * 257).tobytes())
    command("calibrate", model, clips[0], "-o", tmp_path / "y4m.json")

    def tensors(*source, pixels=True):
        command("calibrate", model, *source, "-f", "-o", tmp_path / "c.json")
        c = json.loads((tmp_path / "c.json").read_text())
        assert c["frames"] == 3
        return c["tensors"] if pixels else c["tensors"][1:]

    want = json.loads((tmp_path / "y4m.json").read_text())["tensors"]
    assert tensors(tmp_path / "a.npy") == want
    for name in ("three.npy", "stored.npz", "deflated.npz"):
        assert tensors(tmp_path / name, pixels=False) == want[1:], name
    assert tensors(tmp_path / "raw.yuv", "--size", "64x48") == want
    assert tensors(tmp_path / "raw420.yuv", "--size", "64x48", "--pix_fmt", "yuv420p") == want
    assert tensors(tmp_path / "raw16.yuv", "--size", "64x48", "--pix_fmt", "gray16le") == want
    r = command("calibrate", model, tmp_path / "raw.yuv", "--size", "64x46", "-f", "-o", tmp_path / "c.json", code=3)
    assert "inside a frame" in r.err
    with open(clips[0], "rb") as f:
        command("calibrate", model, "-", "-f", "-o", tmp_path / "c.json", stdin=f)
    assert json.loads((tmp_path / "c.json").read_text())["tensors"] == want


def test_frames_are_drawn(model, clips, tmp_path):
    for seed, name in ((1, "a"), (1, "b"), (2, "c"), (3, "d")):
        command("calibrate", model, clips[0], clips[1], "--frames", 1, "--seed", seed, "-o", tmp_path / f"{name}.json")
    text = {n: (tmp_path / f"{n}.json").read_text() for n in "abcd"}
    assert text["a"] == text["b"] and len(set(text.values())) > 1
    assert [s["frames"] for s in json.loads(text["a"])["sources"]] == [1, 1]


def test_two_inputs(tmp_path):
    h = onnx.helper
    a, b = (h.make_tensor_value_info(n, onnx.TensorProto.FLOAT, ["N", 2, "H", "W"]) for n in "ab")
    w = onnx.numpy_helper.from_array(np.random.default_rng(0).normal(0, 1, (3, 2, 3, 3)).astype(np.float32), "w")
    g = h.make_graph([h.make_node("Conv", ["a", "w"], ["p"]), h.make_node("Conv", ["b", "w"], ["q"]), h.make_node("Add", ["p", "q"], ["y"])], "g", [a, b],
                     [h.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)], [w])
    onnx.save(h.make_model(g, opset_imports=[h.make_opsetid("", 17)], ir_version=8), tmp_path / "m.onnx")
    rng = np.random.default_rng(1)
    x = {n: rng.normal(0, 1, (4, 2, 9, 8)).astype(np.float32) for n in "ab"}
    np.savez(tmp_path / "x.npz", **x)
    command("quantize", "static", tmp_path / "m.onnx", "--calibration", tmp_path / "x.npz", *BYTES, "-o", tmp_path / "q.onnx")
    f, q = (ort_session(tmp_path / n).run(None, x)[0] for n in ("m.onnx", "q.onnx"))
    assert 10 * np.log10(np.square(f).sum() / np.square(f - q).sum()) > 25
    np.savez(tmp_path / "y.npz", a=x["a"])
    assert "2 inputs" in command("calibrate", tmp_path / "m.onnx", tmp_path / "y.npz", "-o", tmp_path / "c.json", code=3).err


def test_excluded_and_overridden(clips, tmp_path):
    onnx.save(static_models.residual(), tmp_path / "m.onnx")
    names = [n.name for n in onnx.load(tmp_path / "m.onnx").graph.node if n.op_type == "Conv"]
    (tmp_path / "o.json").write_text(json.dumps({"v3": {"rmin": -2, "rmax": 3}}))
    r = command("quantize", "static", tmp_path / "m.onnx", *clips, "-o", tmp_path / "q.onnx", *PLAIN, "--exclude", names[1], "--overrides", tmp_path / "o.json")
    assert "it was asked for" in r.out
    m = onnx.load(tmp_path / "q.onnx")
    made = {o: n for n in m.graph.node for o in n.output}
    left = [n for n in m.graph.node if n.name == names[1]]
    assert len(left) == 1 and left[0].op_type == "Conv" and left[0].input[1] not in made
    # Without ONNX Runtime's optimiser, which would quantise the fp32 layer's weights by itself. The last bit of a sum in fp32 decides some of the
    # roundings behind it, one step apart.
    x = picture(0)[None, None]
    here, there = Session(tmp_path / "q.onnx").run({"x": x})[0], ort_session(tmp_path / "q.onnx", False).run(None, {"x": x})[0]
    assert np.abs(here - there).max() < 4e-3 and np.abs(here - there).mean() < 1e-4
    tensor = next(n for n in m.graph.node if n.op_type == "QuantizeLinear" and n.input[0] != "x").input[0]
    (tmp_path / "o.json").write_text(json.dumps({tensor: [{"scale": 0.03125, "zero_point": 100}]}))
    command("quantize", "static", tmp_path / "m.onnx", *clips, "-o", tmp_path / "q.onnx", "-f", *PLAIN, "--overrides", tmp_path / "o.json")
    value = {i.name: onnx.numpy_helper.to_array(i) for i in onnx.load(tmp_path / "q.onnx").graph.initializer}
    assert value[f"{tensor}_scale"] == 0.03125 and value[f"{tensor}_zp"] == 100
    for bad in ({"none": {"rmin": 0, "rmax": 1}}, {tensor: {"rmin": 1, "rmax": 2}}, {tensor: {"rmin": -1}}, {tensor: {"sacle": 1}}, [1]):
        (tmp_path / "o.json").write_text(json.dumps(bad))
        command("quantize", "static", tmp_path / "m.onnx", *clips, "-o", tmp_path / "no.onnx", "--overrides", tmp_path / "o.json",
                code=2 if isinstance(bad, dict) and "none" in bad else 4)
    assert "no such node" in command("quantize", "static", tmp_path / "m.onnx", *clips, "-o", tmp_path / "no.onnx", "--exclude", "zzz", code=2).err
    assert not (tmp_path / "no.onnx").exists()


def test_two_bytes(clips, tmp_path):
    """Inputs of two bytes: integer products alone, close to fp32 where one byte is not, and no clipping on what the calibration has not seen."""
    m = tmp_path / "m.onnx"
    onnx.save(static_models.residual(), m)
    convs = [n.name for n in onnx.load(m).graph.node if n.op_type == "Conv"]
    command("calibrate", m, *clips, *EQUAL, "-o", tmp_path / "c.json")
    forms = {"bytes": BYTES, "float": ("--sums", "float"), "sums": ("--two-bytes", "sums"), "all": sum((("--two-bytes", n) for n in convs[1:]), ())}
    noise = np.random.default_rng(3).random((1, 1, 48, 64), dtype=np.float32)
    error, outside = {}, {}
    for name, form in forms.items():
        q = tmp_path / f"{name}.onnx"
        r = command("quantize", "static", m, "--calibration", tmp_path / "c.json", "-o", q, *form)
        convolutions_are_integer(q)
        assert r.out.count("two bytes in") == {"bytes": 0, "float": 0, "sums": 3, "all": 5}[name]
        ops = [n.op_type for n in onnx.load(q).graph.node]
        assert ops.count("ConvInteger") == {"bytes": 2, "float": 5, "sums": 9, "all": 11}[name]
        here, there, fp32 = Session(q), ort_session(q), ort_session(m)
        for into, x in ((error, picture(5)[None, None]), (outside, noise)):
            a, b, f = there.run(None, {"x": x})[0], here.run({"x": x})[0], fp32.run(None, {"x": x})[0]
            assert np.allclose(a, b, rtol=0, atol=2e-6 if name != "all" else 2e-5)
            into[name] = np.square(f - a).mean()
    print(error, outside)
    assert error["all"] < error["sums"] < error["bytes"] / 4 # what is left is of the weights
    assert outside["all"] < outside["bytes"] / 4 and outside["sums"] < outside["bytes"]


def test_tails(clips, tmp_path):
    """A range of nearly all values: close to fp32 as one that holds all is not, and not lost outside it. Every bit is ONNX Runtime's."""
    m = tmp_path / "m.onnx"
    onnx.save(static_models.residual(), m)
    convs = [n.name for n in onnx.load(m).graph.node if n.op_type == "Conv"]
    command("calibrate", m, *clips, *EQUAL, "-o", tmp_path / "c.json")
    narrow = ("--method", "percentile", "--percentile", "99.9")
    forms = {"bytes": ("--sums", "float"), "narrow": ("--sums", "float", *narrow), "tails": ("--tails", "all", *narrow), "one": ("--tails", convs[-1], "--method", "mse")}
    noise = np.random.default_rng(3).random((1, 1, 48, 64), dtype=np.float32)
    error, outside = {}, {}
    for name, form in forms.items():
        q = tmp_path / f"{name}.onnx"
        r = command("quantize", "static", m, "--calibration", tmp_path / "c.json", "-o", q, *form)
        convolutions_are_integer(q)
        assert r.out.count("its tails in") == {"bytes": 0, "narrow": 0, "tails": 5, "one": 1}[name]
        fp32 = ort_session(m)
        for into, x in ((error, picture(5)[None, None]), (outside, noise)):
            b = Session(q).run({"x": x})[0]
            assert name != "tails" or b.tobytes() == ort_session(q, False).run(None, {"x": x})[0].tobytes()
            into[name] = np.square(fp32.run(None, {"x": x})[0] - b).mean()
    assert error["tails"] < error["bytes"] and error["tails"] < error["narrow"]
    assert outside["tails"] < outside["bytes"] / 2 and outside["tails"] < outside["narrow"] / 4
    r = subprocess.run([BIN, "inspect", str(tmp_path / "tails.onnx")], capture_output=True, text=True)
    assert ", 1 step," in r.stdout, r.stdout


def test_two_bytes_refused(model, clips, tmp_path):
    command("calibrate", model, clips[0], "-o", tmp_path / "c.json")
    how = ("quantize", "static", model, "--calibration", tmp_path / "c.json", "-o", tmp_path / "no.onnx")
    assert "no such node" in command(*how, "--two-bytes", "zzz", code=2).err
    assert "QDQ" in command(*how, "--sums", "float", "--format", "qoperator", code=2).err
    assert "QDQ" in command(*how, "--tails", "all", "--format", "qoperator", code=2).err
    assert "number from 1" in command(*how, "--margin", "0.5", code=2).err
    for n in onnx.load(model).graph.node:
        if n.op_type in ("Gemm", "MatMul"):
            assert "only Conv" in command(*how, "--two-bytes", n.name or n.output[0], code=2).err
    assert not (tmp_path / "no.onnx").exists()


def test_margin(clips, tmp_path):
    onnx.save(static_models.residual(), tmp_path / "m.onnx")
    command("calibrate", tmp_path / "m.onnx", *clips, "-o", tmp_path / "c.json")
    scales = []
    for i, x in enumerate(("1", "2.5")):
        command("quantize", "static", tmp_path / "m.onnx", "--calibration", tmp_path / "c.json", "--margin", x, *BYTES, "-o", tmp_path / f"{i}.onnx")
        m = onnx.load(tmp_path / f"{i}.onnx")
        value = {k.name: onnx.numpy_helper.to_array(k) for k in m.graph.initializer}
        scales.append({n.input[0]: float(value[n.input[1]]) for n in m.graph.node if n.op_type == "QuantizeLinear"})
    assert len(scales[0]) > 4 and scales[0].keys() == scales[1].keys() and scales[0].pop("x") == scales[1].pop("x")
    assert np.allclose([scales[1][k] / scales[0][k] for k in scales[0]], 2.5, rtol=1e-6)


def drop(model, quantised, frames):
    a, b = (np.concatenate([ort_session(p).run(None, {"x": f[None, None]})[0].ravel() for f in frames]) for p in (model, quantised))
    return 1 - np.corrcoef(a, b)[0, 1]


def test_budget_against_every_set(clips, tmp_path):
    """A model that collapses per tensor: as few layers in fp32 as any set of layers needs, found here by trying all of them."""
    m = tmp_path / "m.onnx"
    onnx.save(static_models.collapsing(), m)
    frames = [(np.rint(picture(i) * 255) / 255).astype(np.float32) for i in range(9)]
    how = ("--per-tensor", *BYTES, "--method", "minmax")
    command("calibrate", m, *clips, "-o", tmp_path / "c.json")
    command("quantize", "static", m, "--calibration", tmp_path / "c.json", *how, "-o", tmp_path / "q.onnx")
    collapsed = drop(m, tmp_path / "q.onnx", frames)
    assert collapsed > 0.02
    r = command("quantize", "static", m, *clips, *how, "--budget", 0.005, "-o", tmp_path / "b.onnx")
    found = drop(m, tmp_path / "b.onnx", frames)
    assert found <= 0.005 * 1.02
    convs = [n.name for n in onnx.load(m).graph.node if n.op_type == "Conv"]
    kept = r.out.count("it was asked for")
    assert 0 < kept < len(convs)
    for n in range(kept):
        for names in itertools.combinations(convs, n):
            command("quantize", "static", m, "--calibration", tmp_path / "c.json", *how, "-f", "-q", "-o", tmp_path / "try.onnx",
                    *(a for name in names for a in ("--exclude", name)))
            assert drop(m, tmp_path / "try.onnx", frames) > 0.005 * 0.98, names
    r = command("quantize", "static", m, *clips, *how, "--budget", 0, "-o", tmp_path / "none.onnx", code=1)
    assert not (tmp_path / "none.onnx").exists() and convs[0] in r.err and "no model is written" in r.err
    command("quantize", "static", m, *clips, *how, "--budget", 0, "-o", tmp_path / "none.onnx", "--keep-best", tmp_path / "best.onnx", code=1)
    assert not (tmp_path / "none.onnx").exists() and drop(m, tmp_path / "best.onnx", frames) < 0.005


def test_effect_is_shown(clips, tmp_path):
    said = []
    for form in ((), EQUAL):
        r = command("quantize", "static", FILTER, *clips, "-f", "-o", tmp_path / "q.onnx", "--effect", *form)
        said.append([line.split() for line in r.out.split("\n")[1:5]])
        assert [line[:2] for line in said[-1]] == [["no", "no"], ["yes", "no"], ["no", "yes"], ["yes", "yes"]]
    assert said[0] == said[1]  # whichever the file is


def test_default_form(clips, tmp_path):
    """Tails in every Conv that can have them; bytes alone where they were not asked for and have no place."""
    m = tmp_path / "m.onnx"
    onnx.save(static_models.residual(), m)
    command("calibrate", m, *clips, "-o", tmp_path / "c.json")
    assert json.loads((tmp_path / "c.json").read_text())["equalization"] == []

    def made(*form, model=m, calibration=tmp_path / "c.json"):
        r = command("quantize", "static", model, "--calibration", calibration, "-f", "-o", tmp_path / "q.onnx", *form)
        return (tmp_path / "q.onnx").read_bytes(), r.err
    tails = ("--tails", "all", "--sums", "float", "--method", "percentile", "--percentile", "99.9")
    none = (*BYTES, "--sums", "bytes", "--method", "mse")
    assert made() == made(*tails) and made()[1] == ""
    assert made(*BYTES) == made(*none) != made()
    assert made("--percentile", "99.5") == made(*tails[:-1], "99.5")
    assert made("--method", "entropy") == made(*tails, "--method", "entropy")
    assert made(*BYTES, "--percentile", "99.5") == made(*none[:-2], "--method", "percentile", "--percentile", "99.5")
    assert made(*BYTES, "--method", "percentile") == made(*none[:-2], "--method", "percentile", "--percentile", "99.99")
    assert made("--format", "qoperator") == made("--format", "qoperator", *none)
    assert made("--two-bytes", "sums") == made("--two-bytes", "sums", *BYTES, "--method", "mse")
    b = static_models.Builder(7)
    x = b.node("Flatten", "x")
    for k, n in ((12, 8), (8, 4)):
        x = b.node("Relu", b.node("MatMul", x, b.const(b.rng.normal(0, 0.5, (k, n)).astype(np.float32))))
    flat = b.model(x, 2)
    for d, n in zip(flat.graph.input[0].type.tensor_type.shape.dim[2:], (3, 4)):
        d.dim_value = n
    onnx.save(flat, tmp_path / "flat.onnx")
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((6, 1, 3, 4), dtype=np.float32))
    data, said = made(model=tmp_path / "flat.onnx", calibration=tmp_path / "x.npy")
    assert "no layer of this model can read tails: bytes alone, ranges by mse" in said
    assert (data, "") == made(*none, model=tmp_path / "flat.onnx", calibration=tmp_path / "x.npy")


def test_refusals(clips, tmp_path):
    onnx.save(static_models.residual(opset=11), tmp_path / "old.onnx")
    assert "opset 13" in command("quantize", "static", tmp_path / "old.onnx", *clips, "-o", tmp_path / "q.onnx", code=4).err
    command("quantize", "static", tmp_path / "old.onnx", *clips, "-o", tmp_path / "q.onnx", *PLAIN, "--per-tensor")
    x = picture(0)[None, None]
    assert np.allclose(ort_session(tmp_path / "q.onnx").run(None, {"x": x})[0], Session(tmp_path / "q.onnx").run({"x": x})[0], atol=2e-6)
    assert "already quantised" in command("quantize", "static", tmp_path / "q.onnx", *clips, "-o", tmp_path / "r.onnx", code=4).err
    command("calibrate", tmp_path / "old.onnx", *clips, "-o", tmp_path / "c.json")
    assert "another model" in command("quantize", "static", FILTER, "--calibration", tmp_path / "c.json", "-o", tmp_path / "r.onnx", code=2).err
    assert "given twice" in command("calibrate", tmp_path / "old.onnx", clips[0], clips[0], "-f", "-o", tmp_path / "c.json", code=2).err
    assert "nothing to calibrate" in command("quantize", "static", FILTER, code=2).err
    bad = tmp_path / "bad.y4m"
    bad.write_bytes(clips[0].read_bytes()[:-5])
    command("calibrate", tmp_path / "old.onnx", bad, "-o", tmp_path / "none.json", code=3)
    assert not (tmp_path / "none.json").exists() and not (tmp_path / "r.onnx").exists()


def peak(*argv):
    code = ("import resource,subprocess,sys; subprocess.run(sys.argv[1:],check=True,stdout=subprocess.DEVNULL);"
            "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)")
    return int(subprocess.run([sys.executable, "-c", code, BIN, *map(str, argv)], check=True, stdout=subprocess.PIPE).stdout)


def test_memory_does_not_grow(tmp_path):
    """300 frames take what one takes: in a clip, in an array and in a deflated one."""
    h = onnx.helper
    x = h.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["N", 1, "H", "W"])
    w = onnx.numpy_helper.from_array(np.ones((1, 1, 1, 1), np.float32), "w")
    g = h.make_graph([h.make_node("Conv", ["x", "w"], ["y"])], "g", [x], [h.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)], [w])
    onnx.save(h.make_model(g, opset_imports=[h.make_opsetid("", 17)], ir_version=8), tmp_path / "m.onnx")
    frame = picture(0, 360, 640)
    y4m(tmp_path / "one.y4m", [frame])
    y4m(tmp_path / "many.y4m", [frame] * 300)
    stack = np.broadcast_to(frame, (300, 1, 360, 640))
    np.save(tmp_path / "many.npy", stack)
    np.savez_compressed(tmp_path / "many.npz", x=stack[:100])
    one = peak("calibrate", tmp_path / "m.onnx", tmp_path / "one.y4m", "-o", tmp_path / "c.json", "-f")
    for name in ("many.y4m", "many.npy", "many.npz"):
        assert peak("calibrate", tmp_path / "m.onnx", tmp_path / name, "-o", tmp_path / "c.json", "-f") < one + 16 * 1024, name
