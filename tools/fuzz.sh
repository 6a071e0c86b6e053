#!/bin/sh
# fuzz.sh [NAME...]: run each fuzzer, fuzz/fuzz_NAME.c, for SECONDS (120) with libFuzzer under ASan
# and UBSan, from the corpus fuzz/corpus/NAME.  What it finds is left in build/fuzz/NAME, and so is
# what it has learnt.  A failure is a file there, and exit code 1.
#
# An input may take PATIENCE seconds (60), which is much: other programs may want the machine too.
set -eu

cd "$(dirname "$0")/.."
: "${SECONDS:=120}" "${PATIENCE:=60}"
out=build/fuzz
mkdir -p "$out/obj"

# The library's own files, instrumented as well, so that all of it is watched; each once.
export CLANG="${CLANG:-clang}" OBJ="$out/obj"
export FLAGS="-g -O1 -std=c11 -D_DEFAULT_SOURCE -fno-omit-frame-pointer -fno-sanitize-recover=all \
-Iinclude -Isrc -fsanitize=address,undefined -DFUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION"
# shellcheck disable=SC2016 # expanded by the shells that xargs starts
ls src/*/*.c | xargs -P "$(nproc)" -n 1 sh -c '
	object=$OBJ/$(echo "$1" | tr / _).o
	test -n "$(find "$object" -newer "$1" 2>/dev/null)" && test -z "$(
		find src include -name "*.h" -newer "$object" | head -n 1)" ||
		$CLANG $FLAGS -fsanitize=fuzzer-no-link -c -o "$object" "$1"' sh
rm -f "$out/libprong.a"
ar rcs "$out/libprong.a" "$out"/obj/*.o

if test $# = 0; then
	# shellcheck disable=SC2046 # one word a name
	set -- $(ls fuzz/fuzz_*.c | sed 's:fuzz/fuzz_\(.*\)\.c:\1:')
fi
for name; do
	# shellcheck disable=SC2086 # FLAGS are many
	$CLANG $FLAGS -fsanitize=fuzzer -o "$out/fuzz_$name" "fuzz/fuzz_$name.c" "$out/libprong.a" \
		-lssl -lcrypto -pthread
	mkdir -p "$out/$name"
	case $name in # what a few bytes multiply shows when there are many
	json | pickle) most=65536 ;;
	*) most=0 ;; # as long as the longest seed
	esac
	echo "fuzz: $name, $SECONDS s"
	"$out/fuzz_$name" -max_total_time="$SECONDS" -timeout="$PATIENCE" -rss_limit_mb=2048 \
		-max_len="$most" -print_final_stats=1 -verbosity=0 -artifact_prefix="$out/$name/" "$out/$name" \
		"fuzz/corpus/$name" 2>"$out/$name.log" || {
		tail -40 "$out/$name.log"
		echo "fuzz: $name failed, see $out/$name"
		exit 1
	}
	sed -n 's/^stat::number_of_executed_units: */fuzz: executions: /p' "$out/$name.log"
done
