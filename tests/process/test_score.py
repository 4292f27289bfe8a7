# SPDX-License-Identifier: BSD-2-Clause
"""vmaf-dnn score: its numbers against ONNX Runtime on frames that NumPy resized, the vmaf tool's shapes, ends that come too early, refusals."""
import csv
import hashlib
import json
import os
import pty
import re
import shutil
import subprocess
import xml.etree.ElementTree as xml

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from clips import BIN, CLIP, FORMATS, MODEL, NO, REFUSED, ROOM, SOURCE, USAGE, clip, command, only, pictures

PERCENTILES = (1, 5, 10, 25, 50)
POOLS = {"min", "max", "mean", "harmonic_mean", *(f"percentile_{p}" for p in PERCENTILES)}


def save(path, nodes, inputs, outputs, weights=()):
    def info(name, shape):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    graph = helper.make_graph(nodes, "g", [info(*i) for i in inputs], [info(*o) for o in outputs],
                              [numpy_helper.from_array(np.asarray(v), n) for n, v in weights])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def score_net(path, side=32, name="mos"):
    """Two convolutions, the mean over the picture, a product: a small score net with weights of a seed."""
    rng = np.random.default_rng(5)
    f = lambda *s: rng.normal(0, 0.4, s).astype("f4")  # noqa: E731
    nodes = [helper.make_node("Conv", ["frame", "w1", "b1"], ["a"], pads=[1] * 4, strides=[2, 2]), helper.make_node("Relu", ["a"], ["b"]),
             helper.make_node("Conv", ["b", "w2", "b2"], ["c"], pads=[1] * 4, group=8), helper.make_node("Relu", ["c"], ["d"]),
             helper.make_node("GlobalAveragePool", ["d"], ["e"]), helper.make_node("Flatten", ["e"], ["f"]),
             helper.make_node("Gemm", ["f", "w3", "b3"], ["g"], transB=1), helper.make_node("Squeeze", ["g", "axis"], [name])]
    hw = [side, side] if side else ["h", "w"]
    return save(path, nodes, [("frame", ["n", 1, *hw])], [(name, ["n"])],
                [("w1", f(8, 1, 3, 3)), ("b1", f(8)), ("w2", f(8, 1, 3, 3)), ("b2", f(8)), ("w3", 20 * f(1, 8)), ("b3", f(1) + 40), ("axis", np.array([1]))])


def difference_net(path, first="ref", second="dist"):
    """Mean of dist - 0.5 ref: which clip is which shows. And a second output."""
    nodes = [helper.make_node("Mul", [second, "half"], ["m"]) if (first, second) == ("dist", "ref") else helper.make_node("Mul", [first, "half"], ["m"]),
             helper.make_node("Sub", ["dist" if "dist" in (first, second) else second, "m"], ["d"]),
             helper.make_node("ReduceMean", ["d"], ["mean/diff"], keepdims=0), helper.make_node("ReduceMax", ["d"], ["1most"], keepdims=1)]
    return save(path, nodes, [(first, [1, 1, "h", "w"]), (second, [1, 1, "h", "w"])], [("mean/diff", []), ("1most", [1, 1, 1, 1])],
                [("half", np.float32(0.5))])


def area(picture, w, h):
    """Each output sample is the mean of what it covers."""
    def cover(n, m):
        edges, k = np.arange(n + 1) * m / n, np.arange(m)
        return np.clip(np.minimum(edges[1:, None], k + 1) - np.maximum(edges[:-1, None], k), 0, None) * n / m

    return (cover(h, picture.shape[0]) @ picture.astype("f8") @ cover(w, picture.shape[1]).T).astype("f4")


def luma(frames, tag):
    return [f[0].astype("f4") / np.float32((1 << FORMATS[tag][2]) - 1) for f in frames]


def reference(model, frames, tag, side=32):
    session = ort.InferenceSession(str(model))
    return [float(session.run(None, {"frame": (area(v, side, side) if side else v)[None, None]})[0][0]) for v in luma(frames, tag)]


def scores(*argv, metric="mos", **more):
    j = json.loads(command("score", "-q", "--json", "--precision", "max", *argv, **more).stdout)
    return [f["metrics"][metric] for f in j["frames"]]


FRAMES = pictures("420jpeg", 75, 50, 12)


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    d = tmp_path_factory.mktemp("score")
    score_net(d / "nr.onnx")
    (d / "a.y4m").write_bytes(clip("420jpeg", 75, 50, FRAMES))
    return d


@pytest.mark.parametrize("tag", ["420jpeg", "mono", "444p10", "420p16"])
@pytest.mark.parametrize("side", [32, 0])
def test_numbers_are_onnx_runtimes(tmp_path, tag, side):
    """Frames of any depth, brought to the model's size by area, or as they are."""
    model = score_net(tmp_path / "m.onnx", side)
    frames = pictures(tag, 75, 50, 3, seed=2)
    got = scores("-m", model, "-d", "-", stdin=clip(tag, 75, 50, frames))
    want = reference(model, frames, tag, side)
    np.testing.assert_allclose(got, want, rtol=1e-5)
    assert len(set(want)) == 3


