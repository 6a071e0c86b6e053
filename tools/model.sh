#!/bin/sh
# model.sh [NAME...]: search the states of the models in model/, or of those whose name begins so,
# and print a table.  Exit non-zero when a model fails, or a mutant of it does not.
set -u

cd "$(dirname "$0")/.."
root=$PWD
memory=3500 # MiB
build=build/model
rows=model/rows.txt
failed=0

tools/setup.sh tools/packages-model.txt || exit 1
mkdir -p "$build"

# search ROW FILE FLAGS...: leave what the search says in $out.
search() {
	dir=$build/$1
	model=$2
	shift 2
	out=$dir/out
	mkdir -p "$dir"
	(
		cd "$dir" && rm -f ./*.trail &&
			spin -a "$@" "$root/model/$model.pml" &&
			"${CC:-gcc}" -O2 -w -DSAFETY -DCOLLAPSE -DMEMLIM=$memory "$@" -o pan pan.c &&
			./pan -m2000000
	) >"$out" 2>&1
}

figure() {
	sed -n "s/$1/\\1/p" "$out" | head -n 1
}

printf '| model | what | expected | result | states | seconds |\n|---|---|---|---|---|---|\n'
while IFS='|' read -r name model expected flags what; do
	case $name in '' | '#'*) continue ;; esac
	wanted=$#
	for prefix in "$@"; do
		case $name in "$prefix"*) wanted=0 ;; esac
	done
	test $wanted = 0 || continue
	# shellcheck disable=SC2086 # the flags are to be split
	search "$name" "$model" $flags
	errors=$(figure '.*errors: \([0-9]*\)$')
	if grep -q 'Search not completed\|max search depth too small\|out of memory' "$out" &&
		test "${errors:-1}" = 0; then
		result='not finished'
	else
		case $errors in
		0) result=holds ;;
		[1-9]*) result=fails ;;
		*) result='no result' ;;
		esac
	fi
	if test "$result" != "$expected"; then
		failed=1
		result="**$result**"
	fi
	printf '| %s | %s | %s | %s | %s | %s |\n' "$name" "$what" "$expected" "$result" \
		"$(figure ' *\([0-9.e+]*\) states, stored.*')" \
		"$(figure 'pan: elapsed time \([0-9.e+-]*\) seconds')"
	rm -f "$build/$name/pan"
done <"$rows"
exit $failed
