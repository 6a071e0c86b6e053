#!/bin/sh
# What is installed is enough to compile README's program with README's own line, shared and
# static, and all that a packager expects is there.
. "$(dirname "$0")/lib.sh"

root=$tmp/root
meson install -C "$BUILD" --no-rebuild --quiet --destdir "$root" >"$tmp/log" 2>&1 || {
	cat "$tmp/log"
	fail "meson install"
}

pc=$(find "$root" -name prong.pc)
test -n "$pc" || fail "there is no prong.pc"
lib=$(dirname "$(find "$root" -name libprong.a)")
for file in libprong.a libprong.so libprong.so.0 libprong-net.a libprong-net.so libprong-net.so.0; do
	test -e "$lib/$file" || fail "$file is not installed"
done
for header in "$SOURCE"/include/prong/*.h; do
	find "$root" -path "*/include/prong/$(basename "$header")" | grep -q . ||
		fail "$header is not installed"
done
find "$root" -type f -perm /022 | grep . && fail "files that others may write"

export PKG_CONFIG_PATH="$(dirname "$pc")" PKG_CONFIG_SYSROOT_DIR="$root"
test "$(pkg-config --modversion prong)" = \
	"$(sed -n 's/^#define PRONG_VERSION[ \t]*"\(.*\)"$/\1/p' "$SOURCE/include/prong/api.h")" ||
	fail "prong.pc and api.h have different versions"

"$SOURCE/tools/examples.py" "$tmp" "$SOURCE/README.md"
cd "$tmp"
cp README.1.c hello.c
line=$(sed -n 's/^\$ \(cc hello\.c .*\)/\1/p' "$SOURCE/README.md")
test -n "$line" || fail "README has no line that compiles hello.c"

cc() {
	command $CC $FLAGS $more "$@"
}
try() {
	rm -f a.out
	eval "$line" || fail "README's line fails, $1"
	LD_LIBRARY_PATH=$lib timeout 30 ./a.out >"out" || fail "README's program fails, $1"
	diff -u README.1.out out || fail "README shows another output, $1"
}

more=
try shared
case $FLAGS in
*-fsanitize*) ;;
*)
	more=-static
	line=$(echo "$line" | sed 's/--libs/--static --libs/')
	try static
	;;
esac

# libprong-net's own program, with its own .pc.
cp "$SOURCE/test/abi/consumer_net.c" .
net() {
	more=$1
	shift
	eval "cc consumer_net.c -o net.out $(pkg-config --cflags --libs "$@")" || fail "prong-net, $*"
	said=$(LD_LIBRARY_PATH=$lib timeout 30 ./net.out) || fail "consumer_net ended with $?"
	test "$said" = "prong-net $(pkg-config --modversion prong-net)" || fail "it printed $said"
}
net "" prong-net
case $FLAGS in
*-fsanitize*) ;;
*)
	command -v pkg-config >/dev/null
	export PKG_CONFIG_SYSROOT_DIR= # OpenSSL is the system's
	sed "s|^prefix=.*|prefix=$root$(sed -n 's/^prefix=//p' "$pc")|" "$pc" >prong.pc
	sed "s|^prefix=.*|prefix=$root$(sed -n 's/^prefix=//p' "$pc")|" "$(dirname "$pc")/prong-net.pc" \
		>prong-net.pc
	export PKG_CONFIG_PATH="$tmp"
	net -static --static prong-net
	;;
esac
