"""Breaking off: a cancelled job has its connections cut, so that nobody waits for a server that says nothing."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from modelhub.jobs import QUIET, Job

if TYPE_CHECKING:
    from requests import Session
    from urllib3 import PoolManager

#: Seconds between two looks at the jobs.
_LOOK = 0.1


class Breaking:
    """Watches jobs on a thread of its own, as long as there are any that can be cancelled."""

    def __init__(self) -> None:
        self._watched: dict[object, tuple[Job, WeakSet[Any]]] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @contextmanager
    def at(self, job: Job, session: Session) -> Iterator[None]:
        """Cut the connections of `session` if `job` is cancelled in this block; what waits for them then fails."""
        if job is QUIET:
            yield
            return
        mark = object()
        with self._lock:
            self._watched[mark] = (job, lines_of(session))
            self._start()
        try:
            yield
        finally:
            with self._lock:
                del self._watched[mark]

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="breaking", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        idle = threading.Event()
        while self._look():
            idle.wait(_LOOK)

    def _look(self) -> bool:
        """Cut what is to be cut; False, and the thread is done, when there is nothing to watch."""
        with self._lock:
            for job, lines in self._watched.values():
                if job.cancelled:
                    _cut(lines)
            if not self._watched:
                self._thread = None
            return bool(self._watched)


def _cut(lines: WeakSet[Any]) -> None:
    for line in list(lines):
        # a plain shutdown also of a TLS socket, whose own is not made to be called beside a read
        with suppress(OSError, TypeError, AttributeError):
            socket.socket.shutdown(line.sock, socket.SHUT_RDWR)


def lines_of(session: Session) -> WeakSet[Any]:
    """The connections of a session that `watch_lines` watches."""
    lines: WeakSet[Any] = session.__dict__["modelhub_lines"]
    return lines


def watch_lines(session: Session) -> None:
    """Have a new session know its connections."""
    from requests.adapters import HTTPAdapter

    lines: WeakSet[Any] = WeakSet()
    pools = _pools(lines)

    class Adapter(HTTPAdapter):
        def init_poolmanager(self, *words: Any, **named: Any) -> None:
            super().init_poolmanager(*words, **named)
            _watched(self.poolmanager)

        def proxy_manager_for(self, proxy: str, **named: Any) -> Any:
            return _watched(super().proxy_manager_for(proxy, **named))

    def _watched(manager: PoolManager) -> PoolManager:
        if not type(manager).__name__.startswith("SOCKS"):
            manager.pool_classes_by_scheme = pools
        return manager

    session.__dict__["modelhub_lines"] = lines
    for scheme in ("https://", "http://"):
        session.mount(scheme, Adapter())


def _pools(lines: WeakSet[Any]) -> dict[str, Any]:
    """The library's pools, whose connections are noted in `lines` when they are made."""
    from urllib3.connection import HTTPConnection, HTTPSConnection
    from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

    class Line(HTTPConnection):
        def connect(self) -> None:
            super().connect()
            lines.add(self)

    class SecureLine(HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            lines.add(self)

    class Pool(HTTPConnectionPool):
        ConnectionCls = Line

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = SecureLine

    return {"http": Pool, "https": SecurePool}
