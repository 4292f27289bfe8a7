# SPDX-License-Identifier: BSD-2-Clause
"""What `vmaf-dnn filter` makes: every pixel format, sizes down to 1x1, tags, int8, clips that end early, refused models."""
import json
import os
import re
import shutil
import subprocess

import numpy as np
import pytest

from clips import CLIP, FILTER, FORMATS, MODEL, OK, Oracle, REFUSED, SOURCE, USAGE, clip, command, only, pictures, small, take_apart

SIZES = [(1, 1), (2, 1), (1, 3), (4, 2), (5, 7), (33, 17)]


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    return Oracle(tmp_path_factory.mktemp("oracle"))


def check_luma(out, tag, w, h, frames, expected):
    _, _, got = take_apart(out, tag, w, h)
    assert len(got) == len(frames)
    for was, now in zip(frames, got):
        assert np.array_equal(now[0], expected(was[0], FORMATS[tag][2]))
        assert all(np.array_equal(a, b) for a, b in zip(was[1:], now[1:]))


# --- samples


@pytest.mark.parametrize("size", SIZES, ids=lambda s: f"{s[0]}x{s[1]}")
@pytest.mark.parametrize("tag", FORMATS)
def test_luma_is_filtered_and_chroma_copied(tag, size, expected):
    w, h = size
    frames = pictures(tag, w, h, 2)
    data = clip(tag, w, h, frames)
    out = command(*FILTER, "-", "-o", "-", "-q", stdin=data)
    assert out.err == ""
    assert out.stdout.split(b"\n", 1)[0] == data.split(b"\n", 1)[0]
    check_luma(out.stdout, tag, w, h, frames, expected)


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (34, 18)], ids=lambda s: f"{s[0]}x{s[1]}")
@pytest.mark.parametrize("tag", ["420jpeg", "422", "444", "mono", "420p10", "422p16", "444p9", "mono12"])
def test_chroma_is_filtered_when_asked_for(tag, size, expected):
    w, h = size
    frames = pictures(tag, w, h, 2)
    out = command(*FILTER, "--chroma", "-", "-o", "-", "-q", stdin=clip(tag, w, h, frames)).stdout
    for was, now in zip(frames, take_apart(out, tag, w, h)[2]):
        for a, b in zip(was, now):
            assert np.array_equal(b, expected(a, FORMATS[tag][2]))


def test_the_filter_does_something(expected):
    frames = pictures("420jpeg", 33, 17, 1)
    assert not np.array_equal(frames[0][0], expected(frames[0][0], 8))


def test_extreme_samples(expected):
    for tag in ("mono", "mono10", "mono16"):
        top = (1 << FORMATS[tag][2]) - 1
        dtype = pictures(tag, 9, 9, 1)[0][0].dtype
        frames = [[np.zeros((9, 9), dtype)], [np.full((9, 9), top, dtype)], [(np.indices((9, 9)).sum(0) % 2 * top).astype(dtype)]]
        out = command(*FILTER, "-", "-o", "-", "-q", stdin=clip(tag, 9, 9, frames)).stdout
        check_luma(out, tag, 9, 9, frames, expected)


@pytest.mark.parametrize("tag", ["420p10", "mono12", "444p9"])
def test_samples_over_the_depth_are_clamped_and_told_once(tag, expected):
    depth = FORMATS[tag][2]
    frames = pictures(tag, 6, 5, 4)
    for f in (1, 3):
        frames[f][0][2, 3] = 65535
        frames[f][0][4, 5] = 1 << depth
    if len(frames[0]) > 1:
        frames[0][1][0, 0] = 65535  # copied as it is, and nobody's concern without --chroma
    out = command(*FILTER, "-", "-o", "-", stdin=clip(tag, 6, 5, frames))
    check_luma(out.stdout, tag, 6, 5, frames, expected)
    assert out.err.count("warning") == 1
    assert re.search(rf"warning: frame 1 .* plane Y: samples over {(1 << depth) - 1}\b", out.err)
    if len(frames[0]) > 1:
        out = command(*FILTER, "--chroma", "-", "-o", "-", stdin=clip(tag, 6, 5, frames))
        assert re.search(r"warning: frame 0 .* plane U", out.err)
        assert np.array_equal(take_apart(out.stdout, tag, 6, 5)[2][0][1], expected(frames[0][1], depth))


