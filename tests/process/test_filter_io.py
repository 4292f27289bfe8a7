# SPDX-License-Identifier: BSD-2-Clause
"""Where `vmaf-dnn filter` reads and writes: files, pipes, names of descriptors, links, full disks, signals, terminals."""
import fcntl
import os
import pty
import re
import resource
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

from clips import BIN, FILTER, MODEL, OK, ROOM, SOURCE, USAGE, clip, command, only, pictures, small

SANITIZED = pytest.mark.skipif(b"__asan_init" in subprocess.run(["nm", "-D", BIN], capture_output=True).stdout,
                               reason="the sanitizer's own memory is in the way")


def test_file_to_file(small, tmp_path):
    data, want = small
    (tmp_path / "in.y4m").write_bytes(data)
    out = command(*FILTER, tmp_path / "in.y4m", "-o", tmp_path / "out.y4m")
    assert (tmp_path / "out.y4m").read_bytes() == want
    assert out.stdout == b""
    only(tmp_path, "in.y4m", "out.y4m")
    line = out.err.strip()
    assert re.fullmatch(r"vmaf-dnn filter: 3 frames 11x9 420jpeg in \d+\.\d\d s, \d+\.\d fps; learned_filter_v1 \(fp32( baseline)?, pinned\), "
                        r"kernels \w+, \d+ threads?", line), line


def test_option_order_and_long_names(small, tmp_path):
    data, want = small
    (tmp_path / "in.y4m").write_bytes(data)
    command("filter", tmp_path / "in.y4m", f"--output={tmp_path}/out.y4m", "--quiet", f"--model={MODEL}", "--baseline")
    assert (tmp_path / "out.y4m").read_bytes() == want


def test_by_id_with_a_registry(small):
    data, want = small
    assert command("filter", "--registry", SOURCE / "model/tiny/registry.json", "--baseline", "-m", "learned_filter_v1", "-", "-o", "-",
                   stdin=data).stdout == want


def test_unpinned_is_said(small, tmp_path):
    shutil.copy(MODEL, tmp_path / "other.onnx")
    out = command("filter", "-m", tmp_path / "other.onnx", "-", "-o", "-", stdin=small[0])
    assert out.stdout == small[1] and "other (fp32, UNPINNED)" in out.err