def test_sizes_up_and_the_same(tmp_path):
    model = score_net(tmp_path / "m.onnx", 32)
    for w, h in ((20, 11), (32, 32), (64, 64), (1, 1), (33, 500)):
        frames = pictures("mono", w, h, 2)
        r = command("score", "--json", "--precision", "max", "-m", model, "-d", "-", stdin=clip("mono", w, h, frames))
        j = json.loads(r.stdout)
        np.testing.assert_allclose([f["metrics"]["mos"] for f in j["frames"]], reference(model, frames, "mono"), rtol=1e-5)
        assert (j["tiny_model"]["width"], j["tiny_model"]["height"]) == (32, 32)
        assert j["tiny_model"]["resize"] == (None if (w, h) == (32, 32) else "area")


def test_json(shop):
    """The vmaf tool's keys in their places, and one object and one word more."""
    r = command("score", "-m", shop / "nr.onnx", "-d", shop / "a.y4m", "--json", "--threads", "1", "--kernels", "c")
    j = json.loads(r.stdout)
    assert list(j) == ["version", "fps", "complete", "tiny_model", "frames", "pooled_metrics", "aggregate_metrics"]
    assert j["complete"] is True and j["aggregate_metrics"] == {} and j["fps"] > 0
    assert j["version"] == command("--version").stdout.decode().split()[-1]
    assert [f["frameNum"] for f in j["frames"]] == list(range(12)) and all(list(f) == ["frameNum", "metrics"] for f in j["frames"])
    assert set(j["pooled_metrics"]["mos"]) == POOLS
    t = j["tiny_model"]
    assert t == {"id": "nr", "file": str(shop / "nr.onnx"), "sha256": hashlib.sha256((shop / "nr.onnx").read_bytes()).hexdigest(), "quant_mode": "fp32",
                 "baseline": False, "pinned": False, "kernels": "c", "threads": 1, "width": 32, "height": 32, "resize": "area"}
    assert re.search(r'"mos": -?\d+\.\d{6}\n', r.stdout.decode())
    assert "12 frames 75x50 at 32x32 by area" in r.err and "nr (fp32, UNPINNED)" in r.err


def test_pooled(shop):
    j = json.loads(command("score", "-q", "-m", shop / "nr.onnx", "-d", shop / "a.y4m", "--json", "--precision", "max").stdout)
    v, p = np.array([f["metrics"]["mos"] for f in j["frames"]]), j["pooled_metrics"]["mos"]
    want = {"min": v.min(), "max": v.max(), "mean": v.mean(), "harmonic_mean": 1 / np.mean(1 / (v + 1)) - 1}
    want |= {f"percentile_{k}": np.percentile(v, k) for k in PERCENTILES}
    assert p == pytest.approx(want, rel=1e-13)


def test_shapes_agree(shop, tmp_path):
    """CSV, XML, text and JSON say the same, by the file's ending, by option, and on standard output."""
    base = ["score", "-q", "-m", shop / "nr.onnx", "-d", shop / "a.y4m"]
    for end in ("json", "csv", "xml", "txt", "XML"):
        command(*base, "-o", tmp_path / f"out.{end}")
    command(*base, "--csv", "-o", tmp_path / "named.json")
    only(tmp_path, "out.json", "out.csv", "out.xml", "out.txt", "out.XML", "named.json")
    j = json.loads((tmp_path / "out.json").read_text())
    want = [f"{f['metrics']['mos']:.6f}" for f in j["frames"]]
    text = (tmp_path / "out.csv").read_text()
    assert text.splitlines()[0] == "Frame,mos," and (tmp_path / "named.json").read_text() == text == command(*base, "--csv", "-o", "-").stdout.decode()
    assert [row[:2] for row in csv.reader(text.splitlines()[1:])] == [[str(i), v] for i, v in enumerate(want)]
    root = xml.parse(tmp_path / "out.xml").getroot()
    assert root.tag == "VMAF" and root.get("complete") == "true" and [c.tag for c in root] == ["params", "fyi", "tiny_model", "frames", "pooled_metrics",
                                                                                             "aggregate_metrics"]
    assert root.find("params").attrib == {"qualityWidth": "75", "qualityHeight": "50"}
    assert [(f.get("frameNum"), f.get("mos")) for f in root.find("frames")] == [(str(i), v) for i, v in enumerate(want)]
    metric = root.find("pooled_metrics/metric").attrib
    assert metric.pop("name") == "mos" and {k: float(v) for k, v in metric.items()} == j["pooled_metrics"]["mos"]
    told = {k: {"true": True, "false": False}.get(v, v) for k, v in root.find("tiny_model").attrib.items()}
    assert told == {k: str(v) if isinstance(v, int) and not isinstance(v, bool) else v for k, v in j["tiny_model"].items()}
    text = (tmp_path / "out.txt").read_text()
    assert text == command(*base).stdout.decode() == command(*base, "--text").stdout.decode()
    assert re.findall(r"^ *(\d+)  (\S+)$", text, re.M) == [(str(i), v) for i, v in enumerate(want)]
    assert re.search(r"^mos mean (\S+)$", text, re.M)[1] == f"{j['pooled_metrics']['mos']['mean']:.6f}" and j["tiny_model"]["sha256"] in text