def test_full_16_bits_are_not_over_any_depth():
    frames = [[np.full((3, 3), 65535, "<u2")]]
    assert "warning" not in command(*FILTER, "-", "-o", "-", stdin=clip("mono16", 3, 3, frames)).err


@pytest.mark.parametrize("options", [["--threads", "1"], ["--threads", "2"], ["--threads", "7"]])
def test_threads_change_nothing(options):
    data = clip("420p10", 67, 41, pictures("420p10", 67, 41, 2))
    one = command(*FILTER, "--threads", "1", "-", "-o", "-", "-q", stdin=data).stdout
    assert command(*FILTER, *options, "--chroma", "--frames", "2", "-", "-o", "-", "-q", stdin=data).stdout[:200] == \
        command(*FILTER, "--chroma", "-", "-o", "-", "-q", stdin=data).stdout[:200]
    assert command(*FILTER, *options, "-", "-o", "-", "-q", stdin=data).stdout == one


def test_int8_is_the_same_everywhere(tmp_path):
    """What the registry says is what runs, and gives the same bits with every kernel set and thread count."""
    row = next(r for r in json.loads((SOURCE / "model/tiny/registry.json").read_text())["models"] if r["id"] == "learned_filter_v1")
    oracle = Oracle(tmp_path, "-q")
    for tag, w, h in (("420jpeg", 37, 23), ("422p10", 70, 21), ("mono16", 1, 1)):
        frames = pictures(tag, w, h, 2)
        data = clip(tag, w, h, frames)
        first = command("filter", "-m", MODEL, "-", "-o", "-", stdin=data)
        assert f"learned_filter_v1 ({row['quant_mode']}, pinned)" in first.err
        check_luma(first.stdout, tag, w, h, frames, oracle)
        for options in (["--kernels", "c"], ["--threads", "1"], ["--threads", "5"], ["--kernels", "c", "--threads", "3"]):
            assert command("filter", "-m", MODEL, *options, "-", "-o", "-", stdin=data).stdout == first.stdout


def test_the_c_kernels_run(expected, tmp_path):
    oracle = Oracle(tmp_path, "--baseline", "--kernels", "c")
    frames = pictures("422p12", 19, 6, 1)
    out = command(*FILTER, "--kernels", "c", "-", "-o", "-", stdin=clip("422p12", 19, 6, frames))
    check_luma(out.stdout, "422p12", 19, 6, frames, oracle)
    assert "kernels c," in out.err


# --- tags


@pytest.mark.parametrize("more", ["", " F30000:1001 Ip A128:117 XYSCSS=420JPEG XCOLORRANGE=LIMITED", " A0:0 F0:0 I? Xa=b  Xc Znew",
                                  " X" + "long" * 1000])
def test_header_goes_through_as_it_is(more, expected):
    frames = pictures("420jpeg", 5, 3, 2)
    for tag in ("420jpeg", None):
        data = clip(tag, 5, 3, frames, more, [b" Xfirst Ipp", b" X"])
        out = command(*FILTER, "-", "-o", "-", "-q", stdin=data).stdout
        head, lines, _ = take_apart(out, "420jpeg", 5, 3)
        assert head == data.split(b"\n", 1)[0]
        assert lines == [b"FRAME Xfirst Ipp", b"FRAME X"]
        check_luma(out, "420jpeg", 5, 3, frames, expected)


def test_width_last():
    frames = pictures("mono", 4, 3, 1)
    data = b"YUV4MPEG2 Cmono F1:1 H3 W4\nFRAME\n" + frames[0][0].tobytes()
    assert command(*FILTER, "-", "-o", "-", stdin=data).stdout.startswith(b"YUV4MPEG2 Cmono F1:1 H3 W4\nFRAME\n")


