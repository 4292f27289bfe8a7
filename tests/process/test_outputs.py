# SPDX-License-Identifier: BSD-2-Clause
"""Every output of every command: nothing is overwritten that was not meant, nothing that is being read, and nothing of the model."""
import os
import shutil

import numpy as np
import pytest

from clips import SOURCE, USAGE, clip, command, only, pictures

STEM = "learned_filter_v1"
FILES = [f"{STEM}.onnx", f"{STEM}.int8.onnx", f"{STEM}.json", "registry.json", "registry.json.minisig"]


@pytest.fixture
def models(tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    for name in FILES[:4] + ["smoke_v0.onnx", "smoke_v0.json", "smoke_fp16_v0.onnx", "smoke_fp16_v0.json"]:
        shutil.copy(SOURCE / "model/tiny" / name, folder)
    (folder / "registry.json.minisig").write_text("a signature\n")
    (tmp_path / "in.y4m").write_bytes(clip("420jpeg", 16, 16, pictures("420jpeg", 16, 16, 1)))
    np.save(tmp_path / "x.npy", np.zeros((1, 1, 16, 16), np.float32))
    return tmp_path


def commands(folder):
    """Command without its output, the option that names it, and its inputs that are no model."""
    model, registry = folder / "models" / FILES[0], folder / "models/registry.json"
    return {
        "filter": (["filter", "-m", model, folder / "in.y4m", "-q"], "-o", ["in.y4m"]),
        "filter by id": (["filter", "--registry", registry, "-m", STEM, folder / "in.y4m", "-q"], "-o", ["in.y4m"]),
        "run": (["run", model, "--in", folder / "x.npy", "-q"], "--out", ["x.npy"]),
        "run by id": (["run", "--registry", registry, STEM, "--in", folder / "x.npy", "-q"], "--out", ["x.npy"]),
        "quantize": (["quantize", "dynamic", model, "-q"], "-o", []),
        "gate": (["gate", "--registry", registry, STEM, "--clip", folder / "in.y4m"], "--json", ["in.y4m"]),
        "gate --all": (["gate", "--registry", registry, "--all"], "--json", []),
    }


NAMES = list(commands(SOURCE))


def state(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("name", NAMES)
def test_what_is_there_stays(models, name):
    argv, option, _ = commands(models)[name]
    (models / "out").write_text("precious")
    before = state(models)
    r = command(*argv, option, models / "out", code=USAGE)
    assert "-f replaces it" in r.err and state(models) == before
    os.symlink("nowhere", models / "dangling")
    command(*argv, option, models / "dangling", code=USAGE)
    assert os.readlink(models / "dangling") == "nowhere"
    (models / "folder").mkdir()
    command(*argv, option, models / "folder", "-f", code=USAGE)


@pytest.mark.parametrize("name", NAMES[:-1])
def test_force_replaces(models, name):
    argv, option, _ = commands(models)[name]
    (models / "out").write_text("precious")
    before = state(models)
    command(*argv, option, models / "out", "-f", code=None if name.startswith("gate") else 0)
    after = state(models)
    assert after.pop("out") != before.pop("out") and after == before
    only(models, "in.y4m", "models", "out", "x.npy")


@pytest.mark.parametrize("name", NAMES)
def test_nothing_of_the_model(models, name):
    """By its name, and through links of both kinds; quantize's own int8 file is what it is for."""
    argv, option, inputs = commands(models)[name]
    before = state(models)
    files = [models / "models" / f for f in FILES] + [models / f for f in inputs]
    for path in files:
        if name == "quantize" and path.name == FILES[1]:
            continue
        soft = models / "soft"
        os.symlink(path, soft)
        for out in (path, soft):
            r = command(*argv, option, out, "-f", code=USAGE)
            assert "another name" in r.err, (path, r.err)
        soft.unlink()
        assert state(models) == before, path
        hard = models / "hard"
        os.link(path, hard)
        r = command(*argv, option, hard, "-f", code=USAGE)
        assert hard.samefile(path), (path, r.err)
        hard.unlink()
        assert state(models) == before, path


def test_quantize_makes_its_own_file_again(models):
    """The recorded int8 file, without -f; one that nobody recorded needs it."""
    model = models / "models" / FILES[0]
    command("quantize", "dynamic", model, "-q")
    command("quantize", "dynamic", model, "-q", "-o", models / "models" / FILES[1])
    for name in ("registry.json", f"{STEM}.json"):
        (models / "models" / name).unlink()
    before = state(models)
    r = command("quantize", "dynamic", model, "-q", code=USAGE)
    assert "-f replaces it" in r.err and state(models) == before
    command("quantize", "dynamic", model, "-q", "-f")


def test_keys(models):
    """A signature is made again without asking, as the registry's rows are; keys are not."""
    keygen = ("registry", "keygen", "--no-password", "-s", models / "k", "-p", models / "k.pub")
    command(*keygen)
    command("registry", "sign", "-q", "-s", models / "k", models / "models/registry.json")
    assert b"untrusted comment" in (models / "models/registry.json.minisig").read_bytes()
    command("registry", "sign", "-q", "-s", models / "k", models / "models/registry.json")
    before = state(models)
    command(*keygen, code=USAGE)
    assert state(models) == before
