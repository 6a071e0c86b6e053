"""What CPython's C pickle takes for the data of bench/codec.c:

    pythonX.Y codec.py ints|dicts|bytes|tree|deep

prints the best of three, in ms, of encoding and of decoding (the value is freed within).  The
protocol is 4, or the highest below that this version has.
"""

import sys
import time

try:
    import cPickle as pickle  # Python 2
except ImportError:
    import pickle


def tree(depth):
    return None if depth == 0 else [tree(depth - 1), tree(depth - 1), depth]


def chain(depth):
    value = None
    for i in range(depth):
        value = [value, i]
    return value


def make(name):
    if name == "ints":
        return list(range(10 ** 6))
    if name == "dicts":
        return [
            {"id": i, "name": "item %d" % i, "score": i * 0.5, "ok": True} for i in range(10 ** 5)
        ]
    if name == "bytes":
        return b"x" * (64 << 20)
    if name == "deep":
        return [chain(450) for _ in range(150)]
    return tree(16)


def best(function):
    times = []
    for _ in range(3):
        begin = time.time()
        function()
        times.append(time.time() - begin)
    return min(times) * 1e3


def main():
    value = make(sys.argv[1])
    protocol = min(pickle.HIGHEST_PROTOCOL, 4)
    data = pickle.dumps(value, protocol)
    encode = best(lambda: pickle.dumps(value, protocol))
    decode = best(lambda: pickle.loads(data))
    print("%.4f %.4f" % (encode, decode))


main()
