# SPDX-License-Identifier: BSD-2-Clause
"""`vmaf-dnn run` as a process: .npy of every type and rank, in and out, against numpy; models of several inputs and outputs made with onnx."""
import io
import os
import re
import resource
import shutil

import numpy as np
import onnx
import pytest
from onnx import TensorProto as T, helper

from clips import CLIP, MODEL, REFUSED, ROOM, SOURCE, USAGE, command

SMOKE_FP16 = SOURCE / "model/tiny/smoke_fp16_v0.onnx"
TYPES = {"float32": T.FLOAT, "float16": T.FLOAT16, "uint8": T.UINT8, "int8": T.INT8, "int32": T.INT32, "int64": T.INT64, "bool": T.BOOL}


def model(path, nodes, inputs, outputs):
    """inputs and outputs: (name, numpy type name, shape)"""
    values = [[helper.make_tensor_value_info(n, TYPES[t], s) for n, t, s in slots] for slots in (inputs, outputs)]
    graph = helper.make_graph([helper.make_node(*n) for n in nodes], "g", *values)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.fixture
def identity(tmp_path):
    def make(dtype, shape):
        return model(tmp_path / f"identity_{dtype}.onnx", [("Identity", ["x"], ["y"])], [("x", dtype, shape)], [("y", dtype, shape)])
    return make


@pytest.fixture
def two(tmp_path):
    """s = a + b, d = a - b"""
    slot = ("float32", [2, "n"])
    return model(tmp_path / "two.onnx", [("Add", ["a", "b"], ["s"]), ("Sub", ["a", "b"], ["d"])], [("a", *slot), ("b", *slot)],
                 [("s", *slot), ("d", *slot)])


def saved(array, **how):
    f = io.BytesIO()
    np.save(f, array, **how)
    return f.getvalue()


def some(dtype, shape, seed=1):
    rng = np.random.default_rng(seed)
    if dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    if dtype.startswith("float"):
        return np.array(rng.normal(size=shape)).astype(dtype)
    i = np.iinfo(dtype)
    return np.array(rng.integers(i.min, i.max, shape, dtype=dtype, endpoint=True))


# --- arrays


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", [(), (1,), (7,), (100000,), (2, 3), (1, 1, 4, 4), (1, 2, 1, 2, 1, 2, 1, 2)], ids=str)
def test_what_comes_out_is_what_numpy_writes(dtype, shape, identity, tmp_path):
    x = some(dtype, shape)
    np.save(tmp_path / "x.npy", x)
    command("run", identity(dtype, list(shape)), "--in", f"x={tmp_path}/x.npy", "--out", f"y={tmp_path}/y.npy")
    assert (tmp_path / "y.npy").read_bytes() == saved(x)


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)], ids=str)
def test_versions(version, identity, tmp_path):
    x = some("float32", (3, 5))
    with open(tmp_path / "x.npy", "wb") as f:
        np.lib.format.write_array(f, x, version)
    command("run", identity("float32", [3, 5]), "--in", tmp_path / "x.npy", "--out", tmp_path / "y.npy")
    assert np.array_equal(np.load(tmp_path / "y.npy"), x)


def test_misaligned_data(identity, tmp_path):
    """Headers that are not padded, as other writers make them: the data is moved, not read where it lies."""
    x = some("int64", (4,))
    text = b"{'descr':'<i8','fortran_order':False,'shape':(4,)}"
    for pad in range(9):
        (tmp_path / "x.npy").write_bytes(b"\x93NUMPY\x01\x00" + (len(text) + pad).to_bytes(2, "little") + text + b" " * pad + x.tobytes())
        command("run", identity("int64", [4]), "--in", tmp_path / "x.npy", "--out", tmp_path / "y.npy", "-f")
        assert np.array_equal(np.load(tmp_path / "y.npy"), x)


def test_special_values_survive(identity, tmp_path):
    x = np.array([np.nan, np.inf, -np.inf, -0.0, 1e-45, 3.4e38], "float32")
    np.save(tmp_path / "x.npy", x)
    command("run", identity("float32", [6]), "--in", tmp_path / "x.npy", "--out", tmp_path / "y.npy")
    assert np.load(tmp_path / "y.npy").tobytes() == x.tobytes()


def test_float16_takes_both(tmp_path):
    x = np.array([0.1, -2, 1e-7, 65504], "float32").reshape(1, 1, 2, 2)
    for dtype in ("float16", "float32"):
        np.save(tmp_path / "x.npy", x.astype(dtype))
        command("run", SMOKE_FP16, "--in", tmp_path / "x.npy", "--out", tmp_path / "y.npy", "-f")
        assert (tmp_path / "y.npy").read_bytes() == saved(x.astype("float16"))


