#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Add up meson's testlog.json files. Names what did not pass; the last line is "N passed, N failed" with
", N skipped" when any. Exit 1 when one failed, when a log is missing, or when nothing ran."""
import json
import sys

PASSED = {"OK", "EXPECTEDFAIL"}
passed = skipped = 0
failed = []
for path in sys.argv[1:]:
    ran = 0
    try:
        with open(path, encoding="utf-8") as log:
            for line in filter(str.strip, log):
                test = json.loads(line)
                ran += 1
                if test["result"] in PASSED:
                    passed += 1
                elif test["result"] == "SKIP":
                    skipped += 1
                else:
                    failed.append(f"{path.split('/')[0]}: {test['name']}: {test['result']}")
    except (OSError, ValueError) as e:
        failed.append(f"{path}: {e}")
    else:
        if not ran:
            failed.append(f"{path}: no test ran")
for name in failed:
    print("FAILED", name)
print(f"{passed} passed, {len(failed)} failed" + (f", {skipped} skipped" if skipped else ""), flush=True)
sys.exit(bool(failed) or not passed)
