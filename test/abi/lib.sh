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

# The headers of libprong-net are those that net.h includes, beside prong.h, and itself.
net_headers() {
	echo "$SOURCE/include/prong/net.h"
	sed -n 's:^#include <\(prong/.*\)>$:'"$SOURCE/include/"'\1:p' "$SOURCE/include/prong/net.h" |
		grep -v '/prong\.h$' || true
}

# headers LIBRARY: the headers of prong, prong-net or, without a name, of both.
headers() {
	net_headers >"$tmp/net-headers"
	case ${1:-} in
	prong) ls "$SOURCE"/include/prong/*.h | grep -vxF -f "$tmp/net-headers" ;;
	prong-net) cat "$tmp/net-headers" ;;
	*) ls "$SOURCE"/include/prong/*.h ;;
	esac
}

# declared [LIBRARY]: the functions that the headers declare, one a line, sorted.
declared() {
	cat $(headers ${1:-}) | grep -v '^#' | tr '\n' ' ' | sed 's:/\*[^*]*\*\+\([^/*][^*]*\*\+\)*/::g' |
		grep -Eo 'PRONG_(API|MUST) [^;(]*\(' | grep -Eo 'prong_[a-z_]+\($' | tr -d '(' | sort
}

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
