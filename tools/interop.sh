#!/bin/sh
# interop.sh PROGRAMDIR [quick]: run each test/interop/*.py under each CPython that is here, with the
# program interop-NAME of PROGRAMDIR; a line for each, and the last line is "N passed, N failed,
# N skipped".  With quick: only python3.
#
# Pythons are looked for in PATH and among pyenv's versions: those that prong was written for, which
# are named as skipped where they are missing, and whatever else of Python 3 is there.
set -u

programs=$1
quick=${2:-}
scripts=$(dirname "$0")/../test/interop
wanted='2.7 3.6 3.7 3.8 3.9 3.10 3.11 3.12 3.13'
pyenv=${PYENV_ROOT:-$HOME/.pyenv}/versions
passed=0 failed=0 skipped=0
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT

# Print the version of a CPython; nothing when it is none, or does not run.
version_of() {
	"$1" -c 'import platform, sys
if platform.python_implementation() == "CPython": print("%d.%d" % sys.version_info[:2])' 2>/dev/null
}

# Print the first Python that is of version $1 and runs.
find_python() {
	for python in "python$1" "$pyenv/$1"*/bin/python python3; do
		python=$(command -v "$python") || continue
		test "$(version_of "$python")" = "$1" || continue
		echo "$python"
		return 0
	done
	return 1
}

run() {
	if timeout 900 "$2" "$3" "$programs/interop-$(basename "$3" .py)" $quick >"$log" 2>&1; then
		passed=$((passed + 1))
		echo "Python $1: $(tail -n 1 "$log")"
	else
		failed=$((failed + 1))
		echo "Python $1: FAILED: $(basename "$3")"
		tail -n 40 "$log"
	fi
}

# Print the versions of Python 3 that are here, each once.
all_versions() {
	(
		IFS=:
		for directory in $PATH; do
			for python in "$directory"/python3 "$directory"/python3.*[0-9]; do
				test ! -x "$python" || version_of "$python"
			done
		done
		for python in "$pyenv"/3.*/bin/python; do
			test ! -x "$python" || version_of "$python"
		done
	) | sort -t . -k 2n -u
}

for version in $(all_versions); do
	case " $wanted " in
	*" $version "*) ;;
	*) wanted="$wanted $version" ;;
	esac
done
test -z "$quick" || wanted=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
for version in $wanted; do
	if ! python=$(find_python "$version"); then
		skipped=$((skipped + 1))
		echo "Python $version: skipped: it is not on this machine"
		continue
	fi
	for script in "$scripts"/*.py; do
		run "$version" "$python" "$script"
	done
done
echo "$passed passed, $failed failed, $skipped skipped"
test $passed -gt 0 || exit 77
test $failed = 0