def test_ndjson(shop, tmp_path):
    """A line for each frame, when it is scored: it is there before the next frame is."""
    data, base = (shop / "a.y4m").read_bytes(), ["score", "-q", "-m", shop / "nr.onnx", "--ndjson", "--precision", "max"]
    head = data.index(b"\n") + 1
    size = (len(data) - head) // 12
    p = subprocess.Popen([BIN, *map(str, base), "-d", "-", "-o", tmp_path / "x.json"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    lines = []
    p.stdin.write(data[:head])
    for i in range(12):
        p.stdin.write(data[head + i * size:head + (i + 1) * size])
        p.stdin.flush()
        lines += [json.loads(p.stdout.readline()) for _ in range(1 if i else 2)]
    p.stdin.close()
    lines += map(json.loads, p.stdout.read().splitlines())
    assert p.wait() == 0
    j = json.loads((tmp_path / "x.json").read_text())
    assert [line["type"] for line in lines] == ["model"] + ["frame"] * 12 + ["pooled"]
    assert lines[0]["tiny_model"] == j["tiny_model"] and lines[-1]["pooled_metrics"] == j["pooled_metrics"] and lines[-1]["complete"] is True
    assert [{"frameNum": x["frameNum"], "metrics": x["metrics"]} for x in lines[1:-1]] == j["frames"]
    assert "standard output to itself" in command(*base, "--json", "-d", shop / "a.y4m", code=USAGE).err


def test_subsample_frames_precision(shop):
    every = scores("-m", shop / "nr.onnx", "-d", shop / "a.y4m")
    j = json.loads(command("score", "-q", "-m", shop / "nr.onnx", "-d", shop / "a.y4m", "--json", "--precision", "max", "--subsample", "5", "--frames", "11").stdout)
    assert [f["frameNum"] for f in j["frames"]] == [0, 5, 10] and [f["metrics"]["mos"] for f in j["frames"]] == every[0:11:5] and j["complete"] is True
    text = command("score", "-q", "-m", shop / "nr.onnx", "-d", shop / "a.y4m", "--csv", "--precision", "2").stdout.decode()
    assert text.splitlines()[1] == f"0,{every[0]:.2f},"
    assert scores("-m", shop / "nr.onnx", "-d", shop / "a.y4m", "--frames", "1") == every[:1]


@pytest.mark.parametrize("argv, words", [
    (["--subsample", "0"], "--subsample 0"), (["--frames", "x"], "--frames x"), (["--precision", "18"], "--precision 18"), (["--precision", "full"], "or max"),
    (["--json", "--xml"], "one of --json"), (["--pix-fmt", "gray"], "give --size"), (["extra.y4m"], "clips are given with -d and -r"),
    (["--size", "0x4"], "WIDTHxHEIGHT"), (["--threads", "-1"], "--threads"), (["-r", "-", "-d", "-"], "cannot be both"),
    (["--size", "4x4", "--pix-fmt", "rgb24"], "pixel format rgb24"), (["-d", "/nowhere.y4m"], "/nowhere.y4m"), (["-m", "nowhere.onnx"], "nowhere.onnx"),
])
def test_usage(shop, argv, words):
    assert words in command("score", "-m", shop / "nr.onnx", "-d", shop / "a.y4m", *argv, code=USAGE).err


def test_missing_arguments(shop):
    assert "give -m" in command("score", "-d", "x", code=USAGE).err
    assert "give -d" in command("score", "-m", "x", code=USAGE).err


def test_outputs_are_kept(shop, tmp_path):
    base = ["score", "-q", "-m", shop / "nr.onnx", "-d", shop / "a.y4m", "-o"]
    out = tmp_path / "out.json"
    out.write_text("mine")
    command(*base, out, code=USAGE)
    assert out.read_text() == "mine"
    command(*base, out, "-f")
    assert json.loads(out.read_text())["complete"]
    before = (shop / "a.y4m").read_bytes(), (shop / "nr.onnx").read_bytes()
    command(*base, shop / "a.y4m", "-f", code=USAGE)
    command(*base, shop / "nr.onnx", "-f", code=USAGE)
    (tmp_path / "b.y4m").write_bytes(before[0])
    difference_net(tmp_path / "fr.onnx")
    command("score", "-q", "-m", tmp_path / "fr.onnx", "-d", shop / "a.y4m", "-r", tmp_path / "b.y4m", "-f", "-o", tmp_path / "b.y4m", code=USAGE)
    assert before == ((shop / "a.y4m").read_bytes(), (shop / "nr.onnx").read_bytes()) and (tmp_path / "b.y4m").read_bytes() == before[0]
    with open("/dev/full", "wb") as full:
        command("score", "-q", "-m", shop / "nr.onnx", "-d", shop / "a.y4m", stdout=full, code=ROOM)


def test_threads_and_kernels(shop):
    """The same bits for any number of threads; each set within rounding of the C kernels."""
    one = scores("-m", shop / "nr.onnx", "-d", shop / "a.y4m", "--threads", "1")
    assert one == scores("-m", shop / "nr.onnx", "-d", shop / "a.y4m", "--threads", "2") == scores("-m", shop / "nr.onnx", "-d", shop / "a.y4m", "--threads", "5")
    np.testing.assert_allclose(scores("-m", shop / "nr.onnx", "-d", shop / "a.y4m", "--kernels", "c"), one, rtol=1e-5)


def test_every_way_in(shop, tmp_path):
    """y4m, raw, arrays, a pipe: the same numbers."""
    want = scores("-m", shop / "nr.onnx", "-d", shop / "a.y4m")
    raw = b"".join(p.tobytes() for f in FRAMES for p in f)
    (tmp_path / "a.yuv").write_bytes(raw)
    assert scores("-m", shop / "nr.onnx", "-d", tmp_path / "a.yuv", "--size", "75x50", "--pix-fmt", "yuv420p") == want
    assert scores("-m", shop / "nr.onnx", "-d", "-", "--size", "75x50", "--pix-fmt", "yuv420p", stdin=raw) == want
    y = np.stack([f[0] for f in FRAMES])
    for n, a in enumerate((y, y[:, None], y.astype("f4") / np.float32(255))):
        np.save(tmp_path / f"{n}.npy", a)
        assert scores("-m", shop / "nr.onnx", "-d", tmp_path / f"{n}.npy") == want
    np.save(tmp_path / "one.npy", y[3])
    assert scores("-m", shop / "nr.onnx", "-d", tmp_path / "one.npy") == want[3:4]
    np.save(tmp_path / "bad.npy", y.astype("f8"))
    assert "<f8" in command("score", "-m", shop / "nr.onnx", "-d", tmp_path / "bad.npy", code=CLIP).err
    np.save(tmp_path / "rgb.npy", np.zeros((2, 3, 8, 8), "f4"))
    assert "[2,3,8,8]" in command("score", "-m", shop / "nr.onnx", "-d", tmp_path / "rgb.npy", code=CLIP).err


@pytest.fixture(scope="module")
def mp4(tmp_path_factory):
    d = tmp_path_factory.mktemp("mp4")
    assert shutil.which("ffmpeg"), "ffmpeg is missing: scripts/setup.sh test installs it"
    run = lambda *a: subprocess.run(["ffmpeg", "-v", "error", "-y", *map(str, a)], check=True)  # noqa: E731
    (d / "in.y4m").write_bytes(clip("420jpeg", 176, 144, pictures("420jpeg", 176, 144, 30)))
    run("-i", d / "in.y4m", "-c:v", "libx264", "-crf", "30", "-movflags", "+faststart", d / "x.mp4")
    run("-i", d / "x.mp4", "-f", "yuv4mpegpipe", "-strict", "-1", d / "x.y4m")
    return d


def has_libav(path, model):
    r = command("score", "-m", model, "-d", path, code=None)
    return "this build has no libavformat" not in r.err


def test_mp4_and_y4m_are_the_same_numbers(shop, mp4):
    want = scores("-m", shop / "nr.onnx", "-d", mp4 / "x.y4m")
    assert len(want) == 30 and len(set(want)) > 20
    p = subprocess.Popen(["ffmpeg", "-v", "error", "-i", mp4 / "x.mp4", "-f", "yuv4mpegpipe", "-strict", "-1", "-"], stdout=subprocess.PIPE)
    assert scores("-m", shop / "nr.onnx", "-d", "-", stdin=p.stdout) == want and p.wait() == 0
    if has_libav(mp4 / "x.mp4", shop / "nr.onnx"):
        assert scores("-m", shop / "nr.onnx", "-d", mp4 / "x.mp4") == want
        assert scores("-m", shop / "nr.onnx", "-d", mp4 / "x.mp4", "--subsample", "7") == want[::7]
    else:
        assert "ffmpeg -i" in command("score", "-m", shop / "nr.onnx", "-d", mp4 / "x.mp4", code=CLIP).err


def test_mp4_that_was_cut(shop, mp4, tmp_path):
    """Inside a packet, and between two: what libav takes for an end."""
    data = (mp4 / "x.mp4").read_bytes()
    want = scores("-m", shop / "nr.onnx", "-d", mp4 / "x.y4m")
    starts = sorted(map(int, subprocess.run(["ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "packet=pos", "-of", "csv=p=0", mp4 / "x.mp4"],
                                            check=True, capture_output=True, text=True).stdout.replace(",", " ").split()))
    assert len(starts) == 30
    for keep in (len(data) // 2, len(data) * 4 // 5, len(data) - 9, starts[1], starts[12], starts[29]):
        (tmp_path / "cut.mp4").write_bytes(data[:keep])
        r = command("score", "-q", "-m", shop / "nr.onnx", "-d", tmp_path / "cut.mp4", "--json", "--precision", "max", code=CLIP)
        if "this build has no libavformat" in r.err:
            return
        assert re.search(r"cut.mp4: frame \d+, byte offset \d+", r.err), r.err
        if r.stdout:
            j = json.loads(r.stdout)
            got = [f["metrics"]["mos"] for f in j["frames"]]
            assert j["complete"] is False and 0 < len(got) < 30 and got == want[:len(got)]
        else:
            assert "no frame was scored" in r.err


def test_broken_clip(shop, tmp_path):
    """Frames before the break are scored and written."""
    data, want = (shop / "a.y4m").read_bytes(), scores("-m", shop / "nr.onnx", "-d", shop / "a.y4m")
    head = data.index(b"\n") + 1
    size = (len(data) - head) // 12
    (tmp_path / "cut.y4m").write_bytes(data[:head + 4 * size + 9])
    for end, complete in (("json", '"complete": false'), ("xml", 'complete="false"'), ("txt", "INCOMPLETE"), ("csv", "\n3,")):
        r = command("score", "-m", shop / "nr.onnx", "-d", tmp_path / "cut.y4m", "--precision", "max", "-o", tmp_path / f"out.{end}", code=CLIP)
        assert "frame 4" in r.err and f"{head + 4 * size + 9}" in r.err and "the 4 frames that were scored" in r.err, r.err
        assert complete in (tmp_path / f"out.{end}").read_text()
    assert [f["metrics"]["mos"] for f in json.loads((tmp_path / "out.json").read_text())["frames"]] == want[:4]
    r = command("score", "-q", "--ndjson", "-m", shop / "nr.onnx", "-d", tmp_path / "cut.y4m", code=CLIP)
    assert json.loads(r.stdout.splitlines()[-1])["complete"] is False and len(r.stdout.splitlines()) == 6
    raw = b"".join(p.tobytes() for f in FRAMES for p in f)
    r = command("score", "-q", "--json", "-m", shop / "nr.onnx", "-d", "-", "--size", "75x50", "--pix-fmt", "yuv420p", stdin=raw[:-1], code=CLIP)
    assert f"frame 11, byte offset {len(raw) - 1}" in r.err and len(json.loads(r.stdout)["frames"]) == 11
    for text in (data[:head + 9], b"", b"YUV4MPEG2 W0 H1\n", data[:head]):
        (tmp_path / "none.y4m").write_bytes(text)
        command("score", "-m", shop / "nr.onnx", "-d", tmp_path / "none.y4m", "-o", tmp_path / "none.json", code=CLIP)
        assert not (tmp_path / "none.json").exists()


def pair(model, ref, dist, *more, **kw):
    return command("score", "-q", "--json", "--precision", "max", "-m", model, "-r", ref, "-d", dist, *more, **kw)


@pytest.mark.parametrize("names", [("ref", "dist"), ("dist", "ref"), ("x", "y")])
def test_two_inputs(shop, tmp_path, names):
    """The reference goes to ref wherever that stands, to the first input where names say nothing."""
    difference_net(tmp_path / "fr.onnx", *names)
    ref, dist = pictures("420jpeg", 40, 30, 4, seed=3), pictures("420p10", 40, 30, 4, seed=4)
    (tmp_path / "r.y4m").write_bytes(clip("420jpeg", 40, 30, ref))
    (tmp_path / "d.y4m").write_bytes(clip("420p10", 40, 30, dist))
    j = json.loads(pair(tmp_path / "fr.onnx", tmp_path / "r.y4m", tmp_path / "d.y4m").stdout)
    for f, r, d in zip(j["frames"], luma(ref, "420jpeg"), luma(dist, "420p10"), strict=True):
        assert list(f["metrics"]) == ["mean/diff", "1most"]
        assert f["metrics"]["mean/diff"] == pytest.approx(float((d - r / 2).mean()), rel=1e-4)
        assert f["metrics"]["1most"] == pytest.approx(float((d - r / 2).max()), rel=1e-6)
    root = xml.fromstring(command("score", "-q", "--xml", "-m", tmp_path / "fr.onnx", "-r", tmp_path / "r.y4m", "-d", tmp_path / "d.y4m").stdout)
    assert list(root.find("frames")[0].attrib) == ["frameNum", "mean_diff", "_1most"]
    assert [m.get("name") for m in root.find("pooled_metrics")] == ["mean_diff", "_1most"]


def test_two_clips_of_two_lengths(tmp_path):
    model = difference_net(tmp_path / "fr.onnx")
    frames = pictures("mono", 40, 30, 6)
    for n in (4, 6):
        (tmp_path / f"{n}.y4m").write_bytes(clip("mono", 40, 30, frames[:n]))
    for r, d, who in ((4, 6, "the reference, "), (6, 4, "the distorted clip, ")):
        out = pair(model, tmp_path / f"{r}.y4m", tmp_path / f"{d}.y4m", code=CLIP)
        assert f"{who}{tmp_path}/4.y4m, ends at frame 4, byte offset {(tmp_path / '4.y4m').stat().st_size}" in out.err, out.err
        j = json.loads(out.stdout)
        assert j["complete"] is False and len(j["frames"]) == 4
        assert json.loads(pair(model, tmp_path / f"{r}.y4m", tmp_path / f"{d}.y4m", "--frames", "4").stdout)["complete"] is True
        assert len(json.loads(pair(model, tmp_path / f"{r}.y4m", tmp_path / f"{d}.y4m", "--subsample", "5", code=CLIP).stdout)["frames"]) == 1
    (tmp_path / "small.y4m").write_bytes(clip("mono", 30, 40, pictures("mono", 30, 40, 6)))
    r = pair(model, tmp_path / "6.y4m", tmp_path / "small.y4m", "-o", tmp_path / "out.json", code=USAGE)
    assert "40x30" in r.err and "30x40" in r.err and not (tmp_path / "out.json").exists()


def test_a_score_that_is_no_number(tmp_path):
    model = save(tmp_path / "m.onnx", [helper.make_node("ReduceMean", ["x"], ["m"], keepdims=0), helper.make_node("Sub", ["m", "half"], ["s"]),
                                       helper.make_node("Sqrt", ["s"], ["root"])], [("x", [1, 1, "h", "w"])], [("root", []), ("m", [])], [("half", np.float32(0.5))])
    frames = [[np.full((8, 8), v, "u1")] for v in (200, 100, 180, 90)]
    data = clip("mono", 8, 8, frames)
    r = command("score", "-q", "--json", "-m", model, "-d", "-", stdin=data, code=NO)
    j = json.loads(r.stdout)
    assert [f["metrics"]["root"] is None for f in j["frames"]] == [False, True, False, True]
    assert set(j["pooled_metrics"]["root"].values()) == {None} and j["pooled_metrics"]["m"]["max"] == pytest.approx(200 / 255, abs=1e-6) and j["complete"] is True
    assert "root is not a number on 2 of 4 frames, the first of them frame 1" in r.err
    assert command("score", "-q", "--csv", "-m", model, "-d", "-", stdin=data, code=NO).stdout.splitlines()[2].startswith(b"1,,0.39")
    xml.fromstring(command("score", "-q", "--xml", "-m", model, "-d", "-", stdin=data, code=NO).stdout)


def sidecar(model, **more):
    j = {"id": model.stem, "kind": "nr", "onnx": model.name, "opset": 17, "sha256": hashlib.sha256(model.read_bytes()).hexdigest(),
         "input": {"name": "frame", "range": [0, 1]}, "output": {"name": "mos"}}
    j["input"] |= more
    model.with_suffix(".json").write_text(json.dumps(j))


def test_the_sidecars_contract(tmp_path):
    model = score_net(tmp_path / "open.onnx", 0)
    frames = pictures("mono", 50, 40, 2)
    data = clip("mono", 50, 40, frames)
    sidecar(model, width=24, height=24, resize="area")  # an open size is brought to what the sidecar says
    j = json.loads(command("score", "-q", "--json", "--precision", "max", "-m", model, "-d", "-", stdin=data).stdout)
    np.testing.assert_allclose([f["metrics"]["mos"] for f in j["frames"]], reference(model, frames, "mono", 24), rtol=1e-5)
    assert j["tiny_model"]["pinned"] is True and j["tiny_model"]["width"] == 24
    sidecar(model, width=24, height=24)  # a size without a kernel is for taking samples, not for use
    np.testing.assert_allclose(scores("-m", model, "-d", "-", stdin=data), reference(model, frames, "mono", 0), rtol=1e-5)
    sidecar(model, width=24, height=24, resize="bicubic")
    r = command("score", "-m", model, "-d", "-", stdin=data, code=REFUSED)
    assert "'bicubic'" in r.err and "area" in r.err and "windows" in r.err


def in_windows(model, frames, side, cols, rows):
    """The mean over windows, which are cut out here."""
    out = []
    for f in frames:
        y = f[0]
        h, w = y.shape
        xs = [(w - side) * i // (cols - 1) if cols > 1 else (w - side) // 2 for i in range(cols)]
        ys = [(h - side) * i // (rows - 1) if rows > 1 else (h - side) // 2 for i in range(rows)]
        out.append(np.mean(reference(model, [(y[b : b + side, a : a + side],) for b in ys for a in xs], "mono", side)))
    return out


def test_windows(tmp_path):
    model = score_net(tmp_path / "m.onnx", 32)
    for w, h, fit in ((75, 50, (2, 1)), (200, 150, (4, 3)), (32, 32, (1, 1)), (33, 96, (1, 3))):
        frames = pictures("mono", w, h, 2)
        data = clip("mono", w, h, frames)
        ask = ("-q", "--json", "--precision", "max", "-m", model, "-d", "-")
        j = json.loads(command("score", *ask, "--resize", "windows", stdin=data).stdout)
        np.testing.assert_allclose([f["metrics"]["mos"] for f in j["frames"]], in_windows(model, frames, 32, *fit), rtol=1e-5)
        assert j["tiny_model"]["resize"] == (None if (w, h) == (32, 32) else f"windows {fit[0]}x{fit[1]}")
        np.testing.assert_allclose(scores("-m", model, "-d", "-", "--resize", "3x2", stdin=data), in_windows(model, frames, 32, 3, 2), rtol=1e-5)
        np.testing.assert_allclose(scores("-m", model, "-d", "-", stdin=data), reference(model, frames, "mono"), rtol=1e-5)  # area, without a word
    sidecar(model, width=32, height=32, resize="windows")
    frames = pictures("mono", 75, 50, 2)
    data = clip("mono", 75, 50, frames)
    np.testing.assert_allclose(scores("-m", model, "-d", "-", stdin=data), in_windows(model, frames, 32, 2, 1), rtol=1e-5)
    np.testing.assert_allclose(scores("-m", model, "-d", "-", "--resize", "area", stdin=data), reference(model, frames, "mono"), rtol=1e-5)
    small = clip("mono", 31, 50, pictures("mono", 31, 50, 1))
    r = command("score", "-m", model, "-d", "-", stdin=small, code=USAGE)
    assert "31x50" in r.err and "--resize area" in r.err
    for wrong in ("bicubic", "0x2", "65x1", "2", "2x"):
        assert "--resize" in command("score", "-m", model, "-d", "-", "--resize", wrong, stdin=data, code=USAGE).err
    any_size = score_net(tmp_path / "open.onnx", 0)
    assert "any size" in command("score", "-m", any_size, "-d", "-", "--resize", "windows", stdin=data, code=USAGE).err


def test_the_shipped_score(tmp_path):
    """nr_metric_v1 by its id: windows, the int8 file, ONNX Runtime's numbers, and on each of three contents less for every step of the ladder's blur."""
    u, v = np.fft.fftfreq(252)[:, None], np.fft.fftfreq(448)[None]
    frames = []
    for seed in (9, 10, 11):
        wave = np.fft.ifft2(np.fft.fft2(np.random.default_rng(seed).standard_normal((252, 448))) / (np.hypot(u, v) + 0.004)).real  # amplitudes fall as a photograph's do
        sharp = np.fft.fft2(np.clip(126 + 45 * wave / wave.std(), 16, 235))
        for sigma in (0, 0.7, 1.1, 1.6, 2.2):
            frames.append((np.rint(np.clip(np.fft.ifft2(sharp * np.exp(-2 * (np.pi * sigma) ** 2 * (u**2 + v**2))).real, 0, 255)).astype(np.uint8),))
    data = clip("mono", 448, 252, frames)
    ask = ("score", "-q", "--json", "--precision", "max", "-m", SOURCE / "model/tiny/nr_metric_v1.onnx", "-d", "-")
    int8, fp32 = (json.loads(command(*ask, *more, stdin=data).stdout) for more in ((), ("--baseline",)))
    assert int8["tiny_model"]["resize"] == "windows 2x1" and int8["tiny_model"]["pinned"] and int8["tiny_model"]["quant_mode"] == "dynamic"
    got = [f["metrics"]["score"] for f in fp32["frames"]]
    np.testing.assert_allclose(got, in_windows(SOURCE / "model/tiny/nr_metric_v1.onnx", frames, 224, 2, 1), rtol=1e-4)
    for k in range(0, len(got), 5):
        assert got[k : k + 5] == sorted(got[k : k + 5], reverse=True) and got[k] - got[k + 4] > 50, got
    np.testing.assert_allclose([f["metrics"]["score"] for f in int8["frames"]], got, atol=5)


def test_int8_is_what_runs(tmp_path):
    model = score_net(tmp_path / "nr.onnx")
    sidecar(model, width=32, height=32, resize="area")
    command("quantize", "dynamic", model)
    (tmp_path / "a.y4m").write_bytes(clip("420jpeg", 75, 50, FRAMES))
    j = json.loads(command("score", "-q", "--json", "--precision", "max", "-m", model, "-d", tmp_path / "a.y4m").stdout)
    assert j["tiny_model"]["quant_mode"] == "dynamic" and j["tiny_model"]["file"].endswith("nr.int8.onnx") and j["tiny_model"]["pinned"] is True
    got = [f["metrics"]["mos"] for f in j["frames"]]
    np.testing.assert_allclose(got, reference(tmp_path / "nr.int8.onnx", FRAMES, "420jpeg"), rtol=1e-4)
    base = json.loads(command("score", "-q", "--json", "--precision", "max", "--baseline", "-m", model, "-d", tmp_path / "a.y4m").stdout)
    assert base["tiny_model"]["baseline"] is True and [f["metrics"]["mos"] for f in base["frames"]] != got


def test_refused_models(shop, tmp_path):
    a = shop / "a.y4m"
    refuses = lambda model, *more: command("score", "-m", model, "-d", a, *more, code=REFUSED).err  # noqa: E731
    assert "vmaf-dnn filter" in refuses(MODEL)
    one = [helper.make_node("ReduceMean", ["x"], ["y"], keepdims=0)]
    assert "RGB" in refuses(save(tmp_path / "rgb.onnx", one, [("x", [1, 3, "h", "w"])], [("y", [])]))
    assert "no float picture" in refuses(save(tmp_path / "rank.onnx", one, [("x", [1, 8])], [("y", [])]))
    assert "fixed height and an open width" in refuses(save(tmp_path / "half.onnx", one, [("x", [1, 1, 8, "w"])], [("y", [])]))
    same = [helper.make_node("Relu", ["x"], ["y"])]
    assert "single numbers" in refuses(save(tmp_path / "picture.onnx", same, [("x", [1, 1, "h", "w"])], [("y", [1, 1, "h", "w"])]))
    assert "more than one number" in refuses(save(tmp_path / "fixed.onnx", same, [("x", [1, 1, 8, 8])], [("y", [1, 1, 8, 8])]))
    three = [helper.make_node("Sum", ["a", "b", "c"], ["s"]), helper.make_node("ReduceMean", ["s"], ["y"], keepdims=0)]
    assert "neither one input" in refuses(save(tmp_path / "three.onnx", three, [(n, [1, 1, "h", "w"]) for n in "abc"], [("y", [])]))
    assert "leave -r out" in refuses(shop / "nr.onnx", "-r", a)
    assert "give -r" in refuses(difference_net(tmp_path / "fr.onnx"))
    assert "UNPINNED" not in refuses(shop / "nr.onnx", "--require-pinned")


def test_confined(shop, tmp_path):
    """Nothing that it needs is out of reach: clips, arrays, through links, outputs; with all that the kernel has where it has all."""
    os.symlink(shop / "a.y4m", tmp_path / "link.y4m")
    np.save(tmp_path / "a.npy", np.stack([f[0] for f in FRAMES]))
    want = scores("-m", shop / "nr.onnx", "-d", shop / "a.y4m", "--sandbox=off")
    whole = command("inspect", "--sandbox=require", SOURCE / "model/tiny/smoke_v0.onnx", code=None).returncode == 0
    for mode in ("auto", "require") if whole else ("auto",):
        for path in (shop / "a.y4m", tmp_path / "link.y4m", tmp_path / "a.npy"):
            assert scores("-m", shop / "nr.onnx", "-d", path, f"--sandbox={mode}") == want
        command("score", "-q", "-m", shop / "nr.onnx", "-d", shop / "a.y4m", f"--sandbox={mode}", "-o", tmp_path / f"{mode}.json")
        assert json.loads((tmp_path / f"{mode}.json").read_text())["complete"]


def test_progress_is_for_terminals(shop):
    main, other = pty.openpty()
    p = subprocess.Popen([BIN, "score", "-m", shop / "nr.onnx", "-d", shop / "a.y4m", "--csv"], stdout=subprocess.PIPE, stderr=other)
    out = p.stdout.read()
    os.close(other)
    assert p.wait() == 0 and out.startswith(b"Frame,mos,")
    assert b"frame 12/12" in os.read(main, 1 << 16)
    os.close(main)


def test_trained_model(tmp_path):
    """From labels to numbers: what train writes, score takes, sidecar and all."""
    frames = pictures("mono", 48, 48, 16)
    (tmp_path / "c.y4m").write_bytes(clip("mono", 48, 48, frames))
    (tmp_path / "s.csv").write_text("file,frame,score\n" + "".join(f"c.y4m,{i},{40 + 3 * i}\n" for i in range(16)))
    config = {"id": "tiny_nr", "kind": "nr", "net": {"separable_score": {"stem": 8, "side": 32, "blocks": [[2, 16]]}}, "batch": 4, "score_scale": 100,
              "data": {"train": [{"scores": str(tmp_path / "s.csv")}], "validation": [{"scores": str(tmp_path / "s.csv")}]},
              "optimiser": {"steps": 4, "warmup": 1}, "validate_every": 2}
    (tmp_path / "c.json").write_text(json.dumps(config))
    command("train", "-o", tmp_path, tmp_path / "c.json")
    got = scores("-m", tmp_path / "tiny_nr.onnx", "-d", tmp_path / "c.y4m", "--require-pinned",
                 metric=onnx.load(tmp_path / "tiny_nr.onnx").graph.output[0].name)
    np.testing.assert_allclose(got, reference(tmp_path / "tiny_nr.onnx", frames, "mono"), rtol=1e-5)
    assert command("verify", tmp_path / "tiny_nr.onnx").returncode == 0
