#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# same_digest.sh PROGRAM SETS PATTERN...: build_digest of an emulated build, on files of the source folder, finds these kernel sets and gives the same
# bits as that of build/ does here: all sets in integers, the C set in floats too.
set -eu
program=$(realpath "$1") sets=$2 # before the folder is another
shift 2
native=$VMAF_DNN_SOURCE/build/tests/build_digest
[ -x "$native" ] || { echo "no $native to compare with: ninja -C build tests/build_digest" >&2; exit 1; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$VMAF_DNN_SOURCE"
# shellcheck disable=SC2068 # patterns of files
"$native" $@ >"$dir/here"
eval "$MESON_EXE_WRAPPER \"\$program\" $*" >"$dir/there"
found=$(awk '!seen[$2]++ { printf "%s%s", sep, $2; sep = " " }' "$dir/there")
[ "$found" = "$sets" ] || { echo "kernel sets here: $found; there should be: $sets" >&2; exit 1; }
for side in here there; do
    awk '$3 == "exact" { print $1, $3, $4 } $3 == "fp32" && $2 == "c" { print $1, $3, $4 }' "$dir/$side" | sort -u >"$dir/$side.sorted"
done
[ -s "$dir/here.sorted" ] || { echo 'nothing was compared' >&2; exit 1; }
diff "$dir/here.sorted" "$dir/there.sorted" || { echo "other bits than $native" >&2; exit 1; }
