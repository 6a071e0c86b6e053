#!/usr/bin/env python3
"""Check those rules of STYLE.md that a program can check; print a line for each breach.

    lint.py SOURCE_ROOT

It knows C only as far as lines go.  The symbols that the library shows are test/abi's business.
"""

import pathlib
import re
import sys

MAX_LINE = 100
MAX_FILE = 600
CODE = ("src", "include", "test", "bench", "examples", "fuzz")

# A room may include from itself and from those before it.
ROOMS = ["os", "family", "sync", "run", "flow"]
# What is a library of its own may not: only from itself, in the same way, and private.h.
APART = ["wire", "manager"]
# But these are built into it.
WIRES_OWN = {"os/net_os.h"}

LINUX = re.compile(
    r'#include <(linux/|asm/|sys/(syscall|prctl|eventfd|epoll|signalfd|timerfd|pidfd|sendfile|auxv)\.h)'
)
ATOMIC = re.compile(r"\batomic_(load|store|exchange|compare_exchange|fetch)\w*(?<!_explicit)\(")
ORDER = re.compile(r"memory_order_(acquire|release|acq_rel|seq_cst|consume)")

breaches = []


def breach(path, number, words):
    breaches.append(f"{path}:{number}: {words}")


def width(line):
    return len(line.expandtabs(8))


def room_of(path):
    return path.parts[1] if path.parts[0] == "src" and len(path.parts) > 2 else None


def check_text(path, lines):
    for number, line in enumerate(lines, 1):
        if width(line) > MAX_LINE:
            breach(path, number, f"longer than {MAX_LINE} columns")
        if line != line.rstrip():
            breach(path, number, "blanks at the end")
        if re.search(r"\b(TODO|FIXME|XXX)\b", line):
            breach(path, number, "unfinished")


def check_code(path, lines):
    if len(lines) > MAX_FILE:
        breach(path, len(lines), f"longer than {MAX_FILE} lines")
    if not lines or not lines[0].startswith("/*"):
        breach(path, 1, "no comment at the head that says what the file is for")
    room = room_of(path)
    for number, line in enumerate(lines, 1):
        included = room and re.match(r'#include "(\w+)/', line)
        if room in ROOMS and included and included[1] in ROOMS:
            if ROOMS.index(included[1]) > ROOMS.index(room):
                breach(path, number, f"{room} knows nothing of {included[1]}")
        whole = re.match(r'#include "([^"]+)"', line)
        apart = included and (room in APART) != (included[1] in APART)
        if included and room in APART and included[1] in APART:
            if APART.index(included[1]) > APART.index(room):
                breach(path, number, f"{room} knows nothing of {included[1]}")
        if apart and whole[1] not in WIRES_OWN and path.parts[0] == "src":
            breach(path, number, f"{room} and {included[1]} are two libraries")
        if path.parts[0] == "src" and room != "os" and LINUX.match(line):
            breach(path, number, "a Linux header outside src/os")
        if path.parts[0] == "src" and ATOMIC.search(line):
            breach(path, number, "an atomic without its order: use _explicit")
        if path.parts[0] == "src" and is_ordered(line) and not explained(lines, number):
            breach(path, number, "the comment does not say what this order pairs with")


def is_ordered(line):
    """A signal fence orders for the compiler alone, and pairs with nothing."""
    return ORDER.search(line) and "atomic_signal_fence" not in line


def explained(lines, number):
    """The comment may stand anywhere between the end of one function and the end of the next."""
    first = last = number - 1
    while first > 0 and not lines[first - 1].startswith("}"):
        first -= 1
    while last < len(lines) - 1 and not lines[last].startswith("}"):
        last += 1
    return re.search(r"[Pp]airs? with|(acquire|release|seq_cst): as in", " ".join(lines[first:last]))


def main():
    root = pathlib.Path(sys.argv[1])
    for top in CODE:
        for path in sorted((root / top).rglob("*.[ch]")):
            lines = path.read_text().split("\n")[:-1]
            check_text(path.relative_to(root), lines)
            check_code(path.relative_to(root), lines)
    print("\n".join(breaches))
    return 1 if breaches else 0


sys.exit(main())
