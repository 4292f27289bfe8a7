# SPDX-License-Identifier: BSD-2-Clause
"""Every command while something fails: the k-th allocation, the k-th system call, the disk, the reader of a pipe, and the process itself.

After each failure a destination holds its old bytes or its new ones, exit 0 means that all of the result is there, and a command that
ended by itself has left no temporary file. VMAF_DNN_FAULTS=all tries every k; without it as many as fit a minute are tried, other ones
each day (VMAF_DNN_SEED=N repeats a day). VMAF_DNN_SHARD=2/5 is the second fifth of all of them, for five processes at a time."""
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
SHARD, SHARDS = map(int, os.environ.get("VMAF_DNN_SHARD", "1/1").split("/"))
SEED = int(os.environ.get("VMAF_DNN_SEED", int(time.time()) // 86400))
SHIM = Path(os.environ["VMAF_DNN_TESTS"]) / "fail_alloc.so"
TINY = SOURCE / "model/tiny"
ERRORS = ("EIO", "ENOSPC", "EINTR", "EMFILE")


class Case:
    """files: what lies in the folder before; argv: the command, run in that folder; out: the files that it is for; same: takes out of a file
    what is another in each run; steps: it writes some of them again and again, and goes on where it was."""

    def __init__(self, files, argv, out=(), stdout=True, check=None, same=lambda name, data: data, steps=False):
        self.files, self.argv, self.out, self.stdout, self.check, self.same, self.steps = files, argv, out, stdout, check, same, steps
        self.want, self.text, self.notes, self.states = None, None, (), {}

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
            self.text, self.notes = self.steady(r.stdout), r.stderr.splitlines()
            assert set(os.listdir(folder)) == set(self.files) | set(self.out)
            if self.steps:
                self.learn_states(folder)

    def learn_states(self, folder):
        """What a file is on the way: as it is each time that one has been renamed into its place."""
        for k in range(1, 100):
            r = inject(self, folder, "rename", "signal=KILL", k)
            for name in self.out:
                if (folder / name).exists() and (data := (folder / name).read_bytes()) != self.files.get(name):
                    self.states.setdefault(name, set()).add(self.same(name, data))
            if r.returncode == OK:
                assert k > 4  # files have been renamed
                return
        pytest.fail("it never ends")

    @staticmethod
    def steady(text):
        return re.sub(rb"\d+(\.\d+)?", b"#", text)  # times

    def is_new(self, name, data):
        return self.check(name, data) if self.check else self.same(name, data) in self.states.get(name, {self.same(name, self.want[name])})

    def is_whole(self, name, data):
        return self.same(name, data) == self.same(name, self.want[name])

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
            assert new or killed or r.returncode != OK or name not in self.out or self.is_whole(name, data), f"{where}: {name} is the old one"
            if r.returncode == OK and name in self.out and self.check != key_file:
                assert self.is_whole(name, data), f"{where}: {name} is not what it should be"
        if killed:
            return
        assert set(os.listdir(folder)) <= {*self.files, *self.out}, f"{where}: left {sorted(os.listdir(folder))}"
        if r.returncode == OK and self.stdout and piped:
            assert self.steady(r.stdout) == self.text, f"{where}: not all of it was printed:\n{r.stdout.decode()}"
        assert b"Sanitizer" not in r.stderr and b"runtime error" not in r.stderr, where
        # a signal that ends it, or a status that no command has, is a crash; 127: the loader could not begin
        assert r.returncode in (0, 1, 2, 3, 4, 5, 127), where
        assert r.returncode in (OK, 127) or r.stderr or r.stdout or r.returncode == ROOM, f"{where}: no reason"
        reasons = [line for line in r.stderr.splitlines() if line.startswith(b"vmaf-dnn") and b"warning: " not in line and line not in self.notes]
        assert len(reasons) <= (2 if self.argv[0] == "gate" else 1), f"{where}: several reasons"  # of a model, and of the file for figures


STRACE = ["strace", "-f", "-qq"]


def inject(case, folder, call, what, k):
    case.fill(folder)
    return case.run(folder, [*STRACE, "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:{what}:when={k}"], sandbox=False)


def read(*names):
    return {n: (TINY / n).read_bytes() for n in names}


def fresh(model=None, kind="fr", names=("features", "score")):
    """A model, the smoke model if none is given, with a registry and a sidecar of its own, as it was before it was quantised."""
    import hashlib
    import json
    model = model or (TINY / "smoke_v0.onnx").read_bytes()
    digest = hashlib.sha256(model).hexdigest()
    row = {"id": "m_v0", "kind": kind, "onnx": "m.onnx", "opset": 17, "sha256": digest}
    side = row | {"input": {"name": names[0]}, "output": {"name": names[1]}}
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


def square():
    """A filter of pictures of one small size, so that the gate's pictures and page are small too."""
    from onnx import TensorProto, helper, numpy_helper
    value = helper.make_tensor_value_info
    w = (np.eye(16) + np.random.default_rng(0).normal(0, 0.05, (16, 16))).astype("f4")
    g = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", [value("x", TensorProto.FLOAT, [1, 1, 16, 16])],
                          [value("y", TensorProto.FLOAT, [1, 1, 16, 16])], [numpy_helper.from_array(w, "w")])
    return helper.make_model(g, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


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


def speedless(name, data):
    return re.sub(rb'"fps": [0-9.]+', b"", data)


def timeless(name, data):
    return re.sub(rb'"seconds":[0-9.e+-]+|\| time \| \d+ s \|', b"", data)


def key_file(name, data):
    return re.fullmatch(rb"untrusted comment: [^\n]*\n[A-Za-z0-9+/=]+\n", data) is not None


PLAIN = fresh()
RAMP = PLAIN | {"x.npy": npy(np.linspace(0, 1, 64, dtype="f4").reshape(4, 1, 4, 4))}
QUANT = made(PLAIN, "quantize", "dynamic", "m.onnx")
SQUARE = made(fresh(square(), "filter", "xy"), "quantize", "dynamic", "m.onnx")
KEYS = made({}, "registry", "keygen", "-s", "s.key", "-p", "s.pub", "--no-password")
FRAMES = clip("420jpeg", 16, 8, pictures("420jpeg", 16, 8, 2))
TRAINED = ("tiny.onnx", "tiny.json", "tiny.md", "tiny.train.jsonl", "tiny.loss.svg", "tiny.checkpoint", "registry.json")
QAT = ("tiny.onnx", "tiny.int8.onnx", "tiny.json", "tiny.qat.md", "tiny.qat.jsonl", "tiny.qat.svg", "tiny.qat.checkpoint", "registry.json")


def training(**more):
    """Two steps of a filter on pictures of the folder, judged and saved after each of them."""
    import json
    config = {"id": "tiny", "kind": "filter", "license": "CC0-1.0", "description": "A test's filter.", "net": {"residual_filter": {"channels": 2, "blocks": 0}},
              "data": {"train": [{"clean": "."}], "validation": [{"clean": "v.y4m"}], "degrade": {"blur": 1.2, "jpeg": 35}}, "crop": 8, "batch": 1, "seed": 3,
              "optimiser": {"steps": 2, "warmup": 1, "rate": 4e-3}, "validate_every": 1, "save_every": 1, "log_every": 1, "validation_crop": 8} | more
    registry = {"schema_version": 1, "models": [{"id": "other", "kind": "fr", "onnx": "other.onnx", "opset": 17, "sha256": "0" * 64}]}
    return {"c.json": json.dumps(config).encode(), "registry.json": json.dumps(registry).encode(), "t.y4m": clip("mono", 9, 8, pictures("mono", 9, 8, 2)),
            "v.y4m": clip("mono", 8, 8, pictures("mono", 8, 8, 1, seed=1))}


def stopped(files, argv, at):
    """The files when the command was stopped as it renamed the at-th."""
    import tempfile
    with tempfile.TemporaryDirectory() as d:
        inject(Case(files, argv), Path(d), "rename", "signal=KILL", at)
        return {p.name: p.read_bytes() for p in Path(d).iterdir() if not p.name.startswith(".")}


FILTER = {**read("learned_filter_v1.onnx"), "in.y4m": FRAMES, "out.y4m": b"old"}
TRAIN = ["train", "c.json", "--threads", "1"]
OLD = training() | {"tiny.onnx": b"old", "tiny.md": b"old", "tiny.loss.svg": b"old", "tiny.train.jsonl": b"old"}
FP32 = made(training(), *TRAIN)
FP32 = {n: FP32[n] for n in ("tiny.onnx", "tiny.json", "registry.json")}
CASES = {
    "quantize": Case(PLAIN, ["quantize", "dynamic", "m.onnx"], ("m.int8.onnx", "m.json", "registry.json")),
    "quantize again": Case(QUANT | {"m.int8.onnx": b"old"}, ["quantize", "dynamic", "m.onnx"], ("m.int8.onnx",)),
    "quantize -o": Case(PLAIN | {"o.onnx": b"old"}, ["quantize", "dynamic", "m.onnx", "-o", "o.onnx", "-f"], ("o.onnx",)),
    "filter": Case(FILTER, ["filter", "-m", "learned_filter_v1.onnx", "in.y4m", "-o", "out.y4m", "-f", "--threads", "1"], ("out.y4m",)),
    "filter to stdout": Case(FILTER, ["filter", "-m", "learned_filter_v1.onnx", "in.y4m", "-o", "-", "--threads", "2"]),
    "quantize static": Case(RAMP, ["quantize", "static", "m.onnx", "--calibration", "x.npy", "--threads", "1"], ("m.int8.onnx", "m.json", "registry.json")),
    "calibrate": Case(RAMP | {"r.json": b"old"}, ["calibrate", "m.onnx", "x.npy", "-o", "r.json", "-f", "--threads", "1"], ("r.json",)),
    "run": Case({**PLAIN, "x.npy": npy(np.ones((1, 1, 4, 4), "f4")), "y.npy": b"old"},
                ["run", "m.onnx", "--in", "x.npy", "--out", "y.npy", "-f", "--threads", "1"], ("y.npy",)),
    "score": Case({"s.onnx": mean(), "in.y4m": FRAMES, "o.json": b"old"},
                  ["score", "-m", "s.onnx", "-d", "in.y4m", "-o", "o.json", "-f", "--threads", "1"], ("o.json",), same=speedless),
    "score to stdout": Case({"s.onnx": mean(), "in.y4m": FRAMES}, ["score", "-m", "s.onnx", "-d", "in.y4m", "--csv", "--threads", "1"]),
    "gate": Case(QUANT | {"o.json": b"old"}, ["gate", "m.onnx", "--compat", "--json", "o.json", "-f", "--threads", "1"], ("o.json",), check=figures),
    "gate explains": Case(SQUARE | {"p.html": b"old"}, ["gate", "m.onnx", "--html", "p.html", "-f", "--threads", "1"], ("p.html",)),
    "train": Case(OLD, TRAIN, TRAINED, same=timeless, steps=True),
    "train goes on": Case(stopped(OLD, TRAIN, 5), TRAIN, TRAINED, same=timeless, steps=True),
    "train score": Case(training(kind="nr", net={"separable_score": {"stem": 2, "side": 8, "blocks": []}}, batch=2,
                                 data={"train": [{"scores": "t.csv"}], "validation": [{"scores": "t.csv"}]})
                        | {"t.csv": b"file,frame,score\nt.y4m,0,10\nt.y4m,1,30\nv.y4m,0,20\n"}, TRAIN, TRAINED, same=timeless, steps=True),
    "train int8": Case(training(net={"from": "tiny.onnx"}, qat={"samples": 2, "teacher": 0.5}) | FP32, TRAIN, QAT, same=timeless, steps=True),
    "verify": Case(QUANT, ["verify", "m.onnx"]),
    "verify all": Case(QUANT, ["verify", "--all", "--registry", "registry.json"]),
    "inspect": Case(QUANT, ["inspect", "m.onnx", "--threads", "1"]),
    "sign": Case({**QUANT, **KEYS}, ["registry", "sign", "-s", "s.key", "registry.json", "--comment", "c"], ("registry.json", "registry.json.minisig")),
    "keygen": Case({"s.key": b"old", "s.pub": b"old"}, ["registry", "keygen", "-s", "s.key", "-p", "s.pub", "--no-password", "-f"], ("s.key", "s.pub"),
                   check=key_file, stdout=False),
    "bench": Case(QUANT, ["bench", "m.onnx", "--json", "--threads", "1", "--runs", "1"]),
}
WRITERS = [n for n, c in CASES.items() if c.out]


def share(points, most, name):
    """All of them, or some that change from day to day."""
    points = list(points)
    if ALL:
        return points[SHARD - 1::SHARDS]
    if len(points) <= most:
        return points
    return random.Random(f"{SEED} {name}").sample(points, most)


@pytest.fixture
def folder(tmp_path):
    yield tmp_path


class Noted(list):
    """What went wrong: all of it is told, at the end."""

    def __enter__(self):
        return self

    def __exit__(self, kind, e, trace):
        if kind and issubclass(kind, AssertionError):
            self.append(str(e).split("\nassert ")[0])
        return kind and issubclass(kind, AssertionError)

    def tell(self):
        assert not self, f"{len(self)} times:\n" + "\n".join(self[:200])


# --- memory


def allocations(case, folder, **env):
    """The result, how many allocations there were, and how many of them were not freed; 0 of a process that ended too early to tell."""
    case.fill(folder)
    r, w = os.pipe()
    done = case.run(folder, env={"LD_PRELOAD": str(SHIM), "FAIL_COUNT": str(w)} | env, pass_fds=(w,))
    os.close(w)
    with os.fdopen(r) as f:
        n, live = map(int, (f.read() or "0 0").split())
    return done, n, live


@pytest.mark.parametrize("name", CASES)
def test_allocations(name, folder, capsys):
    """The k-th allocation fails, alone and with all after it, in the program, in jansson, in libc."""
    case = CASES[name]
    case.learn(folder)
    _, n, kept = allocations(case, folder)
    assert n > 2
    assert kept <= (2 if "2" in case.argv else 1), "not freed: standard output's buffer, and what glibc keeps of a thread, are all there may be"
    points = share([(k, on) for k in range(1, n + 1) for on in (False, True)], 20, name + " memory")
    codes, noted = {}, Noted()
    for k, on in points:
        r, _, live = allocations(case, folder, FAIL_AT=str(k), **({"FAIL_ON": "1"} if on else {}))
        with noted:
            what = f"allocation {k}{' and all after it' if on else ''} of {n} fails"
            case.judge(folder, r, what)
            assert live <= kept, f"{name}: {what}: exit {r.returncode}: {live} allocations were not freed, and {kept} when nothing fails"
        codes[r.returncode] = codes.get(r.returncode, 0) + 1
    with capsys.disabled():
        print(f"\n{name}: {len(points)} of {2 * n} failures of memory; exit codes {dict(sorted(codes.items()))}", end="")
    noted.tell()


# --- system calls

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


@pytest.mark.parametrize("name", [*WRITERS, "verify", "verify all", "inspect"])  # those say what they did not look at by exit 0
def test_calls(name, folder, capsys):
    """The k-th system call fails with each of ERRORS."""
    case = CASES[name]
    case.learn(folder)
    seen = calls(case, folder)
    points = share([(c, k, e) for c, ks in seen.items() for k in ks for e in ERRORS], 16, name + " calls")
    codes, noted = {}, Noted()
    for call, k, e in points:
        r = inject(case, folder, call, f"error={e}", k)
        if call == "getrandom" and r.returncode == -6:  # libsodium goes on with randomness or not at all
            r.returncode = ROOM
        with noted:
            case.judge(folder, r, f"{call} number {k} fails with {e}")
        codes[r.returncode] = codes.get(r.returncode, 0) + 1
    with capsys.disabled():
        print(f"\n{name}: {len(points)} failures of {sum(map(len, seen.values()))} system calls; exit codes {dict(sorted(codes.items()))}", end="")
    noted.tell()


@pytest.mark.parametrize("name", WRITERS)
def test_killed(name, folder, capsys):
    """SIGKILL at the k-th system call; then it is run again, and the result is whole."""
    case = CASES[name]
    case.learn(folder)
    seen = calls(case, folder)
    points = share([(c, k) for c, ks in seen.items() for k in ks], 10, name + " kills")
    noted = Noted()
    for call, k in points:
        r = inject(case, folder, call, "signal=KILL", k)
        with noted:
            assert r.returncode in (-9, 137, OK)
            case.judge(folder, r, f"killed at {call} number {k}", killed=True)
        if name.startswith(("quantize", "train")):  # what a killed one left does not stop the next, which ends as if nothing had been
            again = case.run(folder)
            with noted:
                assert again.returncode == OK, (call, k, again.stderr)
                for n in case.out:
                    assert case.is_whole(n, (folder / n).read_bytes()), f"{name}: killed at {call} number {k}, then run again: {n} is not what it should be"
    with capsys.disabled():
        print(f"\n{name}: killed at {len(points)} of {sum(map(len, seen.values()))} system calls", end="")
    noted.tell()


# --- disks, pipes, limits


def limit_of(n):
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (n, n))


LARGE = {**read("learned_filter_v1.onnx"), "in.y4m": clip("420jpeg", 64, 48, pictures("420jpeg", 64, 48, 8)), "out.y4m": b"old"}
DEEP = training(net={"residual_filter": {"channels": 12, "blocks": 1}})
DONE = made(DEEP, *TRAIN)
LIMITED = {
    "train": Case(DEEP | {"tiny.onnx": b"old"}, TRAIN, TRAINED, same=timeless, steps=True),
    "train exports": Case(DONE | {"tiny.onnx": b"old", "tiny.md": b"old", "registry.json": DEEP["registry.json"]}, TRAIN, TRAINED, same=timeless, steps=True),
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
    size = max(len(d) for n, d in case.want.items() if d != case.files.get(n))
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
    offsets = share(range(0, size, -(-size // 200)), 6, name + " pipe")
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
