"""Managers: this Python as a client of a C program (manager.c), which it cannot tell from a Python
one.

    pythonX.Y manager.py PROGRAM [quick] [CASE...]

It runs under Python 2.7 and 3.x.  The last line is "manager: N checks, N passed".
"""

from __future__ import print_function

import binascii
import gc
import multiprocessing.connection
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from multiprocessing import AuthenticationError, current_process, util
from multiprocessing.managers import BaseManager, RemoteError, SyncManager

try:
    from queue import Empty, Full
except ImportError:
    from Queue import Empty, Full

KEY = b"a key of sixteen"
PY2 = sys.version_info[0] == 2
if PY2:  # a proxy that is dropped when its server has ended would try for twenty seconds
    multiprocessing.connection._init_timeout = lambda timeout=0: time.time() + timeout

program = sys.argv[1]
quick = "quick" in sys.argv[2:]
wanted = [word for word in sys.argv[2:] if word != "quick"]
checks = failures = 0


def check(truth, what):
    global checks, failures
    checks += 1
    if not truth:
        failures += 1
        print("FAILED:", what)


def same(got, want, what):
    check(got == want, "%s: %r, not %r" % (what, got, want))


def raises(kind, f, *args, **kwds):
    """What f raises; its text, or a failure."""
    try:
        f(*args, **kwds)
    except kind as e:
        check(True, "")
        return str(e)
    except Exception as e:
        check(False, "%r, not %s" % (e, kind))
        return ""
    check(False, "%s is not raised by %r" % (kind, f))
    return ""


class Server(object):
    """The program in C."""

    def __init__(self, address="tcp://127.0.0.1:0", *words):
        command = [program, address, binascii.hexlify(KEY).decode()] + list(words)
        self.p = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.address = self.line()

    def line(self):
        return self.p.stdout.readline().decode().strip()

    def ask(self, line):
        self.p.stdin.write((line + "\n").encode())
        self.p.stdin.flush()
        return self.line()

    def until(self, line, want):
        """Ask until it answers so; False: it does not."""
        for _ in range(500):
            if self.ask(line) == want:
                return True
            time.sleep(0.01)
        return False

    def place(self):
        if self.address.startswith("unix:"):
            return str(self.address[5:])  # Python 2 wants no unicode
        host, port = self.address[6:].rsplit(":", 1)
        return (host, int(port))

    def end(self):
        self.p.stdin.close()
        code = self.p.wait()
        self.p.stdout.close()
        same(code, 0, "the program ends")


class Manager(BaseManager):
    pass


for name in ["get_tasks", "get_results", "get_narrow", "Ruler", "nothing_such"]:
    Manager.register(name)


class Sync(SyncManager):
    pass


for name in ["LifoQueue", "PriorityQueue"] + ["set"] * (sys.version_info < (3, 14)):
    Sync.register(name)


def connect(server, key=KEY, kind=Manager):
    m = kind(server.place(), authkey=key)
    m.connect()
    return m


# --- cases ------------------------------------------------------------------------------------------


def queues():
    """A queue of the C program, with all its methods."""
    server = Server()
    m = connect(server)
    q = m.get_tasks()
    same(q.empty(), True, "empty")
    same(q.qsize(), 0, "qsize")
    raises(Empty, q.get_nowait)
    raises(Empty, q.get, False)
    raises(Empty, q.get, timeout=0.05)
    raises(Empty, q.get, block=True, timeout=0)
    for item in [1, -1, 2 ** 70, "text", b"bytes", None, [1, (2, {3: 4})], 1.5, True,
                 set([1, 2]), frozenset([3]), "\u00e9\u20ac", complex(1, 2), bytearray(b"x"),
                 ValueError("kept"), {}, "x" * 100000, b"\0" * 70000]:
        q.put(item)
        same(q.qsize(), 1, "qsize")
        got = q.get()
        if isinstance(item, Exception):
            same((type(got), got.args), (type(item), item.args), "an exception")
        else:
            same(got, item, "an item")
    q.put(item="by name", block=False)
    q.put_nowait("second")
    q.put("third", True, 1.0)
    same([q.get(), q.get(True), q.get(block=True, timeout=5)], ["by name", "second", "third"],
         "in order")
    same(server.ask("put 42"), "done", "C puts")
    same(q.get(timeout=10), 42, "Python gets")
    r = m.get_results()
    r.put("7 * 7 = 49")
    same(server.ask("take"), "'7 * 7 = 49'", "C takes")
    q.task_done()
    q.join()
    narrow = m.get_narrow()
    narrow.put(1)
    same(narrow.full(), False, "not full")
    narrow.put(2)
    same(narrow.full(), True, "full")
    raises(Full, narrow.put, 3, False)
    raises(Full, narrow.put_nowait, 3)
    raises(Full, narrow.put, 3, timeout=0.05)
    check("non-negative" in raises(ValueError, narrow.put, 3, True, -1), "a timeout below 0")
    check("unexpected" in raises(TypeError, narrow.put, 3, blok=True), "no such parameter")
    check("missing" in raises(TypeError, narrow.put), "one is missing")
    check("multiple" in raises(TypeError, narrow.put, 3, item=3), "given twice")
    check("takes" in raises(TypeError, narrow.put, 1, 2, 3, 4), "too many")
    check("Queue" in str(q), "str(): %s" % q)
    server.end()


