# SPDX-License-Identifier: BSD-2-Clause
"""--sandbox of every command that opens a model, a clip, a registry or a key: it works inside, it is inside before it reads a byte, and
`require` means it.
What a confined process cannot do is test_sandbox.c's."""
import base64
import hashlib
import os
import pty
import re
import shutil
import struct
import subprocess

import numpy as np
import pytest

from clips import BIN, OK, REFUSED, SOURCE, USAGE, clip, command, pictures
from test_no_fallback import STRACE
from test_outputs import STEM, commands, models  # noqa: F401: a fixture

WHOLE = command("inspect", "--sandbox=require", SOURCE / "model/tiny/smoke_v0.onnx", code=None)
CONFINES = pytest.mark.skipif(WHOLE.returncode == USAGE, reason=f"the kernel lacks what it needs: {WHOLE.err.strip()}")
OTHERS = {"inspect": ["inspect"], "bench": ["bench", "--runs", "1", "--size", "32x32"], "verify": ["verify"]}
REGISTRY = ["registry keygen", "registry sign", "registry verify", "registry verify -p"]
NAMES = ["filter", "filter by id", "run", "run by id", "quantize", "quantize static", "calibrate", "gate", *REGISTRY, *OTHERS]


def argv_of(name, folder):
    if name in OTHERS:
        return [*OTHERS[name], folder / "models" / f"{STEM}.onnx"]
    if name in ("quantize static", "calibrate"):
        np.save(folder / "s.npy", np.linspace(0, 1, 64, dtype="f4").reshape(4, 1, 4, 4))
        model, out = folder / "models/smoke_v0.onnx", ["-o", folder / "out", "-q"]
        return ["calibrate", model, folder / "s.npy", *out] if name == "calibrate" else ["quantize", "static", "--calibration", folder / "s.npy", model, *out]
    if name == "registry keygen":
        return ["registry", "keygen", "--no-password", "-s", folder / "new.key", "-p", folder / "new.pub", "-f", "-q"]
    if name in REGISTRY:
        key, keys, registry = folder / "our.key", folder / "keys", folder / "models/registry.json"
        if not key.exists():
            keys.mkdir()
            command("registry", "keygen", "--no-password", "-s", key, "-p", keys / "our.pub")
            command("registry", "sign", "-s", key, registry)
        return ["registry", *name.split()[1:2], registry, *{"registry sign": ["-s", key, "--as-it-is", "--comment", "c"],
                "registry verify": ["--trusted-keys", keys], "registry verify -p": ["-p", keys / "our.pub"]}[name]]
    argv, option, _ = commands(folder)[name]
    return [*argv, option, folder / "out"]


@CONFINES
@pytest.mark.parametrize("name", NAMES)
def test_it_works_inside(models, name):
    """The same results as without."""
    made = []
    signature = models / "models/registry.json.minisig"
    for mode in ("off", "require", "auto"):
        argv = ["gate", "--compat", models / "models" / f"{STEM}.onnx", "--json", models / "out"] if name == "gate" else argv_of(name, models)
        r = command(*argv, f"--sandbox={mode}", code=OK)
        out = (models / "out").read_bytes() if (models / "out").exists() else signature.read_bytes()
        made.append((r.returncode, out, r.stdout if name != "bench" else b""))
        (models / "out").exists() and (models / "out").unlink()
    assert made[0] == made[1] == made[2]


@CONFINES
def test_places(models):
    """Outputs that are no plain files, inputs through links, folders that links lead to, a folder without a name."""
    m, clip_path = models / "models", models / "in.y4m"
    want = command("filter", "--sandbox=off", "-q", "-m", m / f"{STEM}.onnx", clip_path, "-o", "-").stdout
    req = ("--sandbox=require", "-q")
    assert command("filter", *req, "-m", m / f"{STEM}.onnx", "-", "-o", "-", stdin=clip_path.read_bytes()).stdout == want
    assert command("filter", *req, "-m", m / f"{STEM}.onnx", clip_path, "-o", "/dev/stdout").stdout == want
    with open(models / "shell", "wb") as f:
        command("filter", *req, "-m", m / f"{STEM}.onnx", clip_path, "-o", "/dev/stdout", stdout=f)
    assert (models / "shell").read_bytes() == want
    command("filter", *req, "-m", m / f"{STEM}.onnx", clip_path, "-o", "/dev/null")
    os.mkfifo(models / "pipe")
    p = subprocess.Popen([BIN, "filter", *req, "-m", m / f"{STEM}.onnx", clip_path, "-o", models / "pipe"])
    assert (models / "pipe").read_bytes() == want and p.wait() == 0
    command("filter", *req, "-m", f"{STEM}.onnx", "../in.y4m", "-o", "../out", cwd=m)
    assert (models / "out").read_bytes() == want
    command("filter", *req, "-m", f"{STEM}.onnx", "../in.y4m", "-o", "here", cwd=m)
    # every file a link to somewhere else, as package managers install them
    farm = models / "farm"
    farm.mkdir()
    for p in m.iterdir():
        (farm / p.name).symlink_to(p)
    os.symlink(farm, models / "way")
    assert command("filter", *req, "-m", models / "way" / f"{STEM}.onnx", clip_path, "-o", "-").stdout == want
    assert command("filter", *req, "--registry", farm / "registry.json", "-m", STEM, clip_path, "-o", "-").stdout == want
    os.symlink(models / "x.npy", models / "link.npy")
    command("run", *req, farm / f"{STEM}.onnx", "--in", f"degraded={models}/link.npy", "--out", f"filtered={models}/y.npy")
    # quantize replaces what the links lead to
    command("quantize", "dynamic", "--per-tensor", *req, farm / f"{STEM}.onnx", "-f")
    assert (farm / "registry.json").is_symlink() and (farm / f"{STEM}.json").is_symlink()
    command("verify", farm / f"{STEM}.onnx")


