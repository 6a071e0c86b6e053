"""What Python's process pools of two workers do, for bench/pool.c:

    pythonX.Y pool.py WHAT N

    map-1, map, executor, joblib-1, joblib  M/s of N tasks
    apply, executor-idle, loky-idle         us of each of N tasks that come one at a time, with a
                                            pause before
    mib, joblib-mib                         GB/s of N arguments of 1 MiB
    pool-replace, executor-replace, loky-replace
                                            us from each of N SIGKILLs of the only worker to the
                                            first line of the next task

Each begins with some that do not count.  Pool puts another worker in the place of the dead one;
but it hangs for good when the dead one held the lock of the queue, as who waits for a task does, so
here it dies within one.  An executor breaks, and is made anew.
"""

import multiprocessing
import os
import signal
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

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


def birth():
    return time.perf_counter(), os.getpid()


def replace_in_pool(pool, n):
    _, pid = pool.apply(birth)
    for _ in range(n):
        pool.apply_async(time.sleep, (1000,))
        time.sleep(0.02)
        begin = time.perf_counter()
        os.kill(pid, signal.SIGKILL)
        when, pid = pool.apply(birth)
        print((when - begin) * 1e6)


def replace_executor(new, n):
    executor = new()
    _, pid = executor.submit(birth).result()
    for _ in range(n):
        time.sleep(0.02)
        begin = time.perf_counter()
        os.kill(pid, signal.SIGKILL)
        while True:
            try:
                when, pid = executor.submit(birth).result()
                break
            except BrokenProcessPool:
                executor = new()
        print((when - begin) * 1e6)


def with_joblib(what, n):
    from joblib import Parallel, delayed
    from joblib.externals.loky import get_reusable_executor

    def each(batch, data):
        with Parallel(2, batch_size=batch) as parallel:
            parallel(delayed(length)(data) for _ in range(10))
            return rate(lambda k: parallel(delayed(length)(data) for _ in range(k)), n)

    if what == "joblib-1":
        print(each(1, SMALL))
    elif what == "joblib":
        print(each("auto", SMALL))
    elif what == "joblib-mib":
        print(each(1, LARGE) * (1 << 20) / 1e3)
    elif what == "loky-idle":
        executor = get_reusable_executor(2)
        latency(lambda: executor.submit(length, SMALL).result(), n)
    else:
        replace_executor(lambda: get_reusable_executor(1), n)


def with_executor(what, n):
    context = multiprocessing.get_context("fork")
    if what == "executor-replace":
        replace_executor(lambda: ProcessPoolExecutor(1, mp_context=context), n)
        return
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        if what == "executor":
            print(rate(lambda k: futures(executor, k), n))
        else:
            latency(lambda: executor.submit(length, SMALL).result(), n)


def with_pool(what, n):
    with multiprocessing.get_context("fork").Pool(1 if what == "pool-replace" else 2) as pool:
        if what == "map-1":
            print(rate(lambda k: pool.map(length, [SMALL] * k, 1), n))
        elif what == "map":
            print(rate(lambda k: pool.map(add, range(k)), n))
        elif what == "mib":
            print(rate(lambda k: pool.map(length, [LARGE] * k, 1), n) * (1 << 20) / 1e3)
        elif what == "pool-replace":
            replace_in_pool(pool, n)
        else:
            latency(lambda: pool.apply(length, (SMALL,)), n)


def main():
    what, n = sys.argv[1], int(sys.argv[2])
    if what.startswith(("joblib", "loky")):
        with_joblib(what, n)
    elif what.startswith("executor"):
        with_executor(what, n)
    else:
        with_pool(what, n)


main()
