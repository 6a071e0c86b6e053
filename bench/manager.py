"""The same as bench/manager.c's server, by Python's multiprocessing.managers:

    pythonX.Y manager.py

prints its port, and serves a queue until its input ends.
"""

import queue
import sys
import threading
from multiprocessing.managers import BaseManager


class Manager(BaseManager):
    pass


Manager.register("Queue", queue.Queue)
server = Manager(("127.0.0.1", 0), b"sixteen bytes...").get_server()
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.address[1])
sys.stdout.flush()
sys.stdin.read()
