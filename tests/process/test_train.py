# SPDX-License-Identifier: BSD-2-Clause
"""vmaf-dnn train, as a process: what it writes, that a killed run ends in the same bytes, and what it refuses."""
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

BIN = os.environ["VMAF_DNN_BIN"]
SOURCE = Path(os.environ["VMAF_DNN_SOURCE"])


def train(*args, **more):
    return subprocess.run([BIN, "train", *map(str, args)], capture_output=True, text=True, timeout=300, **more)


def y4m(path, frames):
    path.parent.mkdir(parents=True, exist_ok=True)
    h, w = frames[0].shape
    path.write_bytes(f"YUV4MPEG2 W{w} H{h} F25:1 Ip A1:1 Cmono\n".encode() + b"".join(b"FRAME\n" + f.astype(np.uint8).tobytes() for f in frames))


def texture(seed, h, w):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:h, 0:w]
    v = sum(rng.uniform(10, 40) * np.sin(x * rng.uniform(0.05, 1.2) + y * rng.uniform(-1, 1) + rng.uniform(0, 6)) for _ in range(6))
    return np.clip(128 + v + 30 * (np.sin(x * 0.2 + seed) > 0.3), 0, 255)


@pytest.fixture
def pictures(tmp_path):
    for i in range(6):
        y4m(tmp_path / "train" / f"p{i}.y4m", [texture(i, 56 + i, 72)])
    y4m(tmp_path / "validation.y4m", [texture(50 + i, 64, 64) for i in range(3)])
    return tmp_path


def config(tmp, **change):
    c = {
        "id": "tiny_filter", "kind": "filter", "license": "CC0-1.0", "description": "A test's filter.",
        "net": {"residual_filter": {"channels": 6, "blocks": 1}},
        "data": {"train": [{"clean": str(tmp / "train")}], "validation": [{"clean": str(tmp / "validation.y4m")}], "degrade": {"blur": 1.2, "jpeg": 35}},
        "crop": 24, "batch": 4, "seed": 3,
        "optimiser": {"steps": 240, "warmup": 10, "rate": 4e-3},
        "validate_every": 60, "save_every": 20, "log_every": 20, "validation_crop": 64,
    }
    c.update(change)
    path = tmp / "config.json"
    path.write_text(json.dumps(c))
    return path


def folder(tmp, name):
    (tmp / name).mkdir(exist_ok=True)
    return tmp / name


