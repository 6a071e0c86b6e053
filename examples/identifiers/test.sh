#!/bin/bash
# test.sh PROGRAM counts|files|usage|kills|poison|limit: test the program "identifiers".
set -u

program=$(realpath "$1")
here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1

fail() {
	echo "FAILED: $*"
	for f in out err; do
		test -f $f && echo "--- $f:" && cat $f
	done
	exit 1
}

# run STATUS ARGUMENT...: run the program, with $as before it, which has to end so; its output goes to
# out and err.
as=
run() {
	wanted=$1
	shift
	$as "$program" "$@" >out 2>err
	status=$?
	test $status -eq "$wanted" || fail "$*: exit code $status, not $wanted"
}

same() {
	cmp -s "$1" "$2" || {
		diff "$1" "$2"
		fail "$3: $1 and $2 differ"
	}
}

# everyway DIR: count sequentially, and see that all other ways print the same, stderr too.
everyway() {
	run 0 "$1" --on sequential
	mv out out.sequential
	mv err err.sequential
	for kind in threads processes; do
		for workers in 1 2 3 9; do
			run 0 "$1" --on $kind --workers $workers
			same out out.sequential "$kind $workers"
			same err err.sequential "$kind $workers"
		done
	done
}

# session PID: the numbers of the processes that live in the session of PID, without PID itself.
session() {
	for stat in /proc/[0-9]*/stat; do
		# pid (comm) state ppid pgrp session ...
		read -r line <"$stat" || continue
		read -r state _ _ sid _ <<<"${line##*) }"
		test "$sid" = "$1" && test "$state" != Z && test "${line%% *}" != "$1" &&
			echo "${line%% *}"
	done 2>/dev/null
}

workers() {
	for pid in $(session "$1"); do
		read -r comm <"/proc/$pid/comm" || continue
		case $comm in
		worker-*) echo "$pid" ;;
		esac
	done 2>/dev/null
}

# What is an identifier and what is not, and the order of the result.
test_counts() {
	mkdir -p tree/deep/er
	cat >tree/a.c <<'END'
#include <string_in_a_header_name.h>
# include "quoted.h"
#ifdef alpha /* not this, nor that */
int alpha = 0x1Fp-3 + 1'000'000 + 12beta, *gamma;	// nor this \
nor this
char *s = "not \" this", c = '\'', *l = L"nor", d = u8'x';
#define paste(alpha, beta) alpha##beta #alpha
/*/ not this */ return alpha; /**/ beta(); /***/ _Underscore9();
#error don't count this
#endif
END
	printf 'alpha Beta beta\r\nlast' >tree/deep/b.h
	printf 'zzz aaa /* never ended alpha' >tree/deep/er/no-extension
	: >tree/empty.h
	printf '"never ended alpha\nzzz ' >tree/deep/quote.h
	for word in q w e r t y u i o p; do
		echo "$word $word" >>tree/many.h
	done
	everyway tree
	# Those that occur once are a and more than fit: by name, as all of the same count.
	cat >expected <<'END'
         7  alpha
         4  beta
         2  e
         2  i
         2  o
         2  p
         2  q
         2  r
         2  t
         2  u
         2  w
         2  y
         2  zzz
         1  Beta
         1  _Underscore9
         1  aaa
         1  c
         1  d
         1  don
         1  gamma
END
	same out expected tree
	grep -q ': 6 files counted, 0 left out; 44 identifiers, 24 different$' err || fail "summary"
	mkdir none
	everyway none
	test -s out && fail "words in no file"
	run 0 tree/deep/b.h
	test "$(wc -l <out)" -eq 4 || fail "a file in the place of a directory"
}

