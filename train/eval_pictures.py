#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""eval_pictures.py [--bin VMAF_DNN] [--pictures FOLDER] [MODEL]

What a luma filter does to the validation pictures of data/pictures.py (FOLDER has clean/ and degraded/), whole and rounded to 8 bits: mean PSNR and SSIM
(ffmpeg's ssim filter) before and after, the gain with the least and the most of a picture, by package and over all; and, where the model
runs in int8, the same of its fp32 file and what int8 loses of the gain.

MODEL: a path, or an id of the registry (default: learned_filter_v1). Needs ffmpeg and NumPy."""
import argparse
import tempfile
from pathlib import Path

import numpy as np

from measure import ROOT, filtered, luma, psnr, ssim

HERE = Path(__file__).resolve().parent


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", nargs="?", default="learned_filter_v1")
    p.add_argument("--bin", default=ROOT / "build/vmaf-dnn")
    p.add_argument("--pictures", type=Path, default=HERE / "data/pictures/validation")
    o = p.parse_args()
    names = sorted(f.name for f in (o.pictures / "clean").glob("*.y4m"))
    if not names:
        raise SystemExit(f"no pictures in {o.pictures}: train/data/get.sh pictures")
    rows = {"the file that runs": (), "fp32": ("--baseline",)}
    figures = {row: [] for row in rows}  # of each picture: PSNR before, after, SSIM before, after
    with tempfile.TemporaryDirectory() as temp:
        for name in names:
            clean, before, after = o.pictures / "clean" / name, o.pictures / "degraded" / name, Path(temp) / "after.y4m"
            p0, s0 = psnr(luma(before), luma(clean)).mean(), ssim(before, clean)
            for row, options in rows.items():
                filtered(o.bin, o.model, before, after, "-f", *options)
                figures[row].append((p0, psnr(luma(after), luma(clean)).mean(), s0, ssim(after, clean)))
    package = np.array([name.rpartition(".y4m")[0].split(".", 1)[0] if not name.startswith("lomiri") else "lomiri-wallpapers-16.04" for name in names])
    print("| file | pictures | | PSNR degraded | filtered | gain, dB (least, most) | SSIM degraded | filtered |")
    print("|---|---|---|---|---|---|---|---|")
    for row in rows:
        f = np.array(figures[row])
        for of in ("all", *sorted(set(package))):
            g = f[package == of] if of != "all" else f
            gain = g[:, 1] - g[:, 0]
            m = g.mean(0)
            print(f"| {row} | {of} | {len(g)} | {m[0]:.2f} | {m[1]:.2f} | {gain.mean():+.3f} ({gain.min():+.2f}, {gain.max():+.2f}) | {m[2]:.4f} | {m[3]:.4f} |")
    loss = np.array(figures["fp32"])[:, 1] - np.array(figures["the file that runs"])[:, 1]
    print(f"\nThe file that runs loses {loss.mean():.3f} dB of fp32's gain in the mean, {loss.max():.3f} dB at most.")


if __name__ == "__main__":
    main()
