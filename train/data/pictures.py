#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""pictures.py [--out FOLDER] [--debs FOLDER] [--largest PIXELS] [train|validation]...

Photographs out of Debian packages, as the luma filter sees them: FOLDER/SET/clean/NAME.y4m and FOLDER/SET/degraded/NAME.y4m,
one grey frame each (default FOLDER: pictures, beside this script). Packages are downloaded and unpacked, never installed, and split
by package: nothing of a training package is in the validation set.

Clean: RGB shrunk by at least 2 (Lanczos), and until the longer side has at most PIXELS (default 1280), then BT.601 full-range luma.
Degraded: Gaussian blur of sigma 1.2 (11 taps, the edge repeated), then the loss of a grey baseline JPEG of quality 35.
Needs apt-get, dpkg-deb, ffmpeg, NumPy. What is there is left alone."""
import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

# Chosen by eye: photographs in which there is something to see. What was drawn, set in type or made for a calibration teaches edges that
# cameras do not make: without them, and with crops drawn by area, the filter gained 0.13 dB on photographs.
OPENCV = """aero1 aero3 aloeL aloeR apple baboon basketball1 basketball2 blox board box_in_scene building butterfly chicky_512 ela_original fruits graf1
    graf3 home left leuvenA leuvenB messi5 orange right rubberwhale1 rubberwhale2 smarties squirrel_cls stuff""".split()
LXQT = "appleflower drop cloud Butterfly-Kenneth-Wimer Valendas butterfly after-the-rain flowers fog beam".split()
SCRATCH_DRAWN = """room1 room2 room3 basketball-court1-a basketball-court1-b basketball-court2 kitchen chalkboard brick-wall1 spotlight-stage party-room school2
    clothing-store atom-playground all-sports-mural""".split()

# Package: files, as globs of the unpacked package; those of a glob after "!" are left out.
PACKAGES = {
    "train": {
        "scratch": ["usr/share/scratch/Media/Backgrounds/*/*.jpg", "usr/share/scratch/Media/Backgrounds/*/*.png",
                    *(f"!usr/share/scratch/Media/Backgrounds/*/{n}.*" for n in SCRATCH_DRAWN)],
        "opencv-doc": [f"usr/share/doc/opencv-doc/examples/data/{n}.{end}" for n in OPENCV for end in ("jpg", "png")],
        "mate-backgrounds": ["usr/share/backgrounds/mate/nature/*.jpg"],
        "lxqt-themes": [f"usr/share/lxqt/wallpapers/{n}.{end}" for n in LXQT for end in ("jpg", "png")],
        "gcompris-qt-data": [f"**/{name}.rcc" for name in ("erase", "explore_monuments", "explore_world_animals", "explore_farm_animals",
                                                             "explore_world_music", "categorization")],
    },
    "validation": {
        "lomiri-wallpapers-16.04": ["usr/share/backgrounds/*.jpg", "usr/share/backgrounds/*.png"],
        "python3-imageio": ["usr/lib/python3/dist-packages/imageio/resources/images/cockatoo.mp4"],
    },
}
EVERY = 20  # of a clip's frames
SMALLEST = 120  # a side of a clean picture


def run(*argv, **more):
    return subprocess.run([str(a) for a in argv], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, **more).stdout


def unpack(package, debs, folder):
    """The package's files in folder."""
    found = sorted(debs.glob(f"{package}_*.deb"))
    if not found:
        print(f"download {package}", file=sys.stderr)
        try:
            run("apt-get", "-q", "download", package, cwd=debs, stderr=subprocess.PIPE)
        except subprocess.CalledProcessError as e:
            sys.exit(f"apt-get download {package} failed; apt-get update first?\n{e.stderr.decode(errors='replace')}")
        found = sorted(debs.glob(f"{package}_*.deb"))
    run("dpkg-deb", "-x", found[-1], folder)


