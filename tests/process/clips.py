# SPDX-License-Identifier: BSD-2-Clause
"""What the process tests share: running the command, making and taking apart y4m clips."""
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

BIN = os.environ["VMAF_DNN_BIN"]
SOURCE = Path(os.environ["VMAF_DNN_SOURCE"])
MODEL = SOURCE / "model/tiny/learned_filter_v1.onnx"
# fp32 in every case, whatever the shipped model's registry row says by now
FILTER = ("filter", "--baseline", "-m", MODEL)

OK, NO, USAGE, CLIP, REFUSED, ROOM = range(6)

# tag: (chroma columns and rows are halved, depth); None: mono
FORMATS = {"420": (1, 1, 8), "420jpeg": (1, 1, 8), "420mpeg2": (1, 1, 8), "420paldv": (1, 1, 8), "422": (1, 0, 8), "444": (0, 0, 8),
           "mono": (None, None, 8)}
for bits in (9, 10, 12, 14, 16):
    FORMATS |= {f"420p{bits}": (1, 1, bits), f"422p{bits}": (1, 0, bits), f"444p{bits}": (0, 0, bits), f"mono{bits}": (None, None, bits)}


# Before a command: root obeys the mode of files as others do.
ORDINARY = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"] if os.geteuid() == 0 else []


def command(*argv, code=0, stdin=b"", ordinary=False, **more):
    """Runs the command; its exit code must be the given one (None: any)."""
    feed = {"stdin": stdin} if hasattr(stdin, "fileno") or isinstance(stdin, int) else {"input": stdin}
    r = subprocess.run([*(ORDINARY if ordinary else []), BIN, *map(str, argv)], **feed, **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "timeout": 120, **more})
    err = (r.stderr or b"").decode()
    assert "Sanitizer" not in err and "runtime error" not in err, err
    assert code is None or r.returncode == code, f"vmaf-dnn {' '.join(map(str, argv))}: exit {r.returncode}, not {code}\n{err}"
    r.err = err
    return r


def plane_sizes(tag, w, h):
    sx, sy, _ = FORMATS[tag]
    small = () if sx is None else ((-(-h // (1 + sy)), -(-w // (1 + sx))),) * 2
    return ((h, w), *small)


def sample_type(tag):
    return np.dtype("u1" if FORMATS[tag][2] == 8 else "<u2")


def pictures(tag, w, h, n, seed=0):
    """n frames, each a list of planes: smooth shapes, an edge and some noise, of full range. Luma depends on size, depth and seed alone."""
    top = (1 << FORMATS[tag][2]) - 1
    out = []
    for f in range(n):
        planes = []
        for p, (ph, pw) in enumerate(plane_sizes(tag, w, h)):
            rng = np.random.default_rng([seed, f, p, w, h, top])
            y, x = np.mgrid[0:ph, 0:pw]
            v = 0.5 + 0.4 * np.sin(x / 3 + f) * np.cos(y / 4) + 0.2 * (x > pw // 2) + rng.normal(0, 0.08, (ph, pw))
            planes.append((np.clip(v, 0, 1) * top).round().astype(sample_type(tag)))
        out.append(planes)
    return out


def clip(tag, w, h, frames, more=" F25:1 Ip A1:1", lines=None):
    """The bytes of a clip; tag None leaves the C tag out; lines: parameters of each FRAME line."""
    head = f"YUV4MPEG2 W{w} H{h}{more}" + (f" C{tag}" if tag else "") + "\n"
    out = [head.encode()]
    for i, planes in enumerate(frames):
        out.append(b"FRAME" + (lines[i] if lines else b"") + b"\n")
        out.extend(p.tobytes() for p in planes)
    return b"".join(out)


def take_apart(data, tag, w, h):
    """Header line, FRAME lines, frames as lists of planes; nothing may be left over."""
    head, data = data.split(b"\n", 1)
    sizes, dtype = plane_sizes(tag, w, h), sample_type(tag)
    lines, frames = [], []
    while data:
        line, data = data.split(b"\n", 1)
        assert line.startswith(b"FRAME")
        planes = []
        for shape in sizes:
            n = shape[0] * shape[1] * dtype.itemsize
            assert len(data) >= n
            planes.append(np.frombuffer(data[:n], dtype).reshape(shape))
            data = data[n:]
        lines.append(line)
        frames.append(planes)
    return head, lines, frames


def only(folder, *names):
    """No temporary file is left, nor anything else."""
    assert sorted(p.name for p in folder.iterdir()) == sorted(names)


@pytest.fixture(scope="module")
def small():
    frames = pictures("420jpeg", 11, 9, 3)
    data = clip("420jpeg", 11, 9, frames)
    return data, command(*FILTER, "-", "-o", "-", "-q", stdin=data).stdout


class Oracle:
    """What a plane must become: `vmaf-dnn run` on samples / max, times max, rounded half to even, in numpy."""

    def __init__(self, folder, *options):
        self.folder, self.options, self.known = Path(folder), options or ("--baseline",), {}

    def __call__(self, plane, depth):
        key = (plane.tobytes(), plane.shape, depth)
        if key not in self.known:
            top = np.float32((1 << depth) - 1)
            np.save(self.folder / "plane.npy", (np.minimum(plane, top).astype(np.float32) / top)[None, None])
            command("run", MODEL, "--in", self.folder / "plane.npy", "--out", self.folder / "made.npy", "-f", *self.options)
            made = np.load(self.folder / "made.npy")[0, 0]
            assert made.dtype == np.float32 and made.shape == plane.shape
            self.known[key] = np.clip(np.rint(made * top), 0, top).astype(plane.dtype)
        return self.known[key]