def test_the_filter_at_many_sizes(tmp_path):
    """The result does not depend on threads; every size of at least 1x1 is taken; numbers stay in 0..1."""
    for h, w in ((1, 1), (1, 9), (9, 1), (3, 2), (31, 33), (120, 160)):
        np.save(tmp_path / "x.npy", np.random.default_rng(h).random((1, 1, h, w), "float32"))
        made = []
        for threads in (1, 3):
            command("run", MODEL, "--baseline", "--threads", threads, "--in", tmp_path / "x.npy", "--out", tmp_path / "y.npy", "-f")
            made.append(np.load(tmp_path / "y.npy"))
        assert made[0].shape == (1, 1, h, w) and made[0].dtype == np.float32
        assert made[0].tobytes() == made[1].tobytes()
        assert made[0].min() >= 0 and made[0].max() <= 1


def refuse_array(tmp_path, data, code, *why, onto=None):
    (tmp_path / "x.npy").write_bytes(data)
    r = command("run", onto or MODEL, "--baseline", "--in", tmp_path / "x.npy", "--out", tmp_path / "y.npy", code=code)
    for w in ("x.npy", *why):
        assert w in r.err, r.err
    assert not (tmp_path / "y.npy").exists() and r.stdout == b""


def test_arrays_that_do_not_fit(tmp_path):
    ok = np.zeros((1, 1, 4, 4), "float32")
    refuse_array(tmp_path, saved(ok.astype("float64")), USAGE, "'<f8'", "astype('<f4')")
    refuse_array(tmp_path, saved(ok.astype(">f4")), USAGE, "'>f4'")
    refuse_array(tmp_path, saved(ok.astype("complex64")), USAGE, "'<c8'")
    refuse_array(tmp_path, saved(ok.astype("uint8")), USAGE, "input 'degraded' is float32, the array uint8", "astype('float32')")
    refuse_array(tmp_path, saved(ok.astype("float16")), USAGE, "is float32, the array float16")
    refuse_array(tmp_path, saved(ok[0]), USAGE, "input 'degraded' has the shape [", "the array [1,4,4]")
    refuse_array(tmp_path, saved(np.zeros((1, 3, 4, 4), "float32")), USAGE, "the array [1,3,4,4]")
    refuse_array(tmp_path, saved(np.zeros((1, 1, 0, 4), "float32")), USAGE, "no elements")
    refuse_array(tmp_path, saved(np.asfortranarray(np.zeros((2, 3), "float32"))), USAGE, "Fortran order", "numpy.ascontiguousarray")
    refuse_array(tmp_path, saved(np.zeros(2, [("a", "<f4")])), USAGE, "records")
    refuse_array(tmp_path, saved(np.zeros((1,) * 9, "float32")), USAGE, "more than 8 dimensions")
    refuse_array(tmp_path, saved(np.array([None])), USAGE, "'|O'")


def test_arrays_that_are_broken(tmp_path):
    ok = saved(np.zeros((1, 1, 4, 4), "float32"))
    refuse_array(tmp_path, b"", CLIP, "not a .npy file")
    refuse_array(tmp_path, b"PK\x03\x04" + ok, CLIP, "not a .npy file")
    for n in range(6, len(ok)):
        refuse_array(tmp_path, ok[:n], CLIP, "ends inside" if n < 128 else "64 bytes, and")
        if n == 140:
            break
    refuse_array(tmp_path, ok + b"\0", CLIP, "64 bytes, and 65 follow")
    refuse_array(tmp_path, ok.replace(b"(1, 1, 4, 4)", b"(1, 1, 4, 5)"), CLIP, "80 bytes, and 64 follow")
    refuse_array(tmp_path, ok.replace(b"(1, 1, 4, 4)", b"(1, 1, 4*4)"[:12]), CLIP)
    refuse_array(tmp_path, ok.replace(b"False", b"print"), CLIP, "neither True nor False")
    refuse_array(tmp_path, ok.replace(b"'descr'", b"'Descr'"), CLIP, "unknown key")


def test_huge_claims_cost_nothing(tmp_path):
    for shape in (b"(9223372036854775807, 9223372036854775807)", b"(4611686018427387904,)", b"(1099511627776,)"):
        text = b"{'descr': '<f4', 'fortran_order': False, 'shape': " + shape + b"}"
        refuse_array(tmp_path, b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text, CLIP)


def test_files_that_are_no_files(tmp_path):
    for path in (tmp_path, tmp_path / "none.npy", "/dev/null", ""):
        command("run", MODEL, "--baseline", "--in", path, code=USAGE)


# --- names


