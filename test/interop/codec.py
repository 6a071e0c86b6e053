"""Values there and back between this Python and C: each is pickled here in every protocol that this
version has, goes through the program codec (codec.c), which decodes and encodes it, and must be the
same again.

    pythonX.Y codec.py PROGRAM [quick]

It runs under Python 2.7 and 3.x.  The last line is "codec: N values, N passed".
"""

from __future__ import print_function, unicode_literals

import array
import collections
import copy
import datetime
import decimal
import fractions
import functools
import json
import math
import pickle
import random
import struct
import subprocess
import sys
import uuid

try:
    import builtins as builtins_
except ImportError:
    import __builtin__ as builtins_

PY2 = sys.version_info[0] == 2
HIGHEST = min(pickle.HIGHEST_PROTOCOL, 5)
PICKLE, JSON, REPR = 0, 16, 17
EBADMSG, ELOOP, MISMATCH = -74, -40, -1001

if PY2:
    unichr_, text, long_ = unichr, unicode, long  # noqa: F821
    try:
        import cPickle as pickle  # noqa: F811
    except ImportError:
        pass
else:
    unichr_, text, long_ = chr, str, int


# --- classes that C does not know -----------------------------------------------------------------


class Old:  # in Python 2 a class of the old kind
    def __init__(self, x=0):
        self.x = x


class WithInit:
    def __init__(self, x, y):
        self.x, self.y = x, y

    def __getinitargs__(self):
        return (self.x, self.y)


class New(object):
    def __init__(self, **attributes):
        self.__dict__.update(attributes)


class Slots(object):
    __slots__ = ("a", "b")


class NewArgs(object):
    def __new__(cls, a, b):
        self = object.__new__(cls)
        self.args = (a, b)
        return self

    def __getnewargs__(self):
        return self.args


class KeywordArgs(object):
    def __new__(cls, a, b=None):
        self = object.__new__(cls)
        self.args = (a, b)
        return self

    def __getnewargs_ex__(self):
        return (self.args[0],), {"b": self.args[1]}


class SetState(object):
    def __getstate__(self):
        return [self.value, "state"]

    def __setstate__(self, state):
        self.value = state[0]


class MyList(list):
    pass


class MyDict(dict):
    pass


class MySet(set):
    pass


class MyInt(int):
    pass


class MyText(text):
    pass


class MyError(ValueError):
    def __init__(self, message, code=7):
        ValueError.__init__(self, message)
        self.code = code


class Outer(object):
    class Inner(object):
        def __init__(self):
            self.inner = 1


def set_later(obj, state):
    obj.later = state


class StateSetter(object):
    def __reduce__(self):
        return StateSetter, (), [1, 2, 3], None, None, set_later


class Hostile(object):
    """Would write a file when it is loaded; C must not."""

    def __reduce__(self):
        return (open, ("/nonexistent/hostile", "w"))


Point = collections.namedtuple("Point", "x y")


# --- comparing -------------------------------------------------------------------------------------


