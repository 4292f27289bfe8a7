# SPDX-License-Identifier: BSD-2-Clause
"""What the gate says beyond the record: every figure against NumPy on ONNX Runtime's outputs, the bound against a bootstrap of the same
draws, and models that are wrong in ways that a correlation on noise does not see."""
import hashlib
import json
import math
import os
import re
import shutil
import subprocess
from pathlib import Path
from statistics import NormalDist

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

BIN = os.environ["VMAF_DNN_BIN"]
SOURCE = Path(os.environ["VMAF_DNN_SOURCE"])
TINY = SOURCE / "model/tiny"
STEM = "learned_filter_v1"
PASS, NO, OTHER = 0, 1, 2


def gate(*argv, code=PASS, stdin=subprocess.DEVNULL):
    r = subprocess.run([BIN, "gate", *map(str, argv)], stdin=stdin, capture_output=True, text=True, timeout=300)
    assert code is None or r.returncode == code, f"gate {' '.join(map(str, argv))}: exit {r.returncode}\n{r.stdout}{r.stderr}"
    return r


def figures(tmp_path, *argv, code=PASS):
    gate(*argv, "--json", tmp_path / "gate.json", "-f", code=code)
    return json.loads((tmp_path / "gate.json").read_text())[0]


def save(path, nodes, inits, inputs, outputs):
    def value(name, shape):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    graph = helper.make_graph(nodes, "g", [value(*v) for v in inputs], [value(*v) for v in outputs],
                              [numpy_helper.from_array(np.asarray(v, np.float32) if not isinstance(v, np.ndarray) else v, k) for k, v in inits.items()])
    m = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(m, full_check=True)
    onnx.save(m, str(path))


def quantise(path, edit=None):
    subprocess.run([BIN, "quantize", "dynamic", str(path), "-q"], check=True, capture_output=True)
    int8 = path.with_name(path.stem + ".int8.onnx")
    if edit:
        m = onnx.load(str(int8))
        edit(m.graph, {t.name: t for t in m.graph.initializer})
        onnx.checker.check_model(m)
        onnx.save(m, str(int8))
    return int8


def outputs(path, feeds):
    o = ort.SessionOptions()
    o.intra_op_num_threads = 2
    s = ort.InferenceSession(str(path), o, providers=["CPUExecutionProvider"])
    return [s.run(None, f)[0] for f in feeds]


def y4m(path, frames, depth=8):
    n, h, w = frames.shape
    with open(path, "wb") as f:
        f.write(f"YUV4MPEG2 W{w} H{h} F25:1 C{'mono' if depth == 8 else f'mono{depth}'}\n".encode())
        for frame in frames:
            f.write(b"FRAME\n" + frame.astype("<u2" if depth > 8 else "u1").tobytes())
    return path


def pictures(n, h, w, seed):
    """Smooth pictures with edges, 0 to 255."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:h, :w]
    out = []
    for _ in range(n):
        a, b, c, d = rng.random(4)
        p = 90 + 80 * np.sin(x * (0.02 + 0.2 * a) + 6 * b) * np.cos(y * (0.02 + 0.15 * c)) + 60 * ((x * d + y * a) % 40 > 20)
        out.append(np.clip(p + rng.normal(0, 3, (h, w)), 0, 255).round())
    return np.array(out, np.uint8)


@pytest.fixture
def small(tmp_path):
    """The shipped filter, whose noise and pictures are 48 x 32 here: what the test is about are the clips."""
    folder = tmp_path / "small"
    folder.mkdir()
    for name in (f"{STEM}.onnx", f"{STEM}.int8.onnx", "registry.json"):
        shutil.copy(TINY / name, folder)
    j = json.loads((TINY / f"{STEM}.json").read_text())
    j["input"] |= {"width": 48, "height": 32}
    (folder / f"{STEM}.json").write_text(json.dumps(j))
    return folder / f"{STEM}.onnx"


# --- the figures

def t_quantile(p, df):
    """Student's t by halving on a numerical integral of its density."""
    t = np.linspace(0, 40, 400001)
    density = math.exp(math.lgamma((df + 1) / 2) - math.lgamma(df / 2)) / math.sqrt(df * math.pi) * (1 + t * t / df) ** (-(df + 1) / 2)
    cdf = 0.5 + np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2 * (t[1] - t[0]))])
    return float(np.interp(p, cdf, t))


