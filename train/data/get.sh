#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# train/data/get.sh [pictures] [clips] [scores]: what the configurations in train/ are trained on, into train/data/pictures, clips and scores.
# Installs the tools that it needs (scripts/setup.sh train), then runs pictures.py, clips.py and scores.py beside it, which have options and say more.
# Clips want gigabytes and an encoder's patience, and the pictures first.
# scores: frames with VMAF labels, 4.5 GB and 45 minutes of two cores; 800 MB of packages, some of them those of the others.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
for what; do
    case $what in
    pictures | clips | scores) ;;
    *) echo "get.sh: no set $what; there are pictures, clips and scores" >&2; exit 2 ;;
    esac
done
[ $# -gt 0 ] || set -- pictures clips scores
scripts/setup.sh train
case " $* " in
*' pictures '* | *' clips '*) build/venv/bin/python train/data/pictures.py ;;
esac
case " $* " in
*' clips '*) build/venv/bin/python train/data/clips.py ;;
esac
case " $* " in
*' scores '*) build/venv/bin/python train/data/scores.py ;;
esac
