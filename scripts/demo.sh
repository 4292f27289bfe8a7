#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# make demo: the main job on a real clip. A clip is degraded as the shipped filter expects; the filter is quantised,
# gated, verified and run in int8 and in fp32; a table and a picture at the end. All of it in build/demo.
#   CLIP=FILE  another clip (anything that ffmpeg decodes)     STEP=N  every N-th frame of it (4)     QUALITY=Q  of the JPEG (35)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export LC_ALL=C

id=learned_filter_v1
dir=build/demo
clip=${CLIP:-build/data/cockatoo.mp4}
export CLIP=${CLIP:-} # setup.sh fetches no clip when one is named
step=${STEP:-4}
quality=${QUALITY:-35}
jobs=$(nproc)
run=build/vmaf-dnn

say() { printf '== %s\n' "$*"; }
die() { printf 'demo: %s\n' "$*" >&2; exit 1; }
ff() { ffmpeg -hide_banner -v error -nostdin -y "$@"; }
show() { # print and run, with the output set in; the exit status is the command's
    printf '   $ %s\n' "$*"
    "$@" 2>&1 | sed 's/^/   /'
}

scripts/setup.sh build demo
exec </dev/null # only sudo may ask
say 'build build/vmaf-dnn'
[ -f build/build.ninja ] || meson setup build >build/setup.log 2>&1 || { cat build/setup.log; exit 1; }
ninja -C build product tests/clip_drop >build/ninja.log 2>&1 || { cat build/ninja.log; exit 1; }
[ -f "$clip" ] || die "no clip $clip"
mkdir -p "$dir"

# --- the clip: decoded, blurred, and each frame's luma through libjpeg. Chroma is not touched.
# What it was made of is written down last, so that an interrupted run is not taken for a whole one.
made_of="$(cksum <"$clip") step=$step quality=$quality $(cksum <"${BASH_SOURCE[0]}")"
if [ "$(cat "$dir/made_of" 2>/dev/null)" != "$made_of" ]; then
    rm -rf "$dir/frames" "$dir/made_of"
    mkdir -p "$dir/frames"
    say "decode every ${step}th frame of ${clip##*/}"
    ff -i "$clip" -an -vf "select=not(mod(n\\,$step)),setpts=N/(FRAME_RATE*TB)" -pix_fmt yuv420p -f yuv4mpegpipe "$dir/clean.y4m"
    say 'degrade its luma: Gaussian blur of sigma 1.2 ...'
    ff -i "$dir/clean.y4m" -vf gblur=sigma=1.2:steps=6:planes=1 -f yuv4mpegpipe "$dir/blurred.y4m"
