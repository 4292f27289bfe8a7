# SPDX-License-Identifier: BSD-2-Clause
"""The command as a whole: its list of subcommands, help, version, suggestions, standard streams that are closed or full."""
import os
import re

import onnx
import pytest

from clips import ROOM, SOURCE, USAGE, command


def commands():
    text = command("--help").stdout.decode()
    listed = text.split("Commands:\n")[1].split("\n\n")[0]
    return [line.split()[0] for line in listed.splitlines()]


COMMANDS = commands()


def test_help():
    by_option = command("--help")
    assert by_option.err == ""
    assert by_option.stdout == command("-h").stdout == command("help").stdout
    for name in ("filter", "run"):
        assert name in COMMANDS
    assert max(len(line) for line in by_option.stdout.decode().splitlines()) <= 120


def test_every_command_of_the_table_is_a_file_and_the_other_way_round():
    files = {p.stem.removeprefix("cmd_") for p in (SOURCE / "tools").glob("cmd_*.c")}
    assert set(COMMANDS) == files


def test_version():
    r = command("--version")
    want = re.search(r"version: '([^']+)'", (SOURCE / "meson.build").read_text())[1]
    assert r.stdout.decode() == f"vmaf-dnn {want}\n" and r.err == ""
    assert command("-V").stdout == r.stdout


def test_nothing():
    r = command(code=USAGE)
    assert r.stdout == b"" and r.err == command("--help").stdout.decode()


@pytest.mark.parametrize("word, near", [("fliter", "filter"), ("filt", "filter"), ("rum", "run"), ("inspekt", "inspect"), ("Filter", "filter"),
                                        ("fi?lter", "filter")])
def test_suggestions(word, near):
    r = command(word, "-m", "x", code=USAGE)
    assert f"unknown command '{word}'; did you mean '{near}'?" in r.err and r.stdout == b""


@pytest.mark.parametrize("word", ["xyzzy", "", "-", "r", "a" * 5000, "--verson", "-z"])
def test_no_suggestion(word):
    r = command(word, code=USAGE)
    assert "did you mean" not in r.err and "--help" in r.err and r.err.count("\n") == 1


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_each_command(name):
    """To standard output, exit code 0, wherever --help stands; usage, the word of the table and an example."""
    r = command(name, "--help")
    text = r.stdout.decode()
    assert r.err == "" and text.startswith(f"Usage: vmaf-dnn {name}") and text.endswith("\n")
    assert re.search(r"^Examples?:", text, re.M) and re.search(r"\bexit codes?\b", text, re.I)
    assert max(len(line) for line in text.splitlines()) <= 120
    for argv in ((name, "-h"), ("help", name), (name, "nothing", "--help"), (name, "--nonsense", "--help"), (name, "--help", "x")):
        assert command(*argv).stdout == r.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_unknown_options_of_each_command(name):
    r = command(name, "--no-such-option", code=USAGE)
    assert "--no-such-option" in r.err and f"vmaf-dnn {name} --help" in r.err and r.stdout == b""


def test_control_bytes_do_not_reach_the_terminal():
    r = command("fi\nlter\x1b[2J", code=USAGE)
    assert r.err.count("\n") == 1 and "\x1b" not in r.err and "fi?lter?[2J" in r.err


def test_help_behind_two_dashes_is_a_name():
    assert b"Usage" not in command("run", "--", "--help", code=USAGE).stdout


def test_standard_output_that_cannot_be_written():
    for argv in (["--help"], ["--version"], ["filter", "--help"]):
        with open("/dev/full", "wb") as full:
            r = command(*argv, stdout=full, code=ROOM)
        assert "cannot write standard output: No space left" in r.err
        assert "cannot write standard output" in command(*argv, code=ROOM, preexec_fn=lambda: os.close(1)).err


def test_a_closed_pipe_is_quiet():
    r, w = os.pipe()
    os.close(r)
    with os.fdopen(w, "wb") as closed:
        out = command("--help", stdout=closed, code=ROOM)
    assert out.err == ""


def test_closed_standard_error():
    command("--version", preexec_fn=lambda: os.close(2))
    command("nonsense", preexec_fn=lambda: os.close(2), code=USAGE)


def test_one_of_each_is_singular(tmp_path):
    """A model of one convolution with one weight, one clip of one frame, one thread, one run: no line says "1 frames"; and a file that grew is not "smaller"."""
    h, t = onnx.helper, onnx.TensorProto.FLOAT
    graph = h.make_graph([h.make_node("Conv", ["x", "w"], ["y"])], "g", [h.make_tensor_value_info("x", t, ["N", 1, "H", "W"])],
                         [h.make_tensor_value_info("y", t, ["N", 1, "H", "W"])], [h.make_tensor("w", t, [1, 1, 1, 1], [0.5])])
    model, clip, one = tmp_path / "m.onnx", tmp_path / "c.y4m", ("--threads", 1)
    model.write_bytes(h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], ir_version=8).SerializeToString())
    clip.write_bytes(b"YUV4MPEG2 W32 H32 F25:1 Ip Cmono\nFRAME\n" + bytes(range(256)) * 4)
    said = [command(*argv, code=None) for argv in (
        ("inspect", model, *one), ("inspect", "--layers", model, *one), ("bench", model, "--runs", 1, "--size", "32x32", *one),
        ("bench", "--layers", model, "--runs", 1, "--size", "32x32", *one), ("filter", "-m", model, clip, "-o", tmp_path / "o.y4m", *one),
        ("calibrate", model, clip, "-o", tmp_path / "r.json", *one), ("quantize", "dynamic", model), ("inspect", tmp_path / "m.int8.onnx", *one),
        ("quantize", "static", model, "--calibration", clip, "-o", tmp_path / "s.onnx", *one), ("gate", model, "--clip", clip, "--explain", *one),
        ("bench", model, "--runs", 1, "--size", "32x32", *one))]
    text = "\n".join(r.stdout.decode() + r.err for r in said)
    for words in ("1 thread", "1 step", "1 convolution", "1 frame ", "1 of ", "1 source", "1 layer", "1 run", "1 tensor", "1 sample", "1 byte"):
        assert words in text, words
    assert not re.findall(r"(?<![\d.,x])1 (?!is\b|this\b)[a-z]+s\b.*", text)
    sizes = re.search(r"m\.onnx: (\d+) bytes\n.*m\.int8\.onnx: (\d+) bytes, ([\d.]+) times larger: there are too few weights to save by\n", text)
    assert int(sizes[2]) > int(sizes[1]) and abs(float(sizes[3]) - int(sizes[2]) / int(sizes[1])) < 0.0051 and "times smaller" not in text
