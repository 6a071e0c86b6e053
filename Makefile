# The door: Meson builds, tools/ holds the steps, this file gives them short names.
#
#   make                     set up and build
#   make demo                run the examples and the real job
#   make check               run the tests   [CC=gcc|clang] [OPT=0|2|3]
#                            [SAN=address|thread|undefined|valgrind]
#   make bench [CASE=...]    measure, into build/bench.tsv
#   make kill [OP=...]       kill at every instruction, the whole matrix   [CC=] [OPT=]
#             [POINTS=1000]  a sample of so many points of each row
#             [ALL=1]        with both compilers at -O0, -O2 and -O3
#             [PAIRS=1]      two at a time, at every pair of instructions that others see
#   make model [NAME=...]    search the states of the models, see doc/model.md
#   make soak [SECONDS=60]   kill producers and consumers of one queue at random
#   make fuzz [TARGET=pickle] [SECONDS=120]   run the fuzzers, each so long
#   make chaos               cut, split and delay a connection at every byte
#   make interop             values there and back, and connections, with each CPython found
#   make install [DESTDIR=...] [PREFIX=/usr/local]
#   make clean
#
# Each needs nothing before it: tools/setup.sh installs what tools/packages.txt lists.

ifeq ($(origin CC),default)
CC := gcc
endif
SAN ?=
OPT ?=
WERROR ?= false
PREFIX ?= /usr/local
export CC SAN OPT WERROR PREFIX

# The build directory of this CC, SAN and OPT.  $(shell) does not see what is exported.
BUILD = $(shell CC='$(CC)' SAN='$(SAN)' OPT='$(OPT)' tools/configure.sh --name)

all: build

build: setup
	@tools/configure.sh
	@meson compile -C $(BUILD)

setup:
	@tools/setup.sh

demo: build
	@tools/demo.sh $(BUILD)

check: setup
	@tools/check.sh $(BUILD)

bench: build
	@mkdir -p build
	@$(BUILD)/bench/prong-bench --out build/bench.tsv $(CASE)

ifeq ($(ALL),)
kill: build
	@$(BUILD)/test/kill/prong-kill $(if $(PAIRS),--pairs) $(if $(POINTS),--points $(POINTS)) $(OP)
else
kill: setup
	@PAIRS='$(PAIRS)' POINTS='$(POINTS)' tools/kill.sh $(OP)
endif

model:
	@tools/model.sh $(NAME)

SECONDS ?= 60
soak: build
	@$(BUILD)/test/soak/prong-soak $(SECONDS)

fuzz: setup
	@SECONDS=$(if $(filter command% environment%,$(origin SECONDS)),$(SECONDS),120) tools/fuzz.sh $(TARGET)

chaos: build
	@set -e; for t in chaos remote-chaos manager-chaos; do \
		PRONG_TEST_SCALE=100 $(BUILD)/test/unit/unit-$$t; done

interop: build
	@tools/interop.sh $(BUILD)/test/interop

install: build
	@meson install -C $(BUILD) --no-rebuild --quiet $(if $(DESTDIR),--destdir "$(abspath $(DESTDIR))")
	@test -n "$(DESTDIR)" || ldconfig 2>/dev/null || true # so that programs find it at once

clean:
	@rm -rf build

.PHONY: all build setup demo check bench kill model soak fuzz chaos interop install clean
.NOTPARALLEL:
