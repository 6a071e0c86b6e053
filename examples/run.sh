#!/bin/sh
# run.sh [-v] EXPECTED PROGRAM: run PROGRAM and compare what it prints with the file EXPECTED, line
# by line.  The lines there are shell patterns: [0-9]* stands for a process's number; what may be
# missing, for compilers differ in the frames that they leave, begins with a question mark.  With -v
# show what it prints.
set -u

verbose=false
if [ "$1" = -v ]; then
	verbose=true
	shift
fi
expected=$1
output=$(mktemp) || exit 1
trap 'rm -f "$output"' EXIT

fail() {
	echo "$*"
	echo "--- the whole output:"
	cat "$output"
	exit 1
}

"$2" >"$output" || fail "$2: exit code $?"
if $verbose; then
	cat "$output"
fi

# Those whose threads print in any order.
case $2 in
*/07-thread-local) sort -o "$output" "$output" ;;
esac

exec 3<"$output"
held=false # the line was looked at, and is still to be matched
while IFS= read -r pattern; do
	optional=${pattern%"${pattern#\?}"}
	$held || IFS= read -r line <&3 || fail "the output ends before: $pattern"
	held=false
	# shellcheck disable=SC2254 # a pattern, as it says
	case $line in
	${pattern#\?}) ;;
	*)
		test -n "$optional" || fail "expected $pattern, found $line"
		held=true
		;;
	esac
done <"$expected"
if $held || IFS= read -r line <&3; then
	fail "not expected: $line"
fi