def test_two_inputs_two_outputs(two, tmp_path):
    a, b = some("float32", (2, 5), 1), some("float32", (2, 5), 2)
    np.save(tmp_path / "a.npy", a)
    np.save(tmp_path / "b.npy", b)
    A, B, S, D = (tmp_path / f"{n}.npy" for n in "absd")
    ways = [
        (["--in", f"a={A}", "--in", f"b={B}", "--out", f"s={S}", "--out", f"d={D}"], a, b),
        (["--in", f"b={B}", "--in", f"a={A}", "--out", f"d={D}", "--out", f"s={S}"], a, b),
        (["--in", A, "--in", B, "--out", S, "--out", D], a, b),
        (["--in", f"b={A}", "--in", B, "--out", f"d={D}", "--out", S], b, a),
        (["--in", A, "--in", f"a={B}", "--out", D, "--out", f"s={S}"], b, a),
    ]
    for argv, x, y in ways:
        command("run", two, *argv)
        assert np.array_equal(np.load(S), x + y) and np.array_equal(np.load(D), x - y)
        S.unlink()
        D.unlink()
    command("run", two, "--in", A, "--in", B, "--out", f"d={D}")
    assert np.array_equal(np.load(D), a - b) and not S.exists()


def test_names_that_are_wrong(two, tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((2, 5), "float32"))
    A = tmp_path / "a.npy"

    def wrong(*argv):
        return command("run", two, *argv, code=USAGE).err

    assert "input 'b' is missing" in wrong("--in", f"a={A}")
    assert "no input of that name; it has 'a', 'b'" in wrong("--in", f"x={A}", "--in", A)
    assert "no output of that name; it has 's', 'd'" in wrong("--in", A, "--in", A, "--out", "y=y.npy")
    assert "was given before" in wrong("--in", f"a={A}", "--in", f"a={A}")
    assert "the model has 2 inputs, and all are given" in wrong("--in", A, "--in", A, "--in", A)
    assert "no file behind" in wrong("--in", "a=", "--in", A)
    assert "two outputs go to" in wrong("--in", A, "--in", A, "--out", tmp_path / "y", "--out", tmp_path / "y")
    assert "is an input and an output" in wrong("--in", A, "--in", A, "-f", "--out", A)
    assert np.load(A).shape == (2, 5)


def test_names_and_paths_with_equals_signs(tmp_path):
    m = model(tmp_path / "m.onnx", [("Sub", ["a", "a=b"], ["y=z"])], [("a", "float32", [2]), ("a=b", "float32", [2])], [("y=z", "float32", [2])])
    np.save(tmp_path / "p=q.npy", np.array([5, 7], "float32"))
    np.save(tmp_path / "r.npy", np.array([1, 2], "float32"))
    P, R = tmp_path / "p=q.npy", tmp_path / "r.npy"
    for ins in (["--in", f"a={P}", "--in", f"a=b={R}"], ["--in", P, "--in", R]):
        command("run", m, *ins, "--out", f"y=z={tmp_path}/o=1.npy", "-f")
        assert np.load(tmp_path / "o=1.npy").tolist() == [4, 5]


# --- results


def test_without_out_a_table_is_printed(two, tmp_path):
    a, b = np.array([[1, 2, 3], [4, 5, np.nan]], "float32"), np.full((2, 3), 0.5, "float32")
    np.save(tmp_path / "a.npy", a)
    np.save(tmp_path / "b.npy", b)
    r = command("run", two, "--in", tmp_path / "a.npy", "--in", tmp_path / "b.npy")
    assert r.stdout.decode() == ("s float32 [2,3] min 1.5 mean 3.5 max 5.5 NaN 1 of 6\n"
                                 "d float32 [2,3] min 0.5 mean 2.5 max 4.5 NaN 1 of 6\n")
    with open("/dev/full", "wb") as full:
        assert "No space left" in command("run", two, "--in", tmp_path / "a.npy", "--in", tmp_path / "b.npy", stdout=full, code=ROOM).err


@pytest.mark.parametrize("dtype", TYPES)
def test_the_table_for_every_type(dtype, identity, tmp_path):
    x = some(dtype, (3, 4))
    np.save(tmp_path / "x.npy", x)
    out = command("run", identity(dtype, [3, 4]), "--in", tmp_path / "x.npy").stdout.decode()
    name, kind, shape, _, least, _, mean, _, most = out.split()
    assert (name, kind, shape) == ("y", dtype, "[3,4]")
    x = x.astype("float64")
    assert [float(least), float(mean), float(most)] == pytest.approx([x.min(), x.mean(), x.max()], rel=1e-7)