def drop_of(a, b):
    return 1 - np.corrcoef(a, b)[0, 1]


def upper_bound(a, b, seed=0, resamples=2000):
    """BCa with Student's level, by drawing whole frames again. a, b: lists of frames."""
    n = len(a)
    mean_a, mean_b = np.concatenate(a).mean(), np.concatenate(b).mean()
    sums = np.array([[x.size, x.sum(), y.sum(), (x * x).sum(), (y * y).sum(), (x * y).sum()]
                     for x, y in ((p - mean_a, q - mean_b) for p, q in zip(a, b))])

    def drop(s):
        k, sa, sb, saa, sbb, sab = np.moveaxis(s, -1, 0)
        return 1 - (sab - sa * sb / k) / np.sqrt((saa - sa * sa / k) * (sbb - sb * sb / k))
    rng = np.random.default_rng(seed)
    draws = np.array([drop(sums[rng.integers(0, n, size=n)].sum(0)) for _ in range(resamples)])
    point = drop(sums.sum(0))
    z0 = NormalDist().inv_cdf(((draws < point).sum() + (draws <= point).sum()) / (2 * resamples))
    without = np.array([drop(np.delete(sums, i, 0).sum(0)) for i in range(n)])
    d = without.mean() - without
    a_ = (d ** 3).sum() / (6 * (d ** 2).sum() ** 1.5)
    z = z0 + math.sqrt(n / (n - 1)) * t_quantile(0.95, n - 1)
    return np.quantile(draws, NormalDist().cdf(z0 + z / (1 - a_ * z)))


def ranks(v):
    order = np.argsort(v, kind="stable")
    r = np.empty(len(v))
    r[order] = np.arange(1, len(v) + 1)
    _, inverse, count = np.unique(v, return_inverse=True, return_counts=True)
    return (np.bincount(inverse, r) / count)[inverse]


def ssim(a, b):
    """Wang and others 2004, where the window of 11 x 11 fits."""
    g = np.exp(-np.arange(-5, 6) ** 2 / (2 * 1.5 ** 2))
    g /= g.sum()

    def blur(p):
        p = np.apply_along_axis(np.convolve, 0, p, g, "valid")
        return np.apply_along_axis(np.convolve, 1, p, g, "valid")
    a, b = a.astype(np.float64), b.astype(np.float64)
    ma, mb = blur(a), blur(b)
    va, vb, cov = blur(a * a) - ma * ma, blur(b * b) - mb * mb, blur(a * b) - ma * mb
    return ((2 * ma * mb + 1e-4) * (2 * cov + 9e-4) / ((ma * ma + mb * mb + 1e-4) * (va + vb + 9e-4))).mean()


def close(got, want, rel=2e-4, abs_=1e-9):
    assert abs(got - want) <= abs_ + rel * abs(want), (got, want)


