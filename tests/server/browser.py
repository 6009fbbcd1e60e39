"""A real browser without a window, driven over its DevTools websocket."""

from __future__ import annotations

import asyncio
import base64
import io
import itertools
import json
import shutil
from pathlib import Path
from types import TracebackType
from typing import Any

import aiohttp
import numpy as np
from PIL import Image

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

#: Before any script of the page: keep the terminal, which the page hides in a closure, and every address it asks for.
_SPY = """
Object.defineProperty(Object.prototype, "webglAddon", {
  configurable: true,
  set(addon) { window.__page = this; Object.defineProperty(this, "webglAddon", { value: addon, writable: true }); },
});
"""
_TEXT = """
(() => { const buffer = window.__page?.terminal?.buffer?.active; if (!buffer) return "";
  return Array.from({ length: buffer.length }, (_, y) => buffer.getLine(y).translateToString(true)).join("\\n"); })()
"""


class Browser:
    """One browser with one page; `asked` are the addresses that it asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[str] = []
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}

    async def __aenter__(self) -> Browser:
        assert CHROMIUM is not None
        self.process = await asyncio.create_subprocess_exec(
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--remote-debugging-port=0",
            "--window-size=1280,800",
            f"--user-data-dir={self.folder}",
            "about:blank",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        port = await self._port()
        self.client = aiohttp.ClientSession()
        pages = await (await self.client.get(f"http://127.0.0.1:{port}/json/list")).json()
        address = next(page["webSocketDebuggerUrl"] for page in pages if page["type"] == "page")
        self.socket = await self.client.ws_connect(address, max_msg_size=0)
        self.reader = asyncio.create_task(self._read())
        for domain in ("Page", "Runtime", "Network"):
            await self.call(f"{domain}.enable")
        await self.call("Page.addScriptToEvaluateOnNewDocument", source=_SPY)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.reader.cancel()
        await self.client.close()
        self.process.kill()
        await self.process.wait()

    async def _port(self) -> int:
        path = self.folder / "DevToolsActivePort"
        for _ in range(600):
            if path.exists() and len(lines := path.read_text().splitlines()) > 1:
                return int(lines[0])
            await asyncio.sleep(0.1)
        raise AssertionError("the browser does not start")

    async def _read(self) -> None:
        async for message in self.socket:
            said = json.loads(message.data)
            if said.get("method") == "Network.requestWillBeSent":
                self.asked.append(said["params"]["request"]["url"])
            elif said.get("method") == "Network.webSocketCreated":
                self.asked.append(said["params"]["url"])
            elif (waiting := self._waiting.pop(said.get("id", 0), None)) and not waiting.done():
                waiting.set_result(said)

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """A DevTools command and its result."""
        number = next(self._numbers)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        await self.socket.send_json({"id": number, "method": method, "params": params})
        answer = await asyncio.wait_for(self._waiting[number], 60)
        assert "error" not in answer, (method, answer["error"])
        return answer["result"]

    async def open(self, address: str) -> None:
        """Go to an address."""
        await self.call("Page.navigate", url=address)

    async def run(self, script: str) -> Any:
        """The value of a piece of JavaScript, which may be a promise."""
        found = await self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    async def text(self) -> str:
        """What stands in the terminal of the page."""
        return str(await self.run(_TEXT) or "")

    async def wait(self, *texts: str, seconds: float = 120) -> str:
        """The text of the terminal, as soon as all of the texts stand in it."""
        for _ in range(int(seconds * 10)):
            text = await self.text()
            if all(wanted in text for wanted in texts):
                return text
            await asyncio.sleep(0.1)
        raise AssertionError(f"{texts} did not come; there is:\n{text}")

    async def press(self, key: str) -> None:
        """Press a key that is a letter, or has a name."""
        text = key if len(key) == 1 else ""
        codes = {"ArrowDown": 40, "ArrowUp": 38, "Enter": 13, "Escape": 27}
        code = codes.get(key) or ord(key.upper())
        named = {"key": key, "windowsVirtualKeyCode": code, "code": f"Key{key.upper()}" if text else key}
        await self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **named)
        await self.call("Input.dispatchKeyEvent", type="keyUp", **named)

    async def screenshot(self) -> np.ndarray:
        """The page as pixels [H,W,3]."""
        data = (await self.call("Page.captureScreenshot", format="png"))["data"]
        return np.array(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))
