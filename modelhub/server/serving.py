"""Run the server: one address, guarded, until it is told to stop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from modelhub.errors import UsageError
from modelhub.jobs import Job
from modelhub.server.guard import Guard

try:
    from aiohttp import web
except ImportError as missing:
    raise UsageError("The server needs aiohttp, which is not installed.", "pip install 'modelhub[web]'") from missing

from modelhub.server.api.routes import add_api

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

#: Seconds between two looks whether to stop, and those that open tabs get to end.
_PAUSE, _TO_END = 0.2, 10.0
#: Hosts that stand for all addresses of the machine.
_ANY = ("", "0.0.0.0", "::")  # noqa: S104 (only to name one that can be opened)
#: Bytes of the largest request: two pictures of 4096 × 4096 in base64, as PNG.
_LARGEST = 64 << 20
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self'; connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


@dataclass(frozen=True)
class Serving:
    """Where the server is reached; `token` is part of the address where one is needed."""

    address: str
    token: str
    has_web: bool

    def as_json(self) -> dict[str, Any]:
        """What is told of a server: where it is, for people and for programs."""
        base, _, _ = self.address.partition("?")
        return {
            "address": self.address,
            "api": f"{base}sdapi/v1",
            "token": self.token or None,
            "web": self.has_web,
        }


def serve(
    job: Job, host: str, port: int, started: Callable[[dict[str, Any]], None], *, has_web: bool, shared: bool
) -> None:
    """Serve on `host` and `port` (0: any that is free), until `job` is cancelled; `started` gets `Serving.as_json`.

    `shared`: people who do not trust each other use this machine, and a token is asked for on it, too.

    Raises UsageError for an address that cannot be had, and where an extra is missing.
    """
    guard = Guard.of(host, shared=shared)
    app = make_app(guard, has_web)
    with _listening(host, port) as listener:
        told = _serving(guard, listener, has_web).as_json()
        asyncio.run(_run(job, app, listener, lambda: started(told)))


def make_app(guard: Guard, has_web: bool) -> web.Application:
    """The application, with its rules in front of everything. Raises UsageError where an extra is missing."""

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        return await _guarded(guard, request, handler)

    app = web.Application(middlewares=[guarded], client_max_size=_LARGEST)
    app.on_response_prepare.append(_add_headers)
    add_api(app)
    if has_web:
        from modelhub.server.web import add_web

        add_web(app)
    else:
        app.router.add_get("/", _index)
    return app


async def _index(request: web.Request) -> web.StreamResponse:
    return web.Response(text="modelhub answers at /sdapi/v1. For the TUI in this browser: modelhub serve --web\n")


async def _guarded(guard: Guard, request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let in who may come in; a token in the address becomes a cookie, so that it stands in no history."""
    opens = request.method == "GET" and request.path == "/"
    if refusal := guard.foreign(request.headers, navigates=opens):
        return web.Response(status=403, text=f"{refusal}\n")
    cookie = f"modelhub-{request.url.port}"
    given = request.query.get("token", "")
    if not guard.knows(request.headers, given, request.cookies.get(cookie, "")):
        return web.Response(
            status=401, text="Open the address that `modelhub serve` printed; the token is part of it.\n"
        )
    if not (guard.token and given and opens):
        return await handler(request)
    answer = web.Response(status=303, headers={"Location": "/"})
    answer.set_cookie(cookie, guard.token, httponly=True, samesite="Lax", secure=request.secure)
    return answer


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Cache-Control", "no-store" if request.path == "/" else "no-cache")


def _listening(host: str, port: int) -> socket.socket:
    """A socket that listens there."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family)
    except (OSError, UnicodeError, OverflowError) as error:
        raise UsageError(f"Nothing can listen on {host}, port {port}: {_why(error)}.", _next(error, port)) from error


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _next(error: Exception, port: int) -> str:
    import errno

    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return f"Another program has that port; take another one: --port {port + 1}, or --port 0 for any that is free."
    if isinstance(error, OSError) and error.errno == errno.EACCES:
        return "Ports below 1024 are for administrators; take another one, such as --port 8000."
    return "Take an address of this machine, such as --host 127.0.0.1."


def _serving(guard: Guard, listener: socket.socket, has_web: bool) -> Serving:
    port = listener.getsockname()[1]
    name = socket.gethostname() if guard.host in _ANY else guard.host
    host = f"[{name}]" if ":" in name else name
    query = f"?token={guard.token}" if guard.token else ""
    return Serving(f"http://{host}:{port}/{query}", guard.token, has_web)


async def _run(job: Job, app: web.Application, listener: socket.socket, started: Callable[[], None]) -> None:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_TO_END)
    await runner.setup()
    try:
        await web.SockSite(runner, listener).start()
        started()
        while not job.cancelled:
            await asyncio.sleep(_PAUSE)
    finally:
        await runner.cleanup()
