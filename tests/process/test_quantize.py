# SPDX-License-Identifier: BSD-2-Clause
"""quantize as a process that can be killed: wherever it stopped, nothing wrong opens, and running it again mends it."""
import hashlib
import json
import os
import re
import shutil
import subprocess

import pytest

from clips import BIN, NO, OK, REFUSED, SOURCE, command

NAMES = ["learned_filter_v1.onnx", "learned_filter_v1.json", "registry.json"]
DYNAMIC = SOURCE / "tests/data/dynamic"


@pytest.fixture
def fresh(tmp_path):
    """The model as it was before it was quantised for the first time."""
    for name in NAMES:
        shutil.copy(DYNAMIC / name, tmp_path)
    for name in NAMES[1:]:
        whole = json.loads((tmp_path / name).read_text())
        if "models" in whole:
            whole["models"] = [r for r in whole["models"] if r["id"] == "learned_filter_v1"]
        for row in whole.get("models", [whole]):
            del row["int8_sha256"], row["quant_mode"]
        (tmp_path / name).write_text(json.dumps(whole, indent=2))
    return tmp_path


def mended(folder):
    command("quantize", "dynamic", folder / NAMES[0], "-q")
    command("verify", folder / NAMES[0])
    assert (folder / "learned_filter_v1.int8.onnx").read_bytes() == (DYNAMIC / "learned_filter_v1.int8.onnx").read_bytes()
    assert not [n for n in os.listdir(folder) if n not in (*NAMES, "learned_filter_v1.int8.onnx")]


def test_between_sidecar_and_registry(fresh):
    """The sidecar is written, the registry is not: refused until quantize is run again."""
    before = (fresh / "registry.json").read_bytes()
    mended(fresh)
    (fresh / "registry.json").write_bytes(before)
    command("inspect", fresh / NAMES[0], code=REFUSED)
    command("filter", "-m", fresh / NAMES[0], "-", "-o", "-", code=REFUSED)
    command("verify", fresh / NAMES[0], code=NO)
    mended(fresh)


def test_between_file_and_sidecar(fresh):
    """The int8 file is another than the one on record."""
    mended(fresh)
    command("quantize", "dynamic", fresh / NAMES[0], "-q", "--per-tensor", "-o", fresh / "other.onnx")
    (fresh / "other.onnx").rename(fresh / "learned_filter_v1.int8.onnx")
    command("inspect", fresh / NAMES[0], code=REFUSED)
    mended(fresh)


@pytest.mark.parametrize("call", ["openat", "write", "fsync", "rename"])
def test_killed_at_every_call(fresh, call):
    """SIGKILL at the k-th call, for every k, with strace: what opens then is the fp32 file of before, or the whole result, or nothing."""
    if not shutil.which("strace"):
        pytest.fail("strace is missing: scripts/setup.sh test installs it")
    killed = 0
    for k in range(1, 80):
        r = subprocess.run(["strace", "-f", "-qq", "-o", os.devnull, "-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={k}",
                            BIN, "quantize", "dynamic", fresh / NAMES[0], "-q"], capture_output=True, text=True)
        if r.returncode == 0:
            assert killed > 0 or call == "rename", call
            break
        killed += 1
        seen = command("inspect", fresh / NAMES[0], code=None)
        assert seen.returncode in (OK, REFUSED), seen.err
        for name in NAMES[1:]:
            json.loads((fresh / name).read_text())  # whole, old or new
    else:
        pytest.fail(f"still killed at the 79th {call}")
    for name in os.listdir(fresh):  # a process that is killed cannot take its temporary file away
        if re.match(r"\..+\.[A-Za-z0-9]{6}$", name):
            (fresh / name).unlink()
    mended(fresh)


def test_calibration_is_on_record(tmp_path):
    """The registry row of a static file names the calibration and has its digest; dynamic ranges have none. And the shipped file is what the shipped
    calibration makes, byte for byte."""
    for name in (*NAMES, "learned_filter_v1.int8.onnx"):
        shutil.copy(SOURCE / "model/tiny" / name, tmp_path)
    model, int8, ranges = tmp_path / NAMES[0], tmp_path / "learned_filter_v1.int8.onnx", SOURCE / "model/tiny/calibration/learned_filter_v1.json"
    assert ranges.stat().st_size <= 64 << 10
    digest = hashlib.sha256(ranges.read_bytes()).hexdigest()
    row = lambda: next(r for r in json.loads((tmp_path / "registry.json").read_text())["models"] if r["id"] == "learned_filter_v1")
    before = row()
    assert before["quant_mode"] == "static" and before["quant_calibration_set"] == f"learned_filter_v1.json sha256:{digest}"
    command("quantize", "dynamic", model, "-q")
    assert row()["quant_mode"] == "dynamic" and "quant_calibration_set" not in row()
    command("verify", model)
    command("quantize", "static", model, "-q", "--calibration", ranges)
    assert row() == before and int8.read_bytes() == (SOURCE / "model/tiny/learned_filter_v1.int8.onnx").read_bytes()
    command("verify", model)