def same(a, b, seen=None):
    """Equal, and of the same types, all the way down; with sharing as it was.  Iterative."""
    todo = [(a, b)]
    seen = {}
    while todo:
        a, b = todo.pop()
        if id(a) in seen or isinstance(a, (list, dict, New)):
            if seen.setdefault(id(a), id(b)) != id(b):
                return "sharing differs at %r" % (type(a),)
            if id(a) in seen and seen.get((id(a), "done")):
                continue
            seen[(id(a), "done")] = True
            seen[(id(a), "alive")] = (a, b)
        types = {type(a), type(b)}
        if len(types) > 1 and not (PY2 and types <= {str, text} | {int, long_}):
            return "types differ: %r, %r" % (type(a), type(b))
        if isinstance(a, float):
            if struct.pack(">d", a) != struct.pack(">d", b) and not (a != a and b != b):
                return "floats differ: %r, %r" % (a, b)
        elif isinstance(a, (list, tuple)):
            if len(a) != len(b):
                return "lengths differ: %d, %d" % (len(a), len(b))
            todo.extend(zip(a, b))
        elif isinstance(a, dict):
            if len(a) != len(b):
                return "lengths differ: %d, %d" % (len(a), len(b))
            if all(isinstance(k, (text, str, int, bytes, tuple)) for k in a):
                for key in a:
                    if key not in b:
                        return "a key is missing: %r" % (key,)
                    todo.append((a[key], b[key]))
            else:
                todo.extend(zip(a.items(), b.items()))
        elif isinstance(a, BaseException):
            todo.append((a.args, b.args))
        elif isinstance(a, type):
            if a is not b:
                return "classes differ: %r, %r" % (a, b)
        elif isinstance(a, (functools.partial,)):
            todo.append(((a.func, a.args, a.keywords), (b.func, b.args, b.keywords)))
        elif not isinstance(a, (text, bytes, int, long_, set, frozenset, bytearray)):
            if PY2 and isinstance(a, xrange):  # noqa: F821
                a, b = list(a), list(b)
            own = getattr(type(a), "__eq__", None) is not getattr(object, "__eq__", None)
            if own and not isinstance(a, (Old, WithInit, New, Slots, NewArgs, SetState)):
                if a != b:
                    return "not equal: %r, %r" % (a, b)
        elif a != b:
            return "not equal: %.80r, %.80r" % (a, b)
        if hasattr(a, "__dict__") and not isinstance(a, type) and not callable(a):
            todo.append((vars(a), vars(b)))
        for slot in getattr(type(a), "__slots__", ()):
            if isinstance(a, Slots):
                todo.append((getattr(a, slot, None), getattr(b, slot, None)))
    return None


# --- values -----------------------------------------------------------------------------------------


def plain():
    """What C knows, and Python's repr shows as C does."""
    yield ([None, True, False, 0, 1, -1, 255, 256, 65535, 65536, -128, -129, -32768])
    for bits in (31, 32, 63, 64, 65, 127, 128, 1000, 2039, 2040, 2041, 8000):
        for x in (1 << bits, (1 << bits) - 1, -(1 << bits), -(1 << bits) - 1, 1 - (1 << bits)):
            yield x
    yield 10 ** 4000
    yield ([0.0, -0.0, 1.0, 1e16, 1e15, 1e-4, 1e-5, 0.1, 5e-324, 1.7976931348623157e308])
    yield ([float("inf"), -float("inf"), 1 / 3.0, 2.0 ** 70, 123456789.125, 1e22, 1e23])
    random.seed(1)
    yield [struct.unpack("<d", struct.pack("<Q", random.getrandbits(64) >> 1))[0] for _ in range(99)]
    yield ""
    yield "abc"
    yield "it's \"quoted\" \\ \n\r\t\0\x7f"
    yield "\xe9\u20ac\U0001f600 and more"
    yield "x" * 255
    yield "y" * 256
    yield "\xe9" * 200
    yield []
    yield ()
    yield {}
    yield [1, [2, [3, [4]]]]
    yield (1,)
    yield (1, 2)
    yield (1, 2, 3)
    yield (1, 2, 3, 4)
    yield {"a": 1, "b": [1, 2], "c": {"d": None}}
    yield {1: "int", "1": "text", (1, "1"): "tuple"}
    yield list(range(2500))


