#!/bin/sh
# What each library shows: the shared object exactly what its headers declare, under the version
# node; the archive nothing that is neither prong_ nor prongi_.  And what it needs: libprong libc
# alone, libprong-net OpenSSL too.
. "$(dirname "$0")/lib.sh"

# library NAME MAP NODE NEEDED FUNCTIONS ROOM: NEEDED is what it may need, as a pattern; it has at
# least so many FUNCTIONS.
library() {
	name=$1 map=$SOURCE/src/$2 node=$3 may=$4 so=$BUILD/$6/lib$1.so archive=$BUILD/$6/lib$1.a
	declared "$name" >"$tmp/declared"
	test "$(wc -l <"$tmp/declared")" -ge "$5" || fail "this test reads the headers of $name wrongly"

	sed -n 's/^\t\(prong_[a-z0-9_]*\);$/\1/p' "$map" | sort >"$tmp/map"
	same map "src/$2 is not what the headers declare"

	# A sanitizer adds its own marks; they are not ours to judge.  What is under the private node
	# is what its own lines in the map say.
	nm -D --defined-only "$so" | grep -v ' A ' | sed 's/.* //' |
		grep -v '^__\(odr_asan\|asan\|ubsan\|tsan\)' | sort >"$tmp/versioned"
	grep '@@PRONG_PRIVATE_' "$tmp/versioned" | sed 's/@@.*//' >"$tmp/private" || true
	sed -n 's/^\t\(prongi_[a-z0-9_]*\);$/\1/p' "$map" | sort >"$tmp/private-map"
	diff -u "$tmp/private-map" "$tmp/private" || fail "$so shows other private names than src/$2"
	grep -v '@@PRONG_PRIVATE_' "$tmp/versioned" | sed "s/@@$node\$//" >"$tmp/exported"
	same exported "$so does not export what the headers declare"

	nm -g --defined-only "$archive" 2>/dev/null | awk 'NF == 3 { print $3 }' |
		grep -v '^prong_\|^prongi_\|^__\(odr_asan\|asan\|ubsan\|tsan\)' >"$tmp/strangers" || true
	test ! -s "$tmp/strangers" || fail "$archive has names that may clash: $(cat "$tmp/strangers")"

	readelf -dW "$so" >"$tmp/dynamic"
	grep -q "SONAME.*\[lib$name\.so\.0\]" "$tmp/dynamic" || fail "the soname is not lib$name.so.0"
	! grep -q TEXTREL "$tmp/dynamic" || fail "$so has text relocations"
	readelf -lW "$so" | grep 'GNU_STACK' | grep -q 'RWE' && fail "$so wants an executable stack"
	case $FLAGS in
	*-fsanitize*) ;;
	*)
		needed=$(sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' "$tmp/dynamic" | grep -v "$may" || true)
		test -z "$needed" || fail "$so needs more than it should: $needed"
		;;
	esac
}

same() {
	diff -u "$tmp/declared" "$tmp/$1" || fail "$2"
}

library prong prong.map PRONG_0.1 '^libc\.so\|^ld-linux' 41 src
library prong-net net.map PRONG_NET_0.1 '^libc\.so\|^ld-linux\|^libprong\.so\|^libssl\.so\|^libcrypto\.so' 1 src/wire

# The archives together: no name is in both.
nm -g --defined-only "$BUILD/src/libprong.a" "$BUILD/src/wire/libprong-net.a" 2>/dev/null |
	awk 'NF == 3 && $2 != "W" { print $3 }' | grep '^prong' | sort | uniq -d >"$tmp/twice"
test ! -s "$tmp/twice" || fail "both archives have $(cat "$tmp/twice")"
