"""Connections between this Python and C, either side listening: messages there and back, keys that
differ, each generation of the proof, and ends in the middle of a message.

    pythonX.Y conn.py PROGRAM [quick]

PROGRAM is conn.c's, which sends back what comes.  It runs under Python 2.7 and 3.x.  The last line
is "conn: N checks, N passed".
"""

from __future__ import print_function, unicode_literals

import binascii
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import traceback
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Listener

try:
    from queue import Empty, Queue
except ImportError:
    from Queue import Empty, Queue

PY2 = sys.version_info[0] == 2
OLD = sys.version_info < (3, 12)  # speaks HMAC-MD5 alone
KEY = b"a key of sixteen"
SIZES = [0, 1, 2, 3, 16383, 16384, 16385, 65535, 65536, 65537, 1000000, 20 << 20]

program = sys.argv[1]
quick = sys.argv[2:] == ["quick"]
directory = tempfile.mkdtemp()
checks = failures = 0


def check(truth, what):
    global checks, failures
    checks += 1
    if not truth:
        failures += 1
        print("FAILED:", what)


class Peer(object):
    """The program in C."""

    def __init__(self, role, address, key=KEY, old=OLD, values=False, first=False):
        words = [program, role, address, binascii.hexlify(key).decode()]
        words += ["old"] * old + ["values"] * values + ["first"] * first
        self.p = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.address = self.line() if role == "listen" else None

    def line(self):
        return self.p.stdout.readline().decode().strip()

    def place(self):
        """Its address as Python has them."""
        if self.address.startswith("unix:"):
            return str(self.address[5:])
        return ("127.0.0.1", int(self.address.rsplit(":", 1)[1]))

    def end(self):
        self.p.stdin.close()
        rest = self.p.stdout.read().decode().split("\n")[:-1]
        self.p.stdout.close()
        check(self.p.wait() == 0, "the program in C ended with %d" % self.p.returncode)
        check(rest == [], "it also said: %s" % rest)


def addresses():
    return ["tcp://127.0.0.1:0", "unix:" + os.path.join(directory, "c")]


def python_listener(address, key=KEY):
    if address.startswith("unix:"):
        l = Listener(str(os.path.join(directory, "python")), authkey=key)
        return l, "unix:" + l.address
    l = Listener(("127.0.0.1", 0), authkey=key)
    return l, "tcp://127.0.0.1:%d" % l.address[1]


