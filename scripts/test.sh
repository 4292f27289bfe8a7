#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# make test: every test on a release build (build/) and, but for the heavy oracles, under AddressSanitizer and
# UndefinedBehaviorSanitizer with assertions on (build-asan/); on x86-64 also the kernels for aarch64, cross-compiled and in an emulator
# (build-arm64/). Closes with "N passed, N failed".
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '== %s\n' "$*"; }
jobs=$(nproc)
export ASAN_OPTIONS=${ASAN_OPTIONS:-abort_on_error=1:detect_stack_use_after_return=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-halt_on_error=1:print_stacktrace=1}

arm64=
[ "$(uname -m)" != x86_64 ] || arm64=arm64
# shellcheck disable=SC2086 # a word or nothing
scripts/setup.sh build test browser $arm64
exec </dev/null # only sudo may ask

build() { # FOLDER OPTION...
    local dir=$1
    shift
    if ! [ -f "$dir/build.ninja" ]; then
        say "configure $dir"
        mkdir -p "$dir"
        meson setup "$dir" -Dtests=enabled "$@" >"$dir/configure.log" 2>&1 || { cat "$dir/configure.log"; exit 1; }
    elif ! grep -q '^build tests/.*test_' "$dir/build.ninja"; then # configured before cmocka was there
        meson setup --reconfigure "$dir" -Dtests=enabled "$@" >/dev/null
    fi
    say "build $dir"
    if [ -t 1 ]; then ninja -C "$dir" -j "$jobs"
    elif ! ninja -C "$dir" -j "$jobs" >"$dir/ninja.log" 2>&1; then
        cat "$dir/ninja.log"
        exit 1
    fi
}

status=0
run() { # FOLDER
    say "test $1"
    rm -f "$1/meson-logs/testlog.json"
    meson test -C "$1" --no-rebuild --num-processes "$jobs" --print-errorlogs || status=$?
}

build build
build build-asan -Dbuildtype=debugoptimized -Db_sanitize=address,undefined -Db_lundef=false
logs=(build/meson-logs/testlog.json build-asan/meson-logs/testlog.json)
run build
run build-asan
if [ -n "$arm64" ]; then
    build build-arm64 --cross-file build/arm64/cross.txt
    run build-arm64
    logs+=(build-arm64/meson-logs/testlog.json)
fi
python3 scripts/count_tests.py "${logs[@]}" || status=$?
exit "$status"
