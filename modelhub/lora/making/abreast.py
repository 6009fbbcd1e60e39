"""Layers made abreast, on several cores, each on one thread of torch, and handed over in their order.

So what comes out does not depend on how many cores there are, and small matrices do not wait for threads.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from modelhub.formats.threads import one_thread
from modelhub.jobs import Job

Task = TypeVar("Task")
Made = TypeVar("Made")

#: Elements of the layers that are under way at once; a larger one is alone.
_ELEMENTS = 1 << 26
#: Layers that may be finished before their turn, for each worker.
_AHEAD = 8


def abreast(
    tasks: Iterable[Task], size: Callable[[Task], int], make: Callable[[Task], Made], job: Job
) -> Iterator[tuple[Task, Made]]:
    """`make` of every task, in their order; `size` is how many elements one needs.

    The first error of any of them is raised, and ends all. The job is looked at before each.
    """
    workers = max(1, min(8, os.cpu_count() or 1))
    waiting: deque[tuple[Task, int, Future[Made]]] = deque()
    with ThreadPoolExecutor(workers, "layer") as pool:
        try:
            busy = 0
            for task in tasks:
                need = size(task)
                while waiting and (busy + need > _ELEMENTS or len(waiting) >= _AHEAD * workers):
                    busy -= waiting[0][1]
                    yield _next(waiting, job)
                waiting.append((task, need, pool.submit(_alone, make, task)))
                busy += need
            while waiting:
                yield _next(waiting, job)
        finally:
            pool.shutdown(cancel_futures=True)


def _next(waiting: deque[tuple[Task, int, Future[Made]]], job: Job) -> tuple[Task, Made]:
    job.check()
    task, _, future = waiting.popleft()
    return task, future.result()


def _alone(make: Callable[[Task], Made], task: Task) -> Made:
    import torch

    with one_thread(), torch.inference_mode():
        return make(task)
