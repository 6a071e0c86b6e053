#!/bin/sh
# A program of several processes runs under valgrind's memcheck, with its check for leaks, and there
# is nothing to report.  Skipped where there is no valgrind.
. "$(dirname "$0")/lib.sh"

command -v valgrind >/dev/null || skip "no valgrind here"
case $FLAGS in
*-fsanitize*) skip "a sanitizer is in the way" ;;
esac

compile -g -std=c11 -I"$SOURCE/include" "$SOURCE/test/abi/valgrind.c" -o "$tmp/program" \
	"$BUILD/src/libprong.a" -pthread -Wl,--strip-debug # valgrind may not know the format
# Lines that begin with "--" are about system calls that this valgrind does not know.
timeout -s KILL 100 valgrind -q --leak-check=full --show-leak-kinds=definite \
	--error-exitcode=99 "$tmp/program" >"$tmp/said" 2>"$tmp/reports" ||
	fail "ended with $?: $(cat "$tmp/reports")"
test "$(cat "$tmp/said")" = "3 started, 3 ended" || fail "it printed: $(cat "$tmp/said")"
! grep '^==' "$tmp/reports" || fail "there are reports"