def control():
    """What a manager is asked beside."""
    server = Server()
    m = connect(server)
    same(server.ask("stat objects"), "0", "nothing is referred to")
    q = m.get_tasks()
    other = m.get_tasks()
    same(q._token.id, other._token.id, "the same object")
    same(m._number_of_objects(), 1, "number_of_objects")
    check("refcount=2" in m._debug_info(), "debug_info: %s" % m._debug_info())
    other = None
    check("refcount=1" in m._debug_info(), "debug_info: %s" % m._debug_info())
    q = None
    same(m._number_of_objects(), 0, "number_of_objects")
    check("nothing_such" in raises(RemoteError, m.nothing_such), "not shared")
    check("no arguments" in raises(RemoteError, m.get_tasks, 1), "arguments")
    raises(AuthenticationError, connect, server, b"another key, 16.")
    same(server.ask("stat wrong_key"), "1", "counted")
    q = m.get_tasks()
    check("exposed" in raises(RemoteError, q._callmethod, "__class__"), "no such method")
    raises(RemoteError, q._callmethod, "nothing")
    same(q.qsize(), 0, "it goes on")
    server.end()


def waiting():
    """A get that waits is woken by a put, from C and from another client; nine threads at once."""
    server = Server()
    m = connect(server)
    got = []

    def wait():
        got.append(m.get_tasks().get(timeout=20))

    t = threading.Thread(target=wait)
    t.start()
    check(server.until("stat waiting", "1"), "it waits")
    server.ask("put 5")
    t.join()
    same(got, [5], "C wakes it")
    threads = [threading.Thread(target=wait) for _ in range(9)]
    for t in threads:
        t.start()
    check(server.until("stat waiting", "9"), "nine wait")
    q = m.get_tasks()
    for i in range(9):
        q.put(i)
    for t in threads:
        t.join()
    same(sorted(got[1:]), list(range(9)), "each has one")
    narrow = m.get_narrow()
    narrow.put(0)
    narrow.put(1)

    def put():
        m.get_narrow().put(2, timeout=20)

    t = threading.Thread(target=put)
    t.start()
    check(server.until("stat waiting", "1"), "a put waits")
    same(narrow.get(), 0, "a place")
    t.join()
    same([narrow.get(), narrow.get()], [1, 2], "in order")
    server.ask("close")
    raises(EOFError, q.get)
    raises(EOFError, q.put, 1)
    server.end()


def forked(f):
    """A process of its own that does f() and is gone without a farewell."""
    pid = os.fork()
    if pid == 0:
        try:
            util._run_after_forkers()  # no connection of the parent's
            f()
        finally:
            os._exit(1)
    return pid


def vanish(server):

    def get():
        connect(server).get_tasks().get()

    pid = forked(get)
    check(server.until("stat waiting", "1"), "it waits")
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    check(server.until("stat waiting", "0"), "it waits no more")
    server.ask("put 7")
    same(server.ask("tasks"), "1", "it is there")
    same(connect(server).get_tasks().get(timeout=5), 7, "for the next")

    pid = forked(get)
    check(server.until("stat waiting", "1"), "it waits")
    os.kill(pid, signal.SIGSTOP)
    server.ask("put 8")
    server.ask("put 9")
    check(server.until("tasks", "1"), "it has been given one")
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    check(server.until("tasks", "2"), "it is back")
    q = connect(server).get_tasks()
    same([q.get(timeout=5), q.get(timeout=5)], [8, 9], "before the others")
    same(server.ask("stat returned"), "1", "counted")
    server.end()


