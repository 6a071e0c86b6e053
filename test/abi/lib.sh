# Shared by the scripts here, which test/abi/meson.build runs with these set:
#   SOURCE  the checkout          BUILD  the build directory
#   CC      the compiler          FLAGS  what every program here needs, such as -fsanitize
# Each works in its own $tmp, which goes away.
set -eu

skip() {
	echo "skipped: $*"
	exit 77
}

fail() {
	echo "FAILED: $*" >&2
	exit 1
}

# Compile with the warnings that a user may have on.  Messages only when it fails.
compile() {
	$CC $FLAGS -Wall -Wextra -Wpedantic -Werror "$@" || fail "$CC $FLAGS $*"
}

# The functions that the headers declare, one a line, sorted.
declared() {
	cat "$SOURCE"/include/prong/*.h | grep -v '^#' | tr '\n' ' ' | sed 's:/\*[^*]*\*\+\([^/*][^*]*\*\+\)*/::g' |
		grep -Eo 'PRONG_(API|MUST) [^;(]*\(' | grep -Eo 'prong_[a-z_]+\($' | tr -d '(' | sort
}

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
