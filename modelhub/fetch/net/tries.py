"""Tries: how often one question was put in vain, and whether to wait and put it again."""

from __future__ import annotations

from modelhub.fetch.net.endpoints import title_of
from modelhub.fetch.net.patience import Patience, wait
from modelhub.fetch.net.refusal import Refusal, Refused
from modelhub.fetch.net.trouble import Trouble
from modelhub.jobs import Job
from modelhub.text import human_seconds


class Tries:
    """The tries of one question."""

    def __init__(self, patience: Patience, job: Job) -> None:
        self.patience, self.job = patience, job
        self._failures = 0

    def again(self, trouble: Trouble) -> None:
        """Wait after trouble. Raises its error where asking again is of no use; CancelledError."""
        self.job.check()
        self._failures += 1
        most = self.patience.knocks if trouble.knocking else self.patience.tries
        if not trouble.passing or self._failures >= most:
            raise trouble.error
        pause = self.patience.pause(self._failures)
        self._wait(pause, f"{trouble.error.message} Trying again in {human_seconds(pause)}.")

    def refused(self, refusal: Refusal) -> None:
        """Wait as long as a server in trouble asks for. Raises Refused where that is of no use; CancelledError."""
        self.job.check()
        self._failures += 1
        told = refusal.wait
        if not refusal.passes or self._failures >= self.patience.tries or (told or 0) > self.patience.longest:
            raise Refused(refusal)
        who = title_of(refusal.url)
        if told is not None:
            self._wait(told, f"{who} asks to wait {human_seconds(told)}.")
            return
        pause = self.patience.pause(self._failures)
        why = "is asked too often" if refusal.status == 429 else f"has trouble of its own (status {refusal.status})"
        self._wait(pause, f"{who} {why}. Trying again in {human_seconds(pause)}.")

    def _wait(self, seconds: float, message: str) -> None:
        self.job.say(message)
        wait(seconds, self.job)