def vanished():
    """What a client that is killed had waited for, or had not read, is not lost."""
    directory = tempfile.mkdtemp()
    vanish(Server())
    vanish(Server("unix:" + os.path.join(directory, "x")))
    os.rmdir(directory)


def shut_down():
    """A client can ask for the end."""
    server = Server()
    m = connect(server)
    m.get_tasks().put(1)
    from multiprocessing.connection import Client
    from multiprocessing.managers import dispatch
    c = Client(server.place(), authkey=KEY)
    same(dispatch(c, None, "shutdown"), None, "shutdown")
    c.close()
    same(server.line(), "ended", "it ends")
    same(server.p.wait(), 0, "in order")
    server.p.stdin.close()
    server.p.stdout.close()


def objects():
    """Objects that are written in C."""
    for words in [(), ("pool", "processes:1"), ("pool", "threads:2")]:
        if quick and words[1:] == ("threads:2",):
            continue
        server = Server("tcp://127.0.0.1:0", *words)
        m = connect(server)
        r = m.Ruler()
        same(r.scale(2), 5.0, "by position")
        same(r.scale(x=2.0, times=3), 15.0, "by name")
        same(r.scale(2, times=2), 10.0, "both")
        same(r.label("a"), "a", "defaults")
        same(r.label("a", True, "?"), "a!?", "no defaults")
        same(r.label("a", suffix=None), "a", "None where it is the default")
        same(r.calls(), 3, "it remembers")
        for v in [None, 1, "x", [1, [2]], {"a": (1, 2)}, 2 ** 100]:
            same(r.same(v), v, "a value there and back")
        same(raises(ValueError, r.scale, -1.5), "-1.5 is below 0", "its own exception")
        check("x must be float" in raises(TypeError, r.scale, "2"), "of a wrong kind")
        check("missing" in raises(TypeError, r.scale), "missing")
        check("64 bits" in raises(TypeError, r.scale, 1, 2 ** 64), "too big an int")
        raises(TypeError, r.label, None)
        raises(IOError if PY2 else OSError, r.lost) if not PY2 else raises(OSError, r.lost)
        check("did not answer" in raises(RuntimeError, r.silent), "no answer")
        check("does not have" in raises(RuntimeError, r.mistaken, 1), "a mistake")
        same(r.calls(), 4, "nothing was called in vain")
        pid = r.process()
        same(pid != server.p.pid, words[1:] == ("processes:1",), "where it runs")
        if words[1:] == ("processes:1",):
            check("9" in raises(RuntimeError, r.crash), "a worker dies")
            same(r.scale(1), 2.5, "and another comes")
        server.end()


def nothing_left(server):
    gc.collect()  # an exception and the frame that raised it refer to each other
    check(server.until("stat objects", "0"), "all objects are gone")
    same(server.ask("stat memory"), "0", "and their memory")


def kinds(server):
    return connect(server, kind=Sync)


