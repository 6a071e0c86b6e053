#!/bin/sh
# fuzz.sh [NAME...]: run each fuzzer, fuzz/fuzz_NAME.c, for SECONDS (120) with libFuzzer under ASan
# and UBSan, from the corpus fuzz/corpus/NAME.  What it finds is left in build/fuzz/NAME, and so is
# what it has learnt.  A failure is a file there, and exit code 1.
set -eu

cd "$(dirname "$0")/.."
: "${SECONDS:=120}"
clang=${CLANG:-clang}
flags="-g -O1 -std=c11 -D_DEFAULT_SOURCE -fno-omit-frame-pointer -fno-sanitize-recover=all"
out=build/fuzz

if test $# = 0; then
	set -- $(ls fuzz/fuzz_*.c | sed 's:fuzz/fuzz_\(.*\)\.c:\1:')
fi
mkdir -p "$out"
for name; do
	# The library's own files are compiled in, so that all of it is watched.
	$clang $flags -fsanitize=fuzzer,address,undefined -Iinclude -Isrc -o "$out/fuzz_$name" \
		"fuzz/fuzz_$name.c" src/wire/*.c src/os/*.c src/family/*.c src/sync/*.c src/run/*.c \
		src/flow/*.c $(ls -d src/pool/*.c 2>/dev/null || true) -lcrypto -pthread
	mkdir -p "$out/$name"
	echo "fuzz: $name, $SECONDS s"
	"$out/fuzz_$name" -max_total_time="$SECONDS" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
		-verbosity=0 -artifact_prefix="$out/$name/" "$out/$name" "fuzz/corpus/$name" 2>"$out/$name.log" || {
		tail -40 "$out/$name.log"
		echo "fuzz: $name failed, see $out/$name"
		exit 1
	}
	sed -n 's/^stat::number_of_executed_units: */fuzz: executions: /p' "$out/$name.log"
done
