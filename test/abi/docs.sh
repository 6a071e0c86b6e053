#!/bin/sh
# Every example in headers, README and man pages compiles, from its real text; the programs run,
# and print what the page shows.  Every public function has a page that has its prototype.
. "$(dirname "$0")/lib.sh"

"$SOURCE/tools/examples.py" "$tmp" "$SOURCE"/include/prong/*.h "$SOURCE/README.md" "$SOURCE"/man/*.scd

set -- -std=c11 -D_DEFAULT_SOURCE -I"$SOURCE/include" -I"$tmp"

for fragment in "$tmp"/*.inc; do
	name=$(basename "$fragment")
	cat "$SOURCE"/test/abi/fragments/*.c | grep -q "\"$name\"" ||
		fail "the example in ${name%%.*}.h is in no program of test/abi/fragments: $(cat "$fragment")"
done
for wrapper in "$SOURCE"/test/abi/fragments/*.c; do
	compile "$@" -O1 -c -o "$tmp/fragment.o" "$wrapper"
done

for page in "$SOURCE"/man/*.scd; do
	name=$(basename "$page" .scd)
	ls "$tmp/$name".[0-9]*.c >/dev/null 2>&1 || fail "$name has no program under EXAMPLE"
	case $name in
	*.3) test -f "$tmp/$name.synopsis" || fail "$name has no SYNOPSIS" ;;
	esac
done
for synopsis in "$tmp"/*.synopsis; do
	compile "$@" -include prong/net.h -fsyntax-only -x c "$synopsis"
done
declared >"$tmp/declared"
cat "$tmp"/*.synopsis | grep -Eo 'prong_[a-z0-9_]+\(' | tr -d '(' | sort >"$tmp/paged"
diff -u "$tmp/declared" "$tmp/paged" || fail "not each function is in the SYNOPSIS of one page"

for program in "$tmp"/*.[0-9]*.c; do
	name=$(basename "$program" .c)
	compile "$@" -O1 -o "$tmp/program" "$program" "$BUILD/src/wire/libprong-net.a" \
		"$BUILD/src/libprong.a" -pthread -Wl,--as-needed -lssl -lcrypto
	(cd "$tmp" && timeout 30 ./program >"$tmp/$name.printed") || fail "$name ended with $?"
	test ! -f "$tmp/$name.out" || diff -u "$tmp/$name.out" "$tmp/$name.printed" ||
		fail "$name prints something else than the page shows"
done

# man finds each function under its own name: where its prototype is.
for page in "$SOURCE"/man/*.scd; do
	name=$(basename "$page" .scd)
	test -f "$tmp/$name.synopsis" || continue
	grep -Eo 'prong_[a-z0-9_]+\(' "$tmp/$name.synopsis" | tr -d '(' | while read -r function; do
		echo "$name $function"
	done
done | sort >"$tmp/prototypes"
tr -d "\n" <"$SOURCE/man/meson.build" | grep -Eo "'prong[a-z_.0-9]+': \[[^]]*" | while read -r entry; do
	page=$(echo "$entry" | cut -d"'" -f2)
	{ # a page may have a function's own name
		echo "$entry" | cut -d: -f2 | grep -Eo 'prong_[a-z_]+' || true
		grep -x "${page%.3}" "$tmp/declared" || true
	} | sed "s/^/$page /"
done | sort >"$tmp/links"
diff -u "$tmp/prototypes" "$tmp/links" || fail "man/meson.build does not link each function to its page"

# What the documents point to exists.
for document in "$SOURCE"/*.md; do
	grep -Eo '\]\([^):#]+\)' "$document" | tr -d ']()' | while read -r link; do
		test -e "$SOURCE/$link" || fail "$(basename "$document") points to $link"
	done
done
ls "$SOURCE/man" | sed -n 's/\.[37]\.scd$//p' | sort - "$tmp/declared" >"$tmp/known"
cat "$SOURCE"/man/*.scd "$SOURCE/README.md" | grep -Eo '\bprong[a-z_]*\*?\([37]\)' | sed 's/\*\?(.*//' |
	sort -u | comm -23 - "$tmp/known" >"$tmp/ghosts"
test ! -s "$tmp/ghosts" || fail "no page has these names: $(cat "$tmp/ghosts")"
