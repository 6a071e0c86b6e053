"""Write pickles of this Python into a directory, as seeds of fuzz_pickle:

    pythonX.Y seeds.py DIRECTORY

One file for each value and protocol, named after its content, so what two versions write alike is
there once.  It runs under Python 2.7 and 3.x.
"""

import collections
import datetime
import decimal
import hashlib
import os
import pickle
import sys


class Plain(object):
    def __init__(self, **attributes):
        self.__dict__.update(attributes)


class Old:
    def __init__(self):
        self.x = 1


class Slots(object):
    __slots__ = ("a",)


class Items(list):
    pass


class Keywords(object):
    def __new__(cls, a, b=None):
        return object.__new__(cls)

    def __getnewargs_ex__(self):
        return (1,), {"b": 2}


def set_later(obj, state):
    obj.later = state


class Setter(object):
    def __reduce__(self):
        return Setter, (), [1], None, None, set_later


def values():
    yield [None, True, False, 0, 255, 256, 65536, -1, 1 << 31, 1 << 64, -(1 << 70)]
    yield [0.0, -1.5, 1e300, float("inf"), float("nan")]
    yield [u"", u"text", u"\xe9\u20ac\U0001f600", u"x" * 300, b"", b"bytes\xff", b"y" * 300]
    yield [bytearray(), bytearray(b"ab")]
    yield [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), [], [[]], {}, {"a": {1: 2.5}}]
    yield [set(), {1, "a"}, frozenset(), frozenset([1, (2, 3)])]
    shared = [1]
    yield [shared, shared, (shared,), {"k": shared}]
    loop = []
    loop.append(loop)
    yield loop
    a, b = [], []
    t = (a, b)
    a.append(t)
    b.append(t)
    yield t
    p = Plain(x=1)
    p.me = p
    yield p
    yield Old()
    s = Slots()
    s.a = 1
    yield s
    i = Items([1])
    i.extra = 2
    yield i
    yield collections.OrderedDict([(1, 2), ("a", [])])
    yield collections.defaultdict(list, a=[1])
    yield datetime.datetime(2020, 1, 2, 3, 4, 5)
    yield decimal.Decimal("1.5")
    yield complex(1, 2)
    yield [ValueError("no", 7), KeyError("k"), len, dict]
    error = OSError(2, "none", "file")
    error.more = 1
    yield error
    yield (None, "create", ("get_queue",), {})
    yield ("#RETURN", ("7f00", ("get", "put")))
    if sys.version_info >= (3, 4):
        yield Keywords(1)
        yield [Plain.__init__]
    if sys.version_info >= (3, 8):
        s = Setter()
        s.later = [1]
        yield s


def multiplied():
    """Not Python's: a few bytes that ask for the same again and again."""
    items, calls = b"K\x01" * 150, b"h\x01h\x02R0" * 100
    yield b"c__builtin__\nset\nq\x01](" + items + b"e\x85q\x020" + calls + b"N."
    yield b"X\x2c\x01\0\0" + b"x" * 300 + b"q\x010}(" + b"h\x01N" * 50 + b"u."
    yield b"c" + b"m" * 300 + b"\nC\nq\x010]" + b"h\x01)R0" * 20 + b"."
    yield b"(" * 300 + b"N."
    yield b"(N" + b"2" * 300 + b"\x91."


def write(data):
    with open(os.path.join(sys.argv[1], hashlib.sha1(data).hexdigest()[:12]), "wb") as f:
        f.write(data)


def main():
    for data in multiplied():
        write(data)
    for value in values():
        for protocol in range(min(pickle.HIGHEST_PROTOCOL, 5) + 1):
            try:
                data = pickle.dumps(value, protocol)
            except (pickle.PicklingError, TypeError, AttributeError):
                continue
            write(data)


main()
