# The two commands of a fresh Debian 12, as root: `make run` and `make test`. Everything else is CMake: see CMakePresets.json.

PRESET ?= release
JOBS ?= $(shell nproc)
FUZZ_SECONDS ?= 60
PREFIX ?= /usr
PYTHON = PYTHONDONTWRITEBYTECODE=1 python3

.PHONY: all deps build run test bench fuzz install clean lint format tidy

all: build

# What building and testing need of Debian; quick when it is all there.
deps:
	@tests/support/deps build test

build:
	@tests/support/deps build
	cmake --preset $(PRESET) -DCMAKE_INSTALL_PREFIX=$(PREFIX)
	cmake --build build/$(PRESET) -j $(JOBS)

# A node of its own for a minute: registry, berthd, one pod and its log, in namespaces that vanish with it.
run: deps build
	@$(PYTHON) tests/support/demo.py --build build/$(PRESET)

test: deps
	@$(PYTHON) tests/run.py --jobs $(JOBS)

# Berth beside Debian's containerd and runc; fails when a bound fails. The raw output goes to docs/bench/.
bench: deps
	@tests/support/deps bench
	cmake --preset release -DBERTH_TESTS=ON
	cmake --build build/release -j $(JOBS)
	@$(PYTHON) tests/bench/bench.py --build build/release --output docs/bench

fuzz: deps
	cmake --preset fuzz
	cmake --build build/fuzz -j $(JOBS) --target fuzzers
	@$(PYTHON) tests/fuzz/run.py --build build/fuzz --seconds $(FUZZ_SECONDS)

install: build
	DESTDIR=$(DESTDIR) cmake --install build/$(PRESET)

lint:
	@tests/support/deps test
	@$(PYTHON) tests/lint/run.py

# clang-tidy over everything that dev compiles: slow, so CI does a part of it.
tidy: deps
	cmake --preset dev
	@$(PYTHON) tests/lint/tidy.py --all

format:
	git ls-files '*.cc' '*.h' | xargs -r clang-format -i

clean:
	rm -rf build
