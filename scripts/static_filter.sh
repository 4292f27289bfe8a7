#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# static_filter.sh [--pin] [PICTURES]: the static form of learned_filter_v1 (docs/adr/0016-static-filter.md), made again for its weights of today.
# PICTURES is the folder of train/data/pictures.py (train/data/pictures). 40 training pictures are calibrated on, the default form is written, and
# it is measured beside the dynamic one. --pin: the calibration goes to model/tiny/calibration, the model's int8 file, sidecar and registry row
# become the static ones, and the gate has the last word; without it nothing in model/ changes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

pin=
[ "${1:-}" = --pin ] && { pin=1; shift; }
pictures=${1:-train/data/pictures}
bin=${VMAF_DNN_BIN:-build/vmaf-dnn}
python=${PYTHON:-build/venv/bin/python}
model=model/tiny/learned_filter_v1.onnx

[ -x "$bin" ] || { echo "no $bin: make builds it" >&2; exit 1; }
[ -x "$python" ] || { echo "no $python: scripts/setup.sh test installs it, or set PYTHON" >&2; exit 1; }
mapfile -t all < <(ls "$pictures"/train/degraded/*.y4m 2>/dev/null)
[ ${#all[@]} -ge 40 ] || { echo "$pictures has ${#all[@]} training pictures, 40 are wanted: train/data/pictures.py --out $pictures" >&2; exit 1; }
some=()
for ((i = 0; i < 40; i++)); do
    some+=("${all[$((i * ${#all[@]} / 40))]}")
done

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
ranges=$out/learned_filter_v1.json
"$bin" calibrate "$model" "${some[@]}" -o "$ranges"
"$bin" quantize static "$model" --calibration "$ranges" -o "$out/static.onnx"
"$python" bench/bench_quantisers.py --bin "$bin" --pictures "$pictures" --frames 40 --only 'vmaf-dnn dynamic' "$model"
[ -n "$pin" ] || exit 0
mkdir -p model/tiny/calibration
cp "$ranges" model/tiny/calibration/learned_filter_v1.json
"$bin" quantize static "$model" --calibration model/tiny/calibration/learned_filter_v1.json -q
"$bin" verify "$model"
"$bin" gate "$model"
