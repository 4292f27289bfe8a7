#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# make bench: this library against ONNX Runtime on this machine, and each kernel against its instruction's limit.
# Options go to bench_ort: scripts/bench.sh --pairs 15 --only filter. Figures also as JSON in build/bench.json.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '== %s\n' "$*"; }

scripts/setup.sh build bench
[ -f build/build.ninja ] || meson setup build >/dev/null
say 'build'
ninja -C build product bench/bench_kernels bench/bench_ort >/dev/null
say 'models'
VMAF_DNN_BIN=build/vmaf-dnn build/venv/bin/python bench/make_models.py build/bench-models
if [ $# -eq 0 ]; then
    say 'kernels'
    build/bench/bench_kernels 1920
fi
say 'against ONNX Runtime'
exec build/bench/bench_ort --ort build/data/libonnxruntime.so.1 --json build/bench.json "$@"