def test_filter_learns_and_says_what_it_wrote(pictures):
    out = folder(pictures, "out")
    (out / "registry.json").write_text(json.dumps({"$schema": "./registry.schema.json", "schema_version": 1, "models": [
        {"id": "tiny_filter", "kind": "filter", "onnx": "tiny_filter.onnx", "opset": 17, "sha256": "0" * 64, "quant_mode": "dynamic", "int8_sha256": "1" * 64,
         "quant_accuracy_budget_plcc": 0.02, "license_url": "https://example.org/cc0"}]}))
    r = train("-o", out, config(pictures))
    assert r.returncode == 0, r.stderr
    assert sorted(p.name for p in out.iterdir()) == ["registry.json"] + [f"tiny_filter.{s}" for s in ("checkpoint", "json", "loss.svg", "md", "onnx",
                                                                                                       "train.jsonl")]
    lines = [json.loads(line) for line in (out / "tiny_filter.train.jsonl").read_text().splitlines()]
    losses = [x["loss"] for x in lines if "loss" in x]
    gains = [x["validation"]["gain_db"] for x in lines if "validation" in x]
    assert len(losses) == 12 and len(gains) == 4 and losses[-1] < losses[0]
    assert max(gains) > 0, "a filter that learned nothing"
    model = onnx.load(out / "tiny_filter.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert [i.name for i in model.graph.input] == ["degraded"] and [o.name for o in model.graph.output] == ["filtered"]
    row = json.loads((out / "registry.json").read_text())["models"][0]
    assert row["quant_accuracy_budget_plcc"] == 0.02 and row["license_url"] and row["license"] == "CC0-1.0"  # what it does not own stays
    assert "quant_mode" not in row and "int8_sha256" not in row  # those were of other weights
    side = json.loads((out / "tiny_filter.json").read_text())
    assert side["sha256"] == row["sha256"] and side["degradation"] == {"blur_sigma": 1.2, "jpeg_quality": 35}
    v = subprocess.run([BIN, "verify", out / "tiny_filter.onnx"], capture_output=True, text=True)
    assert v.returncode == 0, v.stdout + v.stderr
    card = (out / "tiny_filter.md").read_text()
    assert "gain, dB" in card and "on data that training has not seen" in card
    assert json.loads(card.split("```json")[1].split("```")[0]) == json.loads((pictures / "config.json").read_text())


def test_best_is_exported_not_the_last(pictures):
    """With a rate that ruins the net at the end, the stored figure is that of the best validation."""
    out = folder(pictures, "out")
    r = train("-o", out, config(pictures, optimiser={"steps": 240, "warmup": 200, "rate": 0.3, "rate_end": 0.3, "clip_norm": 0}, validate_every=20))
    assert r.returncode == 0, r.stderr
    lines = [json.loads(line) for line in (out / "tiny_filter.train.jsonl").read_text().splitlines()]
    gains = {x["step"]: x["validation"]["gain_db"] for x in lines if "validation" in x}
    best = max(gains, key=gains.get)
    assert best < 240 and gains[240] < gains[best]
    assert f"best at step {best}:" in r.stdout
    stored = float(re.search(r"gain ([+-][0-9.]+) dB", r.stdout.splitlines()[-2])[1])  # of the file that was written, in 8 bits
    assert abs(stored - gains[best]) < 0.1 < gains[best] - gains[240]


def test_killed_run_ends_in_the_same_bytes(pictures):
    whole = folder(pictures, "whole")
    path = config(pictures)
    assert train("-o", whole, "--threads", 1, path).returncode == 0
    kills = 0
    for n, wait in enumerate((0.03, 0.08, 0.15)):
        out = folder(pictures, f"killed{n}")
        for _ in range(12):
            p = subprocess.Popen([BIN, "train", "-o", out, "--threads", "2", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            time.sleep(wait)
            p.send_signal(signal.SIGKILL)
            p.communicate()
            kills += p.returncode == -signal.SIGKILL
        assert train("-o", out, "--threads", 2, path).returncode == 0
        for name in ("tiny_filter.onnx", "tiny_filter.json", "tiny_filter.checkpoint"):
            assert (out / name).read_bytes() == (whole / name).read_bytes(), name
        steps = [json.loads(line)["step"] for line in (out / "tiny_filter.train.jsonl").read_text().splitlines()]
        assert steps == sorted(steps) and steps[-1] == 240
    assert kills >= 3  # a fast machine is done before the later ones


def blurred_clips(tmp_path):
    """Twelve clips that get softer from frame to frame, and how soft they are; train.csv and validation.csv."""
    rows = ["file,frame,score"]
    for k in range(12):
        frames = []
        for blur in range(8):
            v = texture(k, 48, 64)
            for _ in range(blur):
                v = (v + np.roll(v, 1, 1) + np.roll(v, -1, 1)) / 3
            frames.append(v)
            rows.append(f"clip{k}.y4m,{blur},{100 - 10 * blur}")
        y4m(tmp_path / f"clip{k}.y4m", frames)
    (tmp_path / "train.csv").write_text("\n".join([rows[0]] + rows[1:65]) + "\n")
    (tmp_path / "validation.csv").write_text("\n".join([rows[0]] + rows[65:]) + "\n")


SCORE = {"kind": "nr", "net": {"separable_score": {"stem": 8, "side": 32, "blocks": [[2, 16], [1, 16]]}}, "batch": 16, "score_scale": 100,
         "data": {"train": [{"scores": "train.csv"}], "validation": [{"scores": "validation.csv"}]}, "loss": {"l1": 1, "rank": 0.2, "margin": 0.05}}


def test_scores(tmp_path):
    """A net of scores learns how blurred a picture is; its output is in the labels' own unit."""
    blurred_clips(tmp_path)
    out = folder(tmp_path, "out")
    c = config(tmp_path, **SCORE, id="blurred", optimiser={"steps": 300, "rate": 5e-3}, validate_every=100)
    r = train("-o", out, c)
    assert r.returncode == 0, r.stderr
    last = [json.loads(line) for line in (out / "blurred.train.jsonl").read_text().splitlines()][-1]["validation"]
    assert last["srocc"] > 0.6, last
    model = onnx.load(out / "blurred.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert "BatchNormalization" not in {n.op_type for n in model.graph.node}
    score = ort.InferenceSession(str(out / "blurred.onnx")).run(None, {"frame": np.full((1, 1, 32, 32), 0.5, np.float32)})[0]
    assert score.shape == (1,)
    assert last["rmse"] < 40
    card = (out / "blurred.md").read_text()
    assert "imitates that metric" in card
    # Weights of the file, where normalisations are folded: those that inspect counts.
    said = int(re.search(r"^\| weights \| (\d+) \|$", card, re.M)[1])
    assert said == sum(int(np.prod(i.dims)) for i in model.graph.initializer if i.name.rsplit(".", 1)[-1].endswith(("weight", "bias")))
    assert f"weights    {said} in " in subprocess.run([BIN, "inspect", out / "blurred.onnx"], capture_output=True, text=True).stdout


def test_scores_of_windows(tmp_path):
    """Windows of frames as they are: the validation's figures are those of what `score` says of the same frames, by what the sidecar says."""
    blurred_clips(tmp_path)
    out = folder(tmp_path, "out")
    c = config(tmp_path, **SCORE, id="cut", resize="windows", optimiser={"steps": 60, "rate": 5e-3}, validate_every=60)
    r = train("-o", out, c)
    assert r.returncode == 0, r.stderr
    assert json.loads((out / "cut.json").read_text())["input"]["resize"] == "windows"
    last = [json.loads(line) for line in (out / "cut.train.jsonl").read_text().splitlines()][-1]["validation"]
    want, got = [], []
    for line in (tmp_path / "validation.csv").read_text().splitlines()[1:]:
        clip, frame, score = line.split(",")
        want.append(float(score))
        if frame == "0":
            made = subprocess.run([BIN, "score", "-q", "--json", "--precision", "max", "-m", out / "cut.onnx", "-d", tmp_path / clip], check=True, capture_output=True)
            j = json.loads(made.stdout)
            assert j["tiny_model"]["resize"] == "windows 2x1"
            said = [f["metrics"]["score"] for f in j["frames"]]
        got.append(said[int(frame)])
    assert abs(np.corrcoef(want, got)[0, 1] - last["plcc"]) < 1e-4
    assert abs(np.sqrt(np.mean((np.array(want) - got) ** 2)) - last["rmse"]) < 1e-2
    (tmp_path / "bare.csv").write_text("clip0.y4m,0,100\nclip0.y4m,1,90\n")
    r = train("-o", out, config(tmp_path, **{**SCORE, "data": {**SCORE["data"], "train": [{"scores": "bare.csv"}]}}, id="bare"))
    assert r.returncode == 3 and "bare.csv, line 1: a header is wanted" in r.stderr, r.stderr
    for line in ("clip0.y4m,1,nan", "clip0.y4m,1,-inf", "clip0.y4m,1,1e40", "clip0.y4m,-1,5", "clip0.y4m,1,5,6", "clip0.y4m,1,5 %"):
        (tmp_path / "bad.csv").write_text(f"file,frame,score\nclip0.y4m,0,100\n{line}\n")
        r = train("-o", out, config(tmp_path, **{**SCORE, "data": {**SCORE["data"], "train": [{"scores": "bad.csv"}]}}, id="bad"))
        assert r.returncode == 3 and "bad.csv, line 3: " in r.stderr, (line, r.stderr)
    r = train("-o", out, config(tmp_path, **{**SCORE, "net": {"separable_score": {"stem": 8, "side": 64, "blocks": []}}}, id="large", resize="windows"))
    assert r.returncode == 3 and "64x48" in r.stderr and "windows of 64x64" in r.stderr, r.stderr


def test_a_filter_that_does_harm_is_said(pictures):
    """The exit code is that of a run that did what it was told; standard error says what came of it, with -q too, and nothing of a good one."""
    out = folder(pictures, "out")
    bad = {"optimiser": {"steps": 1, "warmup": 0, "rate": 0.3, "rate_end": 0.3, "clip_norm": 0}, "id": "bad"}
    r = train("-q", "-o", out, config(pictures, **bad))
    assert r.returncode == 0 and r.stdout == ""
    gain = float(re.search(r"^vmaf-dnn train: warning: bad\.onnx does harm: .* a gain of ([+-][0-9.]+) dB on 3 validation pictures\. "
                           r".*optimiser\.steps is 1\).*data\.train has 6\).*docs/training\.md", r.stderr)[1])
    assert gain <= 0
    card = (out / "bad.md").read_text()
    assert f"| gain, dB | {gain:.3f} |" in card and "**Does harm**" in card
    assert "## When training ends in a warning" in (SOURCE / "docs/training.md").read_text()
    r = train("-o", out, config(pictures))
    assert r.returncode == 0 and "warning" not in r.stderr and "harm**" not in (out / "tiny_filter.md").read_text()
    help = train("--help").stdout
    for path in out.glob("tiny_filter.*"):
        assert path.name.replace("tiny_filter", "ID") in help, path.name
    assert str(out / "tiny_filter.train.jsonl") in r.stdout


def test_a_score_that_does_harm_is_said(tmp_path):
    """Labels that fall where those of training rise; and labels that are all the same, of which nothing can be said."""
    blurred_clips(tmp_path)
    rows = [line.split(",") for line in (tmp_path / "validation.csv").read_text().splitlines()[1:]]
    (tmp_path / "against.csv").write_text("file,frame,score\n" + "".join(f"{c},{f},{130 - float(s)}\n" for c, f, s in rows))
    (tmp_path / "same.csv").write_text("file,frame,score\n" + "".join(f"{c},{f},50\n" for c, f, s in rows))
    out = folder(tmp_path, "out")
    for name, what, words in (("against", "does harm", r"PLCC -0\.\d{4}, SROCC -0\.\d{4} on 32 validation pictures"),
                              ("same", "cannot be judged", "PLCC and SROCC are no numbers")):
        c = {**SCORE, "data": {**SCORE["data"], "validation": [{"scores": f"{name}.csv"}]}, "optimiser": {"steps": 300, "rate": 5e-3}, "validate_every": 100}
        r = train("-o", out, config(tmp_path, **c, id=name))
        assert r.returncode == 0, r.stderr
        assert re.search(rf"^vmaf-dnn train: warning: {name}\.onnx {what}: .*{words}", r.stderr), r.stderr
        assert f"**{what.capitalize()}**: " in (out / f"{name}.md").read_text()
    c = {**SCORE, "data": {**SCORE["data"], "validation": SCORE["data"]["train"]}, "optimiser": {"steps": 2}, "resize": "windows", "id": "own"}
    assert train("-o", out, config(tmp_path, **c)).returncode == 0
    card = (out / "own.md").read_text()
    assert "in part on data that it was trained on" in card and "not seen" not in card and "windows of it" in card and "by area" not in card
    last = [json.loads(line) for line in (out / "same.train.jsonl").read_text().splitlines()][-1]["validation"]
    assert last["plcc"] is None and last["srocc"] is None and last["rmse"] > 0
    assert "nan" not in r.stdout.lower() and "nan" not in (out / "same.md").read_text()


def test_fine_tuning_begins_with_a_model(pictures):
    out = folder(pictures, "out")
    c = config(pictures, id="tuned", net={"from": str(SOURCE / "model/tiny/learned_filter_v1.onnx")},
               optimiser={"steps": 2, "warmup": 0, "rate": 1e-9, "rate_end": 1e-9, "weight_decay": 0}, validate_every=1)
    r = train("-o", out, c)
    assert r.returncode == 0, r.stderr
    x = np.random.default_rng(1).random((1, 1, 24, 24), np.float32)
    a, b = (ort.InferenceSession(str(p)).run(None, {"degraded": x})[0] for p in (SOURCE / "model/tiny/learned_filter_v1.onnx", out / "tuned.onnx"))
    assert np.abs(a - b).max() < 1e-5


def test_paths_are_relative_to_the_configuration(pictures):
    """From any folder, by any name of the file, the same bytes; the card has the paths as they were written."""
    (pictures / "recipes").mkdir()
    c = config(pictures, optimiser={"steps": 4}, net={"from": "../model.onnx"},
               data={"train": [{"clean": "../train"}], "validation": [{"clean": "../validation.y4m"}], "degrade": {"blur": 1.2}})
    c.rename(pictures / "recipes" / "config.json")
    (pictures / "model.onnx").write_bytes((SOURCE / "model/tiny/learned_filter_v1.onnx").read_bytes())
    made = set()
    for n, (path, at) in enumerate([("recipes/config.json", pictures), ("config.json", pictures / "recipes"), (pictures / "recipes/config.json", "/")]):
        out = folder(pictures, f"out{n}")
        r = train("-o", out, path, cwd=at)
        assert r.returncode == 0, r.stderr
        made.add((out / "tiny_filter.onnx").read_bytes())
        assert "* `../train`" in (out / "tiny_filter.md").read_text()
    assert len(made) == 1
    bad = pictures / "recipes" / "bad.json"
    bad.write_text((pictures / "recipes" / "config.json").read_text().replace("../train", "train"))
    r = train("-o", out, bad)
    assert r.returncode == 2 and "recipes/train: there is no such" in r.stderr


@pytest.mark.parametrize("change, code, words", [
    ({"id": "Bad Id"}, 4, "id: up to 64 of a to z"),
    ({"colour": 1}, 4, "colour: not a key here"),
    ({"net": {"residual_filter": {"channels": 1}}}, 4, "channels: a whole number of 2 to 512"),
    ({"net": {}}, 4, "net: one of from"),
    ({"kind": "fr"}, 4, "kind: filter or nr"),
    ({"resize": "windows"}, 4, "resize: is for kind nr"),
    ({"resize": "bicubic"}, 4, "resize: area or windows"),
    ({"data": {"train": [{"clean": "/nowhere"}], "validation": [{"clean": "/nowhere"}]}}, 2, "/nowhere"),
    ({"augment": {}}, 4, "augment: it is for scores"),
    ({"augment": {"turn": True}}, 4, "turn: not a key here"),
    ({"augment": {"contrast": 1}}, 4, "contrast: a number of 0 to 0.9"),
    ({"augment": {"transpose": 1}}, 4, "transpose: true or false"),
    ({"optimiser": {"average": 1}}, 4, "average: a number of 0 to 0.999999"),
    ({"norm_batches": -1}, 4, "norm_batches: a whole number of 0 to 1000000"),
    ({"batch": 0}, 4, "batch: a whole number of 1 to 1024"),
    ({"optimiser": {"rate": "fast"}}, 4, "rate: a number"),
    ({"loss": {"l1": 0}}, 4, "loss: at least one"),
    ({"loss": {"rank": 1}}, 2, "rank loss is for models whose output is one number"),
])
def test_refusals(pictures, change, code, words):
    out = folder(pictures, "out")
    r = train("-o", out, config(pictures, **change))
    assert r.returncode == code and words in r.stderr, r
    assert not list(out.iterdir())


def test_a_run_made_longer(pictures):
    """More steps go on from the checkpoint; what was there is kept, and the best of both parts is written."""
    out = folder(pictures, "out")
    assert train("-o", out, config(pictures, optimiser={"steps": 20}, validate_every=10)).returncode == 0
    log = (out / "tiny_filter.train.jsonl").read_text()
    r = train("-o", out, config(pictures, optimiser={"steps": 40}, validate_every=10))
    assert r.returncode == 0 and "go on from step 20 of" in r.stdout, r
    longer = (out / "tiny_filter.train.jsonl").read_text()
    assert longer.startswith(log) and len(longer) > len(log)
    gains = {x["step"]: x["validation"]["gain_db"] for x in map(json.loads, longer.splitlines()) if "validation" in x}
    assert sorted(gains) == [10, 20, 30, 40] and f"best at step {max(gains, key=gains.get)}:" in r.stdout
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    r = train("-o", out, config(pictures, optimiser={"steps": 30}, validate_every=10))
    assert r.returncode == 2 and "is at step 40, and optimiser.steps is 30" in r.stderr, r
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before


def test_other_refusals(pictures):
    out = folder(pictures, "out")
    path = config(pictures, optimiser={"steps": 20})
    assert train("-o", pictures / "none", path).returncode == 2
    assert train().returncode == 2
    bad = pictures / "bad.json"
    bad.write_text('{"id": 1,\n "id": 2}')
    r = train("-o", out, bad)
    assert r.returncode == 4 and ":2:" in r.stderr
    assert train("-o", out, path).returncode == 0
    r = train("-o", out, config(pictures, optimiser={"steps": 20}, seed=4))  # the checkpoint is another run's
    assert r.returncode == 2 and "--restart" in r.stderr
    assert train("-o", out, "--restart", config(pictures, optimiser={"steps": 20}, seed=4)).returncode == 0
    clip = pictures / "train" / "p0.y4m"
    clip.write_bytes(clip.read_bytes()[:-5])
    r = train("-o", out, "--restart", path)
    assert r.returncode == 3 and "p0.y4m" in r.stderr