def others():
    """What C knows, and its repr shows otherwise in some version."""
    yield b""
    yield b"bytes \x00\xff\x80 it's"
    yield bytes(bytearray(range(256)))
    yield b"x" * 255
    yield b"x" * 256
    yield b"\xff" * 70000
    yield bytearray()
    yield bytearray(b"array \x00\xff")
    yield bytearray(b"a" * 300)
    yield set()
    yield {1, 2.5, "three", (4, 5)}
    yield frozenset()
    yield frozenset({1, frozenset({2, frozenset()})})
    yield {frozenset({1}): {1}, (frozenset({2}), 3): None}
    yield set(range(1200))
    yield {i: str(i) for i in range(3000)}
    yield {text(i): i for i in range(3000)}
    yield float("nan")
    yield "a lone surrogate: " + unichr_(0xD800)
    yield [unichr_(0xDFFF), unichr_(0xDC80) + "x"]
    yield ["x" * 70000, b"y" * 70000]
    shared = [1]
    yield [shared, shared, {"again": shared}]
    word = "the same word"
    yield [word, word, [word]]
    yield (shared, (shared,), {"k": (shared,)})
    array_ = bytearray(b"shared")
    yield [array_, array_]
    yield [set, frozenset, dict, len, collections.OrderedDict, math.sqrt]


def classes():
    yield Old(5)
    yield WithInit(1, "two")
    yield New(a=1, b="two", c=[New(d=None)])
    yield New()
    s = Slots()
    s.a = [1]
    yield s
    yield NewArgs(1, "b")
    yield SetState_(9)
    yield MyList([1, 2, 3])
    yield MyDict(a=1, b=2)
    yield MySet([1, "two"])
    yield MyInt(7)
    yield MyText("text")
    items = MyList([1, [2]])
    items.extra = "attribute"
    yield items
    yield collections.OrderedDict([("z", 1), ("a", 2), ("m", [3])])
    d = collections.defaultdict(list)
    d["k"].append(1)
    yield d
    yield collections.Counter("hello")
    yield collections.deque([1, 2, 3], 5)
    yield Point(1, "y")
    yield decimal.Decimal("1.5e-10")
    yield fractions.Fraction(3, 7)
    yield datetime.datetime(2020, 2, 29, 12, 30, 1, 999999)
    yield datetime.timedelta(3, 4, 5)
    yield datetime.date(1999, 12, 31)
    yield complex(1.5, -2)
    yield uuid.UUID(int=12345)
    yield array.array(str("i"), [1, -2, 3])
    if PY2:
        yield xrange(3)  # noqa: F821
    else:
        yield range(1, 10, 3)
        yield slice(1, None, 3)
        yield KeywordArgs(1, b="two")
        yield Outer.Inner()
        yield Outer.Inner
        yield functools.partial(int, base=16)
        import enum

        yield enum.Enum("Colour", "RED GREEN", module=__name__)
    if sys.version_info >= (3, 8):
        yield StateSetter_()
    yield ValueError("a", 1)
    yield KeyError("missing")
    yield MyError("mine")
    if not PY2:
        yield TimeoutError("x")
        yield [ConnectionResetError("gone"), FileNotFoundError("f")]
        yield ModuleNotFoundError("m")
        yield RecursionError("r")
        yield [TimeoutError, ModuleNotFoundError]
    yield StopIteration()
    yield UnicodeDecodeError(str("utf-8"), b"\xff", 0, 1, str("why"))
    try:
        open("/nonexistent/file")
    except EnvironmentError as e:
        yield e
    error = RuntimeError("with attributes")
    error.attribute = [1, 2]
    yield error
    try:
        from queue import Empty, Full
    except ImportError:
        from Queue import Empty, Full
    yield [Empty(), Full()]
    if hasattr(ValueError, "add_note"):
        error = ValueError("noted")
        error.add_note("see here")
        yield error


def SetState_(x):
    s = SetState()
    s.value = x
    return s


def StateSetter_():
    s = StateSetter()
    s.later = [1, 2, 3]
    return s


