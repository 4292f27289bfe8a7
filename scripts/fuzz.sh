#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# make fuzz SECONDS=60: every target of fuzz/ for so long, in turn, with libFuzzer, AddressSanitizer and UndefinedBehaviorSanitizer.
# fuzz.sh [TIME [TARGET...]]. What is found in the way of inputs stays in build-fuzz/corpus/TARGET and is where the next call goes on;
# what crashes, leaks or hangs is written to build-fuzz/artifacts/TARGET, and the exit status is 1.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '== %s\n' "$*"; }
time=${1:-60}
[[ $time =~ ^[1-9][0-9]*$ ]] || { echo "fuzz: SECONDS=$time: a whole number of seconds for each target" >&2; exit 2; }
shift || true
scripts/setup.sh build fuzz
dir=build-fuzz

clang= # the first that has libFuzzer's runtime
for c in $(compgen -c clang | grep -xE 'clang(-[0-9]+)?' | sort -u); do
    if echo 'int LLVMFuzzerTestOneInput(const void *p, long n) { return p == 0 && n; }' |
        "$c" -x c -fsanitize=fuzzer,address,undefined -o /dev/null - 2>/dev/null; then
        clang=$c
        break
    fi
done
[ -n "$clang" ] || { echo 'fuzz: no clang with libFuzzer: scripts/setup.sh fuzz installs it' >&2; exit 1; }
command -v ccache >/dev/null && clang="ccache $clang"
if ! [ -f "$dir/build.ninja" ]; then
    say "configure $dir with $clang"
    mkdir -p "$dir"
    CC=$clang meson setup "$dir" -Dfuzz=enabled -Dtests=disabled -Dbuildtype=debugoptimized -Db_sanitize=address,undefined \
        -Db_lundef=false >"$dir/configure.log" 2>&1 || { cat "$dir/configure.log"; exit 1; }
fi
say "build $dir"
ninja -C "$dir" fuzz >"$dir/ninja.log" 2>&1 || { tail -n 40 "$dir/ninja.log"; exit 1; }
python3 fuzz/make_seeds.py "$dir/seeds"

export ASAN_OPTIONS=quarantine_size_mb=4:allocator_may_return_null=1:detect_leaks=1:malloc_context_size=8
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
declare -A dict=([onnx]=onnx [run]=onnx [quant]=onnx [registry]=json [sidecar]=json) longest=([y4m]=512 [npy]=512 [quant]=4096)
targets=("$@")
[ $# -gt 0 ] || for f in fuzz/fuzz_*.c; do
    t=${f#fuzz/fuzz_}
    t=${t%.c}
    [ ! -x "$dir/fuzz/fuzz_$t" ] || targets+=("$t")
done
total=0 bad=0
printf '%-12s %12s %10s %8s %8s  %s\n' target executions a-second edges inputs result
for t in "${targets[@]}"; do
    [ -x "$dir/fuzz/fuzz_$t" ] || { echo "fuzz: there is no target $t" >&2; exit 2; }
    mkdir -p "$dir/corpus/$t" "$dir/artifacts/$t" "$dir/seeds/$t"
    words=()
    [ ! -f "fuzz/dict/${dict[$t]:-$t}.dict" ] || words=("-dict=fuzz/dict/${dict[$t]:-$t}.dict")
    rest=()
    for d in "fuzz/corpus/$t" "fuzz/regression/$t"; do [ ! -d "$d" ] || rest+=("$d"); done
    result=clean
    "$dir/fuzz/fuzz_$t" "-max_total_time=$time" -timeout=20 -rss_limit_mb=2048 "-max_len=${longest[$t]:-2048}" "${words[@]}" \
        -print_final_stats=1 "-artifact_prefix=$dir/artifacts/$t/" "$dir/corpus/$t" "$dir/seeds/$t" "${rest[@]}" \
        >"$dir/$t.log" 2>&1 || { result="FOUND SOMETHING, see $dir/$t.log"; bad=1; }
    runs=$(grep -aoP 'stat::number_of_executed_units: *\K\d+' "$dir/$t.log" || echo 0)
    speed=$(grep -aoP 'stat::average_exec_per_sec: *\K\d+' "$dir/$t.log" || echo 0)
    edges=$(grep -aoP 'cov: \K\d+' "$dir/$t.log" | tail -n 1)
    printf '%-12s %12s %10s %8s %8s  %s\n' "$t" "$runs" "$speed" "${edges:-0}" "$(find "$dir/corpus/$t" -type f | wc -l)" "$result"
    total=$((total + runs))
done
printf '%-12s %12s\n' total "$total"
exit "$bad"
