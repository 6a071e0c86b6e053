#!/bin/sh
# demo.sh BUILDDIR: run the examples, then the real job in three ways, once more with a worker
# killed, with a file that kills, and with a limit; end with a table of times.  Exit non-zero when
# anything is not as it should be.
set -u

build=$(cd "$1" && pwd) || exit 1
examples=$(dirname "$0")/../examples
tree=/usr/include
rounds=5
export LC_ALL=C # or awk would write some languages' decimal commas

workers=$(nproc)
test "$workers" -ge 2 || workers=2
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM

fail() {
	echo "demo: FAILED: $*" >&2
	exit 1
}

heading() {
	if [ -t 1 ]; then
		printf '\n\033[1m%s\033[0m\n' "$*"
	else
		printf '\n== %s\n' "$*"
	fi
}

# example NAME: say what it shows, in the words of its source, and run it.
example() {
	heading "$1"
	sed '/^   cc /,$d; s,^/\* ,,; s,^   ,,; s,^,# ,' "$examples/$1.c"
	"$examples/run.sh" -v "$examples/expected/$1.txt" "$build/examples/$1" || fail "$1"
}

# pair WHAT MASTER WORKER: a master of tasks and two of its workers.
pair() {
	heading "$1"
	"$examples/pair.sh" -v "$2" "$3" 2
	case $? in
	0) ;;
	77) echo "skipped: there is no python3" ;;
	*) fail "$1" ;;
	esac
}

# identifiers NAME ARGUMENT...: count once in the given way; NAME.ns is the best time of those so
# far.  Each run must print what the first did, and say the same sums.
identifiers() {
	name=$1
	shift
	from=$(date +%s%N)
	"$build/examples/identifiers" $tree "$@" >"$dir/out" 2>"$dir/err" || {
		cat "$dir/err" >&2
		fail "identifiers $*: exit code not 0"
	}
	ns=$(($(date +%s%N) - from))
	if [ ! -f "$dir/$name.ns" ] || [ $ns -lt "$(cat "$dir/$name.ns")" ]; then
		echo $ns >"$dir/$name.ns"
	fi
	tail -n 1 "$dir/err" >"$dir/sums"
	test -f "$dir/out.first" || cp "$dir/out" "$dir/out.first"
	test -f "$dir/sums.first" || cp "$dir/sums" "$dir/sums.first"
	cmp "$dir/out" "$dir/out.first" || fail "identifiers $*: another result"
	cmp "$dir/sums" "$dir/sums.first" || fail "identifiers $*: other sums"
}

for name in 01-process 02-pool 03-queue 04-pipe 05-thread 06-lock 07-thread-local \
	08-process-or-thread 12-crawl 13-map-in-place 14-crash-report 15-group 16-survivors; do
	example $name
done

pair "a task master in C, two workers in Python" "$build/examples/09-task-master" \
	"$examples/python/10-task-worker.py"
pair "a task master in Python, two workers in C" "$examples/python/09-task-master.py" \
	"$build/examples/10-task-worker"

heading "identifiers"
cat <<END
# The same work in one piece, by $workers threads and by $workers processes: read all files below
# $tree, count the identifiers, print the twenty commonest.
END
identifiers sequential --on sequential
cat "$dir/out" "$dir/sums"
for round in $(seq $rounds); do
	identifiers sequential --on sequential
	identifiers threads --on threads --workers "$workers"
	identifiers processes --on processes --workers "$workers"
done
echo "All three print the same, $round times."

heading "identifiers, and a worker is killed"
echo "# kill -9 for one of $workers processes, in the middle of the files."
for round in $(seq $rounds); do
	identifiers killed --on processes --workers "$workers" --kill-one
	grep -q 'was killed by signal 9' "$dir/err" || fail "nobody was killed"
	test "$round" -ne 1 || cat "$dir/err"
done
echo "It prints the same as the others, $round times."

# small WHAT ARGUMENT...: count the small directory, and show what is said.  The counts must be
# those of its good files.
small() {
	what=$1
	shift
	echo "identifiers small $*"
	(cd "$dir" && "$build/examples/identifiers" small "$@" >out 2>err) || {
		cat "$dir/err" >&2
		fail "identifiers $*: exit code not 0"
	}
	cat "$dir/out" "$dir/err"
	cmp "$dir/out" "$dir/out.good" || fail "identifiers $*: wrong counts"
	grep -q "$what" "$dir/err" || fail "identifiers $*: not reported"
}

heading "identifiers, and a file is poison"
echo "# SIGSEGV for each process that comes upon bad.h; it is named, and the others are counted."
mkdir "$dir/small"
for i in 1 2 3 4 5 6 7 8 9; do
	echo 'int good(int all);' >"$dir/small/$i.h"
done
printf '         9  all\n         9  good\n' >"$dir/out.good"
echo 'int bad;' >"$dir/small/bad.h"
small 'small/bad.h: .*was killed by signal 11' --poison small/bad.h

heading "identifiers, and a file has no end"
echo "# A FIFO that nobody writes to: its process waits, until it is stopped after two seconds."
rm "$dir/small/bad.h"
mkfifo "$dir/small/fifo"
small 'small/fifo: stopped at the limit' --limit 2s

heading "Time for $tree, the best of $rounds runs"
printf '%-24s %8s %9s %9s\n' "" workers seconds speed-up
row() {
	awk -v what="$1" -v workers="$2" -v ns="$(cat "$dir/$3.ns")" \
		-v base="$(cat "$dir/sequential.ns")" 'BEGIN {
		printf "%-24s %8d %9.3f %9.2f\n", what, workers, ns / 1e9, base / ns
	}'
}
row "sequential" 1 sequential
row "threads" "$workers" threads
row "processes" "$workers" processes
row "processes, one killed" "$workers" killed
