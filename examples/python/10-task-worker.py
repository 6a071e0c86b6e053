"""The twin of 10-task-worker.c: takes numbers, puts back their squares as text.

    python3 10-task-worker.py [HOST:PORT [FILE]]
"""

import queue
import sys
from multiprocessing.managers import BaseManager


class QueueManager(BaseManager):
    pass


QueueManager.register('get_task_queue')
QueueManager.register('get_result_queue')


def main():
    host, _, port = (sys.argv[1] if len(sys.argv) > 1 else '127.0.0.1:5000').rpartition(':')
    key = open(sys.argv[2], 'rb').readline().strip() if len(sys.argv) > 2 else b'abc'
    print('Connect to %s:%s...' % (host, port))
    manager = QueueManager(address=(host, int(port)), authkey=key)
    manager.connect()
    task = manager.get_task_queue()
    result = manager.get_result_queue()
    while True:
        try:
            n = task.get(timeout=1)
        except (queue.Empty, EOFError, ConnectionError):
            break  # none is left, or the master has ended
        print('run task %d * %d...' % (n, n))
        result.put('%d * %d = %d' % (n, n, n * n))
    print('worker exit.')


if __name__ == '__main__':
    main()
