# SPDX-License-Identifier: BSD-2-Clause
"""What the eval scripts measure filters by."""
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent


def luma(path):
    """[frames, H, W] of an 8-bit y4m file, grey or 4:2:0, mapped."""
    with open(path, "rb") as f:
        head = f.readline()
    w, h = int(re.search(rb" W(\d+)", head)[1]), int(re.search(rb" H(\d+)", head)[1])
    space = re.search(rb" C(\S+)", head)[1].decode()
    if space not in ("mono", "420", "420jpeg", "420mpeg2", "420paldv"):
        sys.exit(f"{path}: {space}, and 8-bit grey or 4:2:0 is wanted")
    frame = 6 + w * h + (0 if space == "mono" else 2 * ((w + 1) // 2) * ((h + 1) // 2))  # "FRAME\n"
    data = np.memmap(path, np.uint8, "r", offset=len(head))
    n = len(data) // frame
    return data[: n * frame].reshape(n, frame)[:, 6 : 6 + w * h].reshape(n, h, w)


def psnr(a, b):
    """Of each frame, in dB."""
    if len(a) != len(b):
        sys.exit(f"{len(a)} frames against {len(b)}")
    mse = np.array([np.mean((x.astype(np.float32) - y) ** 2, dtype=np.float64) for x, y in zip(a, b)])
    return 10 * np.log10(255**2 / np.maximum(mse, 1e-10))


def ssim(test, clean):
    r = subprocess.run(["ffmpeg", "-hide_banner", "-i", test, "-i", clean, "-lavfi", "ssim", "-f", "null", "-"], capture_output=True, text=True, check=True,
                       stdin=subprocess.DEVNULL)
    return float(re.search(r"SSIM Y:([0-9.]+)", r.stderr)[1])


def filtered(binary, model, before, after, *options):
    """The clip through the model, a path or an id of model/tiny."""
    model = Path(model).resolve() if Path(model).exists() else model
    subprocess.run([binary, "filter", "-q", "-m", model, Path(before).resolve(), "-o", Path(after).resolve(), *options], check=True, cwd=ROOT)