def test_the_closing_line(two, tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((1, 1, 4, 4), "float32"))
    err = command("run", MODEL, "--baseline", "--threads", "2", "--kernels", "c", "--in", tmp_path / "x.npy").err
    assert re.fullmatch(r"vmaf-dnn run: learned_filter_v1 \(fp32( baseline)?, pinned\), kernels c, 2 threads\n", err), err
    assert command("run", MODEL, "--baseline", "-q", "--in", tmp_path / "x.npy").err == ""
    np.save(tmp_path / "a.npy", np.zeros((2, 1), "float32"))
    assert "two (fp32, UNPINNED)" in command("run", two, "--in", tmp_path / "a.npy", "--in", tmp_path / "a.npy").err


def test_existing_outputs(two, tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((2, 1), "float32"))
    argv = ["run", two, "--in", tmp_path / "a.npy", "--in", tmp_path / "a.npy", "--out", tmp_path / "s.npy", "--out", tmp_path / "d.npy"]
    (tmp_path / "d.npy").write_bytes(b"precious")
    assert "-f replaces it" in command(*argv, code=USAGE).err
    assert (tmp_path / "d.npy").read_bytes() == b"precious" and not (tmp_path / "s.npy").exists()
    command(*argv, "-f")
    assert np.load(tmp_path / "d.npy").shape == (2, 1)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.npy", "d.npy", "s.npy", "two.onnx"]


def test_all_outputs_or_none(two, tmp_path):
    """The second does not fit the disk: the first does not get its name."""
    np.save(tmp_path / "a.npy", np.zeros((2, 1), "float32"))
    command("run", two, "--in", tmp_path / "a.npy", "--in", tmp_path / "a.npy", "--out", tmp_path / "s.npy", "--out", "/dev/full", code=ROOM)
    command("run", two, "--in", tmp_path / "a.npy", "--in", tmp_path / "a.npy", "--out", tmp_path / "s.npy", code=ROOM,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.npy", "two.onnx"]


def test_standard_output(two, tmp_path):
    np.save(tmp_path / "a.npy", np.ones((2, 3), "float32"))
    out = command("run", two, "--in", tmp_path / "a.npy", "--in", tmp_path / "a.npy", "--out", "s=-").stdout
    assert out == saved(np.full((2, 3), 2, "float32"))


# --- models and usage


def test_models_that_are_refused(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((1, 1, 4, 4), "float32"))
    argv = ["--in", tmp_path / "x.npy", "--out", tmp_path / "y.npy"]
    assert "none.onnx" in command("run", tmp_path / "none.onnx", *argv, code=USAGE).err
    (tmp_path / "bad.onnx").write_bytes(b"junk")
    assert "bad.onnx" in command("run", tmp_path / "bad.onnx", *argv, code=REFUSED).err
    m = model(tmp_path / "op.onnx", [("NonMaxSuppression", ["x"], ["y"])], [("x", "float32", [1])], [("y", "float32", [1])])
    assert "NonMaxSuppression" in command("run", m, *argv, code=REFUSED).err
    shutil.copy(MODEL, tmp_path / "learned_filter_v1.onnx")
    with open(tmp_path / "learned_filter_v1.onnx", "r+b") as f:
        f.seek(5000)
        f.write(b"\0\1\2\3")
    shutil.copy(SOURCE / "model/tiny/registry.json", tmp_path)
    command("run", tmp_path / "learned_filter_v1.onnx", "--baseline", *argv, code=REFUSED)
    assert not (tmp_path / "y.npy").exists()


@pytest.mark.parametrize("argv, why", [
    ([], "no model"),
    ([MODEL], "no input"),
    ([MODEL, "more", "--in", "x.npy"], "'more'"),
    ([MODEL, "--in"], "needs a value"),
    ([MODEL, "--im", "x"], "did you mean '--in'"),
    ([MODEL, "--in", "x", "--threads", "zwei"], "--threads zwei"),
    ([MODEL] + ["--in", "x"] * 65, "more than 64"),
])
def test_usage(argv, why):
    r = command("run", *argv, code=USAGE)
    assert why in r.err and "vmaf-dnn run --help" in r.err and r.stdout == b""


def test_help_and_its_example(tmp_path):
    text = command("run", "--help").stdout.decode()
    lines = [line.strip() for line in text.splitlines()]
    at = lines.index("Example:")
    assert lines[at + 1].startswith("python3 -c") and lines[at + 2].startswith("vmaf-dnn run learned_filter_v1")
    rng = np.random.default_rng(0).random((1, 1, 64, 64), "float32")
    np.save(tmp_path / "x.npy", rng)
    argv = lines[at + 2].split()[1:]
    command(*argv, "--registry", SOURCE / "model/tiny/registry.json", "--baseline", cwd=tmp_path)
    assert np.load(tmp_path / "y.npy").shape == (1, 1, 64, 64)


def test_an_unreadable_array(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((1, 1, 4, 4), "float32"))
    (tmp_path / "x.npy").chmod(0)
    command("run", MODEL, "--baseline", "--in", tmp_path / "x.npy", code=USAGE, ordinary=True)