def queue_kinds():
    """Queue, JoinableQueue, LifoQueue, PriorityQueue."""
    server = Server()
    m = kinds(server)
    q = m.Queue(2)
    q.put(1)
    q.put("two")
    same((q.qsize(), q.empty(), q.full()), (2, False, True), "sizes")
    raises(Full, q.put, 3, False)
    raises(Full, q.put, 3, timeout=0.02)
    same([q.get(), q.get()], [1, "two"], "in order")
    raises(Empty, q.get_nowait)
    raises(Empty, q.get, timeout=0.02)
    raises(ValueError, q.get, timeout=-1)
    got = []
    t = threading.Thread(target=lambda: got.append(q.get(timeout=20)))
    t.start()
    check(server.until("stat waiting", "1"), "it waits")
    q.put("now")
    t.join()
    same(got, ["now"], "it is woken")
    j = m.JoinableQueue()
    j.put(1)
    j.put(2)
    t = threading.Thread(target=j.join)
    t.start()
    check(server.until("stat waiting", "1"), "join waits")
    j.get()
    j.task_done()
    same(server.ask("stat waiting"), "1", "still")
    j.get()
    j.task_done()
    t.join()
    check("too many" in raises(ValueError, j.task_done), "once too often")
    lifo = m.LifoQueue()
    for i in range(3):
        lifo.put(i)
    same([lifo.get() for _ in range(3)], [2, 1, 0], "the last first")
    p = m.PriorityQueue()
    for v in [(3, "c"), (1, "z"), (2, "b"), (1, "a"), (1.5, "x")]:
        p.put(v)
    same([p.get() for _ in range(5)], [(1, "a"), (1, "z"), (1.5, "x"), (2, "b"), (3, "c")],
         "the smallest first")
    p.put(2 ** 80)
    p.put(-(2 ** 80))
    p.put(5)
    same([p.get() for _ in range(3)], [-(2 ** 80), 5, 2 ** 80], "large ones")
    p.put(1)
    check("'<'" in raises(TypeError, p.put, "text"), "no order")
    same(p.qsize(), 1, "and not put")
    if hasattr(__import__("queue", fromlist=["x"]) if not PY2 else None, "ShutDown"):
        from queue import ShutDown
        q._callmethod("shutdown")
        raises(ShutDown, q.put, 1)
        raises(ShutDown, q.get)
    q = j = lifo = p = None
    nothing_left(server)
    server.end()


def in_thread(f, *args):
    """What f returns in a thread, whose connection is its own."""
    got = []
    t = threading.Thread(target=lambda: got.append(f(*args)))
    t.start()
    return t, got


def syncs():
    """Event, locks, semaphores, Condition, Barrier."""
    server = Server()
    m = kinds(server)
    e = m.Event()
    same(e.is_set(), False, "not set")
    check(not e.wait(0.02), "a wait that ends")
    t, got = in_thread(e.wait, 20)
    check(server.until("stat waiting", "1"), "it waits")
    e.set()
    t.join()
    same((got, e.is_set()), ([True], True), "set")
    e.clear()
    same(e.is_set(), False, "cleared")

    lock = m.Lock()
    same(lock.acquire(), True, "acquire")
    same(lock.acquire(False), False, "not twice")
    raises(RuntimeError, m.Lock().release)
    t, got = in_thread(lambda: (lock.acquire(), lock.release()))
    check(server.until("stat waiting", "1"), "it waits")
    lock.release()
    t.join()
    same(got, [(True, None)], "it has it")
    with lock:
        check(not lock.acquire(False), "with")
    r = m.RLock()
    same([r.acquire(), r.acquire()], [True, True], "again")
    t, got = in_thread(r.acquire, False)
    t.join()
    same(got, [False], "but not another")
    t, got = in_thread(lambda: raises(RuntimeError, r.release))
    t.join()
    r.release()
    r.release()
    raises(RuntimeError, r.release)

    s = m.Semaphore(2)
    same([s.acquire(), s.acquire(), s.acquire(False)], [True, True, False], "two")
    t, got = in_thread(s.acquire)
    check(server.until("stat waiting", "1"), "it waits")
    s.release()
    t.join()
    same(got, [True], "it has one")
    b = m.BoundedSemaphore(1)
    check("too many" in raises(ValueError, b.release), "bounded")

    c = m.Condition()
    raises(RuntimeError, c.notify)

    def wait(seconds):
        with c:
            return c.wait(seconds)

    same(not wait(0.02), True, "a wait that ends")
    waits = [in_thread(wait, 20) for _ in range(3)]
    check(server.until("stat waiting", "3"), "three wait")
    with c:
        c.notify()
    check(server.until("stat waiting", "2"), "one is notified")
    with c:
        c.notify_all()
    for t, got in waits:
        t.join()
        check(got == [True] or (PY2 and got == [None]) or got == [True], "notified: %r" % got)
    shared = m.Lock()
    c = m.Condition(shared)
    t, got = in_thread(wait, 20)
    check(server.until("stat waiting", "1"), "it waits")
    same(shared.acquire(False), True, "and has let the lock go")
    c.notify()
    shared.release()
    t.join()
    same(got, [True], "notified")

    if hasattr(m, "Barrier"):
        barrier = m.Barrier(3)
        same((barrier.parties, barrier.n_waiting, barrier.broken), (3, 0, False), "a barrier")
        waits = [in_thread(barrier.wait, 20) for _ in range(2)]
        check(server.until("stat waiting", "2"), "two wait")
        places = [barrier.wait(20)]
        for t, got in waits:
            t.join()
            places += got
        same(sorted(places), [0, 1, 2], "all pass")
        t, got = in_thread(lambda: raises(threading.BrokenBarrierError, barrier.wait, 20))
        check(server.until("stat waiting", "1"), "one waits")
        barrier.abort()
        t.join()
        same(barrier.broken, True, "broken")
        raises(threading.BrokenBarrierError, barrier.wait)
        barrier.reset()
        same(barrier.broken, False, "reset")
        raises(threading.BrokenBarrierError, barrier.wait, 0.02)
    server.end()