def test_figures_of_a_clip(tmp_path, small):
    """Every frame, whole, since the filter takes any size; not damaged, so that there is no gain."""
    clip = pictures(10, 72, 96, 1)
    y4m(tmp_path / "c.y4m", clip)
    j = figures(tmp_path, small, "--clip", tmp_path / "c.y4m", "--frames", 0, "--seed", 7)
    s = j["sets"][2]
    assert s["kind"] == "source" and s["count"] == 10 and [f["name"] for f in s["outputs"][0]["frames"]] == [f"frame {i}" for i in range(10)]
    c = s["outputs"][0]
    feeds = [{"degraded": (f.astype(np.float32) / np.float32(255))[None, None]} for f in clip]
    a, b = (outputs(TINY / name, feeds) for name in (f"{STEM}.onnx", f"{STEM}.int8.onnx"))
    A, B = (np.concatenate([v.ravel().astype(np.float64) for v in side]) for side in (a, b))
    close(c["drop"], drop_of(A, B))
    close(c["drop_upper_95"], upper_bound([v.ravel().astype(np.float64) for v in a], [v.ravel().astype(np.float64) for v in b], 7), rel=1e-3)
    close(c["rmse"], np.sqrt(((A - B) ** 2).mean()))
    close(c["mean_abs"], np.abs(A - B).mean())
    close(c["worst_abs"], np.abs(A - B).max(), rel=1e-3)
    slope, intercept = np.polyfit(A, B, 1)
    close(c["slope"], slope, rel=1e-6)
    close(c["offset"], (B - A).mean(), abs_=1e-6)
    kept = np.arange(4096) * 6912 // 4096
    srocc = np.corrcoef(ranks(np.concatenate([v.ravel()[kept] for v in a])), ranks(np.concatenate([v.ravel()[kept] for v in b])))[0, 1]
    close(c["srocc"], srocc, rel=1e-5)
    psnr = [-10 * np.log10(((x.astype(np.float64) - y) ** 2).mean()) for x, y in zip(a, b)]
    close(c["psnr_db"], np.mean(psnr))
    close(c["psnr_db_least"], np.min(psnr))
    structure = [ssim(x[0, 0], y[0, 0]) for x, y in zip(a, b)]
    close(c["ssim"], np.mean(structure), rel=1e-6)
    close(c["ssim_least"], np.min(structure), rel=1e-6)
    assert c["worst"] == f"frame {int(np.argmin(psnr))}"
    assert c["gain_fp32_db"] is None
    again = figures(tmp_path, small, "--clip", tmp_path / "c.y4m", "--frames", 0, "--seed", 7, "--threads", 1)
    assert again == j


def test_gain_of_a_clean_clip(tmp_path, small):
    """The damage is what the sidecar says: here none, but that it is there is seen in the gain."""
    clip = pictures(4, 64, 80, 2)
    y4m(tmp_path / "c.y4m", clip)
    j = figures(tmp_path, small, "--clip", tmp_path / "c.y4m", "--degrade")
    c = j["sets"][2]["outputs"][0]
    assert c["gain_fp32_db"] > 0.5 and abs(c["gain_loss_db"]) < 0.1
    close(c["gain_loss_db"], c["gain_fp32_db"] - c["gain_int8_db"])
    close(c["gain_loss_worst_db"], max(f["gain_fp32_db"] - f["gain_int8_db"] for f in c["frames"]), abs_=1e-7)


def test_frames_are_drawn(tmp_path, small):
    clip = pictures(40, 32, 48, 3)
    y4m(tmp_path / "c.y4m", clip)

    def drawn(*argv, path=tmp_path / "c.y4m"):
        j = figures(tmp_path, small, "--clip", path, *argv)
        return [int(f["name"].split()[1]) for f in j["sets"][2]["outputs"][0]["frames"]], j["sets"][2]["outputs"][0]["drop"]
    first, drop = drawn("--frames", 6)
    assert len(set(first)) == 6 and first == sorted(first) and first[-1] < 40
    # Vitter's algorithm R on NumPy's draws
    rng, want = np.random.default_rng(0), list(range(6))
    for i in range(6, 40):
        k = int(rng.integers(0, i + 1))
        if k < 6:
            want[k] = i
    assert first == sorted(want)
    assert drawn("--frames", 6, "--seed", 1)[0] != first
    assert drawn()[0] == sorted(drawn()[0]) and len(drawn()[0]) == 32
    # 16 bits of the same, the same as an .npy stack, and through a pipe
    y4m(tmp_path / "d.y4m", clip.astype(np.uint16) * 257, 16)
    assert drawn("--frames", 6, path=tmp_path / "d.y4m") == (first, drop)
    np.save(tmp_path / "c.npy", clip)
    assert drawn("--frames", 6, path=tmp_path / "c.npy") == (first, drop)
    np.save(tmp_path / "f.npy", (clip.astype(np.float32) / np.float32(255))[:, None])
    assert drawn("--frames", 6, path=tmp_path / "f.npy") == (first, drop)
    (tmp_path / "c.raw").write_bytes(clip.tobytes())  # and as raw samples
    assert drawn("--frames", 6, "--size", "48x32", path=tmp_path / "c.raw") == (first, drop)
    (tmp_path / "d.raw").write_bytes((clip.astype("<u2") * 257).tobytes())
    assert drawn("--frames", 6, "--size", "48x32", "--pix-fmt", "gray16le", path=tmp_path / "d.raw") == (first, drop)
    subprocess.run(["ffmpeg", "-v", "error", "-i", tmp_path / "c.y4m", "-c:v", "ffv1", tmp_path / "c.mkv"], check=True, stdin=subprocess.DEVNULL)
    r = gate(small, "--clip", tmp_path / "c.mkv", "--frames", 6, "--json", tmp_path / "mkv.json", code=None)
    if "no libavformat" not in r.stderr:  # a build without it says so
        assert drawn("--frames", 6, path=tmp_path / "c.mkv") == (first, drop)
    with open(tmp_path / "c.y4m", "rb") as f:
        r = gate(small, "--clip", "-", "--frames", 6, stdin=f)
    assert f"6 of standard input: PLCC={1 - drop:.6f}" in r.stdout


