#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""eval_nr.py MODEL [--scores FOLDER] [--list test.csv] [--brisque FOLDER] [--json FILE]

How a score without a reference follows VMAF on frames that train/data/scores.py labelled: SROCC, PLCC and RMSE over all of them, and by
package, size and step of the ladder. MODEL is scored by `vmaf-dnn score` (VMAF_DNN_BIN, default build/vmaf-dnn): .onnx, or --baseline for the
fp32 file where int8 is on record.

--brisque FOLDER: the same frames by BRISQUE, which people's opinions taught (LIVE): OpenCV's quality module (PyPI opencv-contrib-python-headless) with
brisque_model_live.yml and brisque_range_live.yml, which the package opencv-doc has in examples/quality. Its numbers are another
scale: its PLCC and RMSE are given after the best cubic for these very frames; the model's are given as they are, and after a cubic too."""
import argparse
import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent


def ranks(x):
    """Ranks, ties sharing their mean."""
    _, at, n = np.unique(x, return_inverse=True, return_counts=True)
    return (np.cumsum(n) - (n - 1) / 2)[at]


def plcc(a, b):
    return float(np.corrcoef(a, b)[0, 1])


def figures(score, vmaf, fit):
    if fit:
        score = np.polyval(np.polyfit(score, vmaf, 3), score)
    return {"n": len(vmaf), "srocc": plcc(ranks(score), ranks(vmaf)), "plcc": plcc(score, vmaf), "rmse": float(np.sqrt(np.mean((score - vmaf) ** 2)))}


def model_scores(model, path, more):
    binary = os.environ.get("VMAF_DNN_BIN", ROOT / "build/vmaf-dnn")
    out = subprocess.run([binary, "score", "-q", "--json", "--precision", "max", "-m", model, "-d", path, *more], check=True, stdout=subprocess.PIPE).stdout
    frames = json.loads(out)["frames"]
    return {f["frameNum"]: next(iter(f["metrics"].values())) for f in frames}


def luma(path):
    head, _, rest = path.read_bytes().partition(b"\n")
    words = {w[:1]: w[1:] for w in head.decode().split()[1:]}
    if words.get("C") != "mono":
        sys.exit(f"{path}: grey y4m is wanted, as scores.py writes it")
    w, h = int(words["W"]), int(words["H"])
    return [np.frombuffer(rest, np.uint8, w * h, at + 6).reshape(h, w) for at in range(0, len(rest), w * h + 6)]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", type=Path)
    p.add_argument("--scores", type=Path, default=ROOT / "train/data/scores")
    p.add_argument("--list", default="test.csv")
    p.add_argument("--brisque", type=Path)
    p.add_argument("--baseline", action="store_true", help="the fp32 file, although int8 is on record")
    p.add_argument("--json", type=Path, help="every frame, too")
    o = p.parse_args()
    rows = [(r["file"], int(r["frame"]), float(r["vmaf"])) for r in csv.DictReader((o.scores / o.list).open())]
    vmaf = np.array([r[2] for r in rows])
    files = sorted({r[0] for r in rows})
    columns = {}
    made = {f: model_scores(o.model, o.scores / f, ["--baseline"] if o.baseline else []) for f in files}
    columns["model"] = np.array([made[f][i] for f, i, _ in rows])
    if o.brisque:
        import cv2
        judge = cv2.quality.QualityBRISQUE_create(str(o.brisque / "brisque_model_live.yml"), str(o.brisque / "brisque_range_live.yml"))
        made = {f: [judge.compute(cv2.cvtColor(x, cv2.COLOR_GRAY2BGR))[0] for x in luma(o.scores / f)] for f in files}
        columns["BRISQUE"] = np.array([made[f][i] for f, i, _ in rows])

    def part(f):  # package, size, step of the ladder
        m = re.fullmatch(r"(.+)\.(\d+)p\d*\.([a-z0-9]+)-[0-9.]+", Path(f).stem)
        return m.groups() if m else (Path(f).stem, "?", "?")

    parts = [part(f) for f, _, _ in rows]
    groups = [("all", np.ones(len(rows), bool))]
    for k, what in enumerate(("", "height ", "")):
        for value in sorted({q[k] for q in parts}):
            groups.append((what + value, np.array([q[k] == value for q in parts])))
    print(f"| {len(rows)} frames of {o.list} | n | VMAF | " + " | ".join(f"{c}: SROCC | PLCC | RMSE" for c in columns) + " |")
    print("|---|---|---|" + "---|" * 3 * len(columns))
    for name, which in groups:
        line = f"| {name} | {which.sum()} | {vmaf[which].min():.0f} to {vmaf[which].max():.0f} |"
        for c, score in columns.items():
            v = score if c == "model" else np.polyval(np.polyfit(score, vmaf, 3), score)
            f = figures(v[which], vmaf[which], False)
            f["srocc"] = abs(plcc(ranks(score[which]), ranks(vmaf[which])))
            line += f" {f['srocc']:.3f} | {f['plcc']:.3f} | {f['rmse']:.2f} |"
        print(line)
    f = figures(columns["model"], vmaf, True)
    print(f"\nThe model after a cubic fit: PLCC {f['plcc']:.4f}, RMSE {f['rmse']:.2f}. As it is: " +
          ", ".join(f"{k.upper()} {v:.4f}" for k, v in figures(columns["model"], vmaf, False).items() if k != "n") + ".")
    if o.json:
        o.json.write_text(json.dumps({"frames": [{"file": f, "frame": i, "vmaf": v, **{c: float(s[k]) for c, s in columns.items()}}
                                                 for k, (f, i, v) in enumerate(rows)]}, indent=1))


if __name__ == "__main__":
    main()