def test_one_byte_at_a_time(small):
    data, want = small
    p = subprocess.Popen([BIN, *map(str, FILTER), "-", "-o", "-", "-q"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)

    def feed():
        for i in range(len(data)):
            p.stdin.write(data[i:i + 1])
        p.stdin.close()

    t = threading.Thread(target=feed)
    t.start()
    got = p.stdout.read()
    t.join()
    assert p.wait() == 0 and got == want


def test_frames_come_out_as_they_go_in(small):
    """A live pipe: a frame is written before the next one is there."""
    data, want = small
    head = data.index(b"\n") + 1
    frame = (len(data) - head) // 3
    p = subprocess.Popen([BIN, *map(str, FILTER), "-", "-o", "-", "-q"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    got = b""
    p.stdin.write(data[:head])
    for f in range(3):
        p.stdin.write(data[head + f * frame:head + (f + 1) * frame])
        while len(got) < head + (f + 1) * frame:
            piece = os.read(p.stdout.fileno(), 4096)
            assert piece
            got += piece
    p.stdin.close()
    assert p.stdout.read() == b"" and p.wait() == 0 and got == want


def test_non_blocking_pipes(small):
    """Somebody else's O_NONBLOCK on a shared pipe is waited for, not an error."""
    data, want = small
    data, want = data + data[data.index(b"\n") + 1:] * 200, want + want[want.index(b"\n") + 1:] * 200
    r, w = os.pipe()
    r2, w2 = os.pipe()
    for fd in (r, w2):
        fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_NONBLOCK)
    p = subprocess.Popen([BIN, *map(str, FILTER), "-", "-o", "-", "-q"], stdin=r, stdout=w2)
    os.close(r)
    os.close(w2)

    def feed():
        time.sleep(0.2)
        with os.fdopen(w, "wb") as f:
            f.write(data)

    t = threading.Thread(target=feed)
    t.start()
    time.sleep(0.5)  # the output pipe fills up meanwhile
    with os.fdopen(r2, "rb") as f:
        got = f.read()
    t.join()
    assert p.wait() == 0 and got == want


def test_named_pipes(small, tmp_path):
    data, want = small
    for name in ("in", "out"):
        os.mkfifo(tmp_path / name)
    p = subprocess.Popen([BIN, *map(str, FILTER), tmp_path / "in", "-o", tmp_path / "out", "-q"])
    t = threading.Thread(target=(tmp_path / "in").write_bytes, args=(data,))
    t.start()
    got = (tmp_path / "out").read_bytes()
    t.join()
    assert p.wait() == 0 and got == want
    only(tmp_path, "in", "out")
    assert (tmp_path / "out").is_fifo()


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_names_of_descriptors(name, small, tmp_path):
    """Also when they stand for a file: it is written, the name in /dev is not replaced."""
    data, want = small
    assert command(*FILTER, "/dev/stdin", "-o", name, stdin=data).stdout == want
    with open(tmp_path / "out", "wb") as f:
        command(*FILTER, "/dev/stdin", "-o", name, stdin=data, stdout=f)
    assert (tmp_path / "out").read_bytes() == want
    assert os.path.islink("/dev/stdout") or not os.path.exists("/dev/stdout")


def test_dev_null(small):
    command(*FILTER, "-", "-o", "/dev/null", stdin=small[0])
    assert not os.path.isfile("/dev/null")


def test_an_existing_output_stays_without_force(small, tmp_path):
    data, want = small
    out = tmp_path / "out.y4m"
    out.write_bytes(b"precious")
    r = command(*FILTER, "-", "-o", out, stdin=data, code=USAGE)
    assert "-f replaces it" in r.err and out.read_bytes() == b"precious"
    command(*FILTER, "-", "-o", out, "-f", stdin=data)
    assert out.read_bytes() == want
    only(tmp_path, "out.y4m")


def test_links(small, tmp_path):
    data, want = small
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"precious")
    link.symlink_to(target)
    command(*FILTER, "-", "-o", link, stdin=data, code=USAGE)
    command(*FILTER, "-", "-o", link, "-f", stdin=data)
    assert target.read_bytes() == b"precious" and not link.is_symlink() and link.read_bytes() == want
    link.unlink()
    link.symlink_to(tmp_path / "nowhere")
    assert "-f" in command(*FILTER, "-", "-o", link, stdin=data, code=USAGE).err
    assert link.is_symlink()


def test_input_is_output(small, tmp_path):
    data, _ = small
    a = tmp_path / "a.y4m"
    a.write_bytes(data)
    os.link(a, tmp_path / "b.y4m")
    (tmp_path / "c.y4m").symlink_to(a)
    for out in ("a.y4m", "b.y4m", "c.y4m"):
        assert "same file" in command(*FILTER, "-f", a, "-o", tmp_path / out, code=USAGE).err
    with open(a, "rb") as f:
        assert "same file" in command(*FILTER, "-f", "-", "-o", a, stdin=f, code=USAGE).err
    with open(a, "ab") as f:
        assert "same file" in command(*FILTER, a, "-o", "-", stdout=f, code=USAGE).err
    assert a.read_bytes() == data


def test_a_folder_is_no_clip(small, tmp_path):
    assert "is a folder" in command(*FILTER, tmp_path, "-o", "-", code=USAGE).err
    assert "is a folder" in command(*FILTER, "-", "-o", tmp_path, "-f", stdin=small[0], code=USAGE).err
    assert command(*FILTER, "-", "-o", tmp_path / "no" / "out", stdin=small[0], code=USAGE).err
    assert command(*FILTER, "-", "-o", "", stdin=small[0], code=USAGE).err
    only(tmp_path)


def test_what_cannot_be_read_or_written(small, tmp_path):
    """A folder for standard input, and a socket to write to."""
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        r = command(*FILTER, "-", "-o", "-", stdin=fd, code=None)
    finally:
        os.close(fd)
    assert r.returncode not in (OK, 1) and "Is a directory" in r.err and not r.stdout
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(tmp_path / "socket"))
        r = command(*FILTER, "-", "-o", tmp_path / "socket", "-f", stdin=small[0], code=None)
    assert r.returncode not in (OK, 1) and "cannot write" in r.err and "socket" in r.err
    only(tmp_path, "socket")


