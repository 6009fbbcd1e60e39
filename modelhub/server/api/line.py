"""The line of requests that compute: one after the other in one thread, so that memory holds one model."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from modelhub.errors import CancelledError, ModelhubError
from modelhub.jobs import Event, Job

Result = TypeVar("Result")

#: Requests that may wait.
_MOST = 32


class BusyError(ModelhubError):
    """Too many wait already."""

    code = "busy"


class Line:
    """`progress` and `interrupt` are about the request at its head."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="renderer")
        self._waiting = 0
        self._job: Job | None = None
        self._event: Event | None = None
        self._picture: Any = None
        self._started = 0.0
        self._closed = False

    async def run(self, work: Callable[[Job], Result]) -> Result:
        """What `work` makes, when its turn has come. Raises BusyError, and what it raises."""
        if self._waiting > _MOST:
            raise BusyError(f"{_MOST} requests wait already.", "Send this one again later.")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._work, work)
        finally:
            self._waiting -= 1

    def _work(self, work: Callable[[Job], Result]) -> Result:
        if self._closed:
            raise CancelledError
        self._job, self._started = Job("serve", self._note), time.monotonic()
        try:
            return work(self._job)
        finally:
            self._job = self._event = self._picture = None

    def _note(self, event: Event) -> None:
        if event.level == "progress":
            self._event = event
            self._picture = self._picture if event.picture is None else event.picture

    def interrupt(self) -> None:
        """Stop what is made now; the next one in the line goes on."""
        job = self._job
        if job is not None:
            job.cancel()

    def close(self) -> None:
        """Stop it all, and wait until the thread is free."""
        self._closed = True
        self.interrupt()
        self._thread.shutdown(wait=True, cancel_futures=True)

    @property
    def picture(self) -> Any:
        """The picture on its way [H, W, 3], if there is one."""
        return self._picture

    def progress(self) -> dict[str, Any]:
        """How far the request at the head is, in the words of `progress`."""
        job, event = self._job, self._event
        steps = event if event is not None and event.phase == "sampling" else None
        done, total = (steps.done, steps.total or 0) if steps else (0, 0)
        share = done / total if total else 0.0
        spent = time.monotonic() - self._started
        state = {
            "skipped": False,
            "interrupted": bool(job and job.cancelled),
            "stopping_generation": bool(job and job.cancelled),
            "job": event.phase if event else "",
            "job_count": self._waiting,
            "job_timestamp": time.strftime("%Y%m%d%H%M%S"),
            "job_no": 0,
            "sampling_step": done,
            "sampling_steps": total,
        }
        return {
            "progress": round(share, 4),
            "eta_relative": round(spent / share - spent, 1) if share else 0.0,
            "state": state,
            "textinfo": event.item if event and event.item else None,
        }