def lists():
    """list and Array, beside a list of this Python's."""
    server = Server()
    m = kinds(server)
    real, far = list(range(10)), m.list(range(10))
    for i in [0, 5, -1, -10, slice(2, 5), slice(None), slice(None, None, -1), slice(8, 1, -3),
              slice(-3, None), slice(20, 30), slice(5, 2)]:
        same(far[i], real[i], "far[%r]" % (i,))
    for l in real, far:
        l.append("x")
        l.extend(["y", ("z", 1)])
        l.insert(0, None)
        l.insert(-1, 2.5)
        l.insert(100, {"a": [1]})
        l[3] = b"bytes"
        l[1:3] = ["new", "ones", "three"]
        l[::4] = ["s"] * len(l[::4])
        del l[2]
        del l[-4:-2]
        l.remove("x" if "x" in l else l[0])
        l.reverse()
    same(far[:], real, "the same")
    same(len(far), len(real), "len")
    same([far.pop(), far.pop(0), far.pop(-2)], [real.pop(), real.pop(0), real.pop(-2)], "pop")
    same(far.count("s"), real.count("s"), "count")
    same(far.index("s"), real.index("s"), "index")
    same("s" in far, True, "in")
    same("nothing" in far, False, "not in")
    same(far + [1], real + [1], "+")
    same(far * 2, real * 2, "*")
    same(2 * far, 2 * real, "*")
    same(list(reversed(far)), list(reversed(real)), "reversed")
    far += ["more"]
    real += ["more"]
    same(far[:], real, "+=")
    far *= 2
    real *= 2
    same(far[:], real, "*=")
    check("out of range" in raises(IndexError, lambda: far[100]), "IndexError")
    raises(IndexError, far.__setitem__, 100, 1)
    raises(IndexError, m.list().pop)
    raises(ValueError, far.remove, "nothing")
    raises(ValueError, far.index, "nothing")
    raises(ValueError, far.__setitem__, slice(0, 4, 2), [1])
    raises(TypeError, far.extend, 5)
    raises(TypeError, lambda: far["x"])
    n = m.list([3, 1, 2, 1.5, -1])
    n.sort()
    same(n[:], [-1, 1, 1.5, 2, 3], "sort")
    n.sort(reverse=True)
    same(n[:], [3, 2, 1.5, 1, -1], "the other way")
    same(str(n._getvalue()), str([3, 2, 1.5, 1, -1]), "_getvalue")
    w = m.list([("b", 1), ("a", 2), ("a", 1)])
    w.sort()
    same(w[:], [("a", 1), ("a", 2), ("b", 1)], "sort tuples")
    check(len(repr(far)) > 0, "repr")
    a = m.Array("i", [1, 2, 3])
    a[1] = 20
    same([a[0], a[1], a[-1], len(a)], [1, 20, 3, 3], "an Array")
    raises(TypeError, a.__setitem__, 0, "x")
    raises(OverflowError, a.__setitem__, 0, 2 ** 31)
    raises(IndexError, lambda: a[3])
    if not PY2:
        same(list(a[0:2]), [1, 20], "a part of it")
    far = n = w = a = l = None
    nothing_left(server)
    server.end()


