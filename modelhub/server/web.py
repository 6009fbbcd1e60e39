"""The page with the TUI: its files, and the websocket through which a tab speaks with its process.

The terminal in the page, its font and the protocol are those of textual-serve; nothing is loaded from elsewhere.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from modelhub.errors import UsageError
from modelhub.server.session import Session

_PAGE = Path(__file__).parent / "page"
#: Tabs at a time; each is a process that may hold a model in memory.
_TABS = 8
#: Seconds between signs of life, and bytes of the largest message: what may be pasted.
_HEARTBEAT, _MESSAGE = 15.0, 1 << 22
_OPEN: web.AppKey[set[web.WebSocketResponse]] = web.AppKey("open", set)


def add_web(app: web.Application) -> None:
    """Add the page. Raises UsageError without textual-serve."""
    found = find_spec("textual_serve")
    if found is None or not found.submodule_search_locations:
        raise UsageError(
            "The TUI in a browser needs textual-serve, which is not installed.", "pip install 'modelhub[web]'"
        )
    app[_OPEN] = set()
    app.router.add_get("/", _index)
    app.router.add_get("/ws", _websocket)
    app.router.add_static("/page", _PAGE)
    app.router.add_static("/static", Path(found.submodule_search_locations[0]) / "static")
    app.on_shutdown.append(_close_all)


async def _index(request: web.Request) -> web.StreamResponse:
    return web.FileResponse(_PAGE / "index.html")


async def _websocket(request: web.Request) -> web.StreamResponse:
    """One tab: its keys to the TUI, and what that shows to the tab, until one of them ends."""
    tabs = request.app[_OPEN]
    if len(tabs) >= _TABS:
        return web.Response(status=503, text=f"{_TABS} tabs are open; close one first.\n")
    socket = web.WebSocketResponse(heartbeat=_HEARTBEAT, max_msg_size=_MESSAGE)
    await socket.prepare(request)
    tabs.add(socket)
    session = Session(socket.send_bytes, socket.send_str)
    running = asyncio.create_task(_run(session, socket, _size(request, "width", 80), _size(request, "height", 24)))
    try:
        async for message in socket:
            if message.type == WSMsgType.TEXT:
                await session.receive(_read(message.data))
    finally:
        tabs.discard(socket)
        running.cancel()
        await session.stop()
    return socket


async def _run(session: Session, socket: web.WebSocketResponse, width: int, height: int) -> None:
    with suppress(ConnectionError):  # the tab is gone
        await session.run(width, height)
    await socket.close()


def _read(text: str) -> Any:
    with suppress(ValueError, RecursionError):
        return json.loads(text)
    return None


def _size(request: web.Request, name: str, usual: int) -> int:
    given = request.query.get(name, "")
    return int(given) if given.isascii() and given.isdecimal() and len(given) < 6 else usual


async def _close_all(app: web.Application) -> None:
    tabs: set[web.WebSocketResponse] = app[_OPEN]
    await asyncio.gather(*(tab.close(code=WSCloseCode.GOING_AWAY) for tab in tabs))