def score(path, size=24):
    """A picture to a number: features, their means, a line."""
    rng = np.random.default_rng(9)
    save(path, [helper.make_node("Conv", ["frame", "w"], ["c"], strides=[2, 2]), helper.make_node("Relu", ["c"], ["r"]),
                helper.make_node("GlobalAveragePool", ["r"], ["p"]), helper.make_node("Flatten", ["p"], ["f"]),
                helper.make_node("Gemm", ["f", "v"], ["mos"])],
         {"w": rng.standard_normal((8, 1, 3, 3)).astype(np.float32), "v": rng.standard_normal((8, 1)).astype(np.float32)},
         [("frame", ["N", 1, size, size])], [("mos", ["N", 1])])


def test_figures_of_a_score(tmp_path):
    """A window of each frame; ranks over frames; and the bound of so few numbers."""
    score(tmp_path / "m.onnx")
    quantise(tmp_path / "m.onnx")
    stack = (pictures(50, 24, 24, 5).astype(np.float32) / np.float32(255))[:, None]
    np.save(tmp_path / "s.npy", stack)
    j = figures(tmp_path, tmp_path / "m.onnx", "--clip", tmp_path / "s.npy", "--frames", 0, "--budget", 1)
    c = j["sets"][2]["outputs"][0]
    a, b = (np.array(outputs(tmp_path / name, [{"frame": s[None]} for s in stack])).ravel().astype(np.float64) for name in ("m.onnx", "m.int8.onnx"))
    close(c["drop"], drop_of(a, b), rel=1e-3)
    close(c["drop_upper_95"], upper_bound(list(a[:, None]), list(b[:, None])), rel=3e-3)
    close(c["srocc"], np.corrcoef(ranks(a), ranks(b))[0, 1])
    close(c["mean_abs"], np.abs(a - b).mean(), rel=1e-3)
    close(c["worst_abs"], np.abs(a - b).max(), rel=1e-3)
    assert c["worst"] == f"frame {int(np.argmax(np.abs(a - b)))}" and "psnr_db" not in c


def test_windows(tmp_path):
    """A model of a fixed size sees a window of each frame, drawn by the seed."""
    score(tmp_path / "m.onnx")
    quantise(tmp_path / "m.onnx")
    y4m(tmp_path / "c.y4m", pictures(20, 60, 90, 6))
    found = [figures(tmp_path, tmp_path / "m.onnx", "--clip", tmp_path / "c.y4m", "--frames", 0, "--budget", 1, "--seed", seed)
             ["sets"][2]["outputs"][0]["frames"][0]["mean_fp32"] for seed in (0, 0, 1)]
    assert found[0] == found[1] != found[2]
    r = gate(tmp_path / "m.onnx", "--clip", y4m(tmp_path / "s.y4m", pictures(2, 20, 90, 6)), code=OTHER)
    assert "its pictures are 90x20, and m takes 24x24" in r.stderr


