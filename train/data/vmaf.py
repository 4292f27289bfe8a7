#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""vmaf.py: fetch an ffmpeg that has the libvmaf filter, the static one that the npm package @ffmpeg-installer/linux-x64 carries, to vmaf/ffmpeg
beside this script, and print its path. Nothing of the package is run but that. The model files lie beside it, in git."""
import hashlib
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "vmaf"
VMAF_MODEL = FOLDER / "vmaf_v0.6.1.pkl"
VERSION = "4.1.0"
SHA256 = "6d0c625dbd3f604ed2618981ba6fee7e29678855ab741d654cfc9effb0226624"


def vmaf_ffmpeg():
    path = FOLDER / "ffmpeg"
    if path.exists():
        return path
    print(f"download @ffmpeg-installer/linux-x64 {VERSION}", file=sys.stderr)
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER) as temp:
        subprocess.run(["npm", "pack", "--silent", "--ignore-scripts", f"@ffmpeg-installer/linux-x64@{VERSION}"], cwd=temp, check=True, stdout=subprocess.DEVNULL)
        with tarfile.open(next(Path(temp).glob("*.tgz"))) as t:
            data = t.extractfile("package/ffmpeg").read()
        if hashlib.sha256(data).hexdigest() != SHA256:
            sys.exit(f"@ffmpeg-installer/linux-x64 {VERSION}: its ffmpeg has not the SHA-256 {SHA256}")
        new = Path(temp) / "ffmpeg"
        new.write_bytes(data)
        new.chmod(0o755)
        new.rename(path)
    return path


if __name__ == "__main__":
    print(vmaf_ffmpeg())
