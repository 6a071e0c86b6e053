"""What Python's process pools of two workers do, for bench/pool.c:

    pythonX.Y pool.py map-1|map|executor|apply|executor-idle|mib N

map-1, executor and map print M/s of N tasks; apply and executor-idle the us of each of N tasks that
come one at a time, with a pause before; mib the GB/s of N arguments of 1 MiB.  Each begins with
some that do not count.
"""

import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor

SMALL = bytes(64)
LARGE = bytes(1 << 20)


def length(data):
    return len(data)


def add(i):
    return i + 1


def rate(function, n):
    function(n // 4 + 1)
    begin = time.perf_counter()
    function(n)
    return n / (time.perf_counter() - begin) / 1e6


def latency(function, n):
    function()
    for _ in range(n):
        time.sleep(0.001)
        begin = time.perf_counter()
        function()
        print((time.perf_counter() - begin) * 1e6)


def futures(executor, n):
    for f in [executor.submit(length, SMALL) for _ in range(n)]:
        f.result()


def main():
    what, n = sys.argv[1], int(sys.argv[2])
    context = multiprocessing.get_context("fork")
    if what.startswith("executor"):
        with ProcessPoolExecutor(2, mp_context=context) as executor:
            if what == "executor":
                print(rate(lambda k: futures(executor, k), n))
            else:
                latency(lambda: executor.submit(length, SMALL).result(), n)
        return
    with context.Pool(2) as pool:
        if what == "map-1":
            print(rate(lambda k: pool.map(length, [SMALL] * k, 1), n))
        elif what == "map":
            print(rate(lambda k: pool.map(add, range(k)), n))
        elif what == "mib":
            print(rate(lambda k: pool.map(length, [LARGE] * k, 1), n) * (1 << 20) / 1e3)
        else:
            latency(lambda: pool.apply(length, (SMALL,)), n)


main()
