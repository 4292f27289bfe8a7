# SPDX-License-Identifier: BSD-2-Clause
# A front for meson and ninja. demo, test, bench and coverage install what they need; the rest wants the packages of `scripts/setup.sh build`.
MESON ?= meson
NINJA ?= ninja

SECONDS ?= 60

.PHONY: all demo test bench coverage fuzz install clean distclean help

all: build/build.ninja
	@$(NINJA) -C build product

build/build.ninja:
	@$(MESON) setup build

demo:
	@scripts/demo.sh

test:
	@scripts/test.sh

bench:
	@scripts/bench.sh

coverage:
	@scripts/coverage.sh

# Each fuzz target for that long; it goes on where the last call ended.
fuzz:
	@scripts/fuzz.sh $(SECONDS) $(TARGETS)

install: all
	@$(MESON) install -C build

# What was compiled and what the demo made; the virtual environment and the clip stay.
clean:
	@rm -rf build-asan build-arm64 build-coverage build/demo
	@if [ -f build/build.ninja ]; then $(NINJA) -C build -t clean; fi

distclean:
	@rm -rf build build-asan build-arm64 build-coverage build-fuzz

help:
	@echo 'make            build/vmaf-dnn and the library'
	@echo 'make demo       quantise, gate, verify and filter a real clip; a table and a picture at the end'
	@echo 'make test       all tests, on a release build, under the sanitizers and, emulated, on aarch64'
	@echo 'make bench      this library against ONNX Runtime on this machine: times, memory, time to open'
	@echo 'make coverage   lines and branches that the tests run, of the file reader, the graph and the C kernels'
	@echo 'make fuzz SECONDS=60    every fuzz target for so long, with libFuzzer; TARGETS="onnx run" only these'
	@echo 'make install    to PREFIX of `meson configure build -Dprefix=...`, /usr/local by default'
	@echo 'make clean      what was compiled; make distclean: the build folders whole'
