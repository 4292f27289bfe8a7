#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""make_seeds.py FOLDER: inputs to begin with, FOLDER/TARGET/NAME, from the shipped files and by rule. Same files, same seeds."""
import io
import json
import struct
import sys
import zipfile
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent
TINY = SOURCE / "model/tiny"
OUT = Path(sys.argv[1]) if len(sys.argv) == 2 else sys.exit(__doc__)


def put(target, name, data):
    path = OUT / target / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)


def y4m():
    """One byte that says how the clip is read, then a clip."""
    planes = {"mono": 0, "420": 1, "422": 2, "444": 4}
    for chroma, quarters in planes.items():
        for depth in ("", "9", "10", "12", "14", "16"):
            tag = chroma + depth if chroma == "mono" or not depth else f"{chroma}p{depth}"
            for w, h in ((2, 2), (3, 1)):
                cw = w if quarters in (0, 4) else (w + 1) // 2
                ch = h if quarters != 1 else (h + 1) // 2
                n = (w * h + (2 * cw * ch if quarters else 0)) * (2 if depth else 1)
                frame = b"FRAME\n" + bytes(range(n))
                put("y4m", f"{tag}-{w}x{h}", b"\x07" + f"YUV4MPEG2 W{w} H{h} F25:1 Ip A1:1 C{tag}\n".encode() + frame * 2)
    put("y4m", "plain", b"\x3fYUV4MPEG2 W2 H2\nFRAME X=1\nabcdef")
    put("y4m", "interlaced", b"\x40YUV4MPEG2 W2 H2 It\nFRAME\nabcdef")
    put("y4m", "ffmpeg", b"\x00YUV4MPEG2 W2 H2 F30000:1001 Ip A0:0 C420p10 XYSCSS=420P10 XCOLORRANGE=LIMITED\nFRAME\nabcdefghijkl")


def npy():
    for descr, size in (("<f4", 4), ("<f2", 2), ("|u1", 1), ("|i1", 1), ("<i4", 4), ("<i8", 8), ("|b1", 1)):
        for shape, count in (("()", 1), ("(3,)", 3), ("(2, 1, 2)", 4), ("(0, 5)", 0)):
            text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
            data = bytes(i & 1 for i in range(count * size))
            put("npy", f"{descr[1:]}-{count}", b"\x93NUMPY\x01\0" + struct.pack("<H", len(text)) + text + data)
            put("npy", f"{descr[1:]}-{count}-v2", b"\x93NUMPY\x02\0" + struct.pack("<I", len(text)) + text + data)


def archives():
    """One byte that says how much is read at a time, then what numpy.savez() would write."""
    for name, method in (("stored", zipfile.ZIP_STORED), ("deflated", zipfile.ZIP_DEFLATED)):
        for zip64 in (False, True):
            for count in (1, 3):
                f = io.BytesIO()
                with zipfile.ZipFile(f, "w", method) as z:
                    for i in range(count):
                        info = zipfile.ZipInfo(f"{'xyz'[i]}.npy")  # of 1980
                        info.compress_type = method
                        with z.open(info, "w", force_zip64=zip64) as m:
                            m.write(bytes(range(i, 100)) + bytes(100))
                    z.comment = b"c" * (count - 1)
                put("zip", f"{name}-{count}{'-zip64' if zip64 else ''}", bytes([count]) + f.getvalue())


def calibrations():
    """Of one tensor with these values each."""
    for name, lo, hi, bins, exponent, first in (("zero", "0", "0", [5], -126, 0), ("one", "1", "1", [7], -12, 4096)):
        t = {"name": "x", "min": float(lo), "max": float(hi), "frame_min": "0", "frame_max": "4000000000000", "exponent": exponent, "first": first, "counts": bins,
             "channels": [[float(lo), float(hi), "-1f"]]}
        c = {"format": "vmaf_dnn.calibration", "version": 1, "model_sha256": "a" * 64, "frames": 3,
             "sources": [{"name": "a.y4m", "sha256": "0" * 64, "frames": 1}, {"name": "b.y4m", "sha256": "1" * 64, "frames": 2}],
             "equalization": [{"tensors": ["x"], "scale": [0.5, 2]}], "tensors": [t, {**t, "name": "y", "fixed": True, "channels": []}]}
        put("calibration", name, json.dumps(c, separators=(",", ":")))
        put("calibration", name + "-one-source", json.dumps({**c, "frames": 1, "sources": c["sources"][:1], "equalization": []}, separators=(",", ":")))


def documents():
    for path in sorted(TINY.glob("*.json")):
        if path.name.endswith("schema.json"):
            continue
        whole = json.loads(path.read_text())
        if path.name == "registry.json":
            put("registry", "shipped", path.read_bytes())
            for i, row in enumerate(whole["models"]):
                put("registry", f"row{i}", json.dumps({"schema_version": 1, "models": [row]}, separators=(",", ":")))
            put("registry", "none", '{"schema_version":1,"models":[]}')
        else:
            whole["onnx"] = "x_v1.onnx"  # the name that the target asks for
            put("sidecar", path.stem, json.dumps(whole, indent=2))
            put("sidecar", path.stem + "-short", json.dumps(whole, separators=(",", ":")))
            for key in whole:
                put("sidecar", f"{path.stem}-no-{key.strip('$')}", json.dumps({k: v for k, v in whole.items() if k != key}, separators=(",", ":")))


def models():
    for path in sorted(TINY.glob("*.onnx")):
        for target in ("onnx", "run", "quant"):
            put(target, path.name, path.read_bytes())


y4m()
npy()
archives()
calibrations()
documents()
models()