def traced(inject, argv, folder):
    if not STRACE:
        pytest.fail("strace is missing: scripts/setup.sh test installs it")
    log = folder / "log"
    r = subprocess.run([STRACE, "-f", "-qq", "-o", log, *inject, BIN, *map(str, argv)], capture_output=True, text=True, timeout=120,
                       env={**os.environ, "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"})
    return r, log.read_text(errors="replace").splitlines()


@CONFINES
@pytest.mark.parametrize("name", NAMES)
def test_inside_before_the_first_byte(models, name):
    r, log = traced(["-e", "trace=openat,open,read,pread64,landlock_restrict_self,prctl"], argv_of(name, models), models)
    assert r.returncode in (0, 1), r.stderr
    log = [text for text in log if "O_PATH" not in text]  # the rules: nothing can be read through those
    line = lambda what: next((i for i, text in enumerate(log) if re.search(what, text)), len(log))
    inside = line(r"prctl\(PR_SET_SECCOMP, SECCOMP_MODE_FILTER.*= 0")
    assert line(r"landlock_restrict_self.* = 0") < inside < len(log)
    assert inside < line(r'\.(onnx|json|npy|key|minisig' + (r"|pub" if name.endswith("-p") else "") + r')[".].*= \d') < len(log)
    assert inside < line("YUV4MPEG2")


@pytest.mark.parametrize("inject, why", [("landlock_create_ruleset:error=ENOSYS", "Landlock"), ("landlock_create_ruleset:error=EOPNOTSUPP", "Landlock"),
                                         ("landlock_add_rule:error=ENOMEM", "Landlock"), ("landlock_restrict_self:error=E2BIG", "Landlock"),
                                         ("prctl:error=EINVAL", "does not confine")])
def test_systems_that_lack_it(models, inject, why):
    """require fails with a line and makes nothing; auto goes on without."""
    for name in ("filter", "inspect", "registry verify -p", "registry sign"):
        r, _ = traced(["-e", f"inject={inject}"], [*argv_of(name, models), "--sandbox=require"], models)
        assert r.returncode == USAGE and "--sandbox=require: the kernel does not confine" in r.stderr and why in r.stderr, r.stderr
        assert r.stdout == "" and not (models / "out").exists()
        r, _ = traced(["-e", f"inject={inject}"], argv_of(name, models), models)
        assert r.returncode == OK, r.stderr
        (models / "out").exists() and (models / "out").unlink()


def encrypted(path, password):
    """The key file with scrypt at libsodium's lowest cost, as minisign writes it at the highest, which takes seconds."""
    b = bytearray(base64.b64decode(path.read_bytes().splitlines()[1]))
    b[2:4], b[6:38] = b"Sc", bytes(range(32))
    b[38:54] = struct.pack("<QQ", 1 << 19, 1 << 24)  # operations and memory: N 16384, r 8, p 1
    b[126:] = hashlib.blake2b(b[:2] + b[54:126], digest_size=32).digest()
    stream = hashlib.scrypt(password, salt=bytes(range(32)), n=16384, r=8, p=1, dklen=104, maxmem=1 << 26)
    b[54:] = bytes(x ^ y for x, y in zip(b[54:], stream))
    path.write_bytes(b"untrusted comment: minisign encrypted secret key\n" + base64.b64encode(b) + b"\n")


@CONFINES
def test_keys_and_passwords(models):
    """Keys and a registry through links, in folders of their own; the password from a file, from standard input and from the terminal."""
    word, farm = b"open sesame", models / "farm"
    (models / "word").write_bytes(word + b"\n")
    (models / "secret").mkdir()
    farm.mkdir()
    req = ("--sandbox=require", "-q")
    command("registry", "keygen", *req, "--no-password", "-s", "secret/k", "-p", models / "k.pub", cwd=models)
    encrypted(models / "secret/k", word)
    for p in (models / "models").iterdir():
        (farm / p.name).symlink_to(p)
    (farm / "registry.json.minisig").unlink()
    os.symlink(models / "secret/k", models / "way")
    sign = ("registry", "sign", *req, "-s", models / "way", farm / "registry.json")
    command(*sign, "--password-file", "-", stdin=word + b"\n")
    command(*sign, "--password-file", models / "word")
    command(*sign, "--password-file", models / "k.pub", code=REFUSED)
    pid, fd = pty.fork()
    if pid == 0:
        os.execv(BIN, [BIN, *map(str, sign)])
    seen = b""
    while b"Password of the secret key: " not in seen:
        seen += os.read(fd, 1024)
    os.write(fd, word + b"\n")
    try:
        while piece := os.read(fd, 1024):
            seen += piece
    except OSError:
        pass
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == OK and b"sesame" not in seen, seen
    assert (farm / "registry.json").is_symlink()
    assert b"registry_version 3" in command("registry", "verify", "--sandbox=require", "-p", models / "k.pub", farm / "registry.json").stdout


def test_words(models):
    for word in ("on", "", "Auto", "requires"):
        r = command("inspect", f"--sandbox={word}", models / "models" / f"{STEM}.onnx", code=USAGE)
        assert "auto, require or off" in r.err
        assert "auto, require or off" in command("registry", "verify", f"--sandbox={word}", code=USAGE).err


def test_off_is_off(models):
    r, log = traced(["-e", "trace=prctl,landlock_create_ruleset"], ["inspect", "--sandbox=off", models / "models" / f"{STEM}.onnx"], models)
    assert r.returncode == 0 and not [x for x in log if "landlock" in x or "SECCOMP" in x]
