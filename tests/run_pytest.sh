#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# run_pytest.sh PYTHON FILE: one test file in the oracles' virtual environment. A missing environment is a failure.
[ -x "$1" ] || { echo "FAILED: no Python at $1; scripts/setup.sh test installs it, and make test does that by itself"; exit 1; }
export PYTHONDONTWRITEBYTECODE=1
exec "$1" -m pytest -q -rs -p no:cacheprovider "$2"
