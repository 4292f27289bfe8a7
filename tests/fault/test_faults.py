# SPDX-License-Identifier: BSD-2-Clause
"""Every command while something fails: the k-th allocation, the k-th system call, the disk, the reader of a pipe, and the process itself.

After each failure a destination holds its old bytes or its new ones, exit 0 means that all of the result is there, and a command that
ended by itself has left no temporary file. VMAF_DNN_FAULTS=all tries every k; without it as many as fit a minute are tried, other ones
each day (VMAF_DNN_SEED=N repeats a day)."""
import os
import random
import re
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "process"))
from clips import BIN, OK, ROOM, SOURCE, clip, pictures  # noqa: E402

ALL = os.environ.get("VMAF_DNN_FAULTS") == "all"
SEED = int(os.environ.get("VMAF_DNN_SEED", int(time.time()) // 86400))
SHIM = Path(os.environ["VMAF_DNN_TESTS"]) / "fail_alloc.so"
TINY = SOURCE / "model/tiny"
ERRORS = ("EIO", "ENOSPC", "EINTR", "EMFILE")


class Case:
    """files: what lies in the folder before; argv: the command, run in that folder; out: the files that it is for."""

    def __init__(self, files, argv, out=(), stdout=True, check=None):
        self.files, self.argv, self.out, self.stdout, self.check = files, argv, out, stdout, check
        self.want, self.text = None, None

    def fill(self, folder):
        for p in folder.iterdir():
            p.unlink()
        for name, data in self.files.items():
            (folder / name).write_bytes(data)

    def run(self, folder, before=(), env=None, sandbox=True, **more):
        # strace makes a call fail by giving it a number that no system has, for which the sandbox would end the process
        argv = self.argv if sandbox else [*self.argv, "--sandbox=off"]
        return subprocess.run([*before, BIN, *argv], cwd=folder, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=120,
                              env={"PATH": os.environ["PATH"], **(env or {})}, **{"stdout": subprocess.PIPE, **more})

    def learn(self, folder):
        """The result when nothing fails."""
        if self.want is None:
            self.fill(folder)
            r = self.run(folder)
            assert r.returncode == OK, r.stderr
            self.want = {n: (folder / n).read_bytes() for n in self.out}
            self.text = self.steady(r.stdout)
            assert set(os.listdir(folder)) == set(self.files) | set(self.out)

    @staticmethod
    def steady(text):
        return re.sub(rb"\d+(\.\d+)?", b"#", text)  # times

    def is_new(self, name, data):
        return data == self.want[name] if not self.check else self.check(name, data)

    def judge(self, folder, r, what, killed=False, piped=True):
        where = f"{' '.join(self.argv)}: {what}: exit {r.returncode}: {r.stderr.decode(errors='replace')[-300:]}"
        for name in {*self.files, *self.out}:
            path = folder / name
            old = self.files.get(name)
            if not path.exists():
                assert old is None, f"{where}: {name} is gone"
                assert killed or r.returncode != OK, f"{where}: {name} is missing"
                continue
            data = path.read_bytes()
            new = name in self.out and data != old and self.is_new(name, data)
            assert data == old or new, f"{where}: {name} holds neither the old bytes nor the new ones"
            assert new or killed or r.returncode != OK or name not in self.out or data == self.want[name], f"{where}: {name} is the old one"
            if r.returncode == OK and name in self.out and self.check not in (key_file, scored):
                assert data == self.want[name], f"{where}: {name} is not what it should be"
        if killed:
            return
        assert set(os.listdir(folder)) <= {*self.files, *self.out}, f"{where}: left {sorted(os.listdir(folder))}"
        if r.returncode == OK and self.stdout and piped:
            assert self.steady(r.stdout) == self.text, f"{where}: not all of it was printed:\n{r.stdout.decode()}"
        # a signal that ends it, or a status that no command has, is a crash; 127: the loader could not begin
        assert r.returncode in (0, 1, 2, 3, 4, 5, 127), where
        assert r.returncode in (OK, 127) or r.stderr or r.stdout or r.returncode == ROOM, f"{where}: no reason"


def read(*names):
    return {n: (TINY / n).read_bytes() for n in names}


def fresh():
    """The smoke model with a registry and a sidecar of its own, as it was before it was quantised."""
    import hashlib
    import json
    model = (TINY / "smoke_v0.onnx").read_bytes()
    digest = hashlib.sha256(model).hexdigest()
    row = {"id": "m_v0", "kind": "fr", "onnx": "m.onnx", "opset": 17, "sha256": digest}
    side = row | {"input": {"name": "features"}, "output": {"name": "score"}}
    return {"m.onnx": model, "registry.json": (json.dumps({"schema_version": 1, "models": [row]}, indent=2) + "\n").encode(),
            "m.json": (json.dumps(side, indent=2) + "\n").encode()}


def made(files, *argv):
    """The files after a command."""
    import tempfile
    with tempfile.TemporaryDirectory() as d:
        for name, data in files.items():
            (Path(d) / name).write_bytes(data)
        subprocess.run([BIN, *argv], cwd=d, check=True, capture_output=True, stdin=subprocess.DEVNULL)
        return {n: (Path(d) / n).read_bytes() for n in os.listdir(d)}


def npy(a):
    import io
    f = io.BytesIO()
    np.save(f, a)
    return f.getvalue()


def mean():
    """A model that scores: the mean of a picture."""
    from onnx import TensorProto, helper
    value = helper.make_tensor_value_info
    g = helper.make_graph([helper.make_node("ReduceMean", ["x"], ["score"], keepdims=0)], "g", [value("x", TensorProto.FLOAT, [1, 1, "h", "w"])],
                          [value("score", TensorProto.FLOAT, [])])
    return helper.make_model(g, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def figures(name, data):
    """What gate writes: the figures, or the error in their place."""
    import json
    row, = json.loads(data)
    return data == CASES["gate"].want[name] or (row["verdict"] == "error" and row["why"])


def scored(name, data):
    """All of it, at another speed."""
    speed = rb'"fps": [0-9.]+'
    return re.sub(speed, b"", data) == re.sub(speed, b"", CASES["score"].want[name])


def key_file(name, data):
    return re.fullmatch(rb"untrusted comment: [^\n]*\n[A-Za-z0-9+/=]+\n", data) is not None


PLAIN = fresh()
RAMP = PLAIN | {"x.npy": npy(np.linspace(0, 1, 64, dtype="f4").reshape(4, 1, 4, 4))}
QUANT = made(PLAIN, "quantize", "dynamic", "m.onnx")
KEYS = made({}, "registry", "keygen", "-s", "s.key", "-p", "s.pub", "--no-password")
FRAMES = clip("420jpeg", 16, 8, pictures("420jpeg", 16, 8, 2))
FILTER = {**read("learned_filter_v1.onnx"), "in.y4m": FRAMES, "out.y4m": b"old"}
CASES = {
    "quantize": Case(PLAIN, ["quantize", "dynamic", "m.onnx"], ("m.int8.onnx", "m.json", "registry.json")),
    "quantize again": Case(QUANT | {"m.int8.onnx": b"old"}, ["quantize", "dynamic", "m.onnx"], ("m.int8.onnx",)),
    "quantize -o": Case(PLAIN | {"o.onnx": b"old"}, ["quantize", "dynamic", "m.onnx", "-o", "o.onnx", "-f"], ("o.onnx",)),
    "filter": Case(FILTER, ["filter", "-m", "learned_filter_v1.onnx", "in.y4m", "-o", "out.y4m", "-f", "--threads", "1"], ("out.y4m",)),
    "filter to stdout": Case(FILTER, ["filter", "-m", "learned_filter_v1.onnx", "in.y4m", "-o", "-", "--threads", "2"]),
    "quantize static": Case(RAMP, ["quantize", "static", "m.onnx", "--calibration", "x.npy"], ("m.int8.onnx", "m.json", "registry.json")),
    "calibrate": Case(RAMP | {"r.json": b"old"}, ["calibrate", "m.onnx", "x.npy", "-o", "r.json", "-f", "--threads", "1"], ("r.json",)),
    "run": Case({**PLAIN, "x.npy": npy(np.ones((1, 1, 4, 4), "f4")), "y.npy": b"old"},
                ["run", "m.onnx", "--in", "x.npy", "--out", "y.npy", "-f", "--threads", "1"], ("y.npy",)),
    "score": Case({"s.onnx": mean(), "in.y4m": FRAMES, "o.json": b"old"},
                  ["score", "-m", "s.onnx", "-d", "in.y4m", "-o", "o.json", "-f", "--threads", "1"], ("o.json",), check=scored),
    "score to stdout": Case({"s.onnx": mean(), "in.y4m": FRAMES}, ["score", "-m", "s.onnx", "-d", "in.y4m", "--csv", "--threads", "1"]),
    "gate": Case(QUANT | {"o.json": b"old"}, ["gate", "m.onnx", "--compat", "--json", "o.json", "-f", "--threads", "1"], ("o.json",), check=figures),
    "gate explains": Case(QUANT | {"p.html": b"old"}, ["gate", "m.onnx", "--html", "p.html", "-f", "--threads", "1"], ("p.html",)),
    "verify": Case(QUANT, ["verify", "m.onnx"]),
    "verify all": Case(QUANT, ["verify", "--all", "--registry", "registry.json"]),
    "inspect": Case(QUANT, ["inspect", "m.onnx"]),
    "sign": Case({**QUANT, **KEYS}, ["registry", "sign", "-s", "s.key", "registry.json", "--comment", "c"], ("registry.json", "registry.json.minisig")),
    "keygen": Case({"s.key": b"old", "s.pub": b"old"}, ["registry", "keygen", "-s", "s.key", "-p", "s.pub", "--no-password", "-f"], ("s.key", "s.pub"),
                   check=key_file, stdout=False),
    "bench": Case(QUANT, ["bench", "m.onnx", "--json", "--threads", "1", "--runs", "1"]),
}
WRITERS = [n for n, c in CASES.items() if c.out]


def share(points, most, name):
    """All of them, or some that change from day to day."""
    points = list(points)
    most = most // 4 if name.startswith("gate explains") else most  # a third of a second each
    if ALL or len(points) <= most:
        return points
    return random.Random(f"{SEED} {name}").sample(points, most)


@pytest.fixture
def folder(tmp_path):
    yield tmp_path


# --- memory


def allocations(case, folder):
    case.fill(folder)
    r, w = os.pipe()
    case.run(folder, env={"LD_PRELOAD": str(SHIM), "FAIL_COUNT": str(w)}, pass_fds=(w,))
    os.close(w)
    with os.fdopen(r) as f:
        return int(f.read())


@pytest.mark.parametrize("name", CASES)
def test_allocations(name, folder, capsys):
    """The k-th allocation fails, alone and with all after it, in the program, in jansson, in libc."""
    case = CASES[name]
    case.learn(folder)
    n = allocations(case, folder)
    assert n > 2
    points = share([(k, on) for k in range(1, n + 1) for on in (False, True)], 20, name + " memory")
    codes = {}
    for k, on in points:
        case.fill(folder)
        r = case.run(folder, env={"LD_PRELOAD": str(SHIM), "FAIL_AT": str(k)} | ({"FAIL_ON": "1"} if on else {}))
        case.judge(folder, r, f"allocation {k}{' and all after it' if on else ''} of {n} fails")
        codes[r.returncode] = codes.get(r.returncode, 0) + 1
    with capsys.disabled():
        print(f"\n{name}: {len(points)} of {2 * n} failures of memory; exit codes {dict(sorted(codes.items()))}", end="")


# --- system calls

STRACE = ["strace", "-f", "-qq"]
# Nothing to inject into: the process is not there yet or no more, or the call cannot fail.
NEVER = {"execve", "exit", "exit_group", "restart_syscall", "rt_sigreturn", "arch_prctl", "set_tid_address", "set_robust_list", "rseq", "brk",
         "futex"}  # glibc ends the process when one fails that cannot fail


def calls(case, folder):
    """How often each system call is made."""
    case.fill(folder)
    log = folder.parent / "calls"
    r = case.run(folder, [*STRACE, "-o", log], sandbox=False)
    assert r.returncode == OK, r.stderr
    seen, first = {}, {}
    for line in log.read_text(errors="replace").splitlines():
        m = re.match(r"\d+ +([a-z_0-9]+)\(", line)
        if line.find("rt_sigaction(SIGPIPE, {sa_handler=SIG_IGN") >= 0 and not first:
            first = {c: n + 1 for c, n in seen.items()}  # main begins; before it, failures are the loader's
        if m and m[1] not in NEVER:
            seen[m[1]] = seen.get(m[1], 0) + 1
    assert first, "where main begins was not found"
    return {c: range(first.get(c, 1), n + 1) for c, n in seen.items()}


def inject(case, folder, call, what, k):
    case.fill(folder)
    return case.run(folder, [*STRACE, "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:{what}:when={k}"], sandbox=False)


@pytest.mark.parametrize("name", WRITERS)
def test_calls(name, folder, capsys):
    """The k-th system call fails with each of ERRORS."""
    case = CASES[name]
    case.learn(folder)
    seen = calls(case, folder)
    points = share([(c, k, e) for c, ks in seen.items() for k in ks for e in ERRORS], 16, name + " calls")
    codes = {}
    for call, k, e in points:
        r = inject(case, folder, call, f"error={e}", k)
        if call == "getrandom" and r.returncode == -6:  # libsodium goes on with randomness or not at all
            r.returncode = ROOM
        case.judge(folder, r, f"{call} number {k} fails with {e}")
        codes[r.returncode] = codes.get(r.returncode, 0) + 1
    with capsys.disabled():
        print(f"\n{name}: {len(points)} failures of {sum(map(len, seen.values()))} system calls; exit codes {dict(sorted(codes.items()))}", end="")


@pytest.mark.parametrize("name", WRITERS)
def test_killed(name, folder, capsys):
    """SIGKILL at the k-th system call; then it is run again, and the result is whole."""
    case = CASES[name]
    case.learn(folder)
    seen = calls(case, folder)
    points = share([(c, k) for c, ks in seen.items() for k in ks], 10, name + " kills")
    for call, k in points:
        r = inject(case, folder, call, "signal=KILL", k)
        assert r.returncode in (-9, 137, OK)
        case.judge(folder, r, f"killed at {call} number {k}", killed=True)
        if name.startswith("quantize"):  # what a killed one left does not stop the next
            again = case.run(folder)
            assert again.returncode == OK, (call, k, again.stderr)
    with capsys.disabled():
        print(f"\n{name}: killed at {len(points)} of {sum(map(len, seen.values()))} system calls", end="")


# --- disks, pipes, limits


def limit_of(n):
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (n, n))


LARGE = {**read("learned_filter_v1.onnx"), "in.y4m": clip("420jpeg", 64, 48, pictures("420jpeg", 64, 48, 8)), "out.y4m": b"old"}
LIMITED = {
    "filter": Case(LARGE, ["filter", "-m", "learned_filter_v1.onnx", "in.y4m", "-o", "out.y4m", "-f"], ("out.y4m",)),
    "quantize": Case(read("learned_filter_v1.onnx") | {"o.onnx": b"old"}, ["quantize", "dynamic", "learned_filter_v1.onnx", "-o", "o.onnx", "-f"], ("o.onnx",)),
    "run": Case({**read("learned_filter_v1.onnx"), "x.npy": npy(np.full((1, 1, 96, 96), 0.5, "f4")), "y.npy": b"old"},
                ["run", "learned_filter_v1.onnx", "--in", "x.npy", "--out", "y.npy", "-f"], ("y.npy",)),
}


@pytest.mark.parametrize("name", LIMITED)
def test_file_size_limit(name, folder, capsys):
    """At every 4 KiB step of the output."""
    case = LIMITED[name]
    case.learn(folder)
    size = max(len(d) for d in case.want.values())
    steps = range(0, size, 4096)
    for n in steps:
        case.fill(folder)
        r = case.run(folder, preexec_fn=limit_of(n))
        assert r.returncode == ROOM, (n, r.stderr)
        case.judge(folder, r, f"files of at most {n} bytes")
    case.fill(folder)
    assert case.run(folder, preexec_fn=limit_of(size)).returncode == OK
    with capsys.disabled():
        print(f"\n{name}: {len(steps)} limits below {size} bytes", end="")


@pytest.mark.parametrize("name", [n for n, c in CASES.items() if c.stdout])
def test_full_device(name, folder):
    """Nothing that is printed is lost without a word."""
    case = CASES[name]
    case.learn(folder)
    if not case.text:
        return
    case.fill(folder)
    with open("/dev/full", "wb") as full:
        r = case.run(folder, stdout=full)
    assert r.returncode != OK and r.stderr
    case.judge(folder, r, "standard output is full", piped=False)


def resize(disk, size):
    """Pages of files that were removed a moment ago may still count, and a file system is not made smaller than what is in it."""
    for _ in range(200):
        r = subprocess.run(["mount", "-o", f"remount,size={size}", disk], capture_output=True, text=True)
        if not r.returncode:
            return
        time.sleep(0.05)
    pytest.fail(r.stderr)


def test_full_disk(folder, capsys):
    """A file system of its own with room for k pages: each command that writes, each k until it succeeds."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a tmpfs")
    disk = folder / "disk"
    tried = 0
    for name in WRITERS:
        case = CASES[name]
        disk.mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", disk], check=True)
        try:
            case.learn(disk)
            case.fill(disk)
            used = sum(-(-len(d) // 4096) for d in case.files.values())
            for spare in [*range(24 if ALL else 4), *range(4 if not ALL else 24, 33, 4), 48, 64, 96, 128, 192]:  # a page with pictures is some hundred kB
                case.fill(disk)
                resize(disk, (used + spare) * 4096)
                r = case.run(disk)
                case.judge(disk, r, f"{spare} pages are free")
                tried += 1
                resize(disk, "1m")
                if r.returncode == OK:
                    assert spare > 0
                    break
            else:
                pytest.fail(f"{name} never succeeds")
        finally:
            subprocess.run(["umount", disk], check=True)
    with capsys.disabled():
        print(f"\n{tried} full disks", end="")


@pytest.mark.parametrize("name", [n for n, c in CASES.items() if c.stdout])
def test_closed_pipe(name, folder, capsys):
    """The reader goes away after n bytes, for n at and between the ends of the pieces that are written."""
    case = CASES[name]
    case.learn(folder)
    if not case.text:
        return
    case.fill(folder)
    size = len(case.run(folder).stdout)
    offsets = share(range(0, size), 6, name + " pipe")[:200]
    for n in offsets:
        case.fill(folder)
        p = subprocess.Popen([BIN, *case.argv], cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
                             env={"PATH": os.environ["PATH"]}, pipesize=4096)
        got = b""
        while len(got) < n and (piece := p.stdout.read(n - len(got))):
            got += piece
        p.stdout.close()
        err = p.stderr.read()
        p.stderr.close()
        code = p.wait(60)
        # what fits the pipe is written before anybody can know that it will not be read
        assert code in (OK, ROOM) or (code == 2 and name.startswith("gate")), (n, code, err)
        assert code != OK or size - n <= 4096, (n, size)
        case.judge(folder, subprocess.CompletedProcess(case.argv, code, None, err or b"?"), f"nobody reads after {n} bytes", piped=False)
    with capsys.disabled():
        print(f"\n{name}: {len(offsets)} closed pipes of {size} bytes", end="")
