#!/bin/sh
# check.sh BUILDDIR: configure, build and run the tests there; the last line on stdout is
# "N passed, N failed, N skipped".  Exit non-zero when anything failed.
#
# TSan runs the suite "threads" only: it does not see what other processes put in order.  The
# other sanitizers leave out the suite "kill", which steps over each instruction and would
# mostly step over theirs.  Under valgrind it is the suite "unit"; its cases look for what they
# leave behind themselves, so memcheck's check for leaks, at the end of each process, is not wanted.
set -u

cd "$(dirname "$0")/.."
build=$1
log=$build/meson-logs/testlog.json

fail() {
	echo "check: $*" >&2
	echo "0 passed, 1 failed, 0 skipped"
	exit 1
}

tools/configure.sh || fail "$build cannot be configured"
meson compile -C "$build" || fail "$build does not build"

case ${SAN:-} in
'') set -- ;;
valgrind)
	set -- --timeout-multiplier 20 --suite unit --wrapper "valgrind -q --leak-check=no \
		--error-exitcode=99 --suppressions=$PWD/test/unit/valgrind.supp"
	;;
thread) set -- --timeout-multiplier 4 --suite threads ;;
*) set -- --timeout-multiplier 4 --no-suite kill ;;
esac

# The tests ask for what cannot be had, and do to a pthread_mutex_t what they do to ours: both are
# to get an answer, not a report.
export ASAN_OPTIONS="${ASAN_OPTIONS:-abort_on_error=1:allocator_may_return_null=1}"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-halt_on_error=1:print_stacktrace=1}"
export TSAN_OPTIONS="${TSAN_OPTIONS:-halt_on_error=1:allocator_may_return_null=1:report_mutex_bugs=0}"

rm -f "$log"
meson test -C "$build" --no-rebuild --print-errorlogs "$@"
status=$?
test -f "$log" || fail "no test ran"

awk -v status="$status" '
	match($0, /"result": "[A-Z]+"/) {
		result = substr($0, RSTART + 11, RLENGTH - 12)
		if (result == "OK" || result == "EXPECTEDFAIL")
			passed++
		else if (result == "SKIP")
			skipped++
		else
			failed++
	}
	END {
		if (status && !failed)
			failed = 1
		printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped
		exit failed > 0
	}' "$log"
