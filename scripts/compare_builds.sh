#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# compare_builds.sh [FOLDER]: the same answer, bit for bit, from gcc and clang, at -O0 and -O3, with 1 and 2 threads, whatever memory held
# before: on the shipped models and on those of fuzz/corpus (int8 on every kernel set alike; with float convolutions each set for itself). Four builds in
# build-compare/, a quarter of an hour; exit 0 when all lines are equal.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD dir=${1:-build-compare}
scripts/setup.sh build fuzz
clang=$(compgen -c clang | grep -xE 'clang(-[0-9]+)?' | sort -u | head -n 1)
cache=
command -v ccache >/dev/null && cache='ccache '
mkdir -p "$dir"
models=(model/tiny/*.onnx fuzz/corpus/run/* fuzz/corpus/quant/*)

first='' bad=0
for cc in gcc "$clang"; do
    for o in 0 3; do
        b=$dir/$cc-O$o
        [ -f "$b/build.ninja" ] || CC="$cache$cc" meson setup "$b" -Doptimization=$o -Ddebug=false -Db_ndebug=true -Dtests=auto >"$b.log" 2>&1 ||
            { cat "$b.log"; exit 1; }
        ninja -C "$b" tests/build_digest >"$b.log" 2>&1 || { tail -n 40 "$b.log"; exit 1; }
        for perturb in 0 255; do # of what libc hands out to others; the library's own memory is filled with 0x00 and 0xFF in any case
            MALLOC_PERTURB_=$perturb "$b/tests/build_digest" "${models[@]}" >"$b.$perturb" 2>"$b.said" || { cat "$b.said"; bad=1; }
            [ -n "$first" ] || first=$b.$perturb
            if cmp -s "$first" "$b.$perturb"; then printf '%-14s MALLOC_PERTURB_=%-3s  %s, equal\n' "$cc -O$o" "$perturb" "$(cat "$b.said")"
            else
                printf '%-14s MALLOC_PERTURB_=%-3s  %s, DIFFERENT:\n' "$cc -O$o" "$perturb" "$(cat "$b.said")"
                diff "$first" "$b.$perturb" | head -n 20 || true
                bad=1
            fi
        done
    done
done
printf '%s lines for each build: %s of models without a float convolution, %s of others\n' "$(wc -l <"$first")" "$(grep -c ' exact ' "$first")" "$(grep -c ' fp32 ' "$first")"
exit "$bad"
