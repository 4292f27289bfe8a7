# SPDX-License-Identifier: BSD-2-Clause
"""Signed registries and `vmaf-dnn registry`, against Debian's minisign both ways, and what every command does with trusted keys."""
import json
import os
import pty
import shutil
import subprocess
import time

import pytest

from clips import BIN, NO, OK, REFUSED, SOURCE, USAGE, clip, command, pictures

MINISIGN = shutil.which("minisign")
PAIR = ["learned_filter_v1.onnx", "learned_filter_v1.int8.onnx", "learned_filter_v1.json", "registry.json", "smoke_v0.onnx", "smoke_v0.json",
        "smoke_fp16_v0.onnx", "smoke_fp16_v0.json"]
PASSWORD = b"correct horse \xc3\xa9\n"


@pytest.fixture(autouse=True)
def no_state_of_others(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("VMAF_DNN_TRUSTED_KEYS", raising=False)


@pytest.fixture
def models(tmp_path):
    rows = json.loads((SOURCE / "model/tiny/registry.json").read_text())["models"]
    every = {SOURCE / "model/tiny" / row["onnx"].replace(".onnx", end) for row in rows for end in (".onnx", ".int8.onnx", ".json")}
    for path in sorted(p for p in {*every, *(SOURCE / "model/tiny" / name for name in PAIR)} if p.exists()):
        shutil.copy(path, tmp_path)
    (tmp_path / "keys").mkdir()
    return tmp_path


@pytest.fixture
def signed(models):
    command("registry", "keygen", "--no-password", "-s", models / "our.key", "-p", models / "keys/our.pub")
    command("registry", "sign", "-s", models / "our.key", models / "registry.json")
    return models


def minisign(*argv, code=0, stdin=b""):
    if not MINISIGN:
        pytest.fail("minisign is missing: scripts/setup.sh test installs it")
    r = subprocess.run([MINISIGN, *map(str, argv)], input=stdin, capture_output=True, timeout=120)
    assert code is None or r.returncode == code, (argv, r.stdout, r.stderr)
    return r


def keys_of_minisign(folder):
    minisign("-G", "-W", "-s", folder / "their.key", "-p", folder / "keys/their.pub")


# --- minisign, both ways

def test_minisign_verifies_ours(signed):
    minisign("-Vm", signed / "registry.json", "-p", signed / "keys/our.pub")
    minisign("-V", "-H", "-m", signed / "registry.json", "-p", signed / "keys/our.pub")  # -H: only the prehashed form
    (signed / "registry.json").write_text((signed / "registry.json").read_text() + "\n")
    assert minisign("-Vm", signed / "registry.json", "-p", signed / "keys/our.pub", code=None).returncode != 0


def test_ours_verifies_minisign(models):
    keys_of_minisign(models)
    command("registry", "keygen", "--no-password", "-s", models / "our.key", "-p", models / "our.pub")
    command("registry", "sign", "-s", models / "our.key", models / "registry.json")  # puts in what a signature covers
    command("registry", "verify", models / "registry.json", "--trusted-keys", models / "keys", code=NO)
    minisign("-S", "-s", models / "their.key", "-m", models / "registry.json")
    r = command("registry", "verify", models / "registry.json", "--trusted-keys", models / "keys")
    rows = len(json.loads((models / "registry.json").read_text())["models"])
    assert b"[ok]" in r.stdout and b"registry_version 1, %d models" % rows in r.stdout
    command("registry", "verify", models / "registry.json", "-p", models / "keys/their.pub")
    r = command("inspect", "--trusted-keys", models / "keys", models / PAIR[0])
    assert b"opens      " in r.stdout and b", pinned" in r.stdout
    minisign("-S", "-l", "-s", models / "their.key", "-m", models / "registry.json")
    r = command("registry", "verify", models / "registry.json", "-p", models / "keys/their.pub", code=NO)
    assert "legacy" in r.err


def test_key_files_of_each_other(models):
    """Their secret key signs here, ours there."""
    keys_of_minisign(models)
    command("registry", "sign", "-s", models / "their.key", models / "registry.json")
    minisign("-Vm", models / "registry.json", "-p", models / "keys/their.pub")
    command("registry", "keygen", "--no-password", "-s", models / "our.key", "-p", models / "keys/our.pub")
    minisign("-S", "-s", models / "our.key", "-m", models / "registry.json")
    command("registry", "verify", models / "registry.json", "-p", models / "keys/our.pub")
    minisign("-R", "-s", models / "our.key", "-p", models / "again.pub")
    assert (models / "again.pub").read_text().splitlines()[1] == (models / "keys/our.pub").read_text().splitlines()[1]
    # minisign's own comment names the key as ours does
    key = command("registry", "verify", models / "registry.json", "-p", models / "keys/our.pub").stdout.decode().split("key ")[1][:16]
    assert key in (models / "keys/our.pub").read_text().splitlines()[0] and key in (models / "again.pub").read_text().splitlines()[0]


def test_many_sizes(models):
    """Registries from a hundred bytes to beyond the blocks of the hash."""
    command("registry", "keygen", "--no-password", "-s", models / "our.key", "-p", models / "our.pub")
    count = int(os.environ.get("VD_SIGNED_SIZES", 40))
    for i in range(count):
        row = json.loads((SOURCE / "model/tiny/registry.json").read_text())["models"][0]
        rows = [{**row, "id": f"m{k:04}", "onnx": f"m{k:04}.onnx", "notes": "x" * ((i * 37) % 1000)} for k in range(i % 41)]
        path = models / f"r{i}.json"
        path.write_text(json.dumps({"schema_version": 1, "models": rows}))
        command("registry", "sign", "-q", "-s", models / "our.key", path)
        minisign("-Vm", path, "-p", models / "our.pub")
        minisign("-S", "-s", models / "our.key", "-m", path)
        command("registry", "verify", "-q", path, "-p", models / "our.pub")


def test_passwords(models):
    """scrypt with libsodium's sensitive cost, 1 GiB: our encrypted key signs there, theirs here; a wrong password does neither."""
    (models / "password").write_bytes(PASSWORD)
    (models / "wrong").write_bytes(b"wrong\n")
    command("registry", "keygen", "-s", models / "our.key", "-p", models / "keys/our.pub", "--password-file", models / "password")
    minisign("-S", "-s", models / "our.key", "-m", models / PAIR[2], stdin=PASSWORD)
    r = command("registry", "sign", "-s", models / "our.key", models / "registry.json", "--password-file", models / "wrong", code=REFUSED)
    assert "password is wrong" in r.err and not (models / "registry.json.minisig").exists()
    minisign("-G", "-s", models / "their.key", "-p", models / "keys/their.pub", stdin=PASSWORD * 2)
    command("registry", "sign", "-s", models / "their.key", models / "registry.json", "--password-file", "-", stdin=PASSWORD + b"more")
    minisign("-Vm", models / "registry.json", "-p", models / "keys/their.pub")
    assert os.stat(models / "our.key").st_mode & 0o777 == 0o600


def test_password_at_the_terminal(models):
    """Asked for twice, and not shown."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execv(BIN, [BIN, "registry", "keygen", "-s", f"{models}/our.key", "-p", f"{models}/our.pub"])
    seen = b""
    for prompt, answer in ((b"Password for the new key: ", b"sesame\n"), (b"the same again: ", b"open\n")):
        while prompt not in seen:
            seen += os.read(fd, 1024)
        time.sleep(0.05)
        os.write(fd, answer)
    try:
        while piece := os.read(fd, 1024):
            seen += piece
    except OSError:
        pass
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == USAGE
    assert b"two different passwords" in seen and b"sesame" not in seen and b"open" not in seen.replace(b"opens", b"")
    assert not (models / "our.key").exists() and not (models / "our.pub").exists()


def test_no_terminal(models):
    r = command("registry", "keygen", "-s", models / "our.key", "-p", models / "our.pub", code=USAGE, start_new_session=True)
    assert "no terminal" in r.err and not (models / "our.key").exists()
    (models / "empty").write_bytes(b"\n")
    command("registry", "keygen", "-s", models / "k", "-p", models / "k.pub", "--password-file", models / "empty", code=USAGE)


# --- keygen and sign as commands

def test_keygen_replaces_nothing(models):
    argv = ("registry", "keygen", "--no-password", "-s", models / "our.key", "-p", models / "our.pub")
    command(*argv)
    before = (models / "our.key").read_bytes(), (models / "our.pub").read_bytes()
    assert "-f replaces it" in command(*argv, code=USAGE).err
    assert before == ((models / "our.key").read_bytes(), (models / "our.pub").read_bytes())
    os.chmod(models / "our.key", 0o644)
    command(*argv, "-f")
    assert before[0] != (models / "our.key").read_bytes()
    assert os.stat(models / "our.key").st_mode & 0o777 == 0o600
    command("registry", "keygen", "--no-password", "-s", models / "one", "-p", models / "one", code=USAGE)
    command("registry", "keygen", "--no-password", "-s", models / "one", code=USAGE)
    command("registry", "keygen", "--no-password", "-s", "-", "-p", models / "one", code=USAGE)


def test_sign_raises_the_version(signed):
    read = lambda: json.loads((signed / "registry.json").read_text())
    assert read()["schema"] == "vmaf-dnn-registry/1" and read()["registry_version"] == 1
    assert all("sidecar_sha256" in row for row in read()["models"])
    assert list(read())[-1] == "models"
    command("registry", "sign", "-s", signed / "our.key", signed / "registry.json")
    assert read()["registry_version"] == 2
    before = (signed / "registry.json").read_bytes()
    command("registry", "sign", "-s", signed / "our.key", "--as-it-is", signed / "registry.json")
    assert (signed / "registry.json").read_bytes() == before
    command("verify", "--all", "--registry", signed / "registry.json", "--trusted-keys", signed / "keys")


def test_sign_refuses(signed):
    registry = signed / "registry.json"
    signature = (signed / "registry.json.minisig").read_bytes()
    registry.write_text("{}")
    command("registry", "sign", "-s", signed / "our.key", registry, code=REFUSED)
    assert registry.read_text() == "{}" and (signed / "registry.json.minisig").read_bytes() == signature
    command("registry", "sign", "-s", signed / "keys/our.pub", registry, code=REFUSED)
    command("registry", "sign", "-s", signed / "none", registry, code=USAGE)
    command("registry", "sign", "-s", signed / "our.key", signed / "none.json", code=USAGE)
    command("registry", "sign", registry, code=USAGE)
    command("registry", "sign", "-s", signed / "our.key", registry, "--registry", registry, code=USAGE)
    command("registry", "keygen", "-s", signed / "a", "-p", signed / "b", "--registry", registry, code=USAGE)
    command("registry", "sign", "-s", signed / "our.key", "--comment", "a\nb", SOURCE / "model/tiny/none.json", code=USAGE)
    command("registry", "sing", code=USAGE)
    command("registry", code=USAGE)
    command("registry", "verify", "-p", "x", "--trusted-keys", "y", code=USAGE)


@pytest.mark.parametrize("found_by", ["folder", "environment"])
def test_sign_wants_the_registry_named(signed, found_by):
    """Not the one that ids find: it is said, and left as it was. --registry names it too."""
    if found_by == "folder":
        (signed / "model/tiny").mkdir(parents=True)
        registry = signed / "model/tiny/registry.json"
        shutil.copy(signed / "registry.json", registry)
        shown, env = "model/tiny/registry.json", dict(os.environ)
    else:
        registry = shown = signed / "registry.json"
        env = {**os.environ, "VMAF_DNN_REGISTRY": str(registry)}
    before = sorted((p.name, p.read_bytes()) for p in registry.parent.iterdir() if p.is_file())
    r = command("registry", "sign", "-s", "our.key", code=USAGE, cwd=signed, env=env)
    assert f"which registry is to be signed? Name it, as in 'vmaf-dnn registry sign -s our.key {shown}'" in r.err
    assert before == sorted((p.name, p.read_bytes()) for p in registry.parent.iterdir() if p.is_file())
    for p in signed.glob("*.json"):
        if found_by == "folder" and p.name != "registry.json":
            shutil.copy(p, registry.parent)
    command("registry", "sign", "-s", "our.key", "--registry", shown, cwd=signed, env=env)
    assert "registry_version 2" in command("registry", "verify", "-p", "keys/our.pub", cwd=signed, env=env).stdout.decode()  # to look is free
    assert "Name it" not in command("registry", "sign", "-s", "our.key", "none.json", code=USAGE, cwd=signed, env=env).err


def test_verify_needs_a_key(signed):
    assert "with which key" in command("registry", "verify", signed / "registry.json", code=USAGE).err


# --- every command that opens a model

def commands(folder):
    """Each command on the model, and the file that it would make."""
    frames = pictures("420jpeg", 16, 16, 1)
    (folder / "in.y4m").write_bytes(clip("420jpeg", 16, 16, frames))
    import numpy as np
    np.save(folder / "x.npy", np.zeros((1, 1, 16, 16), np.float32))
    model, out = folder / PAIR[0], folder / "out"
    return {"filter": (["filter", "-m", model, folder / "in.y4m", "-o", out], REFUSED),
            "run": (["run", model, "--in", folder / "x.npy", "--out", out], REFUSED),
            "inspect": (["inspect", model], REFUSED),
            "bench": (["bench", "--runs", "1", "--size", "32x32", model], REFUSED),
            "gate": (["gate", "--compat", model, "--json", out], 2),
            "quantize": (["quantize", "dynamic", model, "-o", out], REFUSED),
            "verify": (["verify", model], NO)}


COMMANDS = ["filter", "run", "inspect", "bench", "gate", "quantize", "verify"]


@pytest.mark.parametrize("name", COMMANDS)
def test_trusted_keys(signed, name):
    """With the right key the command does its work, also confined; unsigned, with another key, or older, nothing opens."""
    argv, refused = commands(signed)[name]
    trusted = ("--trusted-keys", signed / "keys")
    command(*argv, *trusted, "--sandbox=require")
    made = signed / "out"
    made.exists() and made.unlink()

    def nothing_opens(why, **more):
        r = command(*argv, *(() if more else trusted), code=refused, **more)
        assert why in r.err + r.stdout.decode(), r.err
        if name == "gate":  # what it found out, when asked for, is a result; a verdict on the model is not there
            assert not made.exists() or json.loads(made.read_text())[0]["verdict"] == "error"
            made.exists() and made.unlink()
        else:
            assert not made.exists()

    old = {n: (signed / n).read_bytes() for n in ("registry.json", "registry.json.minisig")}
    command("registry", "sign", "-s", signed / "our.key", signed / "registry.json")
    command("inspect", signed / PAIR[0], *trusted)  # version 2 has been seen
    for n, data in old.items():
        (signed / n).write_bytes(data)
    nothing_opens("an older registry does not open")
    command("registry", "sign", "-s", signed / "our.key", signed / "registry.json")
    command("registry", "keygen", "--no-password", "-s", signed / "evil.key", "-p", signed / "evil.pub")
    command("registry", "sign", "-s", signed / "evil.key", signed / "registry.json")
    nothing_opens("not among the trusted keys")
    (signed / "registry.json.minisig").unlink()
    nothing_opens("not signed")
    nothing_opens("not signed", env={**os.environ, "VMAF_DNN_TRUSTED_KEYS": str(signed / "keys")})
    command(*argv)  # and nobody asks


@pytest.mark.parametrize("name", [n for n in COMMANDS if n != "verify"])
def test_require_pinned(models, name):
    argv, refused = commands(models)[name]
    command(*argv, "--require-pinned")
    (models / "out").exists() and (models / "out").unlink()
    (models / "registry.json").unlink()
    (models / PAIR[2]).unlink()
    r = command(*argv, "--require-pinned", code=refused)
    assert "only pinned models" in r.err + r.stdout.decode()
    assert name == "gate" or not (models / "out").exists()


def test_wrong_keys_are_named_inside_the_sandbox_too(signed):
    """An empty folder, and one with junk beside a good key: the same words whether or not the command is confined."""
    (signed / "none").mkdir()
    shutil.copytree(signed / "keys", signed / "junk")
    (signed / "junk/z.pub").write_text("junk")
    for keys, words in (("none", "no trusted key in it"), ("junk", "z.pub: not a minisign public key")):
        for argv in (("verify", "--all"), ("inspect", signed / "learned_filter_v1.onnx"), ("gate", "--all"), ("bench", signed / "learned_filter_v1.onnx")):
            said = [command(*argv, "--registry", signed / "registry.json", "--trusted-keys", signed / keys, box, code=None) for box in ("--sandbox=auto", "--sandbox=off")]
            text = [r.stdout.decode() + r.err for r in said]  # inspect prints what is wrong with a model among the rest
            assert said[0].returncode == said[1].returncode != OK and words in text[0] and text[0] == text[1], (argv, text)


def test_quantize_says_that_the_signature_is_gone(signed):
    r = command("quantize", "static", signed / PAIR[0], "-q", "--calibration", SOURCE / "model/tiny/calibration/learned_filter_v1.json")
    assert "sign it again" not in r.err  # the same bytes
    command("registry", "verify", signed / "registry.json", "-p", signed / "keys/our.pub")
    r = command("quantize", "dynamic", "--per-tensor", signed / PAIR[0], "-q", "--trusted-keys", signed / "keys")
    assert "sign it again with 'vmaf-dnn registry sign" in r.err
    command("inspect", signed / PAIR[0])  # pinned, with the sidecar's new digest
    command("registry", "verify", signed / "registry.json", "-p", signed / "keys/our.pub", code=NO)
    command("inspect", signed / PAIR[0], "--trusted-keys", signed / "keys", code=REFUSED)
    command("registry", "sign", "-s", signed / "our.key", signed / "registry.json")
    command("inspect", signed / PAIR[0], "--trusted-keys", signed / "keys")


def test_sidecar_that_was_edited(signed):
    sidecar = signed / PAIR[2]
    sidecar.write_text(sidecar.read_text().replace('"height": 224', '"height": 448'))
    r = command("inspect", signed / PAIR[0], code=REFUSED)
    assert "not the sidecar that was pinned" in r.stdout.decode()
    r = command("verify", signed / PAIR[0], code=NO)
    assert "sidecar_sha256" in r.stdout.decode()


def test_registry_in_the_environment_by_id(signed):
    env = {**os.environ, "VMAF_DNN_REGISTRY": str(signed / "registry.json"), "VMAF_DNN_TRUSTED_KEYS": str(signed / "keys")}
    assert b"pinned" in command("inspect", "--sandbox=require", "learned_filter_v1", env=env).stdout
    command("gate", "--compat", "--sandbox=require", "--all", env=env)
    command("verify", "--sandbox=require", "--all", env=env)
    (signed / "registry.json.minisig").unlink()
    command("inspect", "learned_filter_v1", env=env, code=REFUSED)
    command("gate", "--all", env=env, code=2)
    command("verify", "--all", env=env, code=NO)