# What cannot be counted is reported, and the rest is right.
test_files() {
	mkdir tree
	echo 'one two two' >tree/good.h
	printf 'binary\0two' >tree/binary
	{ head -c 300000 /dev/zero | tr '\0' 'x'; printf '\n\0'; } >tree/late-binary
	ln -s nowhere tree/dangling
	ln -s good.h tree/link.h
	ln -s . tree/loop
	mkfifo tree/pipe
	echo two >tree/unreadable
	mkdir tree/closed
	chmod 0 tree/unreadable tree/closed
	left_out=5
	if [ "$(id -u)" -eq 0 ]; then # root reads all
		chmod 755 . && chown -R 65534:65534 tree
		as="setpriv --reuid 65534 --regid 65534 --clear-groups"
		$as "$program" --help >/dev/null 2>&1 || {
			as='' left_out=3
			rm -rf tree/unreadable tree/closed
		}
	fi
	everyway tree
	as=
	printf '         4  two\n         2  one\n' >expected
	same out expected tree
	grep -q ": 2 files counted, $left_out left out; 6 ident" err || fail "summary"
	grep -q ': tree/binary: binary$' err || fail "binary"
	grep -q ': tree/late-binary: binary$' err || fail "binary behind the first bytes"
	grep -q ': tree/dangling: No such file' err || fail "dangling"
	if [ $left_out -eq 5 ]; then
		grep -q ': tree/unreadable: Permission denied$' err || fail "unreadable"
		grep -q ': tree/closed: Permission denied$' err || fail "closed"
		chmod 700 tree/closed
	fi

	for kind in sequential threads processes; do
		for delay in 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9; do
			vanish $kind 0.0$delay
			test "$reported" -gt 0 && break
		done
		test "$reported" -gt 0 || fail "no file vanished in time, $kind"
	done
}

# vanish KIND DELAY: files that vanish while it runs are either counted or reported.
vanish() {
	mkdir -p gone
	for i in 1 2 3 4 5 6 7 8 9; do
		for k in 1 2 3 4 5 6 7 8 9; do
			cat "$here"/*.c >gone/$i$k.c
		done
	done
	(sleep "$2"; rm -f gone/*) &
	run 0 gone --on "$1"
	wait
	counted=$(sed -n 's/.*: \([0-9]*\) files counted, .*/\1/p' err)
	reported=$(grep -c '^identifiers: gone/' err)
	grep -q ": $counted files counted, $reported left out;" err || fail "vanished, $1"
}

test_usage() {
	for wrong in '--on' '--on nothing' '--workers' '--workers 0' '--workers 1x' \
		'--workers 99999999999999999999' '--unknown' 'a b' '--kill-one --on threads' \
		'--kill-one --on sequential' '--poison x --on threads' \
		'--poison x --on sequential' '--limit 2s --on threads' \
		'--limit 2s --on sequential' '--limit' '--limit 0' '--limit s' '--limit 2m' \
		'--limit -1s' '--limit 99999999s' '--poison'; do
		# shellcheck disable=SC2086 # words, as it says
		run 2 $wrong
		grep -q '^usage: ' err || fail "$wrong: no usage on stderr"
		test -s out && fail "$wrong: something on stdout"
	done
	run 1 "$here" --poison "$here/nowhere"
	grep -q 'nowhere is none of the files$' err || fail "poison that is not there"
	for missing in nowhere /etc/passwd/x ''; do
		run 1 "$missing"
		test -s err || fail "$missing: no message"
		test -s out && fail "$missing: something on stdout"
	done
	run 0 --help
	grep -q '^usage: ' out || fail "no help"

	# Its progress is for a terminal alone.
	run 0 "$here" --on sequential
	grep -q '%' err && fail "progress into a file"
	script -qefc "$program $here --on sequential >/dev/null" /dev/null </dev/null >out 2>&1
	grep -q '[0-9] %' out || fail "no progress on a terminal"
	"$program" "$here" >/dev/full 2>err && fail "result lost without a word"

	# Ctrl-C ends all at once: the program, its workers, and what else it started.
	for kind in sequential threads processes; do
		env --default-signal=INT setsid "$program" /usr --on $kind >out 2>err &
		pid=$!
		for _ in {1..100}; do
			test -n "$(session $pid)" && break
			sleep 0.1
		done
		sleep 0.2
		kill -INT -$pid || fail "$kind: ended before Ctrl-C"
		wait $pid
		test $? -eq 130 || fail "$kind: not ended by Ctrl-C"
		for _ in {1..100}; do
			test -z "$(session $pid)" && break
			sleep 0.1
		done
		test -z "$(session $pid)" || fail "$kind: left behind: $(session $pid)"
	done
}