fi
header=$(head -n 1 "$dir/clean.y4m")
[[ $header =~ \ W([0-9]+)\ H([0-9]+)\  ]] || die "ffmpeg wrote a header that has no size: $header"
width=${BASH_REMATCH[1]} height=${BASH_REMATCH[2]}
luma=$((width * height))
frame=$((6 + luma + 2 * ((width + 1) / 2) * ((height + 1) / 2))) # "FRAME\n", luma, chroma
frames=$((($(stat -c %s "$dir/clean.y4m") - ${#header} - 1) / frame))
[ "$frames" -gt 0 ] || die "no frames in $clip"
part() { # FILE OFFSET BYTES
    dd if="$1" iflag=skip_bytes,count_bytes,fullblock skip="$2" count="$3" bs=1M status=none
}
degrade() { # FRAME: that frame of blurred.y4m with its luma through a JPEG file
    local at=$((${#header} + 1 + $1 * frame)) out
    out=$(printf '%s/frames/%06d' "$dir" "$1")
    {
        printf 'FRAME\n'
        { printf 'P5\n%d %d\n255\n' "$width" "$height" && part "$dir/blurred.y4m" $((at + 6)) "$luma"; } |
            cjpeg -quality "$quality" -grayscale | djpeg -pnm | tail -c "$luma"
        part "$dir/blurred.y4m" $((at + 6 + luma)) $((frame - 6 - luma))
    } >"$out"
    [ "$(stat -c %s "$out")" -eq "$frame" ] || { echo "demo: frame $1 did not come back whole from cjpeg and djpeg" >&2; return 1; }
}
if ! [ -f "$dir/made_of" ]; then
    say "... and JPEG of quality $quality, $frames frames of ${width}x$height by cjpeg and djpeg"
    export -f part degrade
    export dir header width height luma frame quality
    seq 0 $((frames - 1)) | xargs -P "$jobs" -I{} bash -euo pipefail -c 'degrade {}'
    { printf '%s\n' "$header" && cat "$dir"/frames/*; } >"$dir/degraded.y4m"
    rm -rf "$dir/frames"
    echo "$made_of" >"$dir/made_of"
fi

# --- the model, on a copy of the registry and all that it names
say 'quantise a copy of the model, and compare with the int8 file that is shipped'
model=$dir/model
rm -rf "$model"
mkdir "$model"
cp -R model/tiny/. "$model/"
rm -f "$model/$id.int8.onnx"
show "$run" quantize static "$model/$id.onnx" --calibration "$model/calibration/$id.json"
cmp "$model/$id.int8.onnx" "model/tiny/$id.int8.onnx" || die 'the int8 file is not the one that is shipped'
echo '   the same bytes'
say 'verify: digests, schema, and graph against sidecar against registry'
show "$run" verify --all --registry "$model/registry.json"
say 'gate: is int8 as good as fp32?'
show "$run" gate --all --registry "$model/registry.json" | tee "$dir/gate.txt"

# --- the clip through both
filter() { # NAME OPTION...
    local name=$1
    shift
    say "filter $frames frames, $name"
    show "$run" filter -m "$model/$id.onnx" "$dir/degraded.y4m" -o "$dir/$name.y4m" -f "$@" | tee "$dir/$name.txt"
}
filter int8
filter fp32 --baseline
say 'compare int8 with fp32 on real frames, before rounding'
build/tests/clip_drop "$model/$id.onnx" "$model/registry.json" "$dir/degraded.y4m" 5 >"$dir/drop.txt"

say 'measure PSNR of luma against the clean clip'
for name in degraded fp32 int8; do
    ff -i "$dir/$name.y4m" -i "$dir/clean.y4m" -lavfi "[0:v][1:v]psnr=stats_file=$dir/$name.psnr" -f null -
    grep -o 'psnr_y:[0-9.inf]*' "$dir/$name.psnr" | cut -d: -f2 >"$dir/$name.db"
    [ "$(wc -l <"$dir/$name.db")" -eq "$frames" ] || die "ffmpeg's psnr has no line for every frame of $name"
done

# --- before and after: one detail, three times
picture=$dir/before_after.png
w=$((width < 266 ? width : 266)) h=$((height < 200 ? height : 200))
at="(iw-$w)/2:(ih-$h)/2" n=$((frames / 2))
if [ -z "$CLIP" ] && [ "$step" -eq 4 ]; then at=780:140 n=30; fi # feathers
panel() { # LABEL
    printf "select=eq(n\\,%d),crop=%d:%d:%s,scale=%d:%d:flags=neighbor,format=rgb24%s" "$n" "$w" "$h" "$at" $((3 * w)) $((3 * h)) "$1"
}
compose() { # labels? "yes" or "no"
    local labels=(clean degraded 'int8 filtered') chain='' i
    for i in 0 1 2; do
        local text=''
        [ "$1" = no ] || text=",drawtext=text='${labels[i]}':x=12:y=h-48:fontsize=32:fontcolor=white:box=1:boxcolor=black@0.6:boxborderw=8"
        chain+="[$i:v]$(panel "$text")[p$i];"
    done
    ff -i "$dir/clean.y4m" -i "$dir/degraded.y4m" -i "$dir/int8.y4m" -filter_complex "${chain}[p0][p1][p2]hstack=inputs=3" \
        -frames:v 1 -update 1 "$picture" 2>"$dir/picture.log"
}
compose yes || compose no || { cat "$dir/picture.log"; die 'ffmpeg made no picture'; }

# --- the table
value() { grep -o "$2=[0-9.e+-]*" "$1" | head -n 1 | cut -d= -f2; }
fps() { grep -o '[0-9.]* fps' "$dir/$1.txt" | cut -d' ' -f1; }
size() { stat -c %s "$1"; }
grep "\] $id " "$dir/gate.txt" >"$dir/gate_line.txt" || die 'gate printed no line for the model'
printf '\n%s, %d frames of %dx%d, %d threads\n' "${clip##*/}" "$frames" "$width" "$height" "$jobs"
paste "$dir"/{degraded,fp32,int8}.db | awk -v fp32="$(size "$model/$id.onnx")" -v int8="$(size "$model/$id.int8.onnx")" \
    -v fps_fp32="$(fps fp32)" -v fps_int8="$(fps int8)" -v plcc="$(value "$dir/gate_line.txt" PLCC)" -v drop="$(value "$dir/gate_line.txt" drop)" \
    -v real_plcc="$(value "$dir/drop.txt" plcc)" -v real_drop="$(value "$dir/drop.txt" drop)" '
    $1 != "inf" && $2 != "inf" && $3 != "inf" { d += $1; a += $2; b += $3; n++ }
    END {
        if (!n) { print "demo: no frame has a finite PSNR" > "/dev/stderr"; exit 1 }
        line = "  %-34s %12s %12s   %s\n"
        printf line, "", "fp32", "int8", ""
        printf line, "model file, bytes", fp32, int8, sprintf("%.2f times smaller", fp32 / int8)
        printf line, "frames per second", fps_fp32, fps_int8, sprintf("%.2f times as fast", fps_int8 / fps_fp32)
        printf line, sprintf("PSNR of luma, degraded %.2f dB", d / n), sprintf("%.2f", a / n), sprintf("%.2f", b / n), ""
        printf line, "gain, dB", sprintf("%+.3f", (a - d) / n), sprintf("%+.3f", (b - d) / n), sprintf("int8 loses %.3f dB of it", (a - b) / n)
        printf line, "correlation on the gate\x27s noise", "", plcc, "drop " drop
        printf line, "correlation on this clip", "", real_plcc, "drop " real_drop
    }'
printf '\nBefore and after: %s\n' "$picture"
