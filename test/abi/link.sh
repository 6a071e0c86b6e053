#!/bin/sh
# A program links with the shared object, with the archive and with -static, and each runs.
. "$(dirname "$0")/lib.sh"

run() {
	said=$(timeout 30 "$@") || fail "$* ended with $?"
	test "$said" = "prong $(cat "$tmp/version"): 1 + 1" || fail "$* printed: $said"
}

sed -n 's/^#define PRONG_VERSION[ \t]*"\(.*\)"$/\1/p' "$SOURCE/include/prong/api.h" >"$tmp/version"
set -- -std=c11 -I"$SOURCE/include" "$SOURCE/test/abi/consumer.c"

compile "$@" -o "$tmp/shared" -L"$BUILD/src" -lprong
LD_LIBRARY_PATH=$BUILD/src run "$tmp/shared"
compile "$@" -o "$tmp/archive" "$BUILD/src/libprong.a" -pthread
run "$tmp/archive"
case $FLAGS in
*-fsanitize*) ;; # sanitizers do not go with -static
*)
	compile "$@" -static -o "$tmp/static" "$BUILD/src/libprong.a" -pthread
	run "$tmp/static"
	;;
esac