@pytest.mark.parametrize("tag", ["It", "Ib", "Im"])
def test_interlaced(tag, expected):
    frames = pictures("420jpeg", 6, 6, 1)
    data = clip("420jpeg", 6, 6, frames, f" F25:1 {tag}")
    out = command(*FILTER, "-", "-o", "-", stdin=data, code=CLIP)
    assert out.stdout == b"" and f"'{tag}'" in out.err and "--allow-interlaced" in out.err
    out = command(*FILTER, "--allow-interlaced", "-", "-o", "-", stdin=data)
    assert f" {tag} ".encode() in out.stdout.split(b"\n")[0]
    check_luma(out.stdout, "420jpeg", 6, 6, frames, expected)


# --- clips that end or break


@pytest.mark.parametrize("tag", ["420jpeg", "mono10"])
def test_every_truncation(tag, tmp_path):
    """Each length of a clip of three frames: the whole frames before the end are there, and what is missing is said."""
    frames = pictures(tag, 3, 3, 3)
    data = clip(tag, 3, 3, frames, "", [b"", b" Xab", b""])
    want = command(*FILTER, "-", "-o", "-", "-q", stdin=data).stdout
    head = data.index(b"\n") + 1
    size = sum(p.nbytes for p in frames[0])
    ends = [head, head + 6 + size, head + 6 + size + 10 + size, len(data)]
    out, cut = tmp_path / "out", tmp_path / "cut"
    for n in range(len(data) + 1):
        whole = sum(n >= e for e in ends) - 1
        to_file = n % 2 == 0
        if to_file:
            cut.write_bytes(data[:n])
        r = command(*FILTER, cut if to_file else "-", "-o", out if to_file else "-", "-q", stdin=b"" if to_file else data[:n],
                    code=OK if n in ends[1:] else CLIP)
        if whole < 1:
            assert not out.exists() and r.stdout == b""
        else:
            assert (out.read_bytes() if to_file else r.stdout) == want[:ends[whole]]
        if n < head:
            assert ("empty" if n == 0 else f"ends inside the header (at byte {n})") in r.err
        elif n == head:
            assert "no whole frame" in r.err
        elif n in ends:
            assert r.err == ""
        else:
            line = 10 if whole == 1 else 6
            inside = n - ends[whole]
            if inside < line:
                assert f"ends inside the header of frame {whole} (at byte {n};" in r.err
            else:
                assert f"ends inside frame {whole} (at byte {n}: {inside - line} of its {size} bytes are there;" in r.err
            if whole:
                assert f"the {whole} frame{'s are' if whole > 1 else ' is'}"[:9] in r.err and ("out" in r.err or "standard output" in r.err)
        only(tmp_path, *(["cut"] if cut.exists() else []), *(["out"] if out.exists() else []))
        out.unlink(missing_ok=True)


@pytest.mark.parametrize("rest", [b"x", b"FRAMe\n", b"FRAMES\n", b"YUV4MPEG2 W1 H1\n", b"\n", b"\0" * 100, b"FRAME X\x01\n"], ids=range(7))
def test_rubbish_between_frames(rest, small, tmp_path):
    data, want = small
    r = command(*FILTER, "-", "-o", tmp_path / "out", stdin=data + rest + data, code=CLIP)
    assert (tmp_path / "out").read_bytes() == want
    assert "frame 3" in r.err and f"at byte {len(data)}" in r.err
    only(tmp_path, "out")


def test_short_chroma_rows_are_explained():
    """The clips of FFmpeg 5.1 at odd widths over 8 bits: 7 bytes a chroma row of 4 samples."""
    data = b"YUV4MPEG2 W7 H2 C420p10\n" + (b"FRAME\n" + bytes(7 * 2 * 2 + 2 * 7)) * 3
    assert "FFmpeg" in command(*FILTER, "-", "-o", "-", stdin=data, code=CLIP).err
    assert "FFmpeg" not in command(*FILTER, "-", "-o", "-", stdin=data.replace(b"420p10", b"444p10"), code=CLIP).err


