"""Work off the main thread: a worker runs an operation, and its events, results and errors come back as messages.

A worker never touches a widget. Cancelling the worker cancels its job, and from then on it is silent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from traceback import extract_tb
from typing import Any, Concatenate, ParamSpec, TypeVar

from textual import work
from textual.dom import DOMNode
from textual.message import Message
from textual.worker import Worker, get_current_worker

from modelhub.errors import CancelledError, ModelhubError
from modelhub.jobs import Event, Job

P = ParamSpec("P")
R = TypeVar("R")
Node = TypeVar("Node", bound=DOMNode)


@dataclass
class Progress(Message):
    """A job moved on. A waiting event gives way to a newer one of its group, unless that would lose a picture."""

    group: str
    event: Event

    def can_replace(self, message: Message) -> bool:
        """Whether this one may be dropped because `message` follows it."""
        if not isinstance(message, Progress) or message.group != self.group or self.event.level != "progress":
            return False
        return self.event.picture is None or message.event.picture is not None


@dataclass
class Done(Message):
    """A worker's thread is at its end, whatever became of it."""

    group: str
    cancelled: bool


@dataclass
class Failed(Message):
    """A job ended with an error that the user should read."""

    group: str
    error: ModelhubError


class WorkerJob(Job):
    """The job of a worker: stops when the worker is cancelled, and sends what it has to say to the worker's node."""

    def __init__(self, group: str, node: DOMNode, worker: Worker[Any]) -> None:
        super().__init__(group, lambda event: self.post(Progress(group, event)))
        self._node, self._worker = node, worker

    @property
    def cancelled(self) -> bool:
        """Whether the job or its worker was cancelled."""
        return self._worker.is_cancelled or super().cancelled

    def check(self) -> None:
        """Raise `CancelledError` if the job or its worker was cancelled."""
        if self.cancelled:
            raise CancelledError

    def part(self, name: str) -> WorkerJob:
        """A job of the same worker whose events come as those of the group `name`."""
        return WorkerJob(name, self._node, self._worker)

    def post(self, message: Message) -> None:
        """Send a message to the node, unless the worker was cancelled."""
        if not self._worker.is_cancelled:
            self._node.post_message(message)


def background(
    group: str, *, exclusive: bool = True
) -> Callable[[Callable[Concatenate[Node, WorkerJob, P], None]], Callable[Concatenate[Node, P], Worker[None]]]:
    """Run a method in a thread, with a `WorkerJob` as first argument; `exclusive`: it replaces the one before it."""

    def decorate(
        method: Callable[Concatenate[Node, WorkerJob, P], None],
    ) -> Callable[Concatenate[Node, P], Worker[None]]:
        @work(thread=True, exclusive=exclusive, group=group, exit_on_error=False)
        @wraps(method)
        def run(node: Node, *args: P.args, **kwargs: P.kwargs) -> None:
            job = WorkerJob(group, node, get_current_worker())
            _, error = attempt(lambda: method(node, job, *args, **kwargs))
            if error is not None and not isinstance(error, CancelledError):
                job.post(Failed(group, error))
            node.post_message(Done(group, job.cancelled))

        return run

    return decorate


def attempt(work: Callable[[], R]) -> tuple[R | None, ModelhubError | None]:
    """What some work returns, or its error; a foreign exception is put in words."""
    try:
        return work(), None
    except ModelhubError as error:
        return None, error
    except Exception as error:  # noqa: BLE001 (the one place: a bug must not take the interface down)
        return None, unexpected(error)


def unexpected(error: Exception) -> ModelhubError:
    """A foreign exception in words, with the line it came from."""
    frames = extract_tb(error.__traceback__)
    where = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    return ModelhubError(
        f"Something unexpected went wrong: {type(error).__name__}: {error}{where}.",
        "This is a fault of modelhub; the command line shows the whole traceback.",
    )
