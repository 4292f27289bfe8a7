# SPDX-License-Identifier: BSD-2-Clause
"""No silent fallback: whatever is wrong with the file that should run, every command that opens a model fails, makes no output, and runs no
other file instead. What was opened is read from a trace of the system calls."""
import json
import os
import re
import shutil
import subprocess

import numpy as np
import onnx
import pytest

from clips import BIN, ORDINARY, SOURCE, clip, pictures
from test_signed import COMMANDS

STEM = "learned_filter_v1"
STRACE = shutil.which("strace")


def digest(path):
    return subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True).stdout.split()[0]


class Model:
    """The shipped model in a folder; file: what should run, key: where its digest is."""

    def __init__(self, folder, int8):
        self.folder, self.int8 = folder / "jail", int8
        self.folder.mkdir()
        for name in (f"{STEM}.onnx", f"{STEM}.int8.onnx", f"{STEM}.json", "registry.json"):
            shutil.copy(SOURCE / "model/tiny" / name, self.folder)
        self.file = self.folder / (f"{STEM}.int8.onnx" if int8 else f"{STEM}.onnx")
        self.key = "int8_sha256" if int8 else "sha256"
        self.change(lambda row: None if int8 else [row.pop(k, None) for k in ("quant_mode", "int8_sha256")])

    def change(self, how):
        for name in ("registry.json", f"{STEM}.json"):
            path = self.folder / name
            j = json.loads(path.read_text())
            if "models" in j:
                j["models"] = [r for r in j["models"] if r["id"] == STEM]
            for row in j.get("models", [j]):
                how(row)
            path.write_text(json.dumps(j))

    def pin(self):
        self.change(lambda row: row.update({self.key: digest(self.file)}))

    def edit(self, how):
        m = onnx.load(self.file)
        how(m.graph)
        onnx.save(m, self.file)
        self.pin()


def missing(m): m.file.unlink()
def unreadable(m): m.file.chmod(0)
def empty(m): m.file.write_bytes(b"")


def a_folder(m):
    m.file.unlink()
    m.file.mkdir()


def a_fifo(m):
    m.file.unlink()
    os.mkfifo(m.file)


def link_out_of_the_jail(m):
    """To the very bytes that are pinned: the place is what is wrong."""
    m.file.rename(m.folder.parent / "outside.onnx")
    m.file.symlink_to("../outside.onnx")


def wrong_digest(m):
    data = bytearray(m.file.read_bytes())
    data[len(data) // 2] ^= 1
    m.file.write_bytes(data)


def no_digest(m): m.change(lambda row: row.pop(m.key, None))


def malformed(m):
    m.file.write_bytes(m.file.read_bytes()[:-1000])
    m.pin()


def unknown_operator(m):
    m.edit(lambda g: setattr(g.node[1], "op_type", "Blurrr"))


def wrong_input_shape(m):
    """Three channels where the weights have one."""
    m.edit(lambda g: (g.input[0].type.tensor_type.shape.dim[1].Clear(), setattr(g.input[0].type.tensor_type.shape.dim[1], "dim_value", 3)))


WRONG = [missing, unreadable, empty, a_folder, a_fifo, link_out_of_the_jail, wrong_digest, no_digest, malformed, unknown_operator, wrong_input_shape]


def argv_of(name, m, work):
    (work / "in.y4m").write_bytes(clip("420jpeg", 16, 16, pictures("420jpeg", 16, 16, 1)))
    np.save(work / "x.npy", np.zeros((1, 1, 16, 16), np.float32))
    model, out = str(m.folder / f"{STEM}.onnx"), str(work / "out")
    return {"filter": ["filter", "-m", model, work / "in.y4m", "-o", out],
            "run": ["run", model, "--in", work / "x.npy", "--out", out],
            # a path is looked at itself, an id is what opens
            "inspect": ["inspect", "--registry", m.folder / "registry.json", STEM],
            "bench": ["bench", "--runs", "1", "--size", "16x16", model],
            "gate": ["gate", "--compat", model],
            "quantize": ["quantize", "dynamic", model, "-o", out],
            "verify": ["verify", model]}[name]


def trace(argv, work, ordinary=False, env=None):
    """The result, and the names of files that were opened, in order."""
    if not STRACE:
        pytest.fail("strace is missing: scripts/setup.sh test installs it")
    log = work / "log"
    r = subprocess.run([STRACE, "-f", "-qq", "-o", log, "-e", "trace=open,openat,openat2,execve", *(ORDINARY if ordinary else []), BIN,
                        *map(str, argv)], stdin=subprocess.DEVNULL, capture_output=True, timeout=120,
                       env={**os.environ, "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0", **(env or {})})  # it traces too
    calls = [line for line in log.read_text(errors="replace").splitlines() if "O_PATH" not in line]
    opened = [os.path.basename(m[1]) for line in calls if (m := re.search(r'open(?:at2?)?\(.*?"([^"]*)".*= \d+', line))]
    return r, opened


@pytest.mark.parametrize("int8", [True, False], ids=["int8", "fp32"])
@pytest.mark.parametrize("name", COMMANDS)
def test_matrix(tmp_path, name, int8):
    """One command, everything that can be wrong."""
    for wrong in WRONG:
        work = tmp_path / wrong.__name__
        work.mkdir()
        m = Model(work, int8 and name != "quantize")  # quantize opens the fp32 file, of either row
        argv = argv_of(name, m, work)
        wrong(m)
        before = sorted(p.name for p in m.folder.iterdir())
        r, opened = trace(argv, work, wrong is unreadable, {"VMAF_TINY_MODEL_DIR": str(m.folder)} if wrong is link_out_of_the_jail else None)
        said = r.stdout.decode() + r.stderr.decode()
        where = f"{name}, {wrong.__name__}: exit {r.returncode}\n{said}"
        assert r.returncode in (1, 2, 4) if name == "verify" else r.returncode in (2, 4), where
        assert "Sanitizer" not in said and "runtime error" not in said, where
        assert not (work / "out").exists(), where
        assert sorted(p.name for p in m.folder.iterdir()) == before, where
        assert sorted(p.name for p in work.iterdir() if p.name.startswith(".")) == [], where
        assert "PLCC=" not in said and "median" not in said and "[ok]" not in said, where
        if m.int8 and name in ("filter", "run", "inspect", "bench"):
            assert f"{STEM}.onnx" not in opened, where + str(opened)
        if wrong is link_out_of_the_jail:
            assert "outside.onnx" not in opened, where
        assert opened.count(m.file.name) <= (3 if name == "verify" else 2 if name in ("gate", "inspect") else 1), where + str(opened)


def test_that_the_trace_sees_it(tmp_path):
    """The right file opens once, the other one never."""
    m = Model(tmp_path, True)
    r, opened = trace(argv_of("run", m, tmp_path), tmp_path)
    assert r.returncode == 0, r.stderr
    assert opened.count(f"{STEM}.int8.onnx") == 1 and f"{STEM}.onnx" not in opened
    assert opened.count("registry.json") == 1 and opened.count(f"{STEM}.json") == 1
    r, opened = trace([*argv_of("run", m, tmp_path), "-f", "--baseline"], tmp_path)
    assert r.returncode == 0 and opened.count(f"{STEM}.onnx") == 1 and f"{STEM}.int8.onnx" not in opened
