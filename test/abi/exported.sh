#!/bin/sh
# What the library shows: the shared object exactly what the headers declare, under the version
# node; the archive nothing that is neither prong_ nor prongi_.  And it needs libc alone.
. "$(dirname "$0")/lib.sh"

declared >"$tmp/declared"
test "$(wc -l <"$tmp/declared")" -gt 40 || fail "this test reads the headers wrongly"

same() {
	diff -u "$tmp/declared" "$tmp/$1" || fail "$2"
}

sed -n 's/^\t\(prong_[a-z_]*\);$/\1/p' "$SOURCE/src/prong.map" | sort >"$tmp/map"
same map "src/prong.map is not what the headers declare"

nm -D --defined-only "$BUILD/src/libprong.so" | grep -v ' A ' | sed 's/.* //' | sort >"$tmp/versioned"
# A sanitizer adds its own marks; they are not ours to judge.
grep -v '^__\(odr_asan\|asan\|ubsan\|tsan\)' "$tmp/versioned" | sed 's/@@PRONG_0\.1$//' >"$tmp/exported"
same exported "libprong.so does not export what the headers declare"

nm -g --defined-only "$BUILD/src/libprong.a" 2>/dev/null | awk 'NF == 3 { print $3 }' |
	grep -v '^prong_\|^prongi_\|^__\(odr_asan\|asan\|ubsan\|tsan\)' >"$tmp/strangers" || true
test ! -s "$tmp/strangers" || fail "libprong.a has global names that may clash: $(cat "$tmp/strangers")"

readelf -dW "$BUILD/src/libprong.so" >"$tmp/dynamic"
grep -q 'SONAME.*\[libprong\.so\.0\]' "$tmp/dynamic" || fail "the soname is not libprong.so.0"
! grep -q TEXTREL "$tmp/dynamic" || fail "the shared object has text relocations"
readelf -lW "$BUILD/src/libprong.so" | grep 'GNU_STACK' | grep -q 'RWE' &&
	fail "the shared object wants an executable stack"
case $FLAGS in
*-fsanitize*) ;;
*)
	needed=$(sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' "$tmp/dynamic" | grep -v '^libc\.so\|^ld-linux' || true)
	test -z "$needed" || fail "the shared object needs more than libc: $needed"
	;;
esac