def test_a_folder_that_may_not_be_written(small, tmp_path):
    tmp_path.chmod(0o500)
    try:
        command(*FILTER, "-", "-o", tmp_path / "out", stdin=small[0], code=USAGE, ordinary=True)
    finally:
        tmp_path.chmod(0o700)


def test_missing_input(tmp_path):
    r = command(*FILTER, tmp_path / "none.y4m", "-o", tmp_path / "out", code=USAGE)
    assert "none.y4m" in r.err and "No such file" in r.err
    only(tmp_path)


# --- outputs that fail


def test_full_disk(small):
    r = command(*FILTER, "-", "-o", "/dev/full", stdin=small[0], code=ROOM)
    assert "/dev/full: No space left" in r.err
    with open("/dev/full", "wb") as full:
        r = command(*FILTER, "-", "-o", "-", stdin=small[0], stdout=full, code=ROOM)
    assert "standard output: No space left" in r.err


def test_file_size_limit(small, tmp_path):
    """At every step of the output: never a file that looks finished, never a rest."""
    data, want = small
    out = tmp_path / "out"
    for limit in [*range(0, len(want), 37), len(want) - 1]:
        r = command(*FILTER, "-", "-o", out, stdin=data, code=ROOM, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
        assert "File too large" in r.err or "larger than" in r.err
        only(tmp_path)
    out.write_bytes(b"precious")
    command(*FILTER, "-f", "-", "-o", out, stdin=data, code=ROOM,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50, 50)))
    assert out.read_bytes() == b"precious"
    only(tmp_path, "out")


@SANITIZED
def test_too_little_memory(tmp_path):
    """At every limit: the clip, or exit code 5 with a reason and nothing left behind."""
    data = clip("420jpeg", 160, 90, pictures("420jpeg", 160, 90, 1))
    codes = []
    for limit in range(6 << 20, 40 << 20, 1 << 20):
        r = command(*FILTER, "-", "-o", tmp_path / "out", "-q", stdin=data, code=None,
                    preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))
        codes.append(r.returncode)
        if r.returncode == OK:
            break
        assert r.returncode in (ROOM, 127), (limit, r.err)  # 127: not even libc fits
        assert r.err.strip()
        only(tmp_path)
    assert codes[-1] == OK and ROOM in codes, codes


def test_nobody_reads(small):
    """A closed pipe: no noise, but no success either."""
    data = small[0] + small[0][small[0].index(b"\n") + 1:] * 400
    for take in (0, 1, 30, 500):
        p = subprocess.Popen([BIN, *map(str, FILTER), "-", "-o", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        os.read(p.stdout.fileno(), take) if take and p.stdin.write(data[:10000]) and not p.stdin.flush() else None
        p.stdout.close()
        try:
            p.stdin.write(data[10000:] if take else data)
            p.stdin.close()
        except BrokenPipeError:
            pass
        assert p.stderr.read() == b"" and p.wait() == ROOM


def test_closed_descriptors(small, tmp_path):
    (tmp_path / "in").write_bytes(small[0])
    out = tmp_path / "out"
    for fds in ((0,), (1,), (2,), (0, 1, 2)):
        command(*FILTER, tmp_path / "in", "-o", out, "-f", preexec_fn=lambda: [os.close(fd) for fd in fds])
        assert out.read_bytes() == small[1]
    command(*FILTER, tmp_path / "in", "-o", "-", preexec_fn=lambda: os.close(1), code=ROOM)
    only(tmp_path, "in", "out")


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda s: s.name)
@pytest.mark.parametrize("options", [[], ["--threads", "4", "--chroma"]], ids=["plain", "threads"])
def test_signals_remove_the_temporary_file(sig, options, small, tmp_path):
    data = small[0]
    (tmp_path / "out").write_bytes(b"precious")
    p = subprocess.Popen([BIN, *map(str, FILTER), "-f", *options, "-", "-o", tmp_path / "out"], stdin=subprocess.PIPE, stderr=subprocess.PIPE,
                         preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL))  # nohup make test
    p.stdin.write(data[:-1])
    p.stdin.flush()
    until = time.monotonic() + 60
    while len(list(tmp_path.iterdir())) < 2:
        assert p.poll() is None and time.monotonic() < until
        time.sleep(0.01)
    p.send_signal(sig)
    assert p.wait(60) == -sig
    only(tmp_path, "out")
    assert (tmp_path / "out").read_bytes() == b"precious"


