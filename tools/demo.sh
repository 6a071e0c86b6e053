#!/bin/sh
# demo.sh BUILDDIR: run the examples, then the real job in three ways and once more with a worker
# killed; end with a table of times.  Exit non-zero when anything is not as it should be.
set -u

build=$1
examples=$(dirname "$0")/../examples
tree=/usr/include
rounds=5
# LC_ALL: the result and awk's decimal points are the same in every language.
export LC_ALL=C

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
	printf '\n\033[1m%s\033[0m\n' "$*"
}
test -t 1 || heading() {
	printf '\n== %s\n' "$*"
}

# example NAME: say what it shows, in the words of its source, and run it.
example() {
	heading "$1"
	sed '/^   cc /,$d; s,^/\* ,,; s,^   ,,; s,^,# ,' "$examples/$1.c"
	"$examples/run.sh" -v "$examples/expected/$1.txt" "$build/examples/$1" || fail "$1"
}

# identifiers NAME ARGUMENT...: count in the given way, some times; the best time in ns goes to
# NAME.ns.  Each run must print what the first did, and say the same sums.
identifiers() {
	name=$1
	shift
	best=
	for round in $(seq $rounds); do
		from=$(date +%s%N)
		"$build/examples/identifiers" $tree "$@" >"$dir/out" 2>"$dir/err" || {
			cat "$dir/err" >&2
			fail "identifiers $*: exit code not 0"
		}
		ns=$(($(date +%s%N) - from))
		if [ -z "$best" ] || [ $ns -lt "$best" ]; then
			best=$ns
		fi
		tail -n 1 "$dir/err" >"$dir/sums"
		test -f "$dir/out.first" || cp "$dir/out" "$dir/out.first"
		test -f "$dir/sums.first" || cp "$dir/sums" "$dir/sums.first"
		cmp "$dir/out" "$dir/out.first" || fail "identifiers $*: run $round: another result"
		cmp "$dir/sums" "$dir/sums.first" || fail "identifiers $*: run $round: other sums"
		test "$name" != killed || grep -q 'were counted by' "$dir/err" ||
			fail "identifiers $*: run $round: nobody was killed and replaced"
	done
	echo $best >"$dir/$name.ns"
}

for name in 01-process 05-thread 06-lock 07-thread-local; do
	example $name
done

heading "identifiers"
cat <<END
# The same work in one piece, by $workers threads and by $workers processes: read all files below
# $tree, count the identifiers, print the twenty commonest.
END
identifiers sequential --on sequential
cat "$dir/out" "$dir/sums"
identifiers threads --on threads --workers "$workers"
identifiers processes --on processes --workers "$workers"
echo "All three print the same."

heading "identifiers, and a worker is killed"
echo "# kill -9 for one of $workers processes, when half of the files are taken."
identifiers killed --on processes --workers "$workers" --kill-one
cat "$dir/err"
echo "It prints the same as the others."

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