def cycles():
    """Values that contain themselves, with what must be so afterwards."""
    a = []
    a.append(a)
    yield a, lambda x: x[0] is x
    d = {}
    d["self"] = d
    yield d, lambda x: x["self"] is x
    a = []
    t = (a, 1)
    a.append(t)
    yield t, lambda x: x[0][0] is x and x[1] == 1
    yield a, lambda x: x[0][0] is x
    b, c = [], []
    t = (b, c)
    b.append(t)
    c.append(t)
    yield t, lambda x: x[0][0] is x and x[1][0] is x
    n = New()
    n.me = n
    yield n, lambda x: x.me is x
    n = New()
    n.keys = {n: "n"}
    yield n, lambda x: list(x.keys) == [x]
    n = New(items=[])
    n.items.append((n, n.items))
    yield n, lambda x: x.items[0][0] is x and x.items[0][1] is x.items
    e = ValueError("x")
    e.cause = [e]
    yield e, lambda x: x.cause[0] is x
    m = MyList()
    m.append(m)
    yield m, lambda x: x[0] is x
    lists = [[] for _ in range(40)]
    t = tuple(lists)
    for one in lists:
        one.append(t)
    yield t, lambda x: all(one[0] is x for one in x)


# --- the program --------------------------------------------------------------------------------------


class Codec(object):
    def __init__(self, program):
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __call__(self, to, data, format=PICKLE):
        """Return what the program encodes, or a negative number and why."""
        p = self.process
        p.stdin.write(struct.pack("<BBI", format, to, len(data)) + data)
        p.stdin.flush()
        head = p.stdout.read(8)
        if len(head) != 8:
            raise SystemExit("codec: the program ended with %r" % p.wait())
        result, n = struct.unpack("<iI", head)
        body = p.stdout.read(n)
        return (result, body.decode("utf-8")) if result else body

    def end(self):
        self.process.stdin.close()
        return self.process.wait()


