#!/bin/sh
# setup.sh [LIST]: install the packages of LIST, else of packages.txt, that are missing; say nothing
# when none is.  It touches no file of this checkout, and removes nothing.
set -eu

list=$(realpath "${1:-$(dirname "$0")/packages.txt}")
cd "$(dirname "$0")"
packages=$(sed 's/#.*//' "$list")
test "${SAN:-}" != valgrind || packages="$packages valgrind libc6-dbg"

say() {
	echo "setup: $*" >&2
}

# Where there is no apt, all we can do is look for the programs.
if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
	for program in "${CC:-gcc}" g++ nm meson ninja pkg-config; do
		command -v "$program" >/dev/null && continue
		say "this is not Debian, and there is no '$program' here." \
			"Install what $list lists, under your system's names."
		exit 1
	done
	exit 0
fi

missing() {
	# dpkg-query fails when it does not know a package: that one is missing.
	installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' $packages 2>/dev/null |
		sed -n 's/ installed$//p') || true
	for package in $packages; do
		echo "$installed" | grep -qxF "$package" || printf '%s ' "$package"
	done
}

wanted=$(missing)
test -n "$wanted" || exit 0

root=
if test "$(id -u)" != 0; then
	root=sudo
	if ! command -v sudo >/dev/null; then
		say "these packages are missing: $wanted"
		say "Only root may install them, and there is no sudo. As root: apt-get install $wanted"
		exit 1
	fi
fi

say "installing $wanted"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
install() {
	$root env DEBIAN_FRONTEND=noninteractive \
		apt-get install -y -q --no-install-recommends -o DPkg::Lock::Timeout=300 $wanted >"$log" 2>&1
}
# A fresh machine has no package lists, an old one has stale ones: fetch them only then.
if ! install; then
	$root apt-get update -q >"$log" 2>&1 || true
	if ! install; then
		cat "$log" >&2
		say "apt-get could not install: $wanted"
		say "The lines above say why; without a network, install them by hand."
		exit 1
	fi
fi

wanted=$(missing)
if test -n "$wanted"; then
	say "apt-get was content, but these are still missing: $wanted"
	exit 1
fi
