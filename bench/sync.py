"""What Python's multiprocessing does of what bench/sync.c measures:

    pythonX.Y sync.py WHAT N

prints the ns of each of N pairs of calls of sem, event, cond or barrier, by one process; or of each
of N rounds of sem-2, event-2, cond-2 or barrier-2, by two on processors 0 and 1.
"""

import multiprocessing
import os
import sys
import time

FORK = multiprocessing.get_context("fork")


def sem(n):
    s = FORK.Semaphore(0)
    for _ in range(n):
        s.release()
        s.acquire()


def event(n):
    e = FORK.Event()
    for _ in range(n):
        e.set()
        e.wait()
        e.clear()


def cond(n):
    c = FORK.Condition()
    for _ in range(n):
        with c:
            c.notify()


def barrier(n):
    b = FORK.Barrier(1)
    for _ in range(n):
        b.wait()


class Sems:
    def __init__(self):
        self.s = FORK.Semaphore(0), FORK.Semaphore(0)

    def half(self, me, n):
        for _ in range(n):
            if me == 0:
                self.s[1].release()
            self.s[me].acquire()
            if me == 1:
                self.s[0].release()


class Events:
    def __init__(self):
        self.e = FORK.Event(), FORK.Event()

    def half(self, me, n):
        for _ in range(n):
            if me == 0:
                self.e[1].set()
            self.e[me].wait()
            self.e[me].clear()
            if me == 1:
                self.e[0].set()


class Conds:
    def __init__(self):
        self.c, self.turn = FORK.Condition(), FORK.RawValue("i", 0)

    def half(self, me, n):
        for _ in range(n):
            with self.c:
                while self.turn.value != me:
                    self.c.wait()
                self.turn.value = 1 - me
                self.c.notify()


class Barriers:
    def __init__(self):
        self.b = FORK.Barrier(2)

    def half(self, me, n):
        for _ in range(n):
            self.b.wait()


ALONE = {"sem": sem, "event": event, "cond": cond, "barrier": barrier}
TWO = {"sem-2": Sems, "event-2": Events, "cond-2": Conds, "barrier-2": Barriers}


def play(nouns, met, me, n):
    os.sched_setaffinity(0, {me})
    nouns.half(me, n // 10)
    met.wait()
    nouns.half(me, n)


def main():
    what, n = sys.argv[1], int(sys.argv[2])
    if what in ALONE:
        ALONE[what](n // 10)
        begin = time.perf_counter()
        ALONE[what](n)
    else:
        nouns, met = TWO[what](), FORK.Barrier(3)
        both = [FORK.Process(target=play, args=(nouns, met, me, n)) for me in (0, 1)]
        for p in both:
            p.start()
        met.wait()
        begin = time.perf_counter()
        for p in both:
            p.join()
    print((time.perf_counter() - begin) * 1e9 / n)


main()
