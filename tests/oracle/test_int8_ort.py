# SPDX-License-Identifier: BSD-2-Clause
"""The int8 files of `quantize dynamic`, run by `vmaf-dnn run` and by ONNX Runtime: the same float bits, for u8 and s8
weights, per tensor and per channel, with every kernel set that this CPU has, on one thread and on two."""
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

BIN = os.environ["VMAF_DNN_BIN"]
SOURCE = Path(os.environ["VMAF_DNN_SOURCE"])
MODEL = SOURCE / "model/tiny/learned_filter_v1.onnx"
FRAMES = 50
MAX_PIXELS = 6000  # of most; the C kernels do all of this too
SEED = int(os.environ.get("VMAF_DNN_SEED", int.from_bytes(os.urandom(4), "little")))
VARIANTS = {
    "u8-channel": [],
    "s8-channel": ["--weight-type", "int8"],
    "u8-tensor": ["--per-tensor"],
    "s8-tensor": ["--weight-type", "int8", "--per-tensor"],
}


def command(*argv):
    r = subprocess.run([BIN, *map(str, argv)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    assert r.returncode == 0, f"vmaf-dnn {' '.join(map(str, argv))}: exit {r.returncode}\n{r.stdout}{r.stderr}"
    return r.stdout


def kernel_sets():
    """The names in run's --help that this CPU can run; C and the best one are always among them."""
    listed = re.search(r"--kernels NAME +kernel set: ([a-z0-9, ]+)", command("run", "--help"))
    assert listed, "run --help does not list the kernel sets"
    names = [n for n in listed[1].replace(" ", "").split(",") if n]
    flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").split() if os.path.exists("/proc/cpuinfo") else []
    needs = {"avx2": {"avx2", "fma"}, "avx512": {"avx512bw"}, "avxvnni": {"avx_vnni"}, "avx512vnni": {"avx512_vnni"}, "neon": {"asimd"}, "dotprod": {"asimddp"}, "i8mm": {"i8mm"}}
    return [n for n in names if needs.get(n, set()) <= set(flags)]


def frames():
    """Odd sizes of 1x1 to 200 wide: noise, smooth pictures, what a decoder gives, constants, values outside 0..1."""
    rng = np.random.default_rng(SEED)

    def size():
        while True:
            h, w = (2 * (np.exp(rng.uniform(0, np.log(200), 2)).astype(int) // 2) + 1)
            if h * w <= MAX_PIXELS:
                return int(h), int(w)

    def smooth(n, h, w):
        y, x = np.mgrid[0:h, 0:w]
        f = rng.uniform(0.01, 0.3, (n, 4, 1, 1)) * x + rng.uniform(0.01, 0.3, (n, 4, 1, 1)) * y + rng.uniform(0, 6.3, (n, 4, 1, 1))
        return 0.5 + 0.12 * np.sin(f).sum(1)

    shapes = [(1, 1, 1), (1, 1, 199), (1, 29, 1), (2, 3, 3), (3, 17, 19), (1, 151, 199), (1, 97, 131)]
    shapes += [(1, *size()) for _ in range(FRAMES - len(shapes))]
    for i, shape in enumerate(shapes):
        x = [
            lambda: rng.random(shape),
            lambda: smooth(*shape),
            lambda: np.rint(np.clip(smooth(*shape) + rng.normal(0, 0.02, shape), 0, 1) * 255) / 255,
            lambda: np.rint(rng.random(shape) * 255) / 255,
            lambda: rng.uniform(-1.5, 2.5, shape),
        ][i % 5]()
        if i in (10, 11, 12, 13):
            x = np.full(shape, [0.0, 1.0, 0.5, -0.25][i - 10])
        if i == 14:  # one bright sample: every other falls into few steps
            x = np.full(shape, 0.01)
            x.flat[x.size // 2] = 1.0
        yield np.ascontiguousarray(x, dtype=np.float32)[:, None]


def session(path, level):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = level
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def arrays(tmp_path_factory):
    folder = tmp_path_factory.mktemp("frames")
    made = list(frames())
    for i, x in enumerate(made):
        np.save(folder / f"{i}.npy", x)
    print(f"seed {SEED}: VMAF_DNN_SEED={SEED} repeats this run", file=sys.stderr)
    return folder, made


@pytest.mark.parametrize("variant", VARIANTS)
def test_same_bits(variant, arrays, tmp_path):
    folder, made = arrays
    model = tmp_path / MODEL.name
    shutil.copy(MODEL, model)
    command("quantize", "dynamic", model, *VARIANTS[variant])
    int8 = tmp_path / (MODEL.stem + ".int8.onnx")
    onnx.checker.check_model(str(int8), full_check=True)
    graph = onnx.load(str(int8)).graph
    stored = {t.name: t for t in graph.initializer}
    integer = [n for n in graph.node if n.op_type == "ConvInteger"]
    assert len(integer) == sum(n.op_type == "Conv" for n in onnx.load(str(model)).graph.node) > 0
    assert {stored[n.input[1]].data_type for n in integer} == {onnx.TensorProto.INT8 if "s8" in variant else onnx.TensorProto.UINT8}

    plain, tuned = session(int8, ort.GraphOptimizationLevel.ORT_DISABLE_ALL), session(int8, ort.GraphOptimizationLevel.ORT_ENABLE_ALL)
    name_in, name_out = plain.get_inputs()[0].name, plain.get_outputs()[0].name
    want = [plain.run(None, {name_in: x})[0] for x in made]
    tuned_differs = [i for i, x in enumerate(made) if tuned.run(None, {name_in: x})[0].tobytes() != want[i].tobytes()]
    assert not tuned_differs, f"seed {SEED}: ONNX Runtime with and without its graph optimiser differ on frames {tuned_differs}"

    def check(job):
        kernels, threads, i = job
        out = tmp_path / f"{kernels}-{threads}-{i}.npy"
        command("run", int8, "--in", f"{name_in}={folder / f'{i}.npy'}", "--out", f"{name_out}={out}", "--kernels", kernels,
                "--threads", threads)
        got = np.load(out)
        if got.dtype == np.float32 and got.shape == want[i].shape and got.tobytes() == want[i].tobytes():
            return None
        if got.shape != want[i].shape or got.dtype != np.float32:
            return f"{kernels}, {threads} threads, frame {i} {made[i].shape}: {got.dtype} {got.shape}"
        d = np.abs(got.astype(np.float64) - want[i])
        return f"{kernels}, {threads} threads, frame {i} {made[i].shape}: {np.count_nonzero(d)} of {d.size} values differ, at most by {d.max():.3g}"

    jobs = [(k, t, i) for k in kernel_sets() for t in (1, 2) for i in range(len(made))]
    assert {"c"} < {k for k, _, _ in jobs} and len(made) == FRAMES
    with ThreadPoolExecutor(2) as pool:
        wrong = list(filter(None, pool.map(check, jobs)))
    assert not wrong, f"seed {SEED}, {variant}: {len(wrong)} of {len(jobs)} runs differ:\n" + "\n".join(wrong[:20])
