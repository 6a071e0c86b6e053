"""Write what a manager of this Python answers into a directory, as seeds of fuzz_answer:

    pythonX.Y seeds_answer.py DIRECTORY

One file for each answer and protocol, named after its content.  It runs under Python 2.7 and 3.x.
"""

import hashlib
import os
import pickle
import sys
from multiprocessing.managers import AutoProxy, ListProxy, RebuildProxy, Token

try:
    from queue import Empty
except ImportError:
    from Queue import Empty


class Proxy(object):
    """Pickled as a proxy is."""

    def __init__(self, function):
        self.function = function

    def __reduce__(self):
        return RebuildProxy, (self.function, TOKEN, "pickle", {"exposed": ("get", "put")})


TOKEN = Token("dict", ("127.0.0.1", 5000), "7f0012345678")
TRACEBACK = """-------------
Traceback (most recent call last):
  File "managers.py", line 1, in serve_client
KeyError: '7f00'
-------------
"""

ANSWERS = [
    ("#RETURN", None),
    ("#RETURN", [1, "two", {"three": (4.0, b"five")}]),
    ("#RETURN", ("7f0012345678", ("get", "put", "qsize"))),
    ("#RETURN", [Proxy(AutoProxy), Proxy(ListProxy)]),
    ("#ERROR", Empty()),
    ("#ERROR", KeyError("missing")),
    ("#ERROR", OSError(2, "No such file", "name")),
    ("#TRACEBACK", TRACEBACK),
    ("#UNSERIALIZABLE", TRACEBACK),
    ("#PROXY", (("__next__",), TOKEN)),
    ((), {}),
    [("a",), {"b": 1}],
    {"keyword": 1},
]

for answer in ANSWERS:
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        data = pickle.dumps(answer, protocol)
        name = hashlib.sha1(data).hexdigest()[:16]
        with open(os.path.join(sys.argv[1], name), "wb") as f:
            f.write(data)