@pytest.mark.parametrize("text, why", [
    (b"RIFF\x24\0\0\0AVI ", "is not a y4m clip"),
    (b"YUV4MPEG2 W4\n", "no H tag"),
    (b"YUV4MPEG2 W-4 H4\n", "'W-4'"),
    (b"YUV4MPEG2 W4 H4 C411\n", "'C411' is not one of C: 420 "),
    (b"YUV4MPEG2 W4 H4 C444alpha\n", "'C444alpha'"),
    (b"YUV4MPEG2 W99999999999999999999 H4\n", "at most 65536 pixels a side"),
    (b"YUV4MPEG2 W65536 H65536\n", "more than 268435456 pixels"),
    (b"YUV4MPEG2 " + b"X" * 5000 + b"\n", "longer than 4096 bytes"),
    (b"YUV4MPEG2 W4 H4\r\n", "control byte 0x0d"),
    (b"YUV4MPEG2 W16384 H16384 C444p16\nFRAME\nabc", "3 of its 1610612736 bytes"),
])
def test_refused_headers(text, why, tmp_path):
    r = command(*FILTER, "-", "-o", tmp_path / "out", stdin=text, code=CLIP)
    assert why in r.err and "standard input" in r.err
    only(tmp_path)


def test_endless_header():
    with open("/dev/zero", "rb") as zero:
        assert "not a y4m clip" in command(*FILTER, "-", "-o", "-", stdin=zero, code=CLIP).err


# --- models that are refused


def refuse_model(model, code, tmp_path, *options):
    """Nothing is read and nothing is written."""
    folder = tmp_path / "out"
    folder.mkdir(exist_ok=True)
    (folder / "old").write_bytes(b"precious")
    r, w = os.pipe()  # never written: whoever reads it waits for ever
    with os.fdopen(r, "rb") as stdin, os.fdopen(w, "wb"):
        err = command("filter", "-m", model, *options, "-", "-f", "-o", folder / "old", stdin=stdin, code=code).err
        err2 = command("filter", "-m", model, *options, "-", "-o", folder / "new", stdin=stdin, code=code).err
    assert err == err2
    only(folder, "old")
    assert (folder / "old").read_bytes() == b"precious"
    return err


def test_refused_models(tmp_path):
    assert "none.onnx" in refuse_model(tmp_path / "none.onnx", USAGE, tmp_path)
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(b"")
    refuse_model(bad, REFUSED, tmp_path)
    bad.write_bytes(MODEL.read_bytes()[:-10])
    refuse_model(bad, REFUSED, tmp_path)
    bad.write_bytes(b"<html>")
    refuse_model(bad, REFUSED, tmp_path)
    assert refuse_model(tmp_path, USAGE, tmp_path)


