"""A manager to measure clients of, and Python's own client of it; for bench/remote.c:

    pythonX.Y remote.py serve                 prints the port, and serves until told to shut down
    pythonX.Y remote.py call|pair COUNT       prints the nanoseconds of each

call is one call of a method; pair is a put and a get of a queue.
"""

import os
import queue
import subprocess
import sys
import time
from multiprocessing.managers import BaseManager

KEY = b"sixteen bytes..."

tasks = queue.Queue()


def get_tasks():
    return tasks


class Thing(object):
    def echo(self, x):
        return x


class Manager(BaseManager):
    pass


def pin(cpu):
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, [cpu])


def serve():
    pin(1)
    server = Manager(address=("127.0.0.1", 0), authkey=KEY).get_server()
    print(server.address[1])
    sys.stdout.flush()
    server.serve_forever()


def measure(what, count):
    p = subprocess.Popen([sys.executable, __file__, "serve"], stdout=subprocess.PIPE)
    m = Manager(address=("127.0.0.1", int(p.stdout.readline())), authkey=KEY)
    m.connect()
    pin(0)
    thing, q = m.Thing(), m.tasks()
    begin = time.time()
    for i in range(count):
        if what == "call":
            thing.echo(i)
        else:
            q.put(i)
            q.get()
    print("%.1f" % ((time.time() - begin) * 1e9 / count))
    del thing, q
    p.kill()
    p.wait()


if sys.argv[1] == "serve":
    Manager.register("Thing", Thing)
    Manager.register("tasks", get_tasks)
    serve()
else:
    Manager.register("Thing")
    Manager.register("tasks")
    measure(sys.argv[1], int(sys.argv[2]))