def test_nohup_is_respected(small, tmp_path):
    data, want = small
    p = subprocess.Popen([BIN, *map(str, FILTER), "-", "-o", tmp_path / "out", "-q"], stdin=subprocess.PIPE,
                         preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    p.stdin.write(data[:-1])
    p.stdin.flush()
    until = time.monotonic() + 60
    while not list(tmp_path.iterdir()):
        assert p.poll() is None and time.monotonic() < until
        time.sleep(0.01)
    p.send_signal(signal.SIGHUP)
    p.stdin.write(data[-1:])
    p.stdin.close()
    assert p.wait(60) == 0 and (tmp_path / "out").read_bytes() == want


# --- terminals, memory


def on_terminal(argv, pieces):
    """What standard error shows on a terminal while the pieces come in, a fifth of a second apart."""
    main, sub = pty.openpty()
    p = subprocess.Popen([BIN, *map(str, argv)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=sub)
    os.close(sub)

    def feed():
        for piece in pieces:
            p.stdin.write(piece)
            p.stdin.flush()
            time.sleep(0.2)
        p.stdin.close()

    t = threading.Thread(target=feed)
    t.start()
    shown = b""
    try:
        while piece := os.read(main, 4096):
            shown += piece
    except OSError:
        pass
    t.join()
    os.close(main)
    return p.wait(), shown.decode()


def test_progress_on_a_terminal(small, tmp_path):
    data, _ = small
    (tmp_path / "in").write_bytes(data)
    code, shown = on_terminal([*FILTER, tmp_path / "in", "-o", "/dev/null"], [])  # the size of a file says how many frames
    assert code == 0
    assert re.search(r"\rframe 3/3 100 %  \d+\.\d fps\x1b\[K", shown), shown
    assert re.search(r"\r\x1b\[Kvmaf-dnn filter: 3 frames 11x9", shown), shown
    head = data.index(b"\n") + 1
    frame = (len(data) - head) // 3
    pieces = [data[:head], *(data[head + i * frame:head + (i + 1) * frame] for i in range(3))]
    code, shown = on_terminal([*FILTER, "-", "-o", "/dev/null"], pieces)
    assert code == 0
    assert re.search(r"\rframe 2  \d+\.\d fps\x1b\[K\rframe 3  ", shown), shown
    code, shown = on_terminal([*FILTER, "--frames", "4", "-", "-o", "/dev/null"], pieces)
    assert re.search(r"\rframe 2/4 50 %  \d+\.\d fps, 0:00:0\d left\x1b\[K", shown), shown
    assert on_terminal([*FILTER, "-q", "-", "-o", "/dev/null"], [data]) == (0, "")
    assert "\r" not in command(*FILTER, tmp_path / "in", "-o", "/dev/null").err


def test_terminals_are_no_clips(small):
    main, sub = pty.openpty()
    assert "is a terminal" in command(*FILTER, "-", "-o", "-", stdin=small[0], stdout=sub, code=USAGE).err
    with os.fdopen(sub, "rb") as f:
        assert "is a terminal" in command(*FILTER, "-", "-o", "/dev/null", stdin=f, code=USAGE).err
    os.close(main)


@SANITIZED
def test_memory_does_not_grow_with_the_clip():
    """One frame in memory: after 400 frames the peak is what it was after 4."""
    data = clip("420jpeg", 64, 48, pictures("420jpeg", 64, 48, 1))
    head = data.index(b"\n") + 1
    p = subprocess.Popen([BIN, *map(str, FILTER), "--chroma", "-", "-o", "-", "-q"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    p.stdin.write(data[:head])

    def peak_after(frames):
        left = frames * (len(data) - head) + (head if frames == 4 else 0)
        for _ in range(frames):
            p.stdin.write(data[head:])
            left -= len(os.read(p.stdout.fileno(), 1 << 16))
        while left > 0:
            left -= len(os.read(p.stdout.fileno(), 1 << 16))
        return int(re.search(r"VmHWM:\s+(\d+)", open(f"/proc/{p.pid}/status").read())[1])

    first = peak_after(4)
    assert peak_after(400) <= first + 256
    p.stdin.close()
    p.stdout.read()
    assert p.wait() == 0
