#!/bin/sh
# A program links with the shared objects, with the archives and with -static, and each runs; with
# libprong alone, and with libprong-net.
. "$(dirname "$0")/lib.sh"

run() {
	said=$(timeout 30 "$@") || fail "$* ended with $?"
	test "$said" = "prong $(cat "$tmp/version"): 1 + 2" || fail "$* printed: $said"
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

# The same with libprong-net, whose shared object has to find libprong by itself.
run_net() {
	said=$(timeout 30 "$@") || fail "$* ended with $?"
	test "$said" = "prong-net $(cat "$tmp/version")" || fail "$* printed: $said"
}

set -- -std=c11 -I"$SOURCE/include" "$SOURCE/test/abi/consumer_net.c"
wire=$BUILD/src/wire
compile "$@" -o "$tmp/shared" -L"$wire" -lprong-net -Wl,-rpath-link,"$BUILD/src"
LD_LIBRARY_PATH=$wire:$BUILD/src run_net "$tmp/shared"
compile "$@" -o "$tmp/archive" "$wire/libprong-net.a" "$BUILD/src/libprong.a" -lssl -lcrypto -pthread
run_net "$tmp/archive"
case $FLAGS in
*-fsanitize*) ;;
*)
	# libcrypto's own archive wants what a static program cannot have, and says so
	$CC -w "$@" -static -o "$tmp/static" "$wire/libprong-net.a" "$BUILD/src/libprong.a" \
		-lssl -lcrypto -pthread 2>"$tmp/log" || fail "-static: $(cat "$tmp/log")"
	run_net "$tmp/static"
	;;
esac
