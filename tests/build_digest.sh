#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# build_digest.sh PROGRAM SOURCE: the shipped models and those of the fuzz corpus, in this build alone.
cd "$2" && exec "$1" model/tiny/*.onnx fuzz/corpus/run/* fuzz/corpus/quant/* >/dev/null
