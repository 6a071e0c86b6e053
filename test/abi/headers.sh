#!/bin/sh
# Each header alone compiles as C11 and as C++17, and so does what a user makes of its macros.
. "$(dirname "$0")/lib.sh"

for header in "$SOURCE"/include/prong/*.h; do
	name=$(basename "$header")
	for order in '' "#include <prong/net.h>"; do
		printf '#include <prong/%s>\n%s\ntypedef int not_empty;\n' "$name" "$order" >"$tmp/h.c"
		compile -std=c11 -I"$SOURCE/include" -fsyntax-only "$tmp/h.c"
		compile -std=c++17 -x c++ -I"$SOURCE/include" -fsyntax-only "$tmp/h.c"
	done
	cat "$SOURCE/include/prong/prong.h" "$SOURCE/include/prong/net.h" | grep -q "prong/$name" ||
		case $name in
		prong.h | net.h | api.h) ;;
		*) fail "neither prong.h nor net.h includes $name" ;;
		esac
done

for consumer in "$SOURCE"/test/abi/consumer*.c; do
	compile -std=c11 -I"$SOURCE/include" -c -o "$tmp/c.o" "$consumer"
	compile -std=c++17 -x c++ -I"$SOURCE/include" -c -o "$tmp/cxx.o" "$consumer"
done