def test_wrong_digest(tmp_path):
    model = tmp_path / "learned_filter_v1.onnx"
    data = bytearray(MODEL.read_bytes())
    data[len(data) // 2] ^= 1
    model.write_bytes(data)
    shutil.copy(SOURCE / "model/tiny/registry.json", tmp_path)
    refuse_model(model, REFUSED, tmp_path, "--baseline")


def test_wrong_kernels_and_threads(tmp_path):
    assert "sse9" in refuse_model(MODEL, USAGE, tmp_path, "--kernels", "sse9")
    for n in ("-1", "x", "1x", "", "257", "99999999999999999999"):
        assert "--threads" in refuse_model(MODEL, USAGE, tmp_path, "--threads", n)


def test_a_model_that_is_no_filter(small, tmp_path):
    import onnx
    from onnx import TensorProto, helper
    mean = helper.make_graph([helper.make_node("GlobalAveragePool", ["x"], ["y"])], "g",
                             [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, "h", "w"])],
                             [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 1, 1])])
    onnx.save(helper.make_model(mean, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "mean.onnx")
    r = command("filter", "-m", tmp_path / "mean.onnx", "-", "-o", tmp_path / "out", stdin=small[0], code=REFUSED)
    assert "not a filter" in r.err and "frame 0" in r.err
    only(tmp_path, "mean.onnx")


# --- options, and what is said


def test_frames(small):
    data, want = small
    head = want.index(b"\n") + 1
    frame = (len(want) - head) // 3
    for n in (1, 2, 3, 4):
        assert command(*FILTER, "--frames", n, "-", "-o", "-", stdin=data).stdout == want[:head + frame * min(n, 3)]
    assert command(*FILTER, "--frames", 2, "-", "-o", "-", stdin=data[:-1]).stdout == want[:head + 2 * frame]
    for n in ("0", "-1", "x", ""):
        assert "--frames" in command(*FILTER, "--frames", n, "-", "-o", "-", stdin=data, code=USAGE).err


@pytest.mark.parametrize("argv, why", [
    (["-o", "o", "i"], "-m"),
    (["-m", MODEL, "-o", "o"], "no clip"),
    (["-m", MODEL, "i"], "no output"),
    (["-m", MODEL, "i", "j", "-o", "o"], "'j'"),
    (["-m", MODEL, "i", "-o", "o", "--chrom", "--wrong"], "'--wrong'"),
    (["-m", MODEL, "i", "-o", "o", "--frame"], "needs a value"),
    (["-m", MODEL, "i", "-o", "o", "--chroma=1"], "takes no value"),
    (["-m", MODEL, "i", "-o", "o", "--crhoma"], "did you mean '--chroma'"),
    (["-m", MODEL, "i", "-o", "o", "-x"], "'-x'"),
    (["-m", MODEL, "i", "-o"], "needs a value"),
])
def test_usage(argv, why, tmp_path):
    r = command("filter", *argv, code=USAGE, cwd=tmp_path)
    assert why in r.err and "vmaf-dnn filter --help" in r.err and r.stdout == b""
    only(tmp_path)


def test_quiet(small):
    assert command(*FILTER, "-q", "-", "-o", "-", stdin=small[0]).err == ""
    assert "ends inside" in command(*FILTER, "-q", "-", "-o", "-", stdin=small[0][:-1], code=CLIP).err


def test_help():
    r = command("filter", "--help")
    assert r.err == "" and b"Example" in r.stdout and b"ffmpeg" in r.stdout
    text = r.stdout.decode()
    for option in ("--model", "--output", "--force", "--quiet", "--chroma", "--frames", "--allow-interlaced", "--threads", "--kernels",
                   "--registry", "--baseline"):
        assert option in text
    assert max(map(len, text.splitlines())) <= 120


def test_ffmpeg_clips(tmp_path):
    """What the field's decoder writes is read, and what comes out it reads again."""
    assert shutil.which("ffmpeg"), "ffmpeg is missing: scripts/setup.sh test installs it"
    for pixels in ("yuv420p", "yuv422p", "yuv444p", "gray", "yuv420p10le", "yuv422p12le", "yuv444p14le", "yuv420p16le", "gray10le",
                   "gray16le"):
        # an even width: FFmpeg 5.1 writes 4:2:0 and 4:2:2 of more than 8 bits and odd width one byte a chroma row short
        made = subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=s=38x23:r=5:d=0.6", "-pix_fmt", pixels,
                               "-strict", "-1", "-f", "yuv4mpegpipe", "-"], capture_output=True)
        assert made.returncode == 0, made.stderr
        out = command(*FILTER, "-", "-o", "-", stdin=made.stdout).stdout
        assert len(out) == len(made.stdout) and out != made.stdout
        back = subprocess.run(["ffprobe", "-v", "error", "-count_frames", "-show_entries", "stream=nb_read_frames,width,height,pix_fmt",
                               "-of", "csv=p=0", "-f", "yuv4mpegpipe", "-"], input=out, capture_output=True)
        assert back.stdout.decode().strip() == f"38,23,{pixels},3", back.stderr
