# SPDX-License-Identifier: BSD-2-Clause
"""gate --explain: every layer's cost against the same parts of the two files run by ONNX Runtime, in each quantised form; what names a layer
that is broken; and the page, as a browser shows it."""
import functools
import http.server
import json
import os
import re
import shutil
import subprocess
import threading
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.utils import Extractor
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

BIN = os.environ["VMAF_DNN_BIN"]
SOURCE = Path(os.environ["VMAF_DNN_SOURCE"])
TINY = SOURCE / "tests/data/dynamic"
SHIPPED = SOURCE / "model/tiny"
STEM = "learned_filter_v1"
PASS, NO, OTHER = 0, 1, 2
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def gate(*argv, code=None):
    r = subprocess.run([BIN, "gate", *map(str, argv)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
    assert r.returncode == code if code is not None else r.returncode < 2, f"gate {' '.join(map(str, argv))}: exit {r.returncode}\n{r.stdout}{r.stderr}"
    return r


def save(path, nodes, inits, inputs, outputs):
    def value(name, shape):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    graph = helper.make_graph(nodes, "g", [value(*v) for v in inputs], [value(*v) for v in outputs],
                              [numpy_helper.from_array(v, k) for k, v in inits.items()])
    m = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(m, full_check=True)
    onnx.save(m, str(path))


def filter_in(folder, source=TINY):
    """The filter of TINY (dynamic) or SHIPPED (static), on noise and pictures of 128 x 96."""
    for name in (f"{STEM}.onnx", f"{STEM}.int8.onnx", "smoke_v0.onnx", "smoke_v0.json", "registry.json"):
        shutil.copy(source / name, folder)
    j = json.loads((source / f"{STEM}.json").read_text())
    j["input"] |= {"width": 128, "height": 96}
    (folder / f"{STEM}.json").write_text(json.dumps(j))
    return folder / f"{STEM}.onnx"


@pytest.fixture
def dynamic(tmp_path):
    (tmp_path / "tiny").mkdir()
    return filter_in(tmp_path / "tiny")


@pytest.fixture(params=[TINY, SHIPPED], ids=["dynamic", "static"])
def either(request, tmp_path):
    (tmp_path / "tiny").mkdir()
    return filter_in(tmp_path / "tiny", request.param)


def net(path):
    """A residual filter: two convolutions with Relu, a skip, and a last one that is added to what came in."""
    rng = np.random.default_rng(1)

    def w(*s):
        return (rng.standard_normal(s) * 0.3).astype(np.float32)
    pads = {"pads": [1] * 4}
    save(path, [helper.make_node("Conv", ["x", "w0", "b0"], ["c0"], name="entry", **pads), helper.make_node("Relu", ["c0"], ["r0"], name="relu0"),
                helper.make_node("Conv", ["r0", "w1", "b1"], ["c1"], name="mid", **pads), helper.make_node("Relu", ["c1"], ["r1"], name="relu1"),
                helper.make_node("Add", ["r0", "r1"], ["s"], name="skip"), helper.make_node("Conv", ["s", "w2"], ["c2"], name="exit", **pads),
                helper.make_node("Add", ["x", "c2"], ["y"], name="sum")],
         {"w0": w(8, 1, 3, 3), "b0": w(8), "w1": w(8, 8, 3, 3), "b1": w(8), "w2": w(1, 8, 3, 3)},
         [("x", ["N", 1, "H", "W"])], [("y", ["N", 1, "H", "W"])])


class Noise(CalibrationDataReader):
    def __init__(self):
        rng = np.random.default_rng(3)
        self.left = [{"x": 0.8 * rng.random((1, 1, 40, 48), dtype=np.float32)} for _ in range(4)]

    def get_next(self):
        return self.left.pop() if self.left else None


def quantise(path, form):
    int8 = path.with_name(path.stem + ".int8.onnx")
    if form in ("dynamic", "per-tensor"):
        subprocess.run([BIN, "quantize", "dynamic", str(path), "-q", *(["--per-tensor"] if form == "per-tensor" else [])], check=True, capture_output=True)
    else:
        quantize_static(str(path), str(int8), Noise(), quant_format=getattr(QuantFormat, form), activation_type=QuantType.QUInt8,
                        weight_type=QuantType.QInt8, per_channel=True)
    return int8


def session(model):
    o = ort.SessionOptions()
    o.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    o.log_severity_level = 3
    return ort.InferenceSession(model if isinstance(model, str) else model.SerializeToString(), o, providers=["CPUExecutionProvider"])


def part(model, inputs, outputs, feed):
    """The part of a file between these values, run alone."""
    m = onnx.shape_inference.infer_shapes(model)
    known = {v.name for v in [*m.graph.value_info, *m.graph.input, *m.graph.output]}
    m.graph.value_info.extend(helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in {*inputs, *outputs} - known)
    return session(Extractor(m).extract_model(list(inputs), list(outputs))).run(None, feed)


def sqnr(pairs):
    signal = sum((a.astype(np.float64) ** 2).sum() for a, _ in pairs)
    noise = sum(((a.astype(np.float64) - b) ** 2).sum() for a, b in pairs)
    return 10 * np.log10(signal / noise)


def drop(pairs):
    a, b = (np.concatenate([p[i].ravel().astype(np.float64) for p in pairs]) for i in (0, 1))
    return 1 - np.corrcoef(a, b)[0, 1]


# Value of the fp32 graph by layer: what computes it, what it reads; and what these values are called in the int8 graph.
LAYERS = {
    "dynamic": ({"entry": ("c0", ["x"]), "mid": ("c1", ["r0"]), "exit": ("c2", ["s"])}, lambda v: v),
    "QDQ": ({"entry": ("r0", ["x"]), "mid": ("r1", ["r0"]), "skip": ("s", ["r0", "r1"]), "exit": ("c2", ["s"]), "sum": ("y", ["x", "c2"])},
            lambda v: v if v in "xy" else f"{v}_DequantizeLinear_Output"),
    "QOperator": ({"entry": ("r0", ["x"]), "mid": ("r1", ["r0"]), "skip": ("s", ["r0", "r1"]), "exit": ("c2", ["s"]), "sum": ("y", ["x", "c2"])},
                  lambda v: v if v in "xy" else f"{v.replace('r', 'c')}_seen"),
}


def with_floats(model):
    """The QOperator form with a float value for each quantised one, both to observe and, where it is cut off, to feed."""
    m = onnx.ModelProto.FromString(model.SerializeToString())
    for n in list(m.graph.node):
        for out in n.output:
            if out.endswith("_quantized") and out != "x_quantized":
                v = out[:-len("_quantized")]
                m.graph.node.append(helper.make_node("DequantizeLinear", [out, f"{v}_scale", f"{v}_zero_point"], [f"{v}_seen"]))
    return m


def part_of_int8(form, model, reads, gives, feed):
    if form != "QOperator":
        return part(model, reads, [gives], feed)
    m = with_floats(model)
    for v in reads:  # what is fed is rounded as the file rounds it
        if v == "x":
            continue
        stem = v[:-len("_seen")]
        for n in m.graph.node:
            for i, out in enumerate(n.output):
                if out == f"{stem}_quantized":
                    n.output[i] = f"{stem}_off"
            if n.op_type == "DequantizeLinear" and n.output[0] == v:
                n.output[0] = f"{v}_off"
                n.input[0] = f"{stem}_off"
        m.graph.node.insert(0, helper.make_node("QuantizeLinear", [v, f"{stem}_scale", f"{stem}_zero_point"], [f"{stem}_quantized"]))
    return part(m, reads, [gives], feed)


@pytest.mark.parametrize("form", LAYERS)
def test_layers(tmp_path, form):
    model = tmp_path / "m.onnx"
    net(model)
    fp32, int8 = onnx.load(str(model)), onnx.load(str(quantise(model, form)))
    rng = np.random.default_rng(7)
    stack = (rng.random((6, 1, 40, 48)) * np.linspace(0.4, 1, 6)[:, None, None, None]).astype(np.float32)
    np.save(tmp_path / "s.npy", stack)
    gate(model, "--clip", tmp_path / "s.npy", "--frames", 0, "--explain", "--json", tmp_path / "g.json")
    (j,) = json.loads((tmp_path / "g.json").read_text())
    kept = [int(j["sets"][2]["outputs"][0]["worst"].split()[1]), 0, 1, 3, 4]  # the worst, and four that are evenly spread
    layers, name = LAYERS[form]
    assert [v["name"] for v in j["layers"]] == list(layers) and j["explained_samples"] == 5

    values = ["c0", "r0", "c1", "r1", "s", "c2", "y"]
    want = [dict(zip(values, part(fp32, ["x"], values, {"x": stack[i][None]}), strict=True)) | {"x": stack[i][None]} for i in kept]
    seen = with_floats(int8) if form == "QOperator" else int8
    runs = [dict(zip(layers, part(seen, ["x"], [name(v) for v, _ in layers.values()], {"x": stack[i][None]}), strict=True)) for i in kept]
    for got in j["layers"]:
        v, reads = layers[got["name"]]
        assert got["output"] == v and sorted(got["inputs"]) == sorted(reads)
        alone = [part_of_int8(form, int8, [name(r) for r in reads], name(v), {name(r): w[r] for r in reads})[0] for w in want]
        pairs = [(w[v], a) for w, a in zip(want, alone, strict=True)]
        assert abs(got["sqnr_db"] - sqnr(pairs)) < 0.02, (got["name"], got["sqnr_db"], sqnr(pairs))
        assert abs(got["drop"] - drop(pairs)) < 1e-6 + 0.005 * drop(pairs)
        pairs = [(w[v], r[got["name"]]) for w, r in zip(want, runs, strict=True)]
        assert abs(got["sqnr_db_cumulative"] - sqnr(pairs)) < 0.05, (got["name"], got["sqnr_db_cumulative"], sqnr(pairs))
        after = [a if v == "y" else part(fp32, ["x", v], ["y"], {"x": w["x"], v: a})[0] for w, a in zip(want, alone, strict=True)]
        pairs = [(w["y"], a) for w, a in zip(want, after, strict=True)]
        assert abs(got["output_drop"] - drop(pairs)) < 1e-7 + 0.005 * drop(pairs), (got["name"], got["output_drop"], drop(pairs))

    rounded = {a["tensor"]: a for a in j["activations"]}
    assert set(rounded) == ({"x", "r0", "s"} if form == "dynamic" else {"x", "r0", "r1", "s", "c2", "y"} if form == "QDQ" else {"x", "r0", "r1", "s", "c2", "y"} & set(rounded))
    constants = {t.name: numpy_helper.to_array(t) for t in int8.graph.initializer}
    record = np.random.default_rng(0)
    noise = [record.random((1, 1, 40, 48), dtype=np.float32) for _ in range(4)]
    of_noise = [dict(zip(values, part(fp32, ["x"], values, {"x": x}), strict=True)) | {"x": x} for x in noise]
    for tensor, a in rounded.items():
        v = np.concatenate([w[tensor].ravel() for w in want])
        assert abs(a["min"] - v.min()) < 1e-5 and abs(a["max"] - v.max()) < 1e-5 and sum(a["histogram"]) == v.size
        assert a["dynamic"] == (form == "dynamic")
        if form != "dynamic":
            stem = tensor if form == "QDQ" else tensor.replace("r", "c")
            scale, zero = float(constants[f"{stem}_scale"]), int(constants[f"{stem}_zero_point"])
            lo, hi = scale * (0 - zero), scale * (255 - zero)
            assert abs(a["range_lo"] - lo) < 1e-6 and abs(a["range_hi"] - hi) < 1e-6
            outside = ((v < lo - scale / 2) | (v > hi + scale / 2)).mean()
            assert abs(a["clipped"] - outside) < 1e-3
            v = np.concatenate([w[tensor].ravel() for w in of_noise])
            assert abs(a["clipped_noise"] - ((v < lo - scale / 2) | (v > hi + scale / 2)).mean()) < 1e-3
        else:
            assert a["clipped_noise"] == 0


@pytest.mark.parametrize("form", [("--tails", "none"), ("--format", "qoperator"), ()], ids=["qdq", "qoperator", "tails"])
def test_own_static_forms(tmp_path, dynamic, form):
    """The names that quantize static gives: a layer behind which a Relu was folded is compared behind it, and alone no layer is far from fp32."""
    subprocess.run([BIN, "quantize", "static", dynamic, "--calibration", "synthetic", "--equalize", "off", "-q", *form], check=True, timeout=300)
    gate(dynamic, "--explain", "--json", tmp_path / "g.json")
    (j,) = json.loads((tmp_path / "g.json").read_text())
    layers = [v for v in j["layers"] if "Conv" in v["name"]]
    assert len(layers) == 10
    for v in layers:
        assert v["sqnr_db"] > 15, v


def collapsing(path, spread):
    """Depthwise, and every channel of another size: 10 ** -spread to 10 ** spread in, the inverse in the depthwise weights, so that all count
    alike."""
    rng = np.random.default_rng(5)
    size = 10.0 ** np.linspace(-spread, spread, 12)
    save(path, [helper.make_node("Conv", ["x", "w0"], ["wide"], name="spread", pads=[1] * 4),
                helper.make_node("Conv", ["wide", "w1"], ["deep"], name="depthwise", pads=[1] * 4, group=12),
                helper.make_node("Relu", ["deep"], ["r"], name="relu"), helper.make_node("Conv", ["r", "w2"], ["y"], name="pointwise")],
         {"w0": (rng.standard_normal((12, 1, 3, 3)) * size[:, None, None, None]).astype(np.float32),
          "w1": (rng.standard_normal((12, 1, 3, 3)) / size[:, None, None, None]).astype(np.float32),
          "w2": rng.standard_normal((1, 12, 1, 1)).astype(np.float32)}, [("x", ["N", 1, "H", "W"])], [("y", ["N", 1, "H", "W"])])


def test_collapse_is_named(tmp_path):
    """What fails says which layers did it, without being asked."""
    model = tmp_path / "m.onnx"
    collapsing(model, 3)
    quantise(model, "per-tensor")
    r = gate(model, code=NO)
    assert "the int8 output is constant on pictures" in r.stdout and re.search(r"dearest first.*\n +constant .* depthwise \(Conv\)$", r.stdout, re.M)
    model = tmp_path / "n.onnx"
    collapsing(model, 1)
    quantise(model, "per-tensor")
    r = gate(model, "--json", tmp_path / "g.json", code=NO)
    assert r.stdout.startswith("[FAIL] n ")
    rows = re.findall(r"^ +([\d.]+) +(\S+ dB) +(\S+ dB) +(\w+) \((\w+)\)$", r.stdout, re.M)
    assert rows[0][3] == "depthwise" and float(rows[0][0]) > 0.02, r.stdout
    assert {row[3] for row in rows} == {"spread", "depthwise", "pointwise"} and all(float(row[0]) < 0.005 for row in rows[1:])
    (j,) = json.loads((tmp_path / "g.json").read_text())
    assert {v["name"] for v in j["layers"]} == {"spread", "depthwise", "pointwise"}


def test_node_data(tmp_path, either):
    gate(either, "--node-data", tmp_path / "n.json", "--json", tmp_path / "g.json", code=PASS)
    n, (j,) = json.loads((tmp_path / "n.json").read_text()), json.loads((tmp_path / "g.json").read_text())
    assert set(n) == {"name", "results", "gradient"}
    made = {o for name in (f"{STEM}.onnx", f"{STEM}.int8.onnx") for node in onnx.load(str(either.with_name(name))).graph.node for o in node.output}
    assert len(j["layers"]) == 10
    assert n["results"] == {v["output"]: {"value": v["sqnr_db"]} for v in j["layers"]} and set(n["results"]) <= made
    assert [g["stop"] for g in n["gradient"]] == [0, 0.5, 1] and all(re.fullmatch("#[0-9a-f]{6}", g["bgColor"]) for g in n["gradient"])


def test_trace(tmp_path, either):
    """The keys are those of ONNX Runtime's own profile of the same file."""
    gate(either, "--trace", tmp_path / "t.json", code=PASS)
    ours = json.loads((tmp_path / "t.json").read_text())
    o = ort.SessionOptions()
    o.enable_profiling = True
    o.profile_file_prefix = str(tmp_path / "ort")
    s = ort.InferenceSession(str(either.with_name(f"{STEM}.int8.onnx")), o, providers=["CPUExecutionProvider"])
    s.run(None, {"degraded": np.zeros((1, 1, 32, 32), np.float32)})
    theirs = json.loads(Path(s.end_profiling()).read_text())
    kernel = next(e for e in theirs if e["cat"] == "Node" and e["name"].endswith("_kernel_time"))
    run = next(e for e in theirs if e["name"] == "model_run")
    nodes = onnx.load(str(either.with_name(f"{STEM}.int8.onnx"))).graph.node
    assert set(ours[0]) == set(run) and ours[0]["name"] == "model_run" and ours[0]["cat"] == "Session" and ours[0]["dur"] > 0
    end = ours[0]["ts"] + ours[0]["dur"]
    assert len(ours) > 10
    for e in ours[1:]:
        assert set(e) == set(kernel) and e["cat"] == "Node" and e["ph"] == "X"
        assert set(e["args"]) - {"layer", "layer_op"} <= set(kernel["args"])
        assert {"op_name", "provider", "node_index", "input_type_shape", "output_type_shape"} <= set(e["args"])
        for key, v in e["args"].items():
            if key in kernel["args"]:
                assert type(v) is type(kernel["args"][key]), key
        node = nodes[int(e["args"]["node_index"])]
        assert node.op_type == e["args"]["op_name"] and e["name"] == f"{node.name or node.output[0]}_kernel_time"
        assert e["ts"] >= end - 1 and e["dur"] >= 0  # one after the other on one track
        end = e["ts"] + e["dur"]
    products = [e["args"]["node_index"] for e in ours[1:] if e["args"]["op_name"] == "ConvInteger"]
    assert len(products) == len(set(products)) == 10  # one a layer, of two products too


def test_usage(tmp_path, dynamic):
    model = dynamic
    for text, *argv in (("are about one model: name it", "--all", "--html", tmp_path / "x.html"), ("--compat explains nothing", model, "--compat", "--explain"),
                        ("can take one of", model, "--json", "-", "--html", "-"), ("there is nothing to explain", model.with_name("smoke_v0.onnx"), "--explain")):
        r = gate(*argv, code=OTHER)
        assert text in r.stderr, r.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["tiny"]
    r = gate(model, "--html", "-", code=PASS)
    assert r.stdout.startswith("<!DOCTYPE html>") and "[PASS]" in r.stderr


# --- the page

class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.attrs = [], [], []
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attrs.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "img", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attrs.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, tag


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """One that passes, and one whose input is clipped, with a name that is to be escaped."""
    folder = tmp_path_factory.mktemp("pages")
    gate(filter_in(folder), "--html", folder / "dynamic.html", code=PASS)
    net(folder / "m.onnx")
    m = onnx.load(str(folder / "m.onnx"))
    m.graph.node[2].name = 'mid <b>&"'
    onnx.save(m, str(folder / "m.onnx"))
    quantise(folder / "m.onnx", "QDQ")
    gate(folder / "m.onnx", "--html", folder / "static.html", code=NO)
    return folder


@pytest.mark.parametrize("name", ["dynamic", "static"])
def test_page_alone(pages, name):
    text = (pages / f"{name}.html").read_text()
    page = Page(text)
    assert "script" not in page.tags and "iframe" not in page.tags and "object" not in page.tags
    assert "http" not in re.sub(r'http-equiv="', "", text)  # nothing to be fetched from anywhere
    ids = [a["id"] for _, a in page.attrs if "id" in a]
    assert len(ids) == len(set(ids)) and {"sqnr", "scatter0", "difference0", "worst", "activations"} <= set(ids)
    for tag, a in page.attrs:
        for key, v in a.items():
            assert not key.startswith("on"), key
            if key in ("src", "href"):
                assert v.startswith("data:"), v
        if tag == "img":
            assert a["alt"] and a["src"].startswith("data:image/png;base64,")
        if tag == "svg" and a.get("role") == "img":
            assert all(i in ids for i in a["aria-labelledby"].split())
    assert page.tags.count("img") == 4 and text.count("<svg id=") == 3
    if name == "static":
        assert "mid &lt;b&gt;&amp;&quot;" in text and 'class="clipped"' in text
    assert len(text) < 600_000


@pytest.fixture(scope="module")
def browser():
    found = next((b for b in map(shutil.which, BROWSERS) if b), None)
    assert found, f"none of {', '.join(BROWSERS)} is here: scripts/setup.sh browser"
    return found


class Served(http.server.SimpleHTTPRequestHandler):
    asked = []

    def do_GET(self):
        Served.asked.append(self.path)
        super().do_GET()

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def site(pages):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Served, directory=str(pages)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def chromium(browser, profile, *argv):
    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    r = subprocess.run([browser, "--headless", *root, "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-extensions",
                        "--disable-background-networking", "--disable-component-update", f"--user-data-dir={profile}", "--enable-logging=stderr",
                        *map(str, argv)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    assert r.returncode == 0, r.stderr[-2000:]
    return r


WRAPPER = """<!DOCTYPE html><html><body style="margin:0"><iframe id="f" src="%s" style="border:0;width:%dpx;height:%dpx"></iframe><pre id="out"></pre><script>
document.getElementById("f").onload = e => {
  const d = e.target.contentDocument, r = {wide: d.documentElement.scrollWidth, tall: d.body.offsetHeight};
  d.querySelectorAll("svg[role=img],#worst img").forEach((x, i) => {
    const b = x.getBoundingClientRect();
    r[x.tagName.toLowerCase() + (x.id || i)] = [b.left, b.top, b.width, b.height];
  });
  document.getElementById("out").textContent = JSON.stringify(r);
};</script></body></html>"""


@pytest.mark.parametrize("name,width,height,dark", [("static", 1100, 5200, True), ("dynamic", 400, 8600, False)])
def test_page_in_a_browser(pages, site, browser, tmp_path, name, width, height, dark):
    scheme = ["--blink-settings=preferredColorScheme=0"] if dark else []
    (pages / "wrapper.html").write_text(WRAPPER % (f"{name}.html", width, height))
    dom = chromium(browser, tmp_path / "p", f"--window-size={width + 50},{height}", "--virtual-time-budget=5000", "--dump-dom", f"{site}/wrapper.html").stdout
    boxes = json.loads(re.search(r'<pre id="out">(.*?)</pre>', dom)[1])
    assert boxes.pop("wide") <= width, "the page scrolls sideways"
    tall = boxes.pop("tall")
    assert tall < height

    Served.asked.clear()
    r = chromium(browser, tmp_path / "p", *scheme, f"--window-size={width},{height}", f"--screenshot={tmp_path}/shot.png", f"{site}/{name}.html")
    assert [a for a in Served.asked if a != "/favicon.ico"] == [f"/{name}.html"] and "/favicon.ico" not in Served.asked
    assert "CONSOLE" not in r.stderr, r.stderr
    raw = subprocess.run(["ffmpeg", "-v", "error", "-i", tmp_path / "shot.png", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], capture_output=True, check=True).stdout
    shot = np.frombuffer(raw, np.uint8).reshape(height, width, 3).astype(int)
    ground = shot[5, 5]
    assert (ground.mean() < 60) == dark, ground
    assert len([k for k in boxes if k.startswith("img")]) == 4 and {"svgsqnr", "svgscatter0", "svgdifference0"} <= set(boxes) and len(boxes) >= 12
    for key, (x, y, w, h) in boxes.items():
        part_ = shot[int(y):int(y + h), int(x):int(x + w)]
        assert w > 100 and h > 60 and x >= 0 and x + w <= width + 1, (key, x, y, w, h)
        card = shot[int(y) + 1, int(x) - 3]
        drawn = (np.abs(part_ - card).max(axis=2) > 40).mean()
        assert drawn > 0.004, (key, drawn)
        if key.startswith("img"):
            assert len(np.unique(part_[..., 0])) > 20, key
        if key.startswith("svg"):  # bars or points, in blue, light or dark
            blue = ((part_[..., 2] - part_[..., 0] > 40) & (part_[..., 2] > 100)).mean()
            assert blue > 0.0005, (key, blue)
    hatched = shot[int(boxes["svgsqnr"][1]):int(boxes["svgsqnr"][1] + boxes["svgsqnr"][3])]
    assert ((hatched[..., 0] - hatched[..., 2] > 60)).mean() > 0.002  # the bars of the model as it runs
