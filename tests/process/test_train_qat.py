# SPDX-License-Identifier: BSD-2-Clause
"""vmaf-dnn train with "qat", as a process: what static quantisation loses comes back, what is written is what was judged, kills, merging, refusals."""
import hashlib
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from test_train import BIN, SOURCE, config, folder, pictures, texture, train, y4m  # noqa: F401

REGISTRY = {"$schema": "./registry.schema.json", "schema_version": 1, "models": []}


def command(*argv):
    return subprocess.run([BIN, *map(str, argv)], capture_output=True, text=True, timeout=300)


def sha(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A filter that this command has trained in fp32, and its data."""
    tmp = tmp_path_factory.mktemp("trained")
    for i in range(6):
        y4m(tmp / "train" / f"p{i}.y4m", [texture(i, 56 + i, 72)])
    y4m(tmp / "validation.y4m", [texture(50 + i, 64, 64) for i in range(3)])
    r = train("-o", folder(tmp, "fp32"), config(tmp, net={"residual_filter": {"channels": 8, "blocks": 1}}, optimiser={"steps": 400, "rate": 4e-3}))
    assert r.returncode == 0, r.stderr
    return tmp


def wide(trained, path, spread):
    """The same function with channels of very different ranges: what a Relu passes on is divided, and the weights behind it multiplied."""
    m = onnx.load(trained / "fp32" / "tiny_filter.onnx")
    w = {i.name: i for i in m.graph.initializer}
    relu = next(n for n in m.graph.node if n.op_type == "Relu")
    before = next(n for n in m.graph.node if relu.input[0] in n.output)
    after = next(n for n in m.graph.node if relu.output[0] in n.input)
    by = np.geomspace(1 / spread, 1, 8)

    def scale(name, factor):
        w[name].CopyFrom(onnx.numpy_helper.from_array((onnx.numpy_helper.to_array(w[name]) * factor).astype(np.float32), name))

    scale(before.input[1], by.reshape(-1, 1, 1, 1))
    scale(before.input[2], by)
    scale(after.input[1], 1 / by.reshape(1, -1, 1, 1))
    onnx.save(m, path)
    return path


def qat_config(tmp, model, steps=20, **change):
    return config(tmp, **{"net": {"from": str(model)}, "qat": {"teacher": 1}, "optimiser": {"steps": steps, "rate": 2e-3}, "validate_every": max(1, steps // 6), **change})


def figures(stdout):
    """What the last lines say of fp32, static and trained: gain and drop."""
    out = {}
    for line in stdout.splitlines():
        m = re.match(r"(fp32|static|trained)\s+gain ([+-][0-9.]+) dB .*?(?:drop ([0-9.]+))?$", line.strip())
        if m:
            out[m[1]] = float(m[2]), float(m[3] or 0)
    return out


def test_what_static_loses_comes_back(trained):
    """Channels whose ranges differ 256 times, one scale for all weights of a layer: over the budget as static quantisation has it, inside as it is trained."""
    out, budget = folder(trained, "wide"), 0.015
    model = wide(trained, out / "tiny_filter.onnx", 256)
    row = {"id": "tiny_filter", "kind": "filter", "onnx": "tiny_filter.onnx", "opset": 17, "sha256": sha(model), "quant_accuracy_budget_plcc": budget,
           "quant_gate": {"max_gain_loss_db": 0.5, "max_gain_loss_worst_db": 3}}
    (out / "registry.json").write_text(json.dumps(REGISTRY | {"models": [row]}))
    gate = ["gate", model, "--clip", trained / "validation.y4m", "--degrade"]
    side = json.loads((trained / "fp32" / "tiny_filter.json").read_text()) | {"sha256": row["sha256"]}
    (out / "tiny_filter.json").write_text(json.dumps(side))
    r = command("quantize", "static", model, "--calibration", trained / "validation.y4m", "--per-tensor", "--tails", "none")
    assert r.returncode == 0, r.stderr
    static_gate = command(*gate)
    r = train("-o", out, qat_config(trained, model, 600, qat={"teacher": 1, "noise": 0.2, "per_tensor": True}))
    assert r.returncode == 0, r.stderr
    f = figures(r.stdout)
    print(f"gain dB, drop of fp32, static, trained: {f['fp32']} {f['static']} {f['trained']}; budget {budget}")
    trained_gate = command(*gate)
    print(static_gate.stdout, trained_gate.stdout)
    assert f["static"][1] > budget and static_gate.returncode == 1
    assert f["trained"][1] < budget / 4 and trained_gate.returncode == 0, trained_gate.stdout
    assert f["fp32"][0] - f["static"][0] > 1 and f["fp32"][0] - f["trained"][0] < 0.3


def test_what_is_judged_is_what_runs(trained):
    """The figure that the trainer gives of its rounded net: of the file in ONNX Runtime, and here by the filter command, byte for byte."""
    out = folder(trained, "judged")
    r = train("-o", out, qat_config(trained, trained / "fp32" / "tiny_filter.onnx", 60, qat={}))
    assert r.returncode == 0, r.stderr
    made = out / "tiny_filter.int8.onnx"
    onnx.checker.check_model(onnx.load(made), full_check=True)
    meta = {p.key: p.value for p in onnx.load(made).metadata_props}
    assert meta["vmaf_dnn.quant"] == "qat" and meta["vmaf_dnn.source_sha256"] == sha(trained / "fp32" / "tiny_filter.onnx")
    assert {n.op_type for n in onnx.load(made).graph.node} >= {"QuantizeLinear", "DequantizeLinear", "Conv", "ConvInteger"}
    clean = [texture(50 + i, 64, 64).astype(np.uint8) for i in range(3)]
    clip, filtered = trained / "clean.y4m", trained / "filtered.y4m"
    y4m(clip, clean)
    session = ort.InferenceSession(str(made), providers=["CPUExecutionProvider"])

    def psnr(a, b):
        return 10 * np.log10(1 / np.mean(np.square(a - b)))

    assert command("filter", "-q", "-m", made, clip, "-o", filtered).returncode == 0
    data = filtered.read_bytes()
    at = data.index(b"FRAME\n")
    for i, c in enumerate(clean):
        y = session.run(None, {"degraded": (c / np.float32(255))[None, None].astype(np.float32)})[0][0, 0]
        here = np.frombuffer(data, np.uint8, 64 * 64, at + i * (64 * 64 + 6) + 6).reshape(64, 64)
        assert (np.rint(y * 255).astype(np.uint8) == here).all()
    # given pairs, the figure itself
    pairs = folder(trained, "pairs")
    for name, blur in (("clean", 0), ("degraded", 1)):
        (pairs / name).mkdir(exist_ok=True)
        for i, c in enumerate(clean):
            v = c.astype(np.float64)
            v = (v + np.roll(v, 1, 1) + np.roll(v, -1, 1)) / 3 if blur else v
            y4m(pairs / name / f"{i}.y4m", [np.rint(v)])
    source = [{"clean": str(pairs / "clean"), "degraded": str(pairs / "degraded")}]
    r = train("-o", folder(trained, "judged2"), qat_config(trained, trained / "fp32" / "tiny_filter.onnx", 60, qat={}, data={"train": source, "validation": source}))
    assert r.returncode == 0, r.stderr
    session = ort.InferenceSession(str(trained / "judged2" / "tiny_filter.int8.onnx"), providers=["CPUExecutionProvider"])
    gains = []
    for c in clean:
        v = c.astype(np.float64)
        d = np.rint((v + np.roll(v, 1, 1) + np.roll(v, -1, 1)) / 3).astype(np.uint8) / np.float32(255)
        y = np.rint(session.run(None, {"degraded": d[None, None].astype(np.float32)})[0][0, 0] * np.float32(255)) / 255
        gains.append(psnr(y, c / 255) - psnr(d, c / 255))
    assert abs(np.mean(gains) - figures(r.stdout)["trained"][0]) < 0.00051


@pytest.mark.parametrize("ranges", ["learned", "average", "fixed"])
def test_killed_run_ends_in_the_same_bytes(trained, ranges):
    c = qat_config(trained, trained / "fp32" / "tiny_filter.onnx", 120, qat={"ranges": ranges, "teacher": 0.5, "noise": 0.2}, save_every=10)
    whole, out, kills = folder(trained, f"whole-{ranges}"), folder(trained, f"killed-{ranges}"), 0
    assert train("-o", whole, "--threads", 1, c).returncode == 0
    for wait in (0.02, 0.05, 0.08, 0.12, 0.16, 0.2):
        p = subprocess.Popen([BIN, "train", "-o", out, "--threads", "2", c], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(wait)
        p.send_signal(signal.SIGKILL)
        p.communicate()
        kills += p.returncode == -signal.SIGKILL
    r = train("-o", out, "--threads", 2, c)
    assert r.returncode == 0 and kills >= 1, r.stderr
    for name in ("int8.onnx", "onnx", "json", "qat.checkpoint"):
        assert (out / f"tiny_filter.{name}").read_bytes() == (whole / f"tiny_filter.{name}").read_bytes(), name
    steps = [json.loads(line)["step"] for line in (out / "tiny_filter.qat.jsonl").read_text().splitlines()]
    assert steps == sorted(steps) and steps[0] == 0 and steps[-1] == 120
    assert (out / "tiny_filter.onnx").read_bytes() == (trained / "fp32" / "tiny_filter.onnx").read_bytes()


def test_merges_into_row_and_sidecar(trained):
    out = folder(trained, "merge")
    model = out / "tiny_filter.onnx"
    model.write_bytes((trained / "fp32" / "tiny_filter.onnx").read_bytes())
    side = json.loads((trained / "fp32" / "tiny_filter.json").read_text()) | {"notes": "mine"}
    (out / "tiny_filter.json").write_text(json.dumps(side))
    row = {"id": "tiny_filter", "kind": "filter", "onnx": "tiny_filter.onnx", "opset": 17, "sha256": sha(model), "notes": "mine", "license_url": "https://example.org/l"}
    other = {"id": "other", "kind": "nr", "onnx": "other.onnx", "opset": 17, "sha256": "0" * 64}
    (out / "registry.json").write_text(json.dumps(REGISTRY | {"models": [other, row]}))
    c = qat_config(trained, model, 6)
    r = train("-o", out, c)
    assert r.returncode == 0, r.stderr
    digest = sha(out / "tiny_filter.int8.onnx")
    rows = {m["id"]: m for m in json.loads((out / "registry.json").read_text())["models"]}
    assert rows["other"] == other and rows["tiny_filter"] == row | {"quant_mode": "qat", "int8_sha256": digest}
    assert json.loads((out / "tiny_filter.json").read_text()) == side | {"quant_mode": "qat", "int8_sha256": digest}
    v = command("verify", model)
    assert v.returncode == 0 and "qat" in v.stdout, v.stdout + v.stderr
    assert digest in (out / "tiny_filter.qat.md").read_text()
    # a registry without the row gets one
    fresh = folder(trained, "fresh")
    (fresh / "registry.json").write_text(json.dumps(REGISTRY))
    assert train("-o", fresh, c).returncode == 0
    made = json.loads((fresh / "registry.json").read_text())["models"][0]
    assert made["quant_mode"] == "qat" and made["int8_sha256"] == digest and made["sha256"] == sha(fresh / "tiny_filter.onnx")
    assert command("verify", fresh / "tiny_filter.onnx").returncode == 0


def test_scores_with_every_option(tmp_path):
    """A score's Relu6, mean over the picture and Gemm; labels of 0 to 100; equalised, or with a calibration file; a layer in fp32."""
    rows = ["file,frame,score"]
    for k in range(6):
        frames = []
        for blur in range(6):
            v = texture(k, 40, 40)
            for _ in range(blur):
                v = (v + np.roll(v, 1, 1) + np.roll(v, -1, 1)) / 3
            frames.append(v)
            rows.append(f"clip{k}.y4m,{blur},{100 - 12 * blur}")
        y4m(tmp_path / f"clip{k}.y4m", frames)
    (tmp_path / "all.csv").write_text("\n".join(rows) + "\n")
    data = {"train": [{"scores": "all.csv"}], "validation": [{"scores": "all.csv"}]}
    common = dict(id="blurred", kind="nr", data=data, batch=8, score_scale=100)
    out = folder(tmp_path, "out")
    net = {"separable_score": {"stem": 8, "side": 32, "blocks": [[2, 16], [1, 16]]}}
    r = train("-o", out, config(tmp_path, net=net, optimiser={"steps": 150, "rate": 5e-3}, **common))
    assert r.returncode == 0, r.stderr
    assert command("calibrate", out / "blurred.onnx", "synthetic", "--equalize", "off", "-o", tmp_path / "ranges.json").returncode == 0
    conv = next(n.name or n.output[0] for n in onnx.load(out / "blurred.onnx").graph.node if n.op_type == "Conv")
    for n, qat in enumerate([{"equalize": True, "method": "minmax", "margin": 1.5, "teacher": 1, "ranges": "average"}, {"calibration": "ranges.json"}, {"exclude": [conv]}]):
        to = folder(tmp_path, f"out{n}")
        r = train("-o", to, config(tmp_path, net={"from": "out/blurred.onnx"}, qat=qat, optimiser={"steps": 60, "rate": 5e-4}, **common))
        assert r.returncode == 0, r.stderr
        drops = [float(x) for x in re.findall(r"drop ([0-9.]+)", r.stdout)]
        assert drops and drops[-1] < 0.05, r.stdout
        ort.InferenceSession(str(to / "blurred.int8.onnx"))
        ops = [k.op_type for k in onnx.load(to / "blurred.int8.onnx").graph.node]
        assert "MatMulInteger" in ops and ops.count("DequantizeLinear") > 6


@pytest.mark.parametrize("change, code, words", [
    ({"net": {"residual_filter": {}}}, 4, "qat: begins with a trained model"),
    ({"qat": {"rangers": 1}}, 4, "qat.rangers: not a key here"),
    ({"qat": {"ranges": "guessed"}}, 4, "qat.ranges: learned, average or fixed"),
    ({"qat": {"teacher": 2}}, 4, "qat.teacher: a number of 0 to 1"),
    ({"qat": {"per_tensor": 1}}, 4, "qat.per_tensor: true or false"),
    ({"qat": {"exclude": ["nobody"]}}, 4, "qat.exclude: no node of the model is called nobody"),
    ({"qat": {"calibration": "none.json"}}, 2, "none.json"),
    ({"qat": []}, 4, "qat: an object is wanted"),
])
def test_refusals(trained, tmp_path, change, code, words):
    out = folder(tmp_path, "out")
    r = train("-o", out, qat_config(trained, trained / "fp32" / "tiny_filter.onnx", **change))
    assert r.returncode == code and words in r.stderr, r
    assert not list(out.iterdir())


def test_other_refusals(trained, tmp_path):
    out = folder(tmp_path, "out")
    model = trained / "fp32" / "tiny_filter.onnx"
    (out / "tiny_filter.onnx").write_bytes((SOURCE / "model/tiny/learned_filter_v1.onnx").read_bytes())
    r = train("-o", out, qat_config(trained, model))
    assert r.returncode == 2 and "is another model than net.from" in r.stderr
    (out / "tiny_filter.onnx").unlink()
    row = {"id": "tiny_filter", "kind": "filter", "onnx": "tiny_filter.onnx", "opset": 17, "sha256": "0" * 64}
    (out / "registry.json").write_text(json.dumps(REGISTRY | {"models": [row]}))
    r = train("-o", out, qat_config(trained, model))
    assert r.returncode == 2 and "another digest than net.from" in r.stderr
    assert not (out / "tiny_filter.int8.onnx").exists()
    (out / "registry.json").unlink()
    assert command("calibrate", SOURCE / "model/tiny/learned_filter_v1.onnx", "synthetic", "-o", trained / "other.json").returncode == 0
    r = train("-o", out, qat_config(trained, model, qat={"calibration": "other.json"}))
    assert r.returncode == 2 and "is of another model" in r.stderr
    # a BatchNormalization that training without qat would fold
    m = onnx.load(model)
    conv = m.graph.node[0]
    for k in ("scale", "shift", "mean", "var"):
        m.graph.initializer.append(onnx.numpy_helper.from_array((np.ones if k in ("scale", "var") else np.zeros)(8, np.float32), f"bn_{k}"))
    m.graph.node.insert(1, onnx.helper.make_node("BatchNormalization", ["pre", "bn_scale", "bn_shift", "bn_mean", "bn_var"], [conv.output[0]]))
    conv.output[0] = "pre"
    onnx.save(m, trained / "norm.onnx")
    r = train("-o", out, qat_config(trained, trained / "norm.onnx"))
    assert r.returncode == 4 and "train without qat first" in r.stderr
    assert not [p for p in out.iterdir()]