def dicts():
    """dict, set, Namespace, Value and iterators."""
    server = Server()
    m = kinds(server)
    real, far = {"a": 1, 2: "b", (1, "t"): [3]}, m.dict({"a": 1, 2: "b", (1, "t"): [3]})
    for d in real, far:
        d["new"] = None
        d[1.5] = 2 ** 70
        d["a"] = "other"
        del d[2]
        d.update({"u": 1}, v=2)
        d.update([("w", 3)])
        d.setdefault("a", 9)
        d.setdefault("b", 10)
    same(far.copy(), real, "copy")
    same(sorted(map(str, far.keys())), sorted(map(str, real.keys())), "keys")
    same(sorted(map(str, far.values())), sorted(map(str, real.values())), "values")
    same(dict(far.items()), real, "items")
    same((len(far), "a" in far, "zz" in far, 1.5 in far), (len(real), True, False, True), "in")
    same([far.get("a"), far.get("zz"), far.get("zz", 5)], ["other", None, 5], "get")
    same([far.pop("a"), far.pop("zz", 7)], [real.pop("a"), 7], "pop")
    same(raises(KeyError, lambda: far["zz"]), "'zz'", "KeyError")
    raises(KeyError, far.pop, "zz")
    raises(KeyError, far.__delitem__, "zz")
    check("unhashable" in raises(TypeError, far.__setitem__, [], 1), "unhashable")
    if not PY2:
        same(sorted(map(str, far)), sorted(map(str, real)), "iter")
        i = iter(far)
        for _ in range(len(real)):
            next(i)
        raises(StopIteration, next, i)
        i = None
    for k in range(1000):
        far[k] = k
    for k in range(0, 1000, 2):
        del far[k]
    same([far[k] for k in (1, 501, 999)], [1, 501, 999], "many")
    same(len(far), len(real) + 500, "many")
    if sys.version_info >= (3, 14):
        same(far | {"x": 1}, dict(far.copy(), x=1), "|")
    k, v = far.popitem()
    same(k in far, False, "popitem")
    far.clear()
    same(far.copy(), {}, "clear")
    raises(KeyError, far.popitem)
    same(m.dict(a=1).copy(), {"a": 1}, "by keywords")
    s = m.set([1, 2])
    if sys.version_info < (3, 14):
        s.add(3)
        s.add(3)
        s.discard(9)
        same(s.copy(), set([1, 2, 3]), "a set")
        raises(KeyError, s.remove, 9)
        s.remove(1)
        same(s._callmethod("__len__"), 2, "its length")
    n = m.Namespace(a=1)
    n.b = [2]
    same((n.a, n.b), (1, [2]), "a Namespace")
    del n.a
    raises(AttributeError, lambda: n.a)
    v = m.Value("i", 5)
    v.value += 1
    same(v.value, 6, "a Value")
    far = s = n = v = d = None
    nothing_left(server)
    server.end()


class Custom(object):
    def __init__(self, x):
        self.x = x


def nested():
    """Proxies in values, and classes that C does not know."""
    server = Server()
    m = kinds(server)
    q = m.Queue()
    q.put(Custom([1, 2]))
    got = q.get()
    same((type(got), got.x), (Custom, [1, 2]), "an own class")
    outer, inner = m.list(), m.list([1, 2])
    outer.append(inner)
    again = outer[0]
    same(again[:], [1, 2], "a proxy in a list")
    again.append(3)
    same(inner[:], [1, 2, 3], "is the same object")
    ident = inner._token.id
    inner = again = None
    same(outer[0][:], [1, 2, 3], "it stays for the list's sake")
    del outer[0]
    check(ident not in server_info(m), "and goes with it")
    q = outer = None
    nothing_left(server)
    server.end()


def server_info(m):
    return m._debug_info()


def owners_gone():
    """What a client that is killed had locked is free; who waited at a barrier breaks it."""
    server = Server()
    m = kinds(server)
    lock, rlock, q = m.Lock(), m.RLock(), m.Queue()
    pipe = os.pipe()

    def hold():
        lock.acquire()
        rlock.acquire()
        rlock.acquire()
        os.write(pipe[1], b"x")
        time.sleep(100)

    pid = forked(hold)
    os.read(pipe[0], 1)
    same((lock.acquire(False), rlock.acquire(False)), (False, False), "held")
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    same((lock.acquire(), rlock.acquire()), (True, True), "free again")
    os.close(pipe[0])
    os.close(pipe[1])

    pid = forked(q.get)
    check(server.until("stat waiting", "1"), "it waits")
    os.kill(pid, signal.SIGSTOP)
    q.put("first")
    q.put("second")
    check(server.until("stat waiting", "0"), "it has been given one")
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    check(server.until("stat returned", "1"), "it is back")
    same([q.get(), q.get()], ["first", "second"], "before the others")
    server.end()