def test_arrays_of_two_inputs(tmp_path):
    """One stack an input, by name and in any order; every sample is one row of each."""
    rng = np.random.default_rng(2)
    save(tmp_path / "m.onnx", [helper.make_node("Conv", ["a", "w"], ["p"], pads=[1, 1, 1, 1]), helper.make_node("MatMul", ["b", "v"], ["q"])],
         {"w": rng.standard_normal((3, 1, 3, 3)).astype(np.float32), "v": rng.standard_normal((10, 4)).astype(np.float32)},
         [("a", ["N", 1, "H", "W"]), ("b", ["N", 10])], [("p", ["N", 3, "H", "W"]), ("q", ["N", 4])])
    quantise(tmp_path / "m.onnx")
    a, b = rng.random((8, 1, 12, 20), dtype=np.float32), rng.standard_normal((8, 10)).astype(np.float16)
    np.save(tmp_path / "a.npy", a)
    np.save(tmp_path / "b.npy", b)
    arrays = ["--array", f"b={tmp_path}/b.npy", "--array", f"a={tmp_path}/a.npy"]
    j = figures(tmp_path, tmp_path / "m.onnx", *arrays, "--frames", 0)
    feeds = [{"a": x[None], "b": y[None].astype(np.float32)} for x, y in zip(a, b)]
    assert [c["output"] for c in j["sets"][1]["outputs"]] == ["p", "q"]
    for i, c in enumerate(j["sets"][1]["outputs"]):
        sides = []
        for name in ("m.onnx", "m.int8.onnx"):
            s = ort.InferenceSession(str(tmp_path / name), providers=["CPUExecutionProvider"])
            sides.append(np.concatenate([s.run(None, f)[i].ravel() for f in feeds]).astype(np.float64))
        close(c["drop"], drop_of(*sides), rel=1e-3)
        close(c["rmse"], np.sqrt(((sides[0] - sides[1]) ** 2).mean()), rel=1e-3)
    r = gate(tmp_path / "m.onnx", *arrays[:2], code=OTHER)
    assert "the model has 2 inputs, and the number of arrays named is 1" in r.stderr
    np.save(tmp_path / "a.npy", a[:5])
    r = gate(tmp_path / "m.onnx", *arrays, code=OTHER)
    assert "5 samples, and the array before it has 8" in r.stderr


def test_score_with_a_reference(tmp_path):
    """Two pictures in: the clean one, and what became of it, also of a clip. Flat frames lose next to nothing by the
    damage, and the score is of the difference."""
    rng = np.random.default_rng(6)
    save(tmp_path / "m.onnx", [helper.make_node("Sub", ["ref", "dis"], ["d"]), helper.make_node("Abs", ["d"], ["e"]),
                               helper.make_node("Conv", ["e", "w"], ["c"], strides=[4, 4]), helper.make_node("GlobalAveragePool", ["c"], ["g"]),
                               helper.make_node("Flatten", ["g"], ["score"])],
         {"w": rng.random((1, 1, 4, 4)).astype(np.float32)}, [("ref", ["N", 1, 40, 56]), ("dis", ["N", 1, 40, 56])], [("score", ["N", 1])])
    quantise(tmp_path / "m.onnx")
    y4m(tmp_path / "c.y4m", pictures(6, 40, 56, 8))
    j = figures(tmp_path, tmp_path / "m.onnx", "--clip", tmp_path / "c.y4m", "--budget", 1)
    assert [s["kind"] for s in j["sets"]] == ["noise", "pictures", "source"]
    for s in j["sets"][1:]:
        assert all(f["mean_fp32"] > 1e-4 for f in s["outputs"][0]["frames"]), s["name"]
    y4m(tmp_path / "f.y4m", np.repeat(np.arange(40, 240, 25, dtype=np.uint8), 40 * 56).reshape(8, 40, 56))
    flat = figures(tmp_path, tmp_path / "m.onnx", "--clip", tmp_path / "f.y4m", "--budget", 1)["sets"][2]["outputs"][0]["frames"]
    assert max(f["mean_fp32"] for f in flat) < min(f["mean_fp32"] for f in j["sets"][2]["outputs"][0]["frames"]) / 2


