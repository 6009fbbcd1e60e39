"""The TUI of one browser tab: a process of its own, which ends with the tab."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from modelhub.server.child import PARENT
from modelhub.text import printable

#: The line after which Textual's web driver speaks in packets: a letter, four bytes of size, so many bytes.
_PRELUDE = b"__GANGLION__\n"
_LARGEST = 1 << 28
#: Seconds that the TUI gets to leave, and then to obey a signal.
_TO_LEAVE, _TO_OBEY = 5.0, 2.0
#: Columns and rows that a browser may ask for.
_MOST = 1000
#: Lines of complaint that are kept of a TUI that did not start.
_COMPLAINTS = 20


class Session:
    """`show` takes bytes for the terminal in the page, `tell` a message to the page as JSON."""

    def __init__(self, show: Callable[[bytes], Awaitable[None]], tell: Callable[[str], Awaitable[None]]) -> None:
        self._show, self._tell = show, tell
        self._process: Process | None = None

    async def run(self, width: int, height: int) -> None:
        """Run the TUI to its end, in so many columns and rows."""
        self._process = process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "modelhub",
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            env=_environment(width, height),
            start_new_session=True,  # ctrl-C in the terminal is for the server, which ends its sessions in order
        )
        assert process.stderr is not None
        complaints = asyncio.ensure_future(_lines(process.stderr))
        with suppress(asyncio.IncompleteReadError, ConnectionError, _EndedError):
            await self._follow(process)
        with suppress(asyncio.TimeoutError):
            if await asyncio.wait_for(process.wait(), _TO_LEAVE):
                shown = (printable(line) for line in await complaints)
                await self._show(b"\x1bc" + "\r\n".join(shown).encode())
        complaints.cancel()

    async def _follow(self, process: Process) -> None:
        """Pass on what the TUI shows, until it ends."""
        assert process.stdout is not None
        await process.stdout.readuntil(_PRELUDE)
        while True:
            kind, size = await process.stdout.readexactly(1), await process.stdout.readexactly(4)
            if int.from_bytes(size, "big") > _LARGEST:
                raise _EndedError
            await self._take(kind, await process.stdout.readexactly(int.from_bytes(size, "big")))

    async def _take(self, kind: bytes, payload: bytes) -> None:
        """One packet: what is to be shown, or a wish; files are not handed to a browser."""
        if kind == b"D":
            await self._show(payload)
        elif kind == b"M":
            wish = json.loads(payload)
            if wish.get("type") == "exit":
                raise _EndedError
            if wish.get("type") == "open_url" and urlsplit(str(wish.get("url"))).scheme in ("http", "https"):
                await self._tell(json.dumps(["open_url", {"url": wish["url"], "new_tab": True}]))

    async def receive(self, message: Any) -> None:
        """What the page sends: keys, its size, whether it is looked at. Anything else is passed over."""
        match message:
            case ["stdin", str(keys)]:
                await self._send(b"D", keys.encode("utf-8", "surrogatepass"))
            case ["resize", {"width": int(width), "height": int(height)}]:
                await self._say(type="resize", width=_bounded(width), height=_bounded(height))
            case ["ping", data]:
                await self._tell(json.dumps(["pong", data]))
            case ["blur" | "focus" as kind, *_]:
                await self._say(type=kind)

    async def stop(self) -> None:
        """Ask the TUI to leave, which stops its jobs; then make it."""
        if self._process is None:
            return
        await self._say(type="quit")
        for wait, insist in ((_TO_LEAVE, self._process.terminate), (_TO_OBEY, self._process.kill)):
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._process.wait(), wait)
                return
            with suppress(ProcessLookupError):
                insist()
        await self._process.wait()

    async def _say(self, **message: object) -> None:
        await self._send(b"M", json.dumps(message).encode())

    async def _send(self, kind: bytes, payload: bytes) -> None:
        if self._process is None or self._process.stdin is None or self._process.returncode is not None:
            return
        with suppress(OSError, RuntimeError):  # it is about to end
            self._process.stdin.write(kind + len(payload).to_bytes(4, "big") + payload)
            await self._process.stdin.drain()


class _EndedError(Exception):
    """The TUI has said goodbye."""


async def _lines(stream: asyncio.StreamReader) -> list[str]:
    """The first lines; the rest is read, too, so that nobody waits for it to be."""
    found: list[str] = []
    while data := await stream.read(1 << 16):
        if len(found) < _COMPLAINTS:
            found += data.decode("utf-8", "replace").splitlines()
    return found[:_COMPLAINTS]


def _bounded(size: int) -> int:
    return max(1, min(_MOST, size))


def _environment(width: int, height: int) -> dict[str, str]:
    """What the process is told: draw for a browser, and end when this process does."""
    outer = ("TMUX", "TMUX_PANE", "STY", "NO_COLOR", "SSH_CONNECTION", "LINES")
    kept = {name: value for name, value in os.environ.items() if name not in outer}
    return kept | {
        "TEXTUAL_DRIVER": "textual.drivers.web_driver:WebDriver",
        "TEXTUAL_COLOR_SYSTEM": "truecolor",
        "TERM_PROGRAM": "textual",
        "COLUMNS": str(_bounded(width)),
        "ROWS": str(_bounded(height)),
        PARENT: str(os.getpid()),
    }
