#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# scripts/setup.sh [build] [test] [arm64] [browser] [demo] [bench] [coverage] [fuzz] [train] [torch]
# Install what a target needs on Debian (12 or later) and Ubuntu (22.04 or later), as root or through sudo:
# packages by apt-get; for test, bench and train also build/venv, for demo also build/data/cockatoo.mp4, for bench also ONNX Runtime's library,
# for arm64 (tests of the aarch64 build in an emulator) also the libraries of that architecture in build/arm64, with a cross file for meson.
# What is there is left alone, and when nothing is missing nothing is said.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

clip_sha256=5fde35f5a288ca86e216d2dc28188ab64b4560d3021f273faefdf0de80f38aa5
clip_path=build/data/cockatoo.mp4
log=build/setup.log
venv=build/venv

say() { printf '== %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }

has_library() { has pkg-config && pkg-config --exists "$1"; }
has_c_headers() { has cc && echo '#include <stdio.h>' | cc -E -x c - >/dev/null 2>&1; }
has_cxx_headers() { has c++ && echo '#include <cstdio>' | c++ -E -x c++ - >/dev/null 2>&1; }

has_arm64_headers() { has aarch64-linux-gnu-gcc && echo '#include <stdio.h>' | aarch64-linux-gnu-gcc -E -x c - >/dev/null 2>&1; }
has_browser() { has chromium || has chromium-browser || has google-chrome; }

# The distribution's Python first: it is the one that python3-venv belongs to.
python() {
    if [ -n "${VMAF_DNN_PYTHON:-}" ]; then echo "$VMAF_DNN_PYTHON"
    elif [ -x /usr/bin/python3 ]; then echo /usr/bin/python3
    else command -v python3
    fi
}
has_conformance_data() { [ -d /usr/share/libonnx-testdata/data/node ]; }
has_torch() { [ -x /usr/bin/python3 ] && /usr/bin/python3 -c 'import torch' 2>/dev/null; }
has_venv_module() { local py; py=$(python) && "$py" -c 'import ensurepip, venv' 2>/dev/null; }

clangs() { compgen -c clang | grep -xE 'clang(-[0-9]+)?' | sort -u; }
has_clang() { [ -n "$(clangs)" ]; }
has_libfuzzer() {
    local c
    for c in $(clangs); do
        if echo 'int LLVMFuzzerTestOneInput(const void *p, long n) { return p == 0 && n; }' |
            "$c" -x c -fsanitize=fuzzer,address,undefined -o /dev/null - 2>/dev/null; then return 0; fi
    done
    return 1
}

missing=()
want() { # PACKAGE CHECK...
    local package=$1
    shift
    "$@" || missing+=("$package")
}
find_missing() {
    missing=()
    local target
    for target; do
        case $target in
        build)
            want gcc has cc
            want libc6-dev has_c_headers
            want make has make
            want meson has meson
            want ninja-build has ninja
            want pkg-config has pkg-config
            want libjansson-dev has_library jansson
            want libpng-dev has_library libpng
            want libsodium-dev has_library libsodium
            want zlib1g-dev has_library zlib ;;
        test)
            want g++ has_cxx_headers
            want ffmpeg has ffmpeg
            want strace has strace
            want minisign has minisign
            want libcmocka-dev has_library cmocka
            want libonnx-testdata has_conformance_data
            want python3 has python3
            want python3-venv has_venv_module ;;
        arm64) # 250 MB installed
            want gcc-aarch64-linux-gnu has aarch64-linux-gnu-gcc
            want libc6-dev-arm64-cross has_arm64_headers
            want qemu-user has qemu-aarch64 ;;
        browser) # 120 MB of packages, 400 MB installed: one test opens a report in it
            want chromium has_browser ;;
        demo)
            want ffmpeg has ffmpeg
            want libjpeg-turbo-progs has djpeg ;;
        bench)
            want npm has npm
            want python3 has python3
            want python3-venv has_venv_module ;;
        coverage)
            want gcovr has gcovr ;;
        train) # what train/data's scripts run
            want ffmpeg has ffmpeg
            want npm has npm
            want python3 has python3
            want python3-venv has_venv_module ;;
        torch) # 90 MB of packages, 700 MB installed: bench/bench_train_torch.py compares with it
            want python3-torch has_torch ;;
        fuzz)
            want clang has_clang
            want python3 has python3 ;;
        libfuzzer) # a package of its own since Debian 12
            want libclang-rt-dev has_libfuzzer ;;
        venv)
            want python3 has python3
            want python3-venv has_venv_module ;;
        esac
    done
}