# --- what must be seen

def passes_through(path):
    """A filter that is a 3x3 convolution with 1 in its middle, and a factor that only the int8 file changes."""
    w = np.zeros((1, 1, 3, 3), np.float32)
    w[0, 0, 1, 1] = 1
    save(path, [helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]), helper.make_node("Mul", ["c", "k"], ["d"]),
                helper.make_node("Add", ["d", "o"], ["y"])],
         {"w": w, "k": np.float32([1]), "o": np.float32([0])}, [("x", ["N", 1, "H", "W"])], [("y", ["N", 1, "H", "W"])])


def put(init, name, value):
    init[name].CopyFrom(numpy_helper.from_array(np.float32([value]), name))


def test_slope(tmp_path):
    """0.9 times: PLCC is 1, and nothing but the slope is over its limit besides what follows from it."""
    passes_through(tmp_path / "m.onnx")
    quantise(tmp_path / "m.onnx", lambda graph, init: put(init, "k", 0.9))
    r = gate(tmp_path / "m.onnx", "--compat")
    assert "drop=0.0000" in r.stdout
    r = gate(tmp_path / "m.onnx", code=NO)
    assert r.stdout.startswith("[FAIL] m ") and re.search(r"slope of 0\.900\d, an error of 0\.\d+ on pictures is over max_slope_error of 0\.05", r.stdout)


def test_offset(tmp_path):
    passes_through(tmp_path / "m.onnx")
    quantise(tmp_path / "m.onnx", lambda graph, init: put(init, "o", 0.01))
    r = gate(tmp_path / "m.onnx", code=NO)
    assert re.search(r"offset of \+0\.0\d+, an error of 0\.\d+ on pictures is over max_offset of 0\.00392", r.stdout)
    assert "max_slope_error" not in r.stdout


def test_one_bad_frame_of_300(tmp_path):
    """The square root of a number that is below zero in one picture only, and only in the int8 file."""
    passes_through(tmp_path / "m.onnx")
    m = onnx.load(str(tmp_path / "m.onnx"))
    m.graph.node[-1].output[0] = "e"
    m.graph.node.extend([helper.make_node("ReduceMean", ["e"], ["mean"], axes=[2, 3]), helper.make_node("Sub", ["mean", "least"], ["over"]),
                         helper.make_node("Sqrt", ["over"], ["root"]), helper.make_node("Add", ["e", "root"], ["y"])])
    m.graph.initializer.append(numpy_helper.from_array(np.float32([-1]), "least"))
    onnx.checker.check_model(m, full_check=True)
    onnx.save(m, str(tmp_path / "m.onnx"))
    quantise(tmp_path / "m.onnx", lambda graph, init: put(init, "least", 0.02))
    rng = np.random.default_rng(4)
    clip = rng.integers(30, 226, (300, 20, 32), dtype=np.uint8)
    clip[217] = rng.integers(0, 4, (20, 32))
    y4m(tmp_path / "c.y4m", clip)
    r = gate(tmp_path / "m.onnx", "--clip", tmp_path / "c.y4m", "--frames", 0, "--budget", 1, "--json", tmp_path / "g.json", code=NO)
    assert f"the int8 output is not finite on {tmp_path}/c.y4m: first in frame 217" in r.stdout
    (j,) = json.loads((tmp_path / "g.json").read_text())
    assert [f["name"] for f in j["sets"][2]["outputs"][0]["frames"] if not f["finite"]] == ["frame 217"]
    assert j["sets"][2]["outputs"][0]["not_finite"] == "frame 217"


def test_int8_that_does_not_run(tmp_path):
    """An activation that is not finite stops the int8 file; that is a verdict, and the picture is named."""
    w = np.ones((1, 1, 1, 1), np.float32)
    save(tmp_path / "m.onnx", [helper.make_node("Conv", ["x", "w"], ["c"]), helper.make_node("Div", ["c", "k"], ["d"]), helper.make_node("Conv", ["d", "w"], ["y"])],
         {"w": w, "k": np.float32([1])}, [("x", ["N", 1, "H", "W"])], [("y", ["N", 1, "H", "W"])])
    quantise(tmp_path / "m.onnx", lambda graph, init: put(init, "k", 0))
    r = gate(tmp_path / "m.onnx", code=NO)
    assert "the int8 file does not run on the record's samples, sample 0: " in r.stdout and "not finite" in r.stdout


