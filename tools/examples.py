#!/usr/bin/env python3
"""Take the code examples out of headers, README and man pages, so that tests can compile them.

    examples.py OUTDIR FILE...

A header's example is the part of its first comment after "Example:".  It is a fragment, and a
comment cannot hold comments, so three things stand for themselves there: a line "..." is what
the reader fills in, and parts the fragment; text after four blanks, or deep on a line of its
own, is a remark.  The pieces become NAME.1.inc, NAME.2.inc, ...; test/abi/fragments/NAME.c
supplies what they take for granted.

In Markdown the blocks fenced as C, in a man page all blocks of SYNOPSIS and EXAMPLE, are taken.
One with a main() becomes NAME.N.c; if the block after it is plain text, that is what the
program prints, NAME.N.out; its first line may be the command, after "$ ".  A synopsis becomes
NAME.synopsis: the prototypes clash with the header's when they differ.

It checks nothing: test/abi/docs.sh does.
"""

import pathlib
import re
import sys


def header_pieces(text):
    comment = text[: text.index("*/")]
    if "Example:\n" not in comment:
        return []
    lines = comment[comment.index("Example:\n") :].split("\n")[1:]
    pieces = [[]]
    for line in lines:
        if re.fullmatch(r"\t+\.\.\.", line):
            pieces.append([])
        elif re.match(r" {20}", line) or not line.strip():
            continue
        else:
            pieces[-1].append(re.sub(r"(?<=\S) {3,}.*", "", line))
    return ["\n".join(piece) + "\n" for piece in pieces]


def blocks(text):
    """Yield (section, info, body) of each fenced block."""
    section = ""
    fence = None
    for line in text.split("\n"):
        if fence is not None:
            if line == "```":
                yield section, fence, "\n".join(body) + "\n"
                fence = None
            else:
                body.append(line)
        elif line.startswith("```"):
            fence, body = line[3:], []
        elif line.startswith("# "):
            section = line[2:]


def is_program(body):
    return re.search(r"^int main\(", body, re.M) is not None


def take_document(out, name, text, is_page):
    n = 0
    program = None
    for section, info, body in blocks(text):
        if is_page:
            body = body.replace("\\\\", "\\")  # scdoc's escape
        if is_page and section == "SYNOPSIS":
            (out / f"{name}.synopsis").write_text(body)
        elif info == "c" or (is_page and section == "EXAMPLE" and is_program(body)):
            n += 1
            program = out / f"{name}.{n}.c"
            program.write_text(body)
            continue
        elif program and is_program(program.read_text()):
            printed = [line for line in body.split("\n") if not line.startswith("$ ")]
            program.with_suffix(".out").write_text("\n".join(printed))
        program = None


def main():
    out = pathlib.Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    for argument in sys.argv[2:]:
        path = pathlib.Path(argument)
        text = path.read_text()
        if path.suffix == ".h":
            for i, piece in enumerate(header_pieces(text), 1):
                (out / f"{path.stem}.{i}.inc").write_text(piece)
        else:
            take_document(out, path.stem, text, path.suffix == ".scd")


main()
