"""A real HTTP/1.1 server around a function that answers: connections that stay, parts of files, faults, and a record."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from world.answers import Answer, Asked, in_part
from world.faults import Fault
from world.line import Line


class Site(ThreadingHTTPServer):
    """One site: `reply(asked)` answers, `fault_for(asked)` says what goes wrong, `asked` gets every request."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        name: str,
        host: str,
        reply: Callable[[Asked], Answer],
        fault_for: Callable[[Asked], Fault | None],
        asked: list[Asked],
    ) -> None:
        super().__init__(("127.0.0.1", 0), Visit)
        self.name, self.host, self.reply, self.fault_for, self.asked = name, host, reply, fault_for, asked
        self.ended = threading.Event()
        self._open: set[socket.socket] = set()
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.server_address[1]}"

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves is no news; all else is a mistake in the world and shall be seen."""
        import sys

        if not isinstance(sys.exception(), OSError | ValueError):
            super().handle_error(request, client_address)

    def end(self) -> None:
        self.ended.set()
        self.shutdown()
        self.server_close()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class Visit(BaseHTTPRequestHandler):
    """One connection of a client; `server` is its `Site`."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Site

    def do_GET(self) -> None:
        asked = self._record()
        try:
            self._answer(asked)
        finally:
            asked.answered.set()

    def _answer(self, asked: Asked) -> None:
        fault = self.server.fault_for(asked)
        asked.fault = fault.name if fault else ""
        answer = self.server.reply(asked)
        if fault and fault.before:
            answer = fault.before(answer, asked)
        answer = _with_length(in_part(answer, asked))
        if fault and fault.after:
            answer = fault.after(answer, asked)
        asked.status = answer.status
        self._send(asked, answer, fault)

    def __getattr__(self, name: str) -> Any:
        """Every method is answered the same way; what is asked for decides."""
        if name.startswith("do_"):
            return self.do_GET
        raise AttributeError(name)

    def _record(self) -> Asked:
        length = int(self.headers.get("Content-Length") or 0)
        host, _, port = self.headers.get("Host", "").rpartition(":")
        number = int(port) if port.isdigit() else self.server.server_address[1]
        asked = Asked(self.server.name, host, number, self.command, self.path, self.headers, self.rfile.read(length))
        self.server.asked.append(asked)
        return asked

    def _send(self, asked: Asked, answer: Answer, fault: Fault | None) -> None:
        asked.line = line = Line(self.connection, self.rfile, self.server.ended)
        if answer.status == 0:
            return self._gone(line.reset)
        if answer.status > 0:
            self._send_head(answer)
        if asked.method == "HEAD" or answer.status in (204, 304):
            return None
        if fault and fault.write:
            fault.write(line, answer)
        elif isinstance(answer.body, Path):
            line.send_file(answer.body, answer.start, answer.end)
        else:
            for piece in answer.pieces():
                line.send(piece)
        if not line.open:
            self.close_connection = True
        return None

    def _gone(self, leave: Callable[[], None]) -> None:
        leave()
        self.close_connection = True

    def _send_head(self, answer: Answer) -> None:
        self.log_request = lambda *args: None  # type: ignore[method-assign]
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            if value != "":
                data = f"{name}: {value}\r\n"
                try:
                    self._headers_buffer.append(data.encode("latin-1"))
                except UnicodeEncodeError:
                    self._headers_buffer.append(data.encode())
        if answer.headers.get("Connection") == "close":
            self.close_connection = True
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        """Tests read `world.asked`."""


def _with_length(answer: Answer) -> Answer:
    return replace(answer, headers={**answer.headers, "Content-Length": str(answer.end - answer.start)})
