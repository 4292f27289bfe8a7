#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# make coverage: lines and branches of src/onnx, src/graph and the C kernels that the tests run, counted in build-coverage/ by gcov; then
# lines of the readers, which are whatever takes bytes from outside: models, registry, sidecar, signatures, JSON, clips, arrays.
# Assertions are compiled out, so that their branches do not count; nothing else is left out. Below 95 % of lines or 90 % of branches, below
# 95 % of lines of the readers, or when a test fails, the exit status is 1. The pages are build-coverage/coverage.html and readers.html. A
# quarter of an hour on two cores.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '== %s\n' "$*"; }
dir=build-coverage
jobs=$(nproc)
# The tests that read files, build graphs and run operators and kernels; the others go through the same once more.
tests=(common graph graph_qdq kernels kernels_elements kernels_flat kernels_rows no_memory onnx onnx_hostile onnx_limits onnx_values ops ops_arithmetic
    ops_axes ops_elementwise ops_hostile ops_moves ops_order ops_products ops_quantise ops_reduce ops_resize ops_windows quant session stream stream_planes train
    test_conformance test_generated test_onnx_files test_ops_ort test_plan_ort test_qoperator_ort test_quantized_models
    calibration embedded_keys file_read file_write npy registry registry_put signature trust y4m zip fuzz_calibration fuzz_npy fuzz_onnx
    fuzz_quant fuzz_registry fuzz_run fuzz_sidecar fuzz_signature fuzz_y4m fuzz_zip test_cli test_filter_io test_quantize test_registry_schema
    test_run test_signed)

scripts/setup.sh build test coverage
exec </dev/null

if ! [ -f "$dir/build.ninja" ]; then
    say "configure $dir"
    mkdir -p "$dir"
    # An arena in which each object is an allocation of its own: each can be made to fail. And a sandbox that lets the counts out.
    meson setup "$dir" -Dtests=enabled -Doptimization=1 -Ddebug=true -Db_coverage=true -Db_ndebug=true '-Dc_args=-DVD_ARENA_OWN=1 -DVD_COVERAGE=1' "$@" \
        >"$dir/configure.log" 2>&1 || { cat "$dir/configure.log"; exit 1; }
fi
say "build $dir"
ninja -C "$dir" -j "$jobs" >"$dir/ninja.log" 2>&1 || { cat "$dir/ninja.log"; exit 1; }
find "$dir" -name '*.gcda' -delete # what earlier runs counted

say "test $dir"
status=0
# A process that is killed writes no counts; and all that the others write at their end would be places to be killed at.
export PYTEST_ADDOPTS="-k 'not killed_at_every_call'"
meson test -C "$dir" --no-rebuild --num-processes "$jobs" --timeout-multiplier 6 --print-errorlogs "${tests[@]}" || status=$?

say coverage
report=(gcovr --root . "$dir" --filter 'src/onnx/' --filter 'src/graph/' --filter 'src/kernels/[^/]*\.c$')
"${report[@]}" --branches | sed -n '/^File/,$p'
"${report[@]}" --html-details "$dir/coverage.html" --print-summary --fail-under-line 95 --fail-under-branch 90 || status=$?
say "$dir/coverage.html"
say 'coverage of the readers'
readers=(gcovr --root . "$dir" --filter 'src/onnx/' --filter 'src/trust/' --filter 'src/common/(bytes|file|json_lex|json_text)\.c$'
    --filter 'src/quant/[a-z_]*json[a-z_]*\.c$' --filter 'tools/io/(npy|stream|y4m|zip)\.c$')
"${readers[@]}" | sed -n '/^File/,$p'
"${readers[@]}" --html-details "$dir/readers.html" --print-summary --fail-under-line 95 || status=$?
say "$dir/readers.html"
exit "$status"