class Run(object):
    def __init__(self, program, quick):
        self.codec = Codec(program)
        self.quick = quick
        self.values = self.passed = 0

    def check(self, value, problem, where):
        self.values += 1
        if problem:
            print("FAILED: %s: %.100r: %s" % (where, value, problem))
        else:
            self.passed += 1

    def pickles(self, value):
        """Pairs of protocols there and back; all of them unless quick."""
        for p in range(HIGHEST + 1):
            for q in range(2, HIGHEST + 1):
                if not self.quick or q in (2, HIGHEST):
                    yield p, q

    def there_and_back(self, value, holds=None):
        for p, q in self.pickles(value):
            try:
                data = pickle.dumps(value, p)
            except (pickle.PicklingError, TypeError, RuntimeError, AttributeError):
                continue  # this version cannot, in this protocol
            back = self.codec(q, data)
            where = "protocol %d to %d" % (p, q)
            if isinstance(back, tuple):
                self.check(value, "result %d: %s" % back, where)
                continue
            try:
                again = pickle.loads(back)
            except Exception as e:
                self.check(value, "%s: %s for %r" % (type(e).__name__, e, back), where)
                continue
            expected = pickle.loads(data)
            if q == 2 and not holds:  # which has no name for some exceptions
                expected = pickle.loads(pickle.dumps(expected, 2))
                if type(expected) is getattr(builtins_, "RecursionError", None):
                    expected = RuntimeError(*expected.args)  # which Python 2 reads, too
            if holds:
                self.check(type(value), None if holds(again) else "it does not hold", where)
            else:
                self.check(value, same(expected, again), where)

    def as_text(self, value):
        shown = self.codec(REPR, pickle.dumps(value, 2))
        if isinstance(shown, tuple):
            self.check(value, "result %d: %s" % shown, "repr")
        elif not PY2:  # whose repr has marks for long and unicode
            try:
                expected = repr(value)
            except ValueError:
                return  # more digits than it prints
            problem = None if shown.decode("utf-8") == expected else "%.200r" % shown
            self.check(value, problem, "repr")

    def as_json(self, value):
        shown = self.codec(JSON, pickle.dumps(value, 2))
        try:
            expected = json.loads(json.dumps(value, allow_nan=False))
        except (ValueError, TypeError):
            expected = None
        if isinstance(shown, tuple):
            fits = shown[0] == MISMATCH and (expected is None or "key" in shown[1])
            self.check(value, None if fits else "result %d: %s" % shown, "to JSON")
            return
        self.check(value, same(expected, json.loads(shown.decode("utf-8"))), "to JSON")
        for ascii_ in (True, False):
            data = json.dumps(value, ensure_ascii=ascii_).encode("utf-8")
            back = self.codec(2, data, JSON)
            problem = "%r" % (back,) if isinstance(back, tuple) else same(expected, pickle.loads(back))
            self.check(value, problem, "from JSON")

    def deep(self):
        """100,000 lists in each other, which no pickler of Python's would write."""
        n = 100000
        for data, step in (
            (b"]" * n + b"a" * (n - 1) + b".", lambda x: x[0] if x else None),
            (b")" + b"\x85" * (n - 1) + b".", lambda x: x[0] if x else None),
            (b"}" + b"U\x01k}" * (n - 1) + b"s" * (n - 1) + b".",
             lambda x: x.get("k")),
        ):
            for q in range(2, HIGHEST + 1):
                back = self.codec(q, data)
                if isinstance(back, tuple):
                    self.check("deep", "result %d: %s" % back, "protocol %d" % q)
                    continue
                value, depth = pickle.loads(back), 0
                keep = []  # so that it is not freed by recursion
                while value is not None:
                    keep.append(value)
                    depth += 1
                    value = step(value)
                self.check("deep", None if depth == n else "%d deep" % depth, "protocol %d" % q)
                while keep:
                    last = keep.pop()
                    if not isinstance(last, tuple):
                        last.clear() if isinstance(last, dict) else last.__delitem__(slice(None))

    def large(self):
        for value in (b"x" * (20 << 20), "\xe9" * (10 << 20), {"data": b"\x80" * (20 << 20)}):
            for q in (2, HIGHEST):
                back = self.codec(q, pickle.dumps(value, HIGHEST))
                problem = "%.80r" % (back,) if isinstance(back, tuple) else None
                if not problem and pickle.loads(back) != value:
                    problem = "not the same"
                self.check("20 MiB", problem, "protocol %d" % q)

    def refused(self):
        """What C must not read, or cannot write, and says so."""
        for value, to, expected in (
            (b"", 2, EBADMSG),
            (b"garbage", 2, EBADMSG),
            (b"\x80\x07N.", 2, EBADMSG),
            (pickle.dumps([1, 2], 2)[:-1], 2, EBADMSG),
            (pickle.dumps([1, 2], 2) + b"x", 2, EBADMSG),
            (b"Pid\n.", 2, EBADMSG),
            (pickle.dumps({1, 2}, 2), JSON, MISMATCH),
            (b"(lp0\ng0\na.", JSON, ELOOP),
        ):
            back = self.codec(to, value)
            got = back[0] if isinstance(back, tuple) else 0
            self.check(value, None if got == expected else "result %r" % (back,), "refused")
        hostile = pickle.dumps(Hostile(), 2)
        self.check("hostile", None if b"hostile" in self.codec(2, hostile) else "lost", "carried")


def main():
    quick = "quick" in sys.argv[2:]
    run = Run(sys.argv[1], quick)
    for value in plain():
        run.there_and_back(value)
        run.as_text(value)
        run.as_json(value)
    for value in others():
        run.there_and_back(value)
    for value in classes():
        run.there_and_back(value)
    for value, holds in cycles():
        run.there_and_back(value, holds)
    run.there_and_back(copy.deepcopy([list(others()), list(plain())]))
    run.deep()
    run.large()
    run.refused()
    end = run.codec.end()
    print("codec: %d values, %d passed" % (run.values, run.passed))
    return 0 if end == 0 and run.values == run.passed > 500 else 1


sys.setrecursionlimit(10000)
sys.exit(main())