def decode(path):
    """Frames as float RGB arrays [H, W, 3], 0..255, with their number: every picture, or every 20th of a clip."""
    probe = run("ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "stream=width,height", "-of", "csv=p=0", path)
    w, h = (int(v) for v in probe.decode().split("\n")[0].strip(",").split(",")[:2])
    data = run("ffmpeg", "-v", "error", "-i", path, "-vf", f"select=not(mod(n\\,{EVERY}))", "-vsync", "0", "-pix_fmt", "rgb24", "-f", "rawvideo", "-")
    frames = np.frombuffer(data, np.uint8).reshape(-1, h, w, 3)
    return [f.astype(np.float32) for f in frames]


def unpack_rcc(path):
    """The WebP pictures of a Qt resource file, as files beside it. The format: "qres", then version and the offsets of tree, data and
    names, big-endian; among the data each file is its length and its bytes."""
    data = path.read_bytes()
    at = int.from_bytes(data[12:16], "big")
    end = min((int.from_bytes(data[k : k + 4], "big") for k in (8, 16)), key=lambda v: v if v > at else len(data))
    end = end if end > at else len(data)
    found = []
    while at + 4 <= end:
        size = int.from_bytes(data[at : at + 4], "big")
        body = data[at + 4 : at + 4 + size]
        if body[:4] == b"RIFF" and body[8:12] == b"WEBP":
            found.append(path.with_name(f"{path.stem}_{len(found):03d}.webp"))
            found[-1].write_bytes(body)
        at += 4 + size
    return found


def lanczos(x, size, axis):
    """Shrunk along an axis: Lanczos of three lobes, as wide as the step."""
    n = x.shape[axis]
    step = n / size
    centre = (np.arange(size) + 0.5) * step
    reach = int(np.ceil(3 * step))
    index = np.floor(centre)[:, None].astype(int) + np.arange(-reach, reach + 1)
    weight = (index + 0.5 - centre[:, None]) / step
    weight = np.where(np.abs(weight) < 3, np.sinc(weight) * np.sinc(weight / 3), 0) * ((index >= 0) & (index < n))
    weight /= weight.sum(1, keepdims=True)
    x = np.moveaxis(x, axis, 0)
    out = np.zeros((size, *x.shape[1:]), np.float32)
    for k in range(index.shape[1]):
        out += weight[:, k].astype(np.float32).reshape(-1, *[1] * (x.ndim - 1)) * x[np.clip(index[:, k], 0, n - 1)]
    return np.moveaxis(out, 0, axis)


def clean(rgb, largest):
    h, w = rgb.shape[:2]
    by = max(2, max(h, w) / largest)
    h, w = int(h / by), int(w / by)
    rgb = np.clip(np.rint(lanczos(lanczos(rgb, w, 1), h, 0)), 0, 255)
    return np.clip(np.rint(rgb @ np.array([0.299, 0.587, 0.114], np.float32)), 0, 255).astype(np.uint8)


def blur(x, sigma=1.2, radius=5):
    tap = np.exp(-np.arange(-radius, radius + 1) ** 2 / (2 * sigma**2))
    tap /= tap.sum()
    for axis in (0, 1):
        p = np.pad(x, [(radius, radius) if a == axis else (0, 0) for a in (0, 1)], mode="edge")
        x = sum(t * np.take(p, np.arange(k, k + x.shape[axis]), axis) for k, t in enumerate(tap))
    return x


LUMINANCE = np.array([16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80,
                      62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98,
                      112, 100, 103, 99], np.float64).reshape(8, 8)  # ITU-T T.81, table K.1


def jpeg(x, quality=35):
    """What a grey baseline JPEG leaves of 8-bit samples; the edge is repeated into the last blocks, as libjpeg does."""
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    step = np.clip((LUMINANCE * percent + 50) // 100, 1, 255)
    k, n = np.mgrid[0:8, 0:8]
    dct = np.where(k == 0, np.sqrt(1 / 8), 0.5 * np.cos((2 * n + 1) * k * np.pi / 16))
    h, w = x.shape
    p = np.pad(x, ((0, -h % 8), (0, -w % 8)), mode="edge") - 128
    b = p.reshape(p.shape[0] // 8, 8, p.shape[1] // 8, 8).transpose(0, 2, 1, 3)
    f = dct @ b @ dct.T / step
    b = dct.T @ (np.sign(f) * np.floor(np.abs(f) + 0.5) * step) @ dct
    return np.clip(np.rint(b.transpose(0, 2, 1, 3).reshape(p.shape) + 128), 0, 255)[:h, :w].astype(np.uint8)


def write(path, luma):
    path.parent.mkdir(parents=True, exist_ok=True)
    h, w = luma.shape
    temp = path.with_suffix(".part")
    temp.write_bytes(f"YUV4MPEG2 W{w} H{h} F25:1 Ip A1:1 Cmono\nFRAME\n".encode() + luma.tobytes())
    temp.rename(path)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("sets", nargs="*", choices=[[], *PACKAGES])
    p.add_argument("--out", type=Path, default=Path(__file__).resolve().parent / "pictures")
    p.add_argument("--debs", type=Path, help="folder of .deb files (default: OUT/debs)")
    p.add_argument("--largest", type=int, default=1280)
    o = p.parse_args()
    debs = o.debs or o.out / "debs"
    o.out.mkdir(parents=True, exist_ok=True)
    debs.mkdir(parents=True, exist_ok=True)
    for name in o.sets or list(PACKAGES):
        done = o.out / name / "done"
        if done.exists():
            continue
        n = 0
        for package, globs in PACKAGES[name].items():
            with tempfile.TemporaryDirectory(dir=o.out) as folder:
                unpack(package, debs, folder)
                match = lambda globs: {f for g in globs for f in Path(folder).glob(g) if not f.is_symlink()}
                files = sorted(match(g for g in globs if g[0] != "!") - match(g[1:] for g in globs if g[0] == "!"))
                files = [g for f in files for g in (unpack_rcc(f) if f.suffix == ".rcc" else [f])]
                if not files:
                    sys.exit(f"{package}: nothing matches {', '.join(globs)}")
                for f in files:
                    for i, rgb in enumerate(decode(f)):
                        luma = clean(rgb, o.largest)
                        if min(luma.shape) < SMALLEST:
                            continue
                        stem = f"{package}.{f.stem.replace(' ', '_')}" + (f".{i * EVERY:04d}" if f.suffix == ".mp4" else "")
                        write(o.out / name / "clean" / f"{stem}.y4m", luma)
                        damaged = jpeg(np.clip(np.rint(blur(luma.astype(np.float64))), 0, 255))
                        write(o.out / name / "degraded" / f"{stem}.y4m", damaged)
                        n += 1
        done.write_text(f"{n}\n")
        print(f"{name}: {n} pictures in {o.out / name}")


if __name__ == "__main__":
    main()
