#!/bin/sh
# Run the bench with tiny counts and check that each line of its file is a row.  No figure is
# judged.
# usage: smoke.sh PRONG-BENCH [ARGUMENT...]
set -eu

bench=$1
shift
file=$(mktemp)
trap 'rm -f "$file"' EXIT
export OMP_WAIT_POLICY=passive # OpenMP's threads would spin against the other tests

# Pythons would take most of the time; and beside other tests, who spins waits for them.
"$bench" --out "$file" --reps 1 --without ython --without joblib --without '(spins' "$@"
awk -F '\t' '
	function figure(s) { return s == "-" || s ~ /^[0-9]+(\.[0-9]+)?$/ }
	function bad(why) { print "line " NR ": " why ": " $0; failed = 1; exit 1 }
	NF != 8 { bad(NF " columns") }
	NR == 1 {
		if ($0 != "case\tsubject\tmedian\tmin\tmax\tunit\tfloor\tratio")
			bad("not the header")
		next
	}
	!figure($3) || !figure($4) || !figure($5) { bad("not a figure") }
	!figure($7) || !figure($8) { bad("not a figure") }
	$3 != "-" && ($4 > $5 + 0 || $4 == "-") { bad("min above max") }
	$2 ~ /^prong/ && $3 == "-" || $2 ~ /it gave no figure/ { bad("no figure") }
	END { if (!failed && NR < 2) { print "no rows"; exit 1 } }
' "$file"
