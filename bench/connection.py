"""The same as bench/connection.c, by Python's multiprocessing.connection:

    pythonX.Y connection.py tcp|unix SIZE COUNT TRIPS

prints the nanoseconds of each message, or of each there and back when TRIPS is 1.
"""

import os
import shutil
import sys
import tempfile
import time
from multiprocessing.connection import Client, Listener

KEY = b"sixteen bytes..."


def partner(address, count, trips):
    c = Client(address, authkey=KEY)
    for _ in range(count):
        data = c.recv_bytes()
        if trips:
            c.send_bytes(data)
    if not trips:
        c.send_bytes(b"x")
    c.close()


def go_on(c, size, count, trips):
    data = b"x" * size
    begin = time.time()
    for _ in range(count):
        c.send_bytes(data)
        if trips:
            c.recv_bytes()
    if not trips:
        c.recv_bytes()
    return (time.time() - begin) * 1e9 / count


def pin(cpu):
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, [cpu])


def main():
    kind, size, count, trips = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "1"
    directory = tempfile.mkdtemp()
    place = os.path.join(directory, "x") if kind == "unix" else ("127.0.0.1", 0)
    listener = Listener(place, authkey=KEY)
    child = os.fork()
    if child == 0:
        pin(1)
        partner(listener.address, count, trips)
        os._exit(0)
    pin(0)
    c = listener.accept()
    print("%.1f" % go_on(c, size, count, trips))
    c.close()
    os.waitpid(child, 0)
    listener.close()
    shutil.rmtree(directory)


main()
