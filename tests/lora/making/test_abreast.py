"""abreast: results in the order of tasks, a bound on what is under way, the first error ends all, jobs can be stopped."""

from __future__ import annotations

import threading
import time

import pytest
import torch

from modelhub.errors import CancelledError
from modelhub.jobs import QUIET, Job
from modelhub.lora.making import abreast as module
from modelhub.lora.making.abreast import abreast


def test_results_come_in_the_order_of_the_tasks() -> None:
    def make(task: int) -> int:
        time.sleep(0.002 * (task % 3))
        assert torch.get_num_threads() == 1 and torch.is_inference_mode_enabled()
        return task * task

    before = torch.get_num_threads()
    assert list(abreast(range(40), lambda task: 1, make, QUIET)) == [(task, task * task) for task in range(40)]
    assert torch.get_num_threads() == before


def test_no_more_elements_are_under_way_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ELEMENTS", 10)
    lock, busy, most = threading.Lock(), 0, 0

    def make(task: int) -> None:
        nonlocal busy, most
        with lock:
            busy += task
            most = max(most, busy)
        time.sleep(0.003)
        with lock:
            busy -= task

    sizes = [4, 3, 2, 25, 6, 6, 1, 1, 9, 30, 2]
    assert [task for task, _ in abreast(sizes, lambda task: task, make, QUIET)] == sizes
    assert most <= 30, "one that is larger than all that is allowed is alone"


def test_the_first_error_ends_all() -> None:
    begun: list[int] = []

    def make(task: int) -> int:
        begun.append(task)
        if task == 5:
            raise ValueError("five")
        return task

    done = []
    with pytest.raises(ValueError, match="five"):
        for task, _ in abreast(range(1000), lambda task: 1, make, QUIET):
            done.append(task)
    assert done == [0, 1, 2, 3, 4] and len(begun) < 200


def test_a_cancelled_job_stops() -> None:
    job, begun = Job("make"), []
    with pytest.raises(CancelledError):
        for task, _ in abreast(range(1000), lambda task: 1, lambda task: begun.append(task), job):
            if task == 3:
                job.cancel()
    assert len(begun) < 200
