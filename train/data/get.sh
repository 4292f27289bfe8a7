#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# train/data/get.sh [pictures] [clips]: what the configurations in train/ are trained on, into train/data/pictures and train/data/clips.
# Installs the tools that it needs (scripts/setup.sh train), then runs pictures.py and clips.py beside it, which have options and say more.
# pictures: 400 MB and 2 minutes; clips: 4 GB and 20 minutes on two cores, and it makes the pictures first. Both: 200 MB of packages.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
for what; do
    case $what in
    pictures | clips) ;;
    *) echo "get.sh: no set $what; there are pictures and clips" >&2; exit 2 ;;
    esac
done
[ $# -gt 0 ] || set -- pictures clips
scripts/setup.sh train
build/venv/bin/python train/data/pictures.py
case " $* " in
*' clips '*) build/venv/bin/python train/data/clips.py ;;
esac
