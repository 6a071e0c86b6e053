"""The twin of 09-task-master.c: ten random numbers go out, results come back.

    python3 09-task-master.py [PORT [FILE]]
"""

import queue
import random
import sys
from multiprocessing.managers import BaseManager

task_queue = queue.Queue()
result_queue = queue.Queue()


def get_task_queue():
    return task_queue


def get_result_queue():
    return result_queue


class QueueManager(BaseManager):
    pass


QueueManager.register('get_task_queue', callable=get_task_queue)
QueueManager.register('get_result_queue', callable=get_result_queue)


def main():
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    key = open(sys.argv[2], 'rb').readline().strip() if len(sys.argv) > 2 else b'abc'
    manager = QueueManager(address=('127.0.0.1', port), authkey=key)
    manager.start()
    print('Serve at tcp://%s:%d...' % manager.address, flush=True)
    task = manager.get_task_queue()
    result = manager.get_result_queue()
    for i in range(10):
        n = random.randint(0, 10000)
        print('Put task %d...' % n, flush=True)
        task.put(n)
    print('Try get results...', flush=True)
    for i in range(10):
        print('Result: %s' % result.get(timeout=60), flush=True)
    manager.shutdown()
    print('master exit.')


if __name__ == '__main__':
    main()