def test_too_few_samples(tmp_path):
    """The drop of sixteen numbers is inside, and could as well be outside: more samples tell."""
    score(tmp_path / "m.onnx", 16)
    quantise(tmp_path / "m.onnx")
    j = figures(tmp_path, tmp_path / "m.onnx", "--budget", 1)
    noise = j["sets"][0]["outputs"][0]
    wide = figures(tmp_path, tmp_path / "m.onnx", "--budget", 1, "--samples", 400)["sets"][0]["outputs"][0]
    assert noise["drop"] < noise["drop_upper_95"] and wide["drop_upper_95"] - wide["drop"] < (noise["drop_upper_95"] - noise["drop"]) / 2
    budget = max(noise["drop"], wide["drop_upper_95"]) * 1.01
    assert budget < noise["drop_upper_95"]
    gate(tmp_path / "m.onnx", "--budget", budget, "--compat")
    r = gate(tmp_path / "m.onnx", "--budget", budget, code=NO)
    assert r.stdout.startswith("[INSUFFICIENT] m ") and "16 samples cannot decide; measure more (--samples N)" in r.stdout
    # The number that it says: n times the square of how much shorter the bound has to be.
    for share in (0.9, 0.5, 0.2):
        r = gate(tmp_path / "m.onnx", "--budget", noise["drop"] + share * (noise["drop_upper_95"] - noise["drop"]), code=NO)
        said = int(re.search(r"measure more \(--samples N\): about (\d+), by the spread of these", r.stdout)[1])
        assert abs(said - 16 / share ** 2) <= 1
    r = gate(tmp_path / "m.onnx", "--budget", noise["drop"] * 1.0001, code=NO)
    assert "the drop of these is next to the budget; begin with 160" in r.stdout
    r = gate(tmp_path / "m.onnx", "--budget", budget, "--samples", 400)
    assert "noise: PLCC" in r.stdout and "cannot decide" not in r.stdout


def test_two_frames_are_too_few(tmp_path, small):
    y4m(tmp_path / "c.y4m", pictures(2, 32, 32, 1))
    r = gate(small, "--clip", tmp_path / "c.y4m", "--json", tmp_path / "two.json", "--html", tmp_path / "two.html", code=NO)
    assert r.stdout.startswith("[INSUFFICIENT]")
    assert "2 samples cannot bound it; 3 are the least, and 12 a good number: measure more (--frames N)" in r.stdout
    assert re.search(r"2 of \S*c\.y4m: PLCC=0\.\d{6} drop=0\.\d{6} bound=none \(INSUFFICIENT: 2 samples, and 3 are the least\)", r.stdout)
    j = json.loads((tmp_path / "two.json").read_text(), parse_constant=lambda word: pytest.fail(word))
    (source,) = (s for s in j[0]["sets"] if s["kind"] == "source")
    assert source["count"] == 2 and source["outputs"][0]["drop_upper_95"] is None
    assert not re.search(r"\bnan\b", r.stdout + (tmp_path / "two.html").read_text(), re.I)
    y4m(tmp_path / "c.y4m", pictures(1, 32, 32, 1))
    r = gate(small, "--clip", tmp_path / "c.y4m", code=NO)
    assert "1 sample cannot bound it" in r.stdout and "(INSUFFICIENT: 1 sample, and 3" in r.stdout
    y4m(tmp_path / "c.y4m", pictures(3, 32, 32, 1))
    assert "bound=0." in gate(small, "--clip", tmp_path / "c.y4m", code=None).stdout.split("c.y4m: ")[1]
    y4m(tmp_path / "c.y4m", pictures(3, 224, 224, 1))
    r = gate(TINY / "nr_metric_v1.onnx", "--clip", tmp_path / "c.y4m", code=NO).stdout  # of three numbers: wide for want of samples, and not of room
    assert "3 samples cannot decide; measure more (--frames N): these are too few to say how many; begin with 30" in r, r


