#!/bin/sh
# kill.sh [OPERATION...]: run the kill matrix with gcc and clang at -O0, -O2 and -O3, and sum it up:
# a line for each build, and the last line on stdout is "N points, N bad".
#
# It goes on after a build with bad points, and exits non-zero in the end.
set -u

cd "$(dirname "$0")/.."
log=$(mktemp) sums=$(mktemp)
trap 'rm -f "$log" "$sums"' EXIT

run() {
	CC=$1 OPT=$2
	export CC OPT
	shift 2
	build=$(tools/configure.sh --name)
	start=$(date +%s)
	{ tools/configure.sh && meson compile -C "$build" test/kill/prong-kill &&
		"$build/test/kill/prong-kill" ${PAIRS:+--pairs} \
			${POINTS:+--points "$POINTS"} "$@"; } >"$log" 2>&1
	cat "$log"
	last=$(tail -n 1 "$log")
	case $last in
	*' points, '*' bad') ;;
	*) last='0 points, 1 bad' ;;
	esac
	missed=$(sed -n 's/.*; \([0-9]*\) missed, .*/\1/p' "$log")
	covered=$(sed -n 's/.* were a kill point: \([0-9]* %\).*/\1/p' "$log")
	echo "$CC -O$OPT: $last, ${missed:-0} missed, ${covered:-0 %} covered," \
		"$(($(date +%s) - start)) s" >>"$sums"
}

for cc in gcc clang; do
	for opt in 0 2 3; do
		run $cc $opt "$@"
	done
done

echo
cat "$sums"
awk '{ points += $3; bad += $5 }
	END { printf "%d points, %d bad\n", points, bad; exit bad > 0 }' "$sums"
