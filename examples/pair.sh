#!/bin/sh
# pair.sh [-v] MASTER WORKER [N]: run a task master and N of its workers (1), each a program or a
# Python script, at a port that is free; each task must come back with its square.  With -v show what
# the master prints.  77: there is no python3.
set -u

verbose=false
if [ "$1" = -v ]; then
	verbose=true
	shift
fi
master=$1 worker=$2 n=${3:-1}
dir=$(mktemp -d) || exit 1
key=$dir/key # nobody else may look into that directory
echo "pair-of-programs-$$" >"$key"
workers=
trap 'kill $pid $workers 2>/dev/null; rm -rf "$dir"' EXIT
pid=

fail() {
	echo "$*"
	cat "$dir"/*.out
	exit 1
}

case $master$worker in
*.py*) command -v python3 >/dev/null || exit 77 ;;
esac

: >"$dir/master.out"
# A program takes tcp://HOST:PORT, the scripts a port or HOST:PORT.
case $master in
*.py) python3 "$master" 0 "$key" >"$dir/master.out" 2>&1 & ;;
*) "$master" tcp://127.0.0.1:0 "$key" >"$dir/master.out" 2>&1 & ;;
esac
pid=$!
until address=$(sed -n 's/^Serve at \(tcp:.*\)\.\.\.$/\1/p' "$dir/master.out") && [ -n "$address" ]; do
	kill -0 $pid 2>/dev/null || fail "the master has ended"
	sleep 0.05
done
for i in $(seq "$n"); do
	case $worker in
	*.py) python3 "$worker" "${address#tcp://}" "$key" >"$dir/worker$i.out" 2>&1 & ;;
	*) "$worker" "$address" "$key" >"$dir/worker$i.out" 2>&1 & ;;
	esac
	workers="$workers $!"
done
wait $pid || fail "the master ended with $?"
pid=
i=0
for one in $workers; do
	i=$((i + 1))
	if wait "$one"; then
		grep -qx 'worker exit\.' "$dir/worker$i.out" || fail "worker $i did not say that it ends"
	elif grep -q '^run task' "$dir/worker$i.out"; then
		fail "worker $i failed"
	fi # else it came when the others had done it all
done
workers=
$verbose && cat "$dir/master.out"

tail -n 1 "$dir/master.out" | grep -qx 'master exit\.' || fail "the master did not say that it ends"
sed -n 's/^Put task \([0-9]*\)\.\.\.$/\1/p' "$dir/master.out" |
	awk '{ printf "Result: %d * %d = %d\n", $1, $1, $1 * $1 }' | sort >"$dir/want"
test "$(wc -l <"$dir/want")" -eq 10 || fail "not ten tasks"
grep '^Result: ' "$dir/master.out" | sort | diff "$dir/want" - || fail "wrong results"
