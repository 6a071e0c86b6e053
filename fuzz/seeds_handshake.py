"""Record what this Python says when it proves a key, as seeds of fuzz_handshake:

    pythonX.Y seeds_handshake.py DIRECTORY

Four files for each version: as server and as client, with the fuzzer's key and with another.  What
a Python says to us is in them; what we say, the fuzzer's own side says.  It runs under Python 2.7
and 3.x.  Questions are random, so the files differ each time.
"""

import os
import socket
import struct
import sys
import threading
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Listener

KEY = b"the key"
LITERAL = 3  # a step of the fuzzer: a message that the input has


class Recorder(threading.Thread):
    """A line between two sockets that keeps the frames of one direction."""

    def __init__(self, source, target):
        threading.Thread.__init__(self)
        self.source, self.target, self.data = source, target, b""
        self.start()

    def run(self):
        while True:
            try:
                data = self.source.recv(4096)
                self.target.sendall(data)
            except (OSError, socket.error):
                data = b""
            if not data:
                break
            self.data += data
        try:
            self.target.shutdown(socket.SHUT_WR)
        except (OSError, socket.error):
            pass

    def frames(self):
        at = 0
        while at < len(self.data):
            (size,) = struct.unpack("!i", self.data[at : at + 4])
            yield self.data[at + 4 : at + 4 + size]
            at += 4 + size


def quietly(f):
    try:
        f().close()
    except (AuthenticationError, EOFError, OSError, socket.error):
        pass


def record(server_key, client_key):
    """Return the frames of the server's, and of the client's."""
    listener = Listener(("127.0.0.1", 0), authkey=server_key)
    door = socket.socket()
    door.bind(("127.0.0.1", 0))
    door.listen(1)
    server = threading.Thread(target=quietly, args=(listener.accept,))
    client = threading.Thread(
        target=quietly, args=(lambda: Client(door.getsockname(), authkey=client_key),)
    )
    server.start()
    client.start()
    inner = socket.create_connection(listener.address)
    outer = door.accept()[0]
    lines = Recorder(inner, outer), Recorder(outer, inner)
    for thread in (server, client) + lines:
        thread.join()
    for s in (inner, outer, door, listener):
        s.close()
    return [list(line.frames()) for line in lines]


def write(path, we_serve, frames):
    kinds = 1 if we_serve else 0
    if sys.version_info < (3, 12):
        kinds |= 2  # only who takes HMAC-MD5 gets further with them
    out = bytearray([kinds])
    for frame in frames:
        out += bytearray([LITERAL, len(frame)]) + bytearray(frame)
    with open(path, "wb") as f:
        f.write(out)


def main():
    for key, what in ((KEY, "right"), (b"another", "wrong")):
        theirs = record(key, KEY)[0], record(KEY, key)[1]
        for we_serve in (0, 1):
            name = "python-%d.%d-%s-%s" % (
                sys.version_info[0],
                sys.version_info[1],
                ("server", "client")[we_serve],
                what,
            )
            write(os.path.join(sys.argv[1], name), we_serve, theirs[we_serve])


main()
