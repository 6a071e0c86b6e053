"""Every digest that Python 3.12 and later can ask for, asked of C, which answers and is believed.

    pythonX.Y digest.py PROGRAMDIR/interop-digest [quick]

The program is conn.c's, interop-conn beside.  The last line is "digest: N checks, N passed"; older
Pythons know one digest, which conn.py tests.
"""

from __future__ import print_function, unicode_literals

import binascii
import os
import subprocess
import sys
from multiprocessing import AuthenticationError, connection

KEY = b"a key of sixteen"
REFUSALS = (AuthenticationError, EOFError, OSError)
program = os.path.join(os.path.dirname(sys.argv[1]), "interop-conn")
checks = failures = 0


def check(truth, what):
    global checks, failures
    checks += 1
    if not truth:
        failures += 1
        print("FAILED:", what)


def meet(challenge, key=KEY, old=False):
    """C connects, and is asked for the proof; what comes back of a message, or the exception."""
    with connection.Listener(("127.0.0.1", 0)) as listener:
        words = [program, "connect", "tcp://127.0.0.1:%d" % listener.address[1]]
        words += [binascii.hexlify(key).decode()] + ["old"] * old
        p = subprocess.Popen(words, stdout=subprocess.PIPE)
        with listener.accept() as c:
            try:
                challenge(c)
                connection.answer_challenge(c, KEY)
                c.send_bytes(b"hello")
                return c.recv_bytes()
            except REFUSALS as e:
                return e
            finally:
                c.close()
                p.communicate()


def by(digest):
    return lambda c: connection.deliver_challenge(c, KEY, digest_name=digest)


if sys.version_info >= (3, 12):
    for digest in ["sha256", "sha384", "sha3_256", "sha3_384"]:
        check(meet(by(digest)) == b"hello", digest)
        check(meet(by(digest), old=True) == b"hello", digest + ", and MD5 allowed")
        check(isinstance(meet(by(digest), key=b"another key, 16."), REFUSALS), digest + ", a wrong key")
    check(meet(by("md5"), old=True) == b"hello", "md5, allowed")
    check(isinstance(meet(by("md5")), REFUSALS), "md5, not allowed")
    check(isinstance(meet(by("sha512")), REFUSALS), "a digest that is not of the protocol")
print("digest: %d checks, %d passed" % (checks, checks - failures))
sys.exit(failures > 0)
