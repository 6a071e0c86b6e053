"""Managers of this Python, and a client in C (remote.c) that does what is asked here: every type of
SyncManager with its methods, queues as prong's, references, errors, keys, restarts.

    pythonX.Y remote.py PROGRAM [quick]

It runs under Python 2.7 and 3.x.  The last line is "remote: N checks, N passed".
"""

from __future__ import print_function, unicode_literals

import os
import pickle
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import traceback
from multiprocessing.managers import BaseManager, BaseProxy, SyncManager

try:
    import queue
except ImportError:
    import Queue as queue

PY2 = sys.version_info[0] == 2
OLD = sys.version_info < (3, 12)  # speaks HMAC-MD5 alone
KEY = b"a key of sixteen"
TIMEDOUT, CLOSED, EMPTY, MISMATCH, RAISED = 1, 10, 13, 15, 16
ECONNREFUSED, ECONNRESET, EKEYREJECTED, ENOTSUP, EMSGSIZE, ESTALE = -111, -104, -129, -95, -90, -116
EINVAL = -22

checks = failures = 0


def check(truth, what):
    global checks, failures
    checks += 1
    if not truth:
        failures += 1
        print("FAILED:", what)


# --- the manager: this script with the word "serve" -------------------------------------------------


class Thing(object):
    """Of a class that C does not know."""

    def __init__(self, n=0):
        self.n = n

    def __eq__(self, other):
        return isinstance(other, Thing) and other.n == self.n

    def add(self, a, b=10, *rest, **more):
        return [self.n, a, b, list(rest), sorted(more.items())]

    def fail(self, how):
        raise {"value": ValueError, "key": KeyError}[how]("as asked", 7)

    def give(self):
        return Thing(self.n + 1)

    def slow(self, seconds):
        time.sleep(seconds)
        return "slow"

    def big(self, n):
        return "x" * n

    def unpicklable(self):
        return lambda: 0

    def ping(self):
        return None


shared = queue.Queue()
bounded = queue.Queue(2)


def get_shared():
    return shared


def get_bounded():
    return bounded


def itself(x):
    return x


class Manager(SyncManager):
    pass


Manager.register(str("Thing"), Thing)
Manager.register(str("shared"), get_shared)
Manager.register(str("bounded"), get_bounded)
Manager.register(str("give_proxy"), Thing, exposed=(str("give"), str("ping")),
                 method_to_typeid={str("give"): str("given")})
Manager.register(str("given"), itself, exposed=(str("add"),))


def serve(port):
    m = Manager(address=(str("127.0.0.1"), port), authkey=KEY)
    server = m.get_server()
    print(server.address[1])
    sys.stdout.flush()
    server.serve_forever()