def data(size):
    block = bytes(bytearray((i * 7 + i // 256) % 256 for i in range(4099)))
    return (block * (size // len(block) + 1))[:size]


def exchange(c, what):
    """Messages of many sizes, one by one, then many under way at once."""
    sizes = SIZES[:-1] if quick else SIZES
    for size in sizes:
        m = data(size)
        c.send_bytes(m)
        check(c.recv_bytes() == m, "%s: %d bytes" % (what, size))
    for i in range(100):
        c.send_bytes(data(i))
    check(all(c.recv_bytes() == data(i) for i in range(100)), "%s: 100 at once" % what)
    check(not c.poll(), "%s: nothing more comes" % what)
    return len(sizes) + 100


def c_listens():
    for address in addresses():
        peer = Peer("listen", address)
        for old in ["", "again "]:
            c = Client(peer.place(), authkey=KEY)
            n = exchange(c, old + address)
            c.close()
            check(peer.line() == "done %d" % n, "C saw %d messages" % n)
        peer.end()


def python_listens():
    for address in addresses():
        l, where = python_listener(address)
        for _ in range(2):
            peer = Peer("connect", where)
            c = l.accept()
            n = exchange(c, "from C " + address)
            c.close()
            check(peer.line() == "done %d" % n, "C saw %d messages" % n)
            peer.end()
        l.close()


class Thing(object):
    """Of a class that C does not know."""

    def __init__(self, n):
        self.n = n

    def __eq__(self, other):
        return type(other) is Thing and other.n == self.n


THINGS = [None, True, 0, -1, 2 ** 200, 1.5, "text \u00e9\u4e2d", b"bytes \0\xff", [], [1, [2, "x"]],
          (1, ("a", None)), {"a": 1, "b": [2.5]}, {1, 2, 3}, frozenset(["a"]), bytearray(b"ab"),
          Thing(7), [Thing({"deep": (1,)})], list(range(5000)),
          "a lone surrogate: \ud800", float("nan"), float("-inf"), Queue, Empty(), ValueError("v", 1),
          KeyError("k"), ValueError, OSError(2, "none", "file")]
if not PY2:
    THINGS += [TimeoutError("x"), ConnectionResetError("gone"), FileNotFoundError("f"),
               ModuleNotFoundError("m"), RecursionError("r"), TimeoutError, ModuleNotFoundError,
               BlockingIOError(11, "again"), [PermissionError(), ChildProcessError]]


def alike(got, thing):
    if type(got) is not type(thing):
        return False
    if isinstance(thing, BaseException):
        return alike(got.args, thing.args)
    if isinstance(thing, (list, tuple)):
        return len(got) == len(thing) and all(map(alike, got, thing))
    return got == thing or (thing != thing and got != got)


def send_cycles(c, what):
    """What is shared, or part of itself, is so afterwards."""
    a = []
    a.append(a)
    c.send(a)
    got = c.recv()
    check(len(got) == 1 and got[0] is got, what + ": a list in itself")
    t = Thing([1])
    t.me = t
    c.send((t, t.n, t))
    got = c.recv()
    check(got[0] is got[2] and got[0].n is got[1] and got[0].me is got[0], what + ": shared")
    return 2


def send_things(c, what):
    for thing in THINGS:
        c.send(thing)
        got = c.recv()
        check(alike(got, thing), "%s: %.60r came back as %.60r" % (what, thing, got))
    for thing in [] if quick else [b"x" * (20 << 20), ["\xe9" * (10 << 20)]]:
        c.send(thing)
        check(c.recv() == thing, what + ": 20 MiB")
    return len(THINGS) + 2 * (not quick) + send_cycles(c, what)


def hear_first(c, what):
    """What C says before it knows to whom.  Python 2 has no such error, and says so."""
    try:
        got = c.recv()
        check(not PY2 and alike(got, TimeoutError("first")), "%s: first %r" % (what, got))
    except AttributeError:
        check(PY2, what + ": the first names a class that is not there")
    check(c.recv() is Queue, what + ": a class whose module has two names")
    check(c.recv() is None, what + ": nothing is lost between")


def objects():
    """send() and recv(), with C in between."""
    for address in addresses():
        peer = Peer("listen", address, values=True, first=True)
        c = Client(peer.place(), authkey=KEY)
        hear_first(c, "objects " + address)
        n = send_things(c, "objects " + address)
        c.close()
        check(peer.line() == "done %d" % n, "C saw %d objects" % n)
        peer.end()
        l, where = python_listener(address)
        peer = Peer("connect", where, values=True, first=True)
        c = l.accept()
        hear_first(c, "objects from C " + address)
        n = send_things(c, "objects from C " + address)
        c.close()
        check(peer.line() == "done %d" % n, "C saw %d objects" % n)
        peer.end()
        l.close()


def keys():
    """Of one byte, with zeros, longer than a block of the hash, of many."""
    for key in [b"k", b"\0\0\0", b"abc", data(63), data(64), data(65), data(5000)]:
        peer = Peer("listen", "tcp://127.0.0.1:0", key)
        c = Client(peer.place(), authkey=key)
        c.send_bytes(b"hello")
        check(c.recv_bytes() == b"hello", "a key of %d bytes" % len(key))
        c.close()
        check(peer.line() == "done 1", "done")
        peer.end()


def refused(f, *args, **kwds):
    try:
        f(*args, **kwds).close()
    except AuthenticationError:
        return "key"
    except (EOFError, IOError, OSError):
        return "end"
    return "let in"


def wrong_keys():
    """Who has another key is refused, and told so; and the next who has the right one gets in."""
    peer = Peer("listen", "tcp://127.0.0.1:0")
    for key in [b"a key of sixteeN", b"a key of sixtee", KEY + b"!", b"x"]:
        check(refused(Client, peer.place(), authkey=key) == "key", "C refuses %r" % key)
        check(peer.line() == "key", "C says why")
    c = Client(peer.place(), authkey=KEY)
    c.close()
    check(peer.line() == "done 0", "the right key")
    peer.end()

    l, where = python_listener("tcp:")
    for key in [b"a key of sixteeN", b"x"]:
        peer = Peer("connect", where, key)
        check(refused(l.accept) == "key", "Python refuses %r" % key)
        check(peer.line() == "key", "C is told")
        peer.end()
    peer = Peer("connect", where)
    l.accept().close()
    check(peer.line() == "done 0", "the right key")
    peer.end()
    l.close()


def generations():
    """Without "old", who knows HMAC-MD5 alone is refused, and others are not."""
    peer = Peer("listen", "tcp://127.0.0.1:0", old=False)
    if OLD:
        check(refused(Client, peer.place(), authkey=KEY) == "key", "C refuses the old")
        check(peer.line() == "old", "C says why")
    else:
        Client(peer.place(), authkey=KEY).close()
        check(peer.line() == "done 0", "the new are welcome")
    peer.end()

    l, where = python_listener("tcp:")
    peer = Peer("connect", where, old=False)
    if OLD:
        check(refused(l.accept) in ("key", "end"), "C does not answer the old")
        check(peer.line() == "old", "C says why")
    else:
        l.accept().close()
        check(peer.line() == "done 0", "the new are welcome")
    peer.end()
    l.close()

    peer = Peer("listen", "tcp://127.0.0.1:0", old=True)
    Client(peer.place(), authkey=KEY).close()
    check(peer.line() == "done 0", "with \"old\" all are welcome")
    peer.end()


def write(c, raw):
    """Bytes as they are, below the frames."""
    os.write(c.fileno(), raw)


def odd_ends():
    """What is cut in the middle never was; frames in the long form are as good as others."""
    peer = Peer("listen", "tcp://127.0.0.1:0")
    for raw, want in [(b"\0\0", "done 0"), (b"\0\0\0\x05he", "done 0"),
                      (b"\xff\xff\xff\xff\0\0", "done 0")]:
        c = Client(peer.place(), authkey=KEY)
        write(c, raw)
        c.close()
        check(peer.line() == want, "cut after %r" % raw)
    c = Client(peer.place(), authkey=KEY)
    write(c, struct.pack("!iQ", -1, 5) + b"hello" + struct.pack("!i", 2) + b"hi")
    check(c.recv_bytes() == b"hello" and c.recv_bytes() == b"hi", "the long form")
    c.close()
    check(peer.line() == "done 2", "the long form")
    c = Client(peer.place(), authkey=KEY)
    write(c, struct.pack("!i", -2))
    check(peer.line() == "conn_recv_take: what came is no message", "a length that is none")
    c.close()
    c = Client(peer.place(), authkey=KEY)
    write(c, struct.pack("!iQ", -1, 1 << 40))
    check("above the limit" in peer.line(), "a length above the limit")
    c.close()
    peer.end()


def strangers():
    """Who does not speak the protocol reads a challenge and, at most, #FAILURE#."""
    peer = Peer("listen", "tcp://127.0.0.1:0")
    for says in [b"GET / HTTP/1.0\r\n\r\n", struct.pack("!i", 5) + b"hello"]:
        s = socket.create_connection(peer.place())
        s.sendall(says)
        got = b""
        try:
            part = s.recv(4096)
            while part:
                got += part
                part = s.recv(4096)
        except (IOError, OSError):
            pass
        s.close()
        check(peer.line() == "protocol", "C hears that it is none")
        check(got[4:15] in (b"#CHALLENGE#", b""), "a challenge")
        check(got[63:] in (b"", struct.pack("!i", 9) + b"#FAILURE#"), "and nothing else: %r" % got)
    peer.end()


def main():
    for f in [c_listens, python_listens, objects, keys, wrong_keys, generations, odd_ends,
              strangers]:
        try:
            f()
        except Exception:
            traceback.print_exc()
            check(False, f.__name__)
    shutil.rmtree(directory)
    print("conn: %d checks, %d passed" % (checks, checks - failures))
    return failures != 0


if __name__ == "__main__":
    sys.exit(main())
