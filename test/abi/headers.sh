#!/bin/sh
# Each header alone compiles as C11 and as C++17, and so does what a user makes of its macros.
. "$(dirname "$0")/lib.sh"

for header in "$SOURCE"/include/prong/*.h; do
	name=$(basename "$header")
	for order in '' "#include <prong/prong.h>"; do
		printf '#include <prong/%s>\n%s\ntypedef int not_empty;\n' "$name" "$order" >"$tmp/h.c"
		compile -std=c11 -I"$SOURCE/include" -fsyntax-only "$tmp/h.c"
		compile -std=c++17 -x c++ -I"$SOURCE/include" -fsyntax-only "$tmp/h.c"
	done
	grep -q "prong/$name" "$SOURCE/include/prong/prong.h" || case $name in
	prong.h | api.h) ;;
	*) fail "prong.h does not include $name" ;;
	esac
done

compile -std=c11 -I"$SOURCE/include" -c -o "$tmp/c.o" "$SOURCE/test/abi/consumer.c"
compile -std=c++17 -x c++ -I"$SOURCE/include" -c -o "$tmp/cxx.o" "$SOURCE/test/abi/consumer.c"
