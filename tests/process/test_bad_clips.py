# SPDX-License-Identifier: BSD-2-Clause
"""A clip that is no good gives the same exit code with every command that reads clips, and a line that names it."""
import json
import re

import numpy as np
import pytest

from clips import CLIP, MODEL, OK, SOURCE, USAGE, command

SCORE = SOURCE / "model/tiny/nr_metric_v1.onnx"
FRAME = b"FRAME\n" + bytes(range(256)) * 12
HEAD = b"YUV4MPEG2 W64 H48 F25:1 Ip Cmono\n"

# What is in the file, and words of the message.
BROKEN = {
    "empty": (b"", "is empty"),
    "no clip": (b"hello, this is no clip at all\n" * 9, "is not a y4m clip|neither y4m nor"),
    "no frame": (HEAD, "no whole frame|no frames in it|no frame was scored"),
    "half a header": (HEAD[:13], "ends inside the header"),
    "half a frame": (HEAD + FRAME * 2 + FRAME[:99], "ends inside frame 2"),
    "bad tag": (HEAD.replace(b"W64", b"Wx") + FRAME, "'Wx'"),
    "chroma": (HEAD.replace(b"mono", b"444alpha") + FRAME, "'C444alpha'"),
}


def reads(name, clip, tmp):
    """The command line that reads the clip, and writes into tmp/out."""
    (tmp / "out").mkdir(exist_ok=True)
    if name == "train":
        (tmp / "c.json").write_text(json.dumps({
            "id": "x", "kind": "filter", "net": {"residual_filter": {"channels": 4, "blocks": 1}}, "crop": 24, "batch": 1, "optimiser": {"steps": 1},
            "data": {"train": [{"clean": str(clip)}], "validation": [{"clean": str(clip)}], "degrade": {"blur": 1}}}))
    return {
        "filter": ["filter", "-q", "-m", MODEL, clip, "-o", tmp / "out/o.y4m"],
        "calibrate": ["calibrate", "-q", MODEL, clip, "-o", tmp / "out/r.json"],
        "quantize": ["quantize", "static", "-q", MODEL, "--calibration", clip, "--tails", "none", "-o", tmp / "out/q.onnx"],
        "score": ["score", "-q", "-m", SCORE, "-d", clip, "-o", tmp / "out/s.json", "--resize", "area"],
        "gate": ["gate", MODEL, "--clip", clip],
        "train": ["train", "-q", "-o", tmp / "out", tmp / "c.json"],
    }[name]


READERS = ["filter", "calibrate", "quantize", "score", "gate", "train"]


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("what", BROKEN)
def test_broken_clips(tmp_path, name, what):
    data, words = BROKEN[what]
    (tmp_path / "c.y4m").write_bytes(data)
    r = command(*reads(name, tmp_path / "c.y4m", tmp_path), code=2 if name == "gate" else CLIP)  # the gate's own: anything else is 2
    assert re.search(words, r.err) and "c.y4m" in r.err
    if what != "half a frame":  # of which the frames before are kept, where that means something
        assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("name", READERS)
def test_missing_clips(tmp_path, name):
    """No file, and a folder, which to training is one of clips."""
    assert "none.y4m" in command(*reads(name, tmp_path / "none.y4m", tmp_path), code=USAGE).err
    assert "folder" in command(*reads(name, tmp_path / "out", tmp_path), code=USAGE).err


@pytest.mark.parametrize("name", READERS)
def test_interlaced_clips(tmp_path, name):
    """Those that make pictures would mix the fields, and say so; those that measure take them."""
    (tmp_path / "c.y4m").write_bytes(HEAD.replace(b"Ip", b"It") + FRAME * 3)
    makes = name in ("filter", "train")
    r = command(*reads(name, tmp_path / "c.y4m", tmp_path), code=CLIP if makes else None if name == "gate" else OK)
    assert ("interlaced" in r.err) == makes
    if makes:
        assert "'vmaf-dnn filter --allow-interlaced'" in r.err


@pytest.mark.parametrize("name", ["calibrate", "quantize", "score", "gate"])
def test_arrays_that_do_not_suit(tmp_path, name):
    for array in (np.zeros((2, 3, 4, 5, 6), np.float32), np.zeros((2, 48, 64), np.int64)):
        np.save(tmp_path / "c.npy", array)
        assert "c.npy" in command(*reads(name, tmp_path / "c.npy", tmp_path), code=2 if name == "gate" else CLIP).err or name == "gate"
    (tmp_path / "c.npy").write_bytes(b"\x93NUMPY\1\0rubbish")
    command(*reads(name, tmp_path / "c.npy", tmp_path), code=2 if name == "gate" else CLIP)


def test_broken_calibrations_and_lists(tmp_path):
    (tmp_path / "r.json").write_text('{"format": ')
    command("calibrate", MODEL, tmp_path / "r.json", "-o", tmp_path / "o.json", code=CLIP)
    command("quantize", "static", MODEL, "--calibration", tmp_path / "r.json", "-o", tmp_path / "o.onnx", code=CLIP)


def test_a_model_that_is_refused_is_4(tmp_path):
    """The same commands, and the clip is good."""
    (tmp_path / "c.y4m").write_bytes(HEAD + FRAME * 3)
    (tmp_path / "m.onnx").write_bytes(b"no model")
    for name in ("filter", "calibrate", "quantize", "score"):
        argv = [tmp_path / "m.onnx" if a in (MODEL, SCORE) else a for a in reads(name, tmp_path / "c.y4m", tmp_path)]
        command(*argv, code=4)