# Whatever is killed and when, the result is the same.
test_kills() {
	tree=/usr/include
	test "$(find $tree -type f 2>/dev/null | wc -l)" -ge 500 || tree=$here
	run 0 "$tree" --on sequential
	mv out out.sequential
	tail -n 1 err >sums
	for workers in 1 5; do
		run 0 "$tree" --on processes --workers $workers --kill-one
		grep -q 'attempt 1, was killed by signal 9 ' err || fail "nobody was killed"
		same out out.sequential "--kill-one of $workers"
		tail -n 1 err | cmp -s - sums || fail "--kill-one of $workers: other sums"
	done
	# From outside, at any moment: at most 4 in a run, for that many may die over one file.
	killed=0
	for delay in 0 2 5; do
		setsid "$program" "$tree" --on processes --workers 3 >out 2>err &
		pid=$!
		for i in 1 2; do
			while kill -0 $pid 2>/dev/null; do # the files are listed first
				mapfile -t victims < <(workers $pid)
				test ${#victims[@]} -gt 0 && break
			done
			sleep 0.0$((delay * i))
			for victim in "${victims[@]:0:2}"; do
				kill -9 "$victim" 2>/dev/null && killed=$((killed + 1))
			done
		done
		wait $pid || fail "killed after $delay"
		same out out.sequential "killed after $delay"
		tail -n 1 err | cmp -s - sums || fail "killed after $delay: other sums"
	done
	test $killed -gt 0 || fail "no worker was killed"
}

# many DIR: files enough for batches of several.
many() {
	mkdir "$1"
	for i in {1..400}; do
		echo "both both word$i" >"$1/$i.h"
	done
}

# A file kills whoever counts it: it is named, with the stack, and all others are counted.
test_poison() {
	many tree
	mv tree/77.h aside
	run 0 tree --on sequential
	mv out out.without
	sed 's/.* left out; //' err >sums.without
	mv aside tree/77.h
	for workers in 1 2 5; do
		run 0 tree --workers $workers --poison tree/77.h
		same out out.without "poison, $workers"
		sed -n 's/.*: 399 files counted, 1 left out; //p' err >sums
		same sums sums.without "poison, $workers"
		grep -q ': tree/77.h: .*attempt 5, was killed by signal 11 .* at address 0x0$' err ||
			fail "no report"
		grep -q '^  #[0-9]* count_batch+0x.* (identifiers)$' err || fail "no stack"
		grep -q ': tree/77.h: whoever counts it dies$' err || fail "not left out"
	done
	# And beside it somebody kills a worker.
	run 0 tree --poison tree/77.h --kill-one
	same out out.without "poison and kill"
	grep -q 'killed by signal 9 ' err || fail "nobody was killed"
}

# FIFOs that nobody writes to are stopped at the limit; one with a writer is counted.
test_limit() {
	many tree
	mkfifo tree/a-pipe tree/b-pipe tree/written
	ln -s a-pipe tree/link-to-pipe
	run 0 tree --on sequential
	grep -q ': 400 files counted, 0 left out; 1200 ident' err || fail "FIFOs without a limit"
	sleep 100 >tree/b-pipe &
	silent=$!
	(echo both >tree/written) &
	run 0 tree --workers 3 --limit 1s
	kill $! $silent 2>/dev/null
	for pipe in a-pipe b-pipe link-to-pipe; do
		grep -q ": tree/$pipe: stopped at the limit\$" err || fail "$pipe: not stopped"
	done
	grep -q ': 401 files counted, 3 left out; 1201 ident' err || fail "summary"
	grep -q ' 801  both$' out || fail "counts"
}

"test_$2"
