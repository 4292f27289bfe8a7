#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""bench_quantisers.py [--bin VMAF_DNN] [--pictures FOLDER] [--frames N] [--only WORD]... [MODEL.onnx]

'vmaf-dnn quantize' against ONNX Runtime's quantisers on one model, the same pictures and as many of them: drop and SQNR of the result
against fp32, loss of PSNR gain, size, wall and processor time with start, peak memory; each calibration method. Both results run in ONNX Runtime, so that
quantising alone is compared. Pictures are those of train/data/pictures.py: train to calibrate, validation to measure.

Ours is what the defaults give ('static'), each other method, bytes without tails, and the dynamic form; theirs is quantize_static() in QDQ and QOperator form, per channel, uint8 activations, and
quantize_dynamic() with uint8 weights. A column that is lost by the default is named at the end."""
import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent

THEIRS = r'''
import sys, numpy as np
from onnxruntime.quantization import quantize_static, quantize_dynamic, CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType
how, model, out, *pictures = sys.argv[1:]
def read(p):
    head, rest = open(p, "rb").read().split(b"\n", 1)
    w, h = (int(next(t[1:] for t in head.decode().split() if t[0] == k)) for k in "WH")
    return (np.frombuffer(rest[6 : 6 + w * h], np.uint8).reshape(1, 1, h, w) / np.float32(255)).astype(np.float32)
class Reader(CalibrationDataReader):
    def __init__(self): self.left = iter(pictures)
    def get_next(self):
        p = next(self.left, None)
        return None if p is None else {INPUT: read(p)}
import onnx
INPUT = onnx.load(model).graph.input[0].name
if how == "dynamic":
    quantize_dynamic(model, out, weight_type=QuantType.QUInt8)
else:
    form, method = how.split(":")
    quantize_static(model, out, Reader(), quant_format=QuantFormat[form], per_channel=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
                    calibrate_method=CalibrationMethod[method])
'''


def read(path):
    head, rest = path.read_bytes().split(b"\n", 1)
    w, h = (int(next(t[1:] for t in head.decode().split() if t[0] == k)) for k in "WH")
    return (np.frombuffer(rest[6 : 6 + w * h], np.uint8).reshape(h, w) / np.float32(255)).astype(np.float32)


def middle(a, n):
    y, x = max(0, (a.shape[0] - n) // 2), max(0, (a.shape[1] - n) // 2)
    return np.ascontiguousarray(a[y : y + n, x : x + n])


def measured(argv):
    """Wall and processor seconds and peak MB of a process of its own."""
    code = ("import resource,subprocess,sys,time\nt=time.time()\nr=subprocess.run(sys.argv[1:],stdout=subprocess.DEVNULL,stderr=subprocess.PIPE)\n"
            "u=resource.getrusage(resource.RUSAGE_CHILDREN)\nprint(time.time()-t,u.ru_utime+u.ru_stime,u.ru_maxrss,r.returncode)\nsys.stderr.buffer.write(r.stderr[-2000:])")
    r = subprocess.run([sys.executable, "-c", code, *map(str, argv)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True)
    wall, cpu, peak, rc = r.stdout.split()
    return float(wall), float(cpu), int(peak) / 1024, int(rc), r.stderr.decode(errors="replace")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", nargs="?", type=Path, default=ROOT / "model/tiny/learned_filter_v1.onnx")
    p.add_argument("--bin", default=ROOT / "build/vmaf-dnn")
    p.add_argument("--pictures", type=Path, default=ROOT / "train/data/pictures")
    p.add_argument("--frames", type=int, default=20)
    p.add_argument("--side", type=int, default=256, help="of the middle that is measured")
    p.add_argument("--only", action="append", default=[], help="rows whose name has this word, 'vmaf-dnn static' besides; again for more")
    p.add_argument("--ours", action="append", default=[], help="more arguments of 'quantize static', one row each")
    o = p.parse_args()
    import onnxruntime as ort

    train = sorted((o.pictures / "train/degraded").glob("*.y4m"))
    train = train[:: max(1, len(train) // o.frames)][: o.frames]
    clean = sorted((o.pictures / "validation/clean").glob("*.y4m"))
    if not train or not clean:
        sys.exit(f"no pictures in {o.pictures}: train/data/pictures.py")
    data = [(middle(read(c), o.side), middle(read(c.parent.parent / "degraded" / c.name), o.side)) for c in clean]

    def outputs(path):
        so = ort.SessionOptions()
        so.log_severity_level = 3
        s = ort.InferenceSession(str(path), so, providers=["CPUExecutionProvider"])
        return [s.run(None, {s.get_inputs()[0].name: x[None, None]})[0].ravel() for _, x in data]

    def psnr(a, b):
        return -10 * np.log10(np.square(a.astype(np.float64) - b.ravel()).mean())

    fp32 = outputs(o.model)
    rows = []
    with tempfile.TemporaryDirectory() as tmp:
        out = Path(tmp) / "q.onnx"
        script = Path(tmp) / "theirs.py"
        script.write_text(THEIRS)
        ours = [o.bin, "quantize", "static", o.model, *train, "-q", "-f", "-o", out]
        table = [("vmaf-dnn static", ours)]
        table += [(f"vmaf-dnn {m}", [*ours, "--method", m]) for m in ("minmax", "mse", "entropy", "average")]
        table += [("vmaf-dnn bytes", [*ours, "--tails", "none"])]
        table += [("vmaf-dnn qoperator", [*ours, "--format", "qoperator"])]
        table += [(f"vmaf-dnn {a}", [*ours, *a.split()]) for a in o.ours]
        table += [("vmaf-dnn dynamic", [o.bin, "quantize", "dynamic", o.model, "-q", "-f", "-o", out])]
        theirs = [(f"ORT {h}", [sys.executable, script, h, o.model, out, *train])
                  for h in ("QDQ:MinMax", "QDQ:Percentile", "QDQ:Entropy", "QOperator:MinMax")]
        theirs += [("ORT dynamic", [sys.executable, script, "dynamic", o.model, out])]
        print(f"{o.model.name}, {len(train)} pictures to calibrate, {len(data)} of {o.side}x{o.side} to measure, ONNX Runtime {ort.__version__}")
        print(f"{'':24}  {'drop':>9}  {'SQNR dB':>7}  {'PSNR loss':>9}  {'worst':>6}  {'bytes':>6}  {'wall s':>6}  {'cpu s':>6}  {'peak MB':>7}")
        for name, argv in table + theirs:
            if o.only and name != "vmaf-dnn static" and not any(w in name for w in o.only):
                continue
            out.unlink(missing_ok=True)
            wall, cpu, peak, rc, err = measured(argv)
            if rc or not out.exists():
                print(f"{name:24}  failed: {err.strip().splitlines()[-1] if err.strip() else rc}")
                continue
            q = outputs(out)
            a, b = np.concatenate(fp32).astype(np.float64), np.concatenate(q).astype(np.float64)
            loss = [psnr(x, c) - psnr(y, c) for x, y, (c, _) in zip(fp32, q, data)] if fp32[0].size == data[0][0].size else [np.nan]
            row = (1 - np.corrcoef(a, b)[0, 1], -10 * np.log10(np.square(a).sum() / np.square(a - b).sum()), np.mean(loss), max(loss), out.stat().st_size,
                   wall, cpu, peak)
            rows.append((name, row))
            print(f"{name:24}  {row[0]:9.2e}  {-row[1]:7.2f}  {row[2]:9.4f}  {row[3]:6.3f}  {row[4]:6d}  {row[5]:6.2f}  {row[6]:6.2f}  {row[7]:7.1f}", flush=True)
    columns = ("drop", "SQNR", "mean loss", "worst loss", "bytes", "wall time", "processor time", "peak memory")
    default = dict(rows)["vmaf-dnn static"]
    rivals = [(n, r) for n, r in rows if n.startswith("ORT")]
    for k, column in enumerate(columns):
        better = [n for n, r in rivals if r[k] < default[k] * (1 - 1e-9 if default[k] > 0 else 1 + 1e-9)]
        print(f"{column}: {'ahead or equal' if not better else 'lost to ' + ', '.join(better)}")


if __name__ == "__main__":
    main()
