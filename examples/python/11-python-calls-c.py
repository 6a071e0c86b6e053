"""Use the object that 11-python-calls-c serves: python3 11-python-calls-c.py [HOST PORT]"""

import sys
from multiprocessing.managers import BaseManager


class Manager(BaseManager):
    pass


Manager.register("Vector")

host, port = (sys.argv[1:] + ["127.0.0.1", "5000"][len(sys.argv) - 1:])[:2]
m = Manager((host, int(port)), b"a key of sixteen")
m.connect()
v = m.Vector()
v.append(3)
v.append(x=4.5)
try:
    v.append("five")
except TypeError as e:
    print(e)
print(v.sum(scale=2))