class Server(object):
    def __init__(self, port=0):
        self.p = subprocess.Popen([sys.executable, os.path.abspath(__file__), "serve", str(port)],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.port = int(self.p.stdout.readline())
        self.address = "tcp://127.0.0.1:%d" % self.port

    def kill(self):
        self.p.kill()
        self.end()

    def end(self):
        self.p.communicate()


# --- the client in C --------------------------------------------------------------------------------


class Object(object):
    """One of the manager's, in the hands of the client in C."""

    def __init__(self, client, n):
        self.client, self.n = client, n

    def __call__(self, method, *args, **kwds):
        ms = kwds.pop("ms_", 10000)
        arguments = [args, kwds] if kwds else args
        return self.client("call", self.n, method, arguments, ms)

    def free(self):
        self.client("free", self.n)

    def term(self):
        return ("object", self.n)


class Client(object):
    def __init__(self, address, key=KEY, ms=10000):
        self.p = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.opened = self.ask("open", address, key, int(OLD), ms)

    def say(self, *request):
        data = pickle.dumps(request, 2)
        self.p.stdin.write(struct.pack(str("<I"), len(data)) + data)
        self.p.stdin.flush()

    def ask(self, *request):
        self.say(*request)
        head = self.p.stdout.read(4)
        if len(head) != 4:
            raise RuntimeError("the program in C ended with %r" % self.p.wait())
        return pickle.loads(self.p.stdout.read(struct.unpack(str("<I"), head)[0]))

    def __call__(self, *request):
        """The value, or raise what went wrong as Failed."""
        r, detail, value = self.ask(*request)
        if r:
            raise Failed(r, detail)
        return self.objects(value)

    def objects(self, v):
        if isinstance(v, tuple) and len(v) == 2 and v[0] == "object":
            return Object(self, v[1])
        if isinstance(v, (list, tuple)):
            return type(v)(self.objects(x) for x in v)
        return v

    def make(self, name, *args, **kwds):
        return self("make", name, [args, kwds] if kwds else args, 10000)

    def end(self, closes=True):
        if closes and self.opened[0] == 0:
            self("close")
        self.p.stdin.close()
        self.p.stdout.close()
        check(self.p.wait() == 0, "the program in C ended with %d" % self.p.returncode)


class Failed(Exception):
    pass


def failure(f, *args, **kwds):
    try:
        v = f(*args, **kwds)
    except Failed as e:
        return e.args[0]
    return "done: %r" % (v,)


def detail(f, *args, **kwds):
    try:
        v = f(*args, **kwds)
    except Failed as e:
        return e.args[1]
    return "done: %r" % (v,)


def raised(c, f, *args, **kwds):
    """The exception that the client was told of, as this Python has it."""
    check(failure(f, *args, **kwds) == RAISED, "%r is to raise" % (args,))
    return c("raised")


def is_a(e, name):
    return type(e).__name__ == name


# --- types ------------------------------------------------------------------------------------------


def lists(c):
    x = c.make("list", [3, 1, 2])
    check(x("__len__") == 3, "list.__len__")
    check(x("__getitem__", 0) == 3, "list.__getitem__")
    check(x("__getitem__", -1) == 2, "list.__getitem__ from the end")
    if not PY2:
        check(x("__getitem__", slice(0, 2)) == [3, 1], "list.__getitem__ of a slice")
    check(x("__setitem__", 1, "one") is None, "list.__setitem__")
    x("__delitem__", 1)
    x("append", {"a": [1, (2, None)]})
    x("extend", (5, 6))
    x("insert", 0, 2.5)
    check(x("pop") == 6, "list.pop")
    check(x("index", 2) == 2, "list.index")
    check(x("count", 5) == 1, "list.count")
    x("remove", 5)
    x("reverse")
    check(x("__contains__", 2.5) is True, "list.__contains__")
    check(x("__add__", [7]) == [{"a": [1, (2, None)]}, 2, 3, 2.5, 7], "list.__add__")
    check(x("__mul__", 2) == 2 * [{"a": [1, (2, None)]}, 2, 3, 2.5], "list.__mul__")
    x("pop", 0)
    x("sort", reverse=True)
    check(x("__add__", []) == [3, 2.5, 2], "list.sort with a keyword")
    check(x("__str__") == "[3, 2.5, 2]", "list.__str__")
    check(x("#GETVALUE") == [3, 2.5, 2], "list's value")
    e = raised(c, x, "pop", 99)
    check(is_a(e, "IndexError") and "out of range" in str(e), "list.pop: %r" % e)
    check(is_a(raised(c, x, "remove", 99), "ValueError"), "list.remove")
    check("IndexError: pop index out of range" in detail(x, "pop", 99), "the detail")
    check("TypeError" in detail(x, "insert"), "too few arguments")
    check(failure(x, "no_such_method") == RAISED, "a method that is not there")
    check(failure(x, "__class__") == RAISED, "a method that is not shown")
    check(x("__len__") == 3, "after the errors")
    x.free()


def dicts(c):
    x = c.make("dict", [("a", 1)], b=2)
    check(x("__getitem__", "b") == 2, "dict with a keyword")
    x("__setitem__", ("k", 1), [1])
    check(x("get", "none") is None and x("get", "none", 5) == 5, "dict.get")
    check(x("__contains__", ("k", 1)) is True, "dict.__contains__")
    check(x("__len__") == 3, "dict.__len__")
    check(x("setdefault", "c", 3) == 3, "dict.setdefault")
    x("update", {"a": 9})
    check(x("copy") == {"a": 9, "b": 2, "c": 3, ("k", 1): [1]}, "dict.copy")
    check(sorted(map(str, list(x("keys")))) == sorted(["a", "b", "c", str(("k", 1))]), "dict.keys")
    check(len(x("values")) == 4 and len(x("items")) == 4, "dict.values, dict.items")
    check(x("pop", "a") == 9, "dict.pop")
    check(len(x("popitem")) == 2, "dict.popitem")
    if not PY2:
        it = x("__iter__")
        check(isinstance(it, Object), "dict.__iter__ gives an object")
        seen = [it("__next__"), it("__next__")]
        check(len(seen) == 2 and x("__contains__", seen[1]), "Iterator.__next__: %r" % seen)
        check(is_a(raised(c, it, "__next__"), "StopIteration"), "Iterator's end")
        it.free()
    check(is_a(raised(c, x, "__getitem__", "none"), "KeyError"), "dict.__getitem__")
    check(is_a(raised(c, x, "__delitem__", "none"), "KeyError"), "dict.__delitem__")
    check("TypeError" in detail(x, "__setitem__", [1], 2), "an unhashable key")
    x("clear")
    check(x("__len__") == 0, "dict.clear")
    x.free()


def by_kind(c):
    """The functions of proxy.h."""
    for kind in ["Lock", "RLock", "Semaphore", "BoundedSemaphore", "Condition"]:
        x = c.make(kind)
        c("tlock", x.n, 1000)
        if kind not in ("RLock", "Condition"):  # a thread has these as often as it likes
            check(failure(c, "tlock", x.n, 0) == TIMEDOUT, "%s: taken" % kind)
            check(failure(c, "tlock", x.n, 30) == TIMEDOUT, "%s: taken for a time" % kind)
        c("tunlock", x.n, 1000)
        if kind != "Semaphore":
            check(failure(c, "tunlock", x.n, 1000) == RAISED, "%s: given up twice" % kind)
        c("tlock", x.n, -1)
        c("tunlock", x.n, 1000)
        check(failure(c, "twait" if kind != "Condition" else "tcount", x.n, 0) == MISMATCH,
              "%s is no Event" % kind)
        x.free()
    x = c.make("Event")
    check(failure(c, "twait", x.n, 0) == TIMEDOUT, "an Event that is not set")
    check(failure(c, "twait", x.n, 30) == TIMEDOUT, "nor in a while")
    c("tset", x.n, 1000)
    c("twait", x.n, -1)
    c("tclear", x.n, 1000)
    check(failure(c, "twait", x.n, 0) == TIMEDOUT, "an Event that is cleared")
    check(failure(c, "tlock", x.n, 1000) == MISMATCH, "an Event is no lock")
    x.free()
    x = c.make("dict")
    check(failure(c, "tget", x.n, "a", 1000) == EMPTY, "an empty dict")
    c("tput", x.n, "a", [1, "x"], 1000)
    c("tput", x.n, 7, None, 1000)
    check(c("tget", x.n, "a", 1000) == [1, "x"], "what was put")
    check(c("tcopy", x.n, 1000) == {"a": [1, "x"], 7: None}, "all of a dict")
    c("tremove", x.n, 7, 1000)
    check(failure(c, "tremove", x.n, 7, 1000) == EMPTY, "removed twice")
    check(c("tcount", x.n, 1000) == 1, "one is left")
    c("tclear", x.n, 1000)
    check(c("tcount", x.n, 1000) == 0, "none is left")
    check(failure(c, "tput", x.n, [], 1, 1000) == RAISED, "a list as a key")
    x.free()
    x = c.make("list")
    for i in range(3):
        c("tappend", x.n, i, 1000)
    c("tput", x.n, -1, "last", 1000)
    check(failure(c, "tput", x.n, 3, "x", 1000) == EMPTY, "beyond a list")
    c("tremove", x.n, 0, 1000)
    check(c("tcopy", x.n, 1000) == [1, "last"], "all of a list")
    check(c("tget", x.n, 1, 1000) == "last", "an item")
    check(failure(c, "tget", x.n, 2, 1000) == EMPTY, "no item")
    check(failure(c, "tset", x.n, 1000) == MISMATCH, "a list is no Event")
    x.free()
    x = c.make("Array", "i", [1, 2])
    c("tput", x.n, 0, 9, 1000)
    check(c("tget", x.n, 0, 1000) == 9 and c("tcount", x.n, 1000) == 2, "an Array")
    x.free()


def namespaces(c):
    x = c.make("Namespace", a=1)
    check(x("__getattribute__", "a") == 1, "Namespace.a")
    x("__setattr__", "b", [2])
    check(x("__getattribute__", "b") == [2], "Namespace.b")
    x("__delattr__", "a")
    check(is_a(raised(c, x, "__getattribute__", "a"), "AttributeError"), "Namespace without a")
    check(x("__str__") == ("Namespace(b=[2])"), "Namespace.__str__: %s" % x("__str__"))
    x.free()


def numbers(c):
    x = c.make("Value", "i", 7)
    check(x("get") == 7, "Value.get")
    x("set", 2 ** 200)
    check(x("get") == 2 ** 200, "Value.set")
    x.free()
    x = c.make("Array", "i", [1, 2, 3])
    check(x("__len__") == 3, "Array.__len__")
    x("__setitem__", 1, -5)
    check([x("__getitem__", i) for i in range(3)] == [1, -5, 3], "Array.__getitem__")
    check(is_a(raised(c, x, "__getitem__", 3), "IndexError"), "Array's end")
    check("Error" in detail(x, "__setitem__", 0, "text"), "Array of ints")
    x.free()


def locks(c):
    x = c.make("Lock")
    check(x("acquire") is True, "Lock.acquire")
    check(x("acquire", False) is False, "Lock.acquire again")
    check(failure(x, "acquire", ms_=50) == TIMEDOUT, "a call that is given up")
    check(x("release") is None, "Lock.release")
    time.sleep(0.05)
    if not PY2:  # that call took it when it was free
        check(x("acquire", True, 0.01) is False, "who was given up has it")
    x("release")
    check("RuntimeError" in detail(x, "release") or "error" in detail(x, "release"), "once more")
    x.free()
    x = c.make("RLock")
    check(x("acquire") in (True, 1) and x("acquire") in (True, 1), "RLock.acquire twice")
    x("release")
    x("release")
    check(failure(x, "release") == RAISED, "RLock.release, not its owner")
    x.free()
    x = c.make("Semaphore", 2)
    check(x("acquire") and x("acquire") and not x("acquire", False), "Semaphore")
    x("release")
    check(x("acquire", False) is True, "Semaphore.release")
    x.free()
    x = c.make("BoundedSemaphore", 1)
    check(is_a(raised(c, x, "release"), "ValueError"), "BoundedSemaphore.release")
    x.free()
    x = c.make("Condition")
    check(failure(x, "notify") == RAISED, "Condition.notify without the lock")
    check(x("acquire") in (True, 1), "Condition.acquire")
    check(x("wait", 0.01) in (False, None), "Condition.wait")
    x("notify")
    if not PY2:
        x("notify_all")
    x("release")
    x.free()
    x = c.make("Event")
    check(x("is_set") is False, "Event.is_set")
    check(x("wait", 0.01) in (False, None), "Event.wait")
    x("set")
    check(x("wait") is True and x("is_set") is True, "Event.set")
    x("clear")
    check(x("is_set") is False, "Event.clear")
    x.free()
    if not PY2:
        x = c.make("Barrier", 1)
        check(x("wait") == 0, "Barrier.wait")
        check(x("__getattribute__", "parties") == 1, "Barrier.parties")
        x("abort")
        check(is_a(raised(c, x, "wait"), "BrokenBarrierError"), "a broken barrier")
        x("reset")
        check(x("wait", 1) == 0, "Barrier.reset")
        x.free()


def pools(c):
    x = c.make("Pool", 1)
    r = x("apply_async", pow, (2, 70))
    check(isinstance(r, Object), "Pool.apply_async gives an object")
    check(r("get", 20) == 2 ** 70, "AsyncResult.get")
    check(x("map", abs, [-1, -2]) == [1, 2], "Pool.map")
    x("terminate")
    r.free()
    x.free()


def things(c):
    x = c.make("Thing", 5)
    check(x("add", 1) == [5, 1, 10, [], []], "defaults")
    check(x("add", 1, 2, 3, z=4) == [5, 1, 2, [3], [("z", 4)]], "all kinds of arguments")
    check(c("call", x.n, "add", {"b": 1, "a": 2}, 5000) == [5, 2, 1, [], []], "keywords alone")
    check(x("give") == Thing(6), "a custom class comes unharmed")
    e = raised(c, x, "fail", "value")
    check(is_a(e, "ValueError") and e.args == ("as asked", 7), "an exception's arguments: %r" % e)
    check(is_a(raised(c, x, "fail", "key"), "KeyError"), "KeyError")
    e = raised(c, x, "unpicklable")
    check(isinstance(e, (type(""), str)) and "ickl" in e, "what has no pickle is text: %r" % (e,))
    for n in (0, 1, 16384, 70000, 3000000):
        check(x("big", n) == "x" * n, "a result of %d" % n)
    check(failure(c, "call", x.n, "add", 5, 1000) == EINVAL, "arguments that are none")
    check(failure(c, "make", "no_such_type", (), 1000) == RAISED, "a type that is not there")
    check(x("add", 1) == [5, 1, 10, [], []], "after all that")
    e = c.make("list")
    for v in [None, True, -1, 2 ** 200, 1.5, "\u00e9\u4e2d", b"bytes \0\xff", (1, ("a",)), {"a": [2]},
              {1, 2}, frozenset("a"), Thing(7), [Thing({"deep": (1,)})], list(range(3000))]:
        e("append", v)
        got = e("pop")
        check(got == v and (PY2 or type(got) is type(v)), "%.60r came back as %.60r" % (v, got))
    e.free()
    x.free()
    x = c.make("give_proxy", 1)
    y = x("give")
    check(isinstance(y, Object) and y("add", 1) == [2, 1, 10, [], []], "a method that gives a proxy: %r" % (y,))
    y.free()
    x.free()


def nested(c):
    """Proxies in values, both ways."""
    outer, inner = c.make("list"), c.make("dict", a=1)
    outer("append", inner.term())
    got = outer("__getitem__", 0)
    if isinstance(got, dict):  # before 3.6 a manager takes its own proxies for what they stand for
        check(got == {"a": 1}, "a copy")
        inner.free()
    else:
        check(isinstance(got, Object), "a proxy in a list: %r" % (got,))
        got("__setitem__", "b", 2)
        check(inner("copy") == {"a": 1, "b": 2}, "it is the same object")
        got.free()
        inner.free()
        got = outer("__getitem__", 0)
        check(got("copy") == {"a": 1, "b": 2}, "the list keeps it")
        got.free()
        got = outer("__add__", [1])
        check(isinstance(got[0], Object) and got[1] == 1, "a proxy in a list of results")
        got[0].free()
    outer.free()


# --- queues -------------------------------------------------------------------------------------------


def queues(c):
    for name in ["Queue", "JoinableQueue", "shared"]:
        q = c("make_queue", name, 5000)
        check(c("qsize", q) == 0, "qsize")
        for v in [1, "text", b"bytes\0", None, {"a": [1]}, Thing(3)]:
            c("qput", q, v, -1)
        check(c("qsize", q) == 6, "qsize of 6")
        for v in [1, "text", b"bytes\0", None, {"a": [1]}, Thing(3)]:
            check(c("qget", q, -1) == v, "%s: %r comes back" % (name, v))
        check(failure(c, "qget", q, 0) == TIMEDOUT, "Empty at once")
        begin = time.time()
        check(failure(c, "qget", q, 200) == TIMEDOUT, "Empty")
        check(0.19 < time.time() - begin < 2, "after its time")
        c("qput_bytes", q, b"\0\xff bytes", 0)
        check(c("qget_bytes", q, 100, 0) == b"\0\xff bytes", "bytes")
        c("qput", q, b"too large", 0)
        check(failure(c, "qget_bytes", q, 3, 0) == EMSGSIZE, "no room")
        check(c("qsize", q) == 1, "it is still there")
        check(c("qget_bytes", q, 9, 0) == b"too large", "and the next")
        check(failure(c, "qlease", q) == ENOTSUP, "lease")
        if name == "JoinableQueue":
            check(failure(c, "qjoin", q, 50) == TIMEDOUT, "join")
        c("qfree", q)


def bounds(c):
    q = c("make_queue", "bounded", 5000)
    c("qput", q, 1, 0)
    c("qput", q, 2, 1000)
    check(failure(c, "qput", q, 3, 0) == TIMEDOUT, "Full at once")
    begin = time.time()
    check(failure(c, "qput", q, 3, 150) == TIMEDOUT, "Full")
    check(0.14 < time.time() - begin < 2, "after its time")
    check([c("qget", q, 0), c("qget", q, 0)] == [1, 2], "what was put")
    c("qfree", q)
    for name, order in [("LifoQueue", [2, 3, 1]), ("PriorityQueue", [1, 2, 3])]:
        if hasattr(SyncManager, name):
            q = c("make_queue", name, 5000)
            for v in [1, 3, 2]:
                c("qput", q, v, 0)
            check([c("qget", q, 0) for _ in range(3)] == order, name)
            c("qfree", q)
    check(failure(c, "make_queue", "dict", 5000) == MISMATCH, "a dict is no queue")


def shut_down(c):
    q = c("make_queue", "Queue", 5000)
    c("qput", q, 1, 0)
    if sys.version_info >= (3, 13):
        c("qclose", q)
        check(failure(c, "qput", q, 2, 0) == CLOSED, "put after shutdown")
        check(c("qget", q, 0) == 1, "what is left")
        check(failure(c, "qget", q, -1) == CLOSED, "get after shutdown")
    else:
        check(failure(c, "qclose", q) == ENOTSUP, "no shutdown before 3.13")
    c("qfree", q)


def with_python(server):
    """A Python client at the other end of a queue: items pass through C unharmed."""
    class Remote(BaseManager):
        pass

    Remote.register(str("shared"))
    m = Remote(address=(str("127.0.0.1"), server.port), authkey=KEY)
    m.connect()
    theirs = m.shared()
    c = Client(server.address)
    q = c("make_queue", "shared", 5000)
    for v in [1, "text", Thing([1]), {"a": (1, 2.5)}]:
        theirs.put(v)
        check(c("qget", q, 5000) == v, "%r from Python" % (v,))
        c("qput", q, v, 5000)
        check(theirs.get(True, 5) == v, "%r to Python" % (v,))
    result = []
    t = threading.Thread(target=lambda: result.append(theirs.get()))
    t.start()
    time.sleep(0.05)
    c("qput", q, "woken", 0)
    t.join(10)
    check(result == ["woken"], "a Python that waits is woken")
    t = threading.Timer(0.1, lambda: theirs.put("late"))
    t.start()
    check(c("qget", q, 5000) == "late", "a C that waits is woken")
    t.join()
    c("qfree", q)
    c.end()


def killed(server):
    """A client that was killed in a get takes nothing from those who come later."""
    class Remote(BaseManager):
        pass

    Remote.register(str("shared"))
    m = Remote(address=(str("127.0.0.1"), server.port), authkey=KEY)
    m.connect()
    theirs = m.shared()
    c = Client(server.address)
    q = c("make_queue", "shared", 5000)
    c.say("qget", q, -1)
    time.sleep(0.3)
    c.p.kill()
    c.p.communicate()
    time.sleep(1.2)  # its last question is over by then
    theirs.put("for who lives")
    time.sleep(0.1)
    check(theirs.qsize() == 1, "nobody took it")
    check(theirs.get(True, 5) == "for who lives", "it is there")


# --- ends ---------------------------------------------------------------------------------------------


def references(c):
    before = c("ask", "number_of_objects", (), 5000) if not PY2 else 0
    made = [c.make("list") for _ in range(20)] + [c.make("Thing") for _ in range(5)]
    q = c("make_queue", "shared", 5000)
    text = c("ask", "debug_info", (), 5000)
    check(text.count("refcount=1") == 26, "26 objects with a reference each: %s" % text)
    for x in made:
        x.free()
    c("qfree", q)
    text = c("ask", "debug_info", (), 5000)
    check("refcount=1" not in text.replace("\n", " ") or before, "none is left: %s" % text)
    if not PY2:
        check(c("ask", "number_of_objects", (), 5000) == before, "as many as before")
    check(failure(c, "ask", "no_such_function", (), 5000) == RAISED, "no such function")


def given_up(c):
    """The answer to a call that was given up is nobody's."""
    x = c.make("Thing", 1)
    for _ in range(3):
        check(failure(x, "slow", 0.3, ms_=20) == TIMEDOUT, "too slow")
        check(x("add", 1) == [1, 1, 10, [], []], "the next has its own answer")
    x.free()


def nine_threads(c, quick):
    lock, numbers = c.make("Lock"), c.make("list")
    q = c("make_queue", "Queue", 5000)
    n = 10 if quick else 60
    c("nine", lock.n, numbers.n, q, n)
    check(numbers("__len__") == 9 * n, "nine threads, all counted")
    c("qfree", q)
    lock.free()
    numbers.free()


def keys(server):
    for key in [b"a key of sixteeN", b"x"]:
        c = Client(server.address, key=key)
        check(c.opened[0] == EKEYREJECTED, "another key: %r" % (c.opened,))
        c.end()
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    c = Client("tcp://127.0.0.1:%d" % s.getsockname()[1])
    check(c.opened[0] == ECONNREFUSED, "nobody there: %r" % (c.opened,))
    c.end()
    s.listen(1)
    c = Client("tcp://127.0.0.1:%d" % s.getsockname()[1], ms=50)
    check(c.opened[0] == TIMEDOUT, "somebody silent: %r" % (c.opened,))
    c.end()
    s.close()


def restarts(quick):
    """The manager is killed, and comes back on the same port: at once, and again."""
    server = Server()
    c = Client(server.address)
    q = c("make_queue", "shared", 5000)
    x = c.make("Thing", 1)
    for i in range(2 if quick else 4):
        c("qput", q, i, 0)
        check(c("qget", q, 1000) == i, "before")
        server.kill()
        r = failure(c, "qget", q, 1000)
        check(r in (ECONNRESET, ECONNREFUSED), "killed: %r" % r)
        r = failure(c, "qget", q, 100)
        check(r in (ECONNREFUSED, TIMEDOUT, -110), "still: %r" % r)
        server = Server(server.port)
        r = failure(x, "add", 1)
        check(r in (ECONNRESET, ECONNREFUSED), "the proxy says so once: %r" % r)
        r = failure(x, "add", 1)
        if r == ECONNRESET:
            r = failure(x, "add", 1)
        check(r in (ESTALE, RAISED), "and then that it is gone: %r" % r)
        x.free()
        x = c.make("Thing", 1)
        check(x("add", 1) == [1, 1, 10, [], []], "made anew")
    c("qput", q, "after all", 1000)
    check(c("qget", q, 1000) == "after all", "the queue goes on by itself")
    c("qfree", q)
    c("shutdown", 5000)
    c.end()
    server.end()


def main():
    quick = sys.argv[2:] == ["quick"]
    server = Server()
    c = Client(server.address)
    for f in [lists, dicts, by_kind, namespaces, numbers, locks, pools, things, nested, queues,
              bounds, shut_down, references, given_up]:
        try:
            f(c)
        except Exception:
            traceback.print_exc()
            check(False, f.__name__)
    for f in [lambda: nine_threads(c, quick), lambda: keys(server), lambda: with_python(server),
              lambda: killed(server),
              lambda: restarts(quick)]:
        try:
            f()
        except Exception:
            traceback.print_exc()
            check(False, "an exception")
    try:
        c("shutdown", 5000)
        check(failure(c, "ask", "debug_info", (), 2000) != 0, "it has ended")
        c.end()
        server.end()
    except Exception:
        traceback.print_exc()
        check(False, "the end")
    print("remote: %d checks, %d passed" % (checks, checks - failures))
    return failures != 0


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        serve(int(sys.argv[2]))
    else:
        program = sys.argv[1]
        sys.exit(main())