as_root=()
become_root() { # "what to do by hand instead"
    if [ "$(id -u)" -eq 0 ]; then as_root=(env DEBIAN_FRONTEND=noninteractive)
    elif has sudo && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then as_root=(sudo env DEBIAN_FRONTEND=noninteractive)
    else die "needs root, and there is no sudo that works here; as root run: $1"
    fi
}

apt_get() { "${as_root[@]}" apt-get -y -q -o DPkg::Lock::Timeout=300 "$@" >>"$log" 2>&1; }
updated=
apt_update() {
    say 'apt-get update'
    apt_get update || { tail -n 5 "$log" >&2; die "apt-get update failed; the whole output is in $log"; }
    updated=yes
}

install_packages() {
    find_missing "$@"
    [ ${#missing[@]} -gt 0 ] || return 0
    local line="apt-get install -y --no-install-recommends ${missing[*]}" package
    has apt-get || die "no apt-get here; install what Debian calls: ${missing[*]}"
    become_root "apt-get update && $line"
    for package in "${missing[@]}"; do
        apt-cache show "$package" >/dev/null 2>&1 || { apt_update; break; }
    done
    say "$line"
    if ! apt_get install --no-install-recommends "${missing[@]}"; then
        [ -z "$updated" ] || { tail -n 15 "$log" >&2; die "that failed; the whole output is in $log"; }
        apt_update # the lists may be older than the archive
        apt_get install --no-install-recommends "${missing[@]}" ||
            { tail -n 15 "$log" >&2; die "apt-get install failed; the whole output is in $log"; }
    fi
    find_missing "$@"
    [ ${#missing[@]} -eq 0 ] || die "installed, but still not found: ${missing[*]}"
}

# The oracles of the tests, never of the product. Made anew when the list, the Python or the folder changed.
make_venv() {
    local py stamp=build/.setup-venv now
    py=$(python)
    "$py" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
        die "$("$py" -V) is too old for the tests' oracles; name a Python of at least 3.10 in VMAF_DNN_PYTHON"
    now="$(sha256sum <tests/oracle/requirements.txt) $("$py" -V) $PWD"
    if [ "$(cat "$stamp" 2>/dev/null)" = "$now" ] && "$venv/bin/python" -c '' 2>/dev/null; then return 0; fi
    say "Python packages of tests/oracle/requirements.txt into $venv"
    rm -rf "$venv" "$stamp"
    { "$py" -m venv "$venv" &&
        "$venv/bin/python" -m pip install -q --disable-pip-version-check --only-binary=:all: -r tests/oracle/requirements.txt
    } >>"$log" 2>&1 || { tail -n 15 "$log" >&2; die "that failed; the whole output is in $log"; }
    echo "$now" >"$stamp"
}

right_clip() { [ -f "$1" ] && echo "$clip_sha256  $1" | sha256sum --status -c - 2>/dev/null; }
keep_clip() { # the folder that a package was unpacked into
    local found
    found=$(find "$1" -name cockatoo.mp4 -type f 2>/dev/null | head -n 1)
    [ -n "$found" ] && right_clip "$found" && mkdir -p "${clip_path%/*}" && mv "$found" "$clip_path"
}

# Debian's python3-imageio carries the clip up to version 2.4; the package on PyPI up to 2.9. Either is only unpacked.
get_clip() {
    right_clip "$clip_path" && return 0
    local dir
    dir=$(mktemp -d build/clip.XXXXXX)
    scratch=$dir
    say "cockatoo.mp4 out of the package python3-imageio into ${clip_path%/*}"
    if has apt-get; then
        apt-cache show python3-imageio >/dev/null 2>&1 || { become_root 'apt-get update'; apt_update; }
        if (cd "$dir" && apt-get -q download python3-imageio && dpkg-deb -x python3-imageio_*.deb .) >>"$log" 2>&1 &&
            keep_clip "$dir"; then
            return 0
        fi
    fi
    say 'not in this version of it; out of imageio 2.9.0 of PyPI'
    install_packages venv
    if "$(python)" -m venv "$dir/venv" >>"$log" 2>&1 &&
        "$dir/venv/bin/python" -m pip download -q --disable-pip-version-check --no-deps --only-binary=:all: -d "$dir" imageio==2.9.0 \
            >>"$log" 2>&1 &&
        "$dir/venv/bin/python" -m zipfile -e "$dir"/imageio-*.whl "$dir/unpacked" && keep_clip "$dir/unpacked"; then
        return 0
    fi
    tail -n 5 "$log" >&2
    die "cockatoo.mp4 could not be had; name a clip of your own: make demo CLIP=FILE (the output is in $log)"
}

# ONNX Runtime's shared library as the npm package carries it; nothing of the package is run.
ort_version=1.30.0
ort_sha256=ffb75a925ba05e47b235bb66e3e3911714a80b328a9c9425539feb204aa32a23
ort_path=build/data/libonnxruntime.so.1
right_ort() { [ -f "$ort_path" ] && echo "$ort_sha256  $ort_path" | sha256sum --status -c - 2>/dev/null; }
get_ort() {
    right_ort && return 0
    [ "$(uname -m)" = x86_64 ] || die "bench compares with ONNX Runtime on x86-64 alone"
    local dir
    dir=$(mktemp -d build/ort.XXXXXX)
    scratch=$dir
    say "ONNX Runtime $ort_version out of the npm package onnxruntime-node into ${ort_path%/*}"
    (cd "$dir" && npm pack --silent --ignore-scripts "onnxruntime-node@$ort_version") >>"$log" 2>&1 &&
        tar xzf "$dir/onnxruntime-node-$ort_version.tgz" -C "$dir" package/bin/napi-v6/linux/x64/libonnxruntime.so.1 &&
        mkdir -p "${ort_path%/*}" && mv "$dir/package/bin/napi-v6/linux/x64/libonnxruntime.so.1" "$ort_path" && right_ort ||
        { tail -n 5 "$log" >&2; die "onnxruntime-node $ort_version could not be had; the output is in $log"; }
}

# The libraries for aarch64, out of that architecture's packages: apt with lists and cache of its own, so that the system's stay as they
# are, and nothing is installed, only unpacked.
arm64_packages='libjansson-dev libsodium-dev libpng-dev zlib1g-dev libcmocka-dev'
arm64_archive() { # a line of sources.list: Debian's archives have all architectures, so that the one that this machine asks has aarch64 too
    local id codename site
    id=$(. /etc/os-release && echo "$ID")
    codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
    case $id in
    ubuntu) echo "deb [signed-by=/usr/share/keyrings/ubuntu-archive-keyring.gpg] http://ports.ubuntu.com/ubuntu-ports $codename main universe" ;;
    *)
        site=$(apt-get indextargets --format '$(SITE) $(RELEASE)' 'Created-By: Packages' | sed -n "s/ $codename\$//p" | head -n 1)
        echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${site:?no archive of $codename in the lists of apt} $codename main" ;;
    esac
}
get_arm64() {
    local root=$PWD/build/arm64/root stamp=build/arm64/stamp now lib package
    now="2 $PWD $arm64_packages $(arm64_archive)"
    [ "$(cat "$stamp" 2>/dev/null)" != "$now" ] || return 0
    say "libraries for aarch64 out of their packages into build/arm64"
    rm -rf build/arm64
    mkdir -p build/arm64/apt/lists/partial build/arm64/apt/archives/partial build/arm64/debs
    local apt=$PWD/build/arm64/apt
    arm64_archive >"$apt/sources.list"
    : >"$apt/status"
    local options=(-q -o APT::Architecture=arm64 -o APT::Architectures::=arm64 -o Dir::State::lists="$apt/lists" -o Dir::State::status="$apt/status"
        -o Dir::Cache="$apt" -o Dir::Etc::sourcelist="$apt/sources.list" -o Dir::Etc::sourceparts="$apt/none" -o Acquire::Languages=none
        -o APT::Sandbox::User="$(id -un)" -o Acquire::Retries=2)
    local libraries
    # shellcheck disable=SC2086 # names, without blanks
    { apt-get "${options[@]}" update &&
        libraries=$(apt-cache "${options[@]}" depends $arm64_packages | sed -n 's/^ *Depends: //p' | grep -Ev -e '-dev$|^libc6|^<' | sort -u) &&
        (cd build/arm64/debs && apt-get "${options[@]}" download $arm64_packages $libraries) &&
        for package in build/arm64/debs/*.deb; do dpkg-deb -x "$package" "$root" || exit 1; done
    } >>"$log" 2>&1 || { tail -n 15 "$log" >&2; die "the packages for aarch64 could not be had; the whole output is in $log"; }
    for lib in "$root"/usr/lib/aarch64-linux-gnu/*.so; do # a link to /lib means that of this root
        case $(readlink "$lib") in /*) ln -sf "$root$(readlink "$lib")" "$lib" ;; esac
    done
    cat >build/arm64/cross.txt <<END
[binaries]
c = [$(has ccache && echo "'ccache', ")'aarch64-linux-gnu-gcc']
ar = 'aarch64-linux-gnu-ar'
strip = 'aarch64-linux-gnu-strip'
nm = 'aarch64-linux-gnu-nm'
pkgconfig = 'pkg-config'
pkg-config = 'pkg-config'
exe_wrapper = ['qemu-aarch64', '-L', '/usr/aarch64-linux-gnu', '-E', 'LD_LIBRARY_PATH=$root/usr/lib/aarch64-linux-gnu:$root/lib/aarch64-linux-gnu']

[properties]
sys_root = '$root'
pkg_config_libdir = '$root/usr/lib/aarch64-linux-gnu/pkgconfig'

[built-in options]
c_args = ['-isystem', '$root/usr/include']
c_link_args = ['-L$root/usr/lib/aarch64-linux-gnu', '-Wl,-rpath-link,$root/lib/aarch64-linux-gnu']

[host_machine]
system = 'linux'
cpu_family = 'aarch64'
cpu = 'armv8-a'
endian = 'little'
END
    rm -rf build/arm64/apt build/arm64/debs
    echo "$now" >"$stamp"
}

scratch=
trap '[ -z "$scratch" ] || rm -rf "$scratch"' EXIT
targets=("$@")
[ $# -gt 0 ] || targets=(build)
for target in "${targets[@]}"; do
    case $target in
    build | test | arm64 | browser | demo | bench | coverage | fuzz | train | torch) ;;
    *) die "no target $target; there are build, test, arm64, browser, demo, bench, coverage, fuzz, train and torch" ;;
    esac
done
mkdir -p build
if has flock; then # one at a time
    exec 9>build/.setup-lock
    flock 9
fi
: >"$log"
install_packages "${targets[@]}"
for target in "${targets[@]}"; do
    case $target in
    test | train) make_venv ;;
    arm64) get_arm64 ;;
    bench) make_venv && get_ort ;;
    demo) [ -n "${CLIP:-}" ] || get_clip ;;
    fuzz) install_packages libfuzzer ;;
    esac
done