def killed_workers():
    """Workers that are killed in the middle of their work lose no task but the one in hand."""
    server = Server()
    m = connect(server)
    tasks, results = m.get_tasks(), m.get_results()
    n, kills, got = 200, 0, []
    for i in range(n):
        tasks.put(i)

    def work():
        w = connect(server)
        t, r = w.get_tasks(), w.get_results()
        while True:
            r.put(t.get(timeout=100))

    workers = [forked(work) for _ in range(3)]
    try:
        while True:
            got.append(results.get(timeout=1))
            if len(got) % 20 == 0:
                pid = workers.pop(0)
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                kills += 1
                workers.append(forked(work))
    except Empty:
        pass
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    same(server.ask("tasks"), "0", "no task is left")
    same(len(set(got)), len(got), "none is done twice")
    check(n - len(got) <= kills, "%d of %d are lost by %d kills" % (n - len(got), n, kills))
    check(kills >= 5, "there was work to do")
    check(server.until("stat waiting", "0"), "nobody waits")
    server.end()


def limits():
    """No more memory, and no more clients, than the server gives."""
    server = Server("tcp://127.0.0.1:0", "small")
    m = kinds(server)
    l = m.list()
    l.append("x" * 500000)
    raises(MemoryError, l.append, "x" * 600000)
    same(len(l), 1, "it goes on")
    del l[0]
    l.append("x" * 600000)
    from multiprocessing.connection import Client
    more = []
    for _ in range(12):
        try:
            more.append(Client(server.place(), authkey=KEY))
        except (EOFError, IOError, OSError):
            pass
    check(server.until("stat refused", str(12 - 7)), "five are refused")
    for c in more:
        c.close()
    check(server.until("stat clients", "1"), "the others go")
    same(len(l), 1, "it goes on")
    server.end()


def nonsense():
    """What is no request is answered, or hung up on; and others do not notice."""
    from multiprocessing.connection import Client
    server = Server()
    m = kinds(server)
    l = m.list([1])
    for message in [b"", b"x", b"\x80\x02N.", b"\x80\x02(NNNt.", b"\x80\x02(NNNNt.",
                    b"\x80\x02(NX\x04\0\0\0haha)}t.", b"\x80\x02(NX\x06\0\0\0incref)}t.",
                    b"\x80\x02(NX\x06\0\0\0create)}t."] + [b"\x80\x04\x95" + b"\xff" * 8] * (not PY2):
        c = Client(server.place(), authkey=KEY)
        c.send_bytes(message)
        same(c.recv()[0], "#TRACEBACK", repr(message))
        raises(EOFError, c.recv)
        c.close()
    c = Client(server.place(), authkey=KEY)
    c.send((None, "accept_connection", ("name",), {}))
    same(c.recv(), ("#RETURN", None), "for calls")
    for request in [None, (1, 2, 3), ("0" * 16, "put", (), {}), (l._token.id, "haha", (), {}),
                    (l._token.id, 5, (), {}), (l._token.id, "append", 5, {})]:
        c.send(request)
        same(c.recv()[0], "#TRACEBACK", repr(request))
    c.send((l._token.id, "append", (2,), {}))
    same(c.recv(), ("#RETURN", None), "it goes on")
    c.send_bytes(b"\x80\x02")
    same(c.recv()[0], "#TRACEBACK", "cut")
    c.close()
    same(l[:], [1, 2], "others do not notice")
    server.end()


def main():
    current_process().authkey = KEY
    cases = [queues, control, waiting, vanished, shut_down, objects, queue_kinds, syncs, lists,
             dicts, nested, owners_gone, killed_workers, limits, nonsense]
    for f in cases:
        if wanted and f.__name__ not in wanted:
            continue
        try:
            f()
        except Exception:
            traceback.print_exc()
            check(False, f.__name__)
    print("manager: %d checks, %d passed" % (checks, checks - failures))
    return failures != 0


if __name__ == "__main__":
    sys.exit(main())
