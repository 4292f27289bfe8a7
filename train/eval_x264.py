#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""eval_x264.py [--bin VMAF_DNN] [--crf 32,36] [--encoder x264] [--no-vmaf] [--bar DB] [MODEL]...

What a luma filter does to clips that training has not seen: those of the test set of data/clips.py (cockatoo at 640x360, vtest at 384x288, each the
source shrunk by 2 and put through the encoder), all frames. Prints a table: luma PSNR (mean over frames, of 8-bit frames) before, after and gained, with
the least and the most of a frame; luma SSIM (ffmpeg's ssim filter) and VMAF (v0.6.1 at the clip's own size, mean over frames) before and after. Exit 1
when a row gains no more than --bar dB (default: no bar).

MODEL: a path, or an id of the registry (default: learned_filter_x264_v1). Needs ffmpeg, NumPy, and for VMAF what data/vmaf.py fetches."""
import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "data"))
from measure import filtered, luma, psnr, ssim  # noqa: E402
from vmaf import VMAF_MODEL, vmaf_ffmpeg  # noqa: E402


def vmaf(test, clean, ffmpeg, temp):
    log = Path(temp) / "vmaf.json"
    subprocess.run([ffmpeg, "-v", "error", "-i", test, "-i", clean, "-lavfi", f"libvmaf=model_path={VMAF_MODEL}:log_fmt=json:log_path={log}", "-f", "null", "-"],
                   check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return float(np.mean([f["metrics"]["vmaf"] for f in json.loads(log.read_text())["frames"]]))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("models", nargs="*", default=["learned_filter_x264_v1"], metavar="MODEL")
    p.add_argument("--bin", default=HERE.parent / "build/vmaf-dnn")
    p.add_argument("--clips", type=Path, default=HERE / "data/clips/test")
    p.add_argument("--encoder", default="x264")
    p.add_argument("--crf", default="32,36")
    p.add_argument("--no-vmaf", action="store_true")
    p.add_argument("--bar", type=float)
    o = p.parse_args()
    clean = sorted((o.clips / "clean").glob("*.y4m"))
    if not clean:
        sys.exit(f"no clips in {o.clips}: train/data/get.sh clips")
    ffmpeg = None if o.no_vmaf else vmaf_ffmpeg()
    least = np.inf
    print("| model | clip | CRF | frames | PSNR before | after | gain, dB (a frame's least, most) | SSIM before | after | VMAF before | after |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for c in clean:
        for crf in o.crf.split(","):
            before = o.clips / f"{o.encoder}-crf{crf}" / c.name
            if not before.exists():
                sys.exit(f"no {before}: train/data/clips.py --encoders {o.encoder} test")
            x, y = luma(before), luma(c)
            p0, s0, v0 = psnr(x, y), ssim(before, c), None
            for model in o.models:
                with tempfile.TemporaryDirectory() as temp:
                    after = Path(temp) / "after.y4m"
                    filtered(o.bin, model, before, after)
                    p1, s1 = psnr(luma(after), y), ssim(after, c)
                    if ffmpeg:
                        v0 = vmaf(before, c, ffmpeg, temp) if v0 is None else v0
                    v = [f"{t:.2f}" for t in (v0, vmaf(after, c, ffmpeg, temp))] if ffmpeg else ["", ""]
                gain = p1 - p0
                least = min(least, gain.mean())
                print(f"| {Path(model).stem} | {c.stem.split('.')[-1]} | {crf} | {len(x)} | {p0.mean():.2f} | {p1.mean():.2f} | {gain.mean():+.3f} ({gain.min():+.2f}, "
                      f"{gain.max():+.2f}) | {s0:.4f} | {s1:.4f} | {v[0]} | {v[1]} |", flush=True)
    if o.bar is not None and least <= o.bar:
        sys.exit(f"the least gain is {least:+.3f} dB, and more than {o.bar:+.3f} dB was asked for")


if __name__ == "__main__":
    main()
