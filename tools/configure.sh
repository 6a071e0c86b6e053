#!/bin/sh
# Configure the build directory of this CC, SAN, OPT and WERROR, or bring it up to date.
# With --name only print which directory that is.
#
# OPT is 2; under a sanitizer it is 1, with line numbers and no more to debug with, because that
# takes half the time to compile, and finds as much.
set -eu

cd "$(dirname "$0")/.."
cc=${CC:-gcc}
san=${SAN:-}
query=${1:-}

case $san in
'' | valgrind) # valgrind takes the plain one
	name=plain usual=2
	set -- -Ddebug=true
	;;
address | thread | undefined)
	name=$san usual=1
	# Leaks of memory are found by address; undefined is as good as free beside it.  A sanitized
	# shared object finds the sanitizer's symbols in the program that loads it.
	test "$san" != address || san=address,undefined
	set -- -Ddebug=false -Dc_args=-g1 -Db_lundef=false -Db_sanitize="$san"
	;;
*)
	echo "configure: SAN=$san is none of address, thread, undefined, valgrind" >&2
	exit 2
	;;
esac
opt=${OPT:-$usual}
name=build/$(basename "${cc%% *}")-$name
test "$opt" = "$usual" || name=$name-O$opt

if test "$query" = --name; then
	echo "$name"
	exit 0
fi
set -- "$@" -Doptimization="$opt" -Dwerror="${WERROR:-false}" -Dprefix="${PREFIX:-/usr/local}"

# meson configure makes ninja configure anew, even when nothing has changed.
if test -f "$name/build.ninja"; then
	test "$(cat "$name/options" 2>/dev/null)" = "$*" || meson configure "$name" "$@"
	echo "$*" >"$name/options"
	exit 0
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! CC=$cc meson setup "$name" "$@" >"$log" 2>&1; then
	cat "$log" >&2
	rm -rf "$name"
	exit 1
fi
echo "$*" >"$name/options"