def test_one_output_of_two(tmp_path):
    """One of two outputs is a hundred times the other, which is broken: together they correlate, and each is judged."""
    rng = np.random.default_rng(2)
    save(tmp_path / "m.onnx", [helper.make_node("Conv", ["a", "w"], ["p"]), helper.make_node("Mul", ["p", "big"], ["loud"]),
                               helper.make_node("Mul", ["p", "one"], ["quiet"])],
         {"w": rng.standard_normal((4, 1, 3, 3)).astype(np.float32), "big": np.float32([100]), "one": np.float32([1])},
         [("a", [1, 1, 24, 24])], [("loud", [1, 4, 22, 22]), ("quiet", [1, 4, 22, 22])])
    quantise(tmp_path / "m.onnx", lambda graph, init: put(init, "one", -1))
    gate(tmp_path / "m.onnx", "--compat")
    r = gate(tmp_path / "m.onnx", code=NO)
    assert re.search(r"a drop 'quiet' of [12]\.\d+ on pictures is over the budget", r.stdout) and "'loud'" not in r.stdout


def test_limits_of_the_registry(tmp_path):
    passes_through(tmp_path / "m.onnx")
    int8 = quantise(tmp_path / "m.onnx", lambda graph, init: put(init, "k", 0.97))
    row = {"id": "m", "kind": "filter", "onnx": "m.onnx", "opset": 17, "sha256": hashlib.sha256((tmp_path / "m.onnx").read_bytes()).hexdigest(),
           "quant_mode": "dynamic", "int8_sha256": hashlib.sha256(int8.read_bytes()).hexdigest()}

    def registry(**rules):
        (tmp_path / "registry.json").write_text(json.dumps({"schema_version": 1, "models": [row | {"quant_gate": rules}]}))
        return tmp_path / "m.onnx"
    loose = {"max_offset": 1, "max_gain_loss_db": 100, "max_gain_loss_worst_db": 100, "min_psnr_db": 0, "min_ssim": 0}
    gate(registry(**loose))
    r = gate(registry(**loose, max_slope_error=0.01), code=NO)
    assert "over max_slope_error of 0.01" in r.stdout
    for rule, text in (("max_rmse", "an RMSE of"), ("max_abs_error", "a difference of"), ("max_srocc_drop", "a drop of SROCC of")):
        r = gate(registry(**loose, **{rule: 0}), code=NO)
        assert text in r.stdout and f"is over {rule} of 0" in r.stdout
    for rule, value in (("min_psnr_db", 90), ("min_ssim", 0.99999), ("max_gain_loss_db", 0), ("max_gain_loss_worst_db", 0)):
        r = gate(registry(**{**loose, rule: value}), code=NO)
        assert f" {rule} of {value}" in r.stdout, r.stdout
    r = gate(registry(max_slope=1), code=OTHER)
    assert "quant_gate asks for a rule that is not known here" in r.stderr


def test_usage(tmp_path, small):
    y4m(tmp_path / "c.y4m", pictures(2, 32, 32, 1))
    np.save(tmp_path / "wrong.npy", np.zeros((3, 4), np.float32))
    model = small
    for text, *argv in (("no such file", "--clip", tmp_path / "none.y4m"), (f"{model}: ", "--clip", model), ("--size 3: WIDTHxHEIGHT", "--size", 3),
                        ("--degrade damages the frames of clips", "--degrade"), ("--frames x", "--frames", "x"),
                        ("--samples 3: a number from 16", "--samples", 3), ("--compat is ADR-0174's", "--compat", "--samples", 20),
                        ("the array is [3,4], and [N,...] of [1,1,32,48] is wanted", "--array", tmp_path / "wrong.npy"),
                        ("there is no array for input 'degraded'", "--array", f"x={tmp_path}/wrong.npy")):
        r = gate(model, *argv, code=OTHER)
        assert text.lower() in r.stderr.lower(), r.stderr
