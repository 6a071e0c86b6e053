"""Example 17-talk, with this Python at the other end: it listens, and it connects.

    pythonX.Y talk.py PROGRAM [quick]

PROGRAM is 17-talk.  It runs under Python 2.7 and 3.x.  The last line is "talk: N checks, N passed".
"""

from __future__ import print_function, unicode_literals

import os
import shutil
import subprocess
import sys
import tempfile
import time
from multiprocessing.connection import Client, Listener

KEY = b"a key of sixteen"  # as in the example
checks = failures = 0


def check(truth, what):
    global checks, failures
    checks += 1
    if not truth:
        failures += 1
        print("FAILED:", what)


def start(role, path):
    words = [sys.argv[1], role, "unix:" + path]
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def patiently(path):
    """Connect to a program that is starting."""
    for _ in range(3000):
        if os.path.exists(path):
            try:
                return Client(str(path), authkey=KEY)
            except (IOError, OSError):  # it is there, and does not listen yet
                pass
        time.sleep(0.01)
    raise RuntimeError("nobody listens at " + path)


def talk(p, c, role):
    """Lines both ways, also empty and in UTF-8, and the end."""
    for said in [b"hello", b"", "\u00e4\u20ac".encode("utf-8")]:
        c.send_bytes(said)
        check(p.stdout.readline() == b"they: " + said + b"\n", role + ": from Python")
    for said in [b"yes", b"", b"x" * 1000]:
        p.stdin.write(said + b"\n")
        p.stdin.flush()
        check(c.recv_bytes() == said, role + ": from C")
    c.close()
    check(p.wait() == 0, role + ": the end")
    p.stdin.close()
    p.stdout.close()


directory = tempfile.mkdtemp()
try:
    path = os.path.join(directory, "listen")
    p = start("listen", path)
    talk(p, patiently(path), "C listens")
    path = os.path.join(directory, "connect")
    listener = Listener(str(path), authkey=KEY)
    p = start("connect", path)
    talk(p, listener.accept(), "C connects")
    listener.close()
finally:
    shutil.rmtree(directory)
print("talk: %d checks, %d passed" % (checks, checks - failures))
sys.exit(failures > 0)
