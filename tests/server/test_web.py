"""The TUI in a browser: what a real one shows, who may open it, and that its processes end."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import numpy as np
import pytest
import requests
from browser import CHROMIUM, Browser
from leftovers import gone
from served import ORANGE, ROOT, Server

from modelhub.cli.console import main
from modelhub.server.session import Session

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


def share(picture: np.ndarray, colour: tuple[int, int, int]) -> float:
    """Which part of a picture has a colour."""
    return float((np.abs(picture.astype(int) - colour).max(-1) < 12).mean())


async def until(true, seconds: float = 60) -> None:
    for _ in range(int(seconds * 20)):
        if true():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("still not true")


# -- a real browser ----------------------------------------------------------------------------------------------------


@needs_browser
async def test_the_library_is_shown_moved_in_and_left(serve, tmp_path):
    server = serve("--web")
    async with Browser(tmp_path / "browser") as browser:
        await browser.open(server.address)
        await browser.wait("modelhub", "tiny-shapes-base", "4 of 4")
        for _ in range(100):
            if share(await browser.screenshot(), ORANGE) > 0.01:
                break
            await asyncio.sleep(0.1)
        picture = await browser.screenshot()
        assert share(picture, ORANGE) > 0.01, "the picture beside the first model"
        assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 20
        asked = {urlsplit(address).netloc for address in browser.asked if not address.startswith("data:")}
        assert asked == {f"127.0.0.1:{server.port}"}, "nothing comes from elsewhere"
        assert await browser.run("document.fonts.check('16px \"Roboto Mono\"')")

        await browser.press("j")
        await browser.wait("tiny-shapes-framed-lora.safetensors")
        for _ in range(100):
            if share(await browser.screenshot(), ORANGE) < 0.001:
                break
            await asyncio.sleep(0.1)
        assert share(await browser.screenshot(), ORANGE) < 0.001, "the second model has no picture"

        process = server.children[0]
        await browser.press("q")
        await until(lambda: gone(process, 0.01))
        for _ in range(100):
            if await browser.run("document.body.classList.contains('-closed')"):
                break
            await asyncio.sleep(0.1)
        assert await browser.run("getComputedStyle(document.getElementById('ended')).display") == "block"
        await browser.run("document.getElementById('again').click()")
        await until(lambda: server.children)
        (second,) = server.children
        await browser.wait("tiny-shapes-base")
        await browser.open("about:blank")
        assert gone(second), "closing a tab ends its process"


@needs_browser
async def test_two_tabs_have_one_catalog(serve, tmp_path, models):
    server = serve("--web")
    async with Browser(tmp_path / "one") as one:
        await one.open(server.address)
        await one.wait("4 of 4")
        words = ["rate", str(min(models.glob("*.safetensors"))), "5"]
        subprocess.run([sys.executable, "-m", "modelhub", *words], cwd=ROOT, check=True, capture_output=True)
        async with Browser(tmp_path / "two") as two:
            await two.open(server.address)
            await two.wait("★★★★★")
        assert server.stop() == 0


@needs_browser
async def test_another_site_cannot_open_the_terminal(serve, tmp_path):
    server = serve("--web")
    script = """new Promise((done) => {{
      const socket = new WebSocket("{}");
      socket.onopen = () => done("open"); socket.onerror = () => done("refused"); }})"""
    async with Browser(tmp_path / "browser") as browser:
        await browser.open("data:text/html,<p>another site")
        address = f"ws://127.0.0.1:{server.port}/ws"
        assert await browser.run(script.format(address)) == "refused"
        await browser.open(server.address)
        await browser.wait("4 of 4")
        assert len(server.children) == 1
        assert await browser.run(script.format(address)) == "open", "its own page may"


# -- requests ----------------------------------------------------------------------------------------------------------


def test_addresses_that_are_not_its_own_are_refused(serve):
    server = serve("--web")
    for path in ("", "ws", "static/js/textual.js", "page/page.js"):
        address = f"http://127.0.0.1:{server.port}/{path}"
        assert requests.get(address, headers={"Host": "evil.example"}, timeout=60).status_code == 403
        assert requests.get(address, headers={"Origin": "http://evil.example"}, timeout=60).status_code == 403
    answer = requests.get(server.address, timeout=60)
    assert answer.status_code == 200
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert not re.search(r"https?://", answer.text), "all it loads is its own"


@pytest.mark.parametrize("path", ["static/", "page/", "static/../server.py", "page/..%2f__init__.py", "download/x"])
def test_only_the_files_of_the_page_are_given(serve, path):
    server = serve("--web")
    request = requests.Request("GET", server.address).prepare()
    request.url = server.address + path
    assert requests.Session().send(request, timeout=60).status_code in (403, 404)


async def test_a_websocket_of_another_site_or_name_starts_nothing(serve):
    server = serve("--web")
    async with aiohttp.ClientSession() as client:
        address = f"ws://127.0.0.1:{server.port}/ws"
        for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Host": f"evil.example:{server.port}"}):
            with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
                await client.ws_connect(address, headers=headers)
    assert server.children == []


async def test_strange_messages_do_no_harm(serve):
    server = serve("--web")
    async with aiohttp.ClientSession() as client:
        socket = await client.ws_connect(f"ws://127.0.0.1:{server.port}/ws?width=99999999999999999999&height=-4")
        odd = ["", "{", "[]", "[1]", '["stdin"]', '["stdin", 5]', '["resize", {"width": "a", "height": 2}]', '["quit"]']
        for message in [*odd, "[" * 100_000, '["resize", {"width": 1000000000, "height": -5}]', '["stdin", "\\ud800"]']:
            await socket.send_str(message)
        await socket.send_bytes(b"\0\1")
        await socket.send_json(["ping", 7])
        found = b""
        async for message in socket:
            if message.type == aiohttp.WSMsgType.TEXT:
                assert json.loads(message.data) == ["pong", 7]
                break
            found += message.data
        await socket.send_json(["resize", {"width": 100, "height": 30}])
        async for message in socket:
            found += message.data if isinstance(message.data, bytes) else b""
            if b"tiny-shapes-base" in found:
                break
        (process,) = server.children
        await socket.close()
    assert gone(process)


async def test_so_many_tabs_and_no_more(serve):
    server = serve("--web")
    async with aiohttp.ClientSession() as client:
        address = f"ws://127.0.0.1:{server.port}/ws"
        tabs = [await client.ws_connect(address) for _ in range(8)]
        with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
            await client.ws_connect(address)
        await tabs[0].close()
        await until(lambda: len(server.children) == 7)
        await (await client.ws_connect(address)).close()
        assert server.stop() == 0
    assert server.children == []


# -- the token ---------------------------------------------------------------------------------------------------------


def test_other_machines_need_the_token_which_leaves_the_address(serve):
    server = serve("--web", "--host", "0.0.0.0")
    token, base = server.told["token"], f"http://127.0.0.1:{server.port}/"
    assert server.address.endswith(f"/?token={token}")
    for path in ("", "ws", "static/js/textual.js", "?token=wrong", "page/page.js"):
        assert requests.get(base + path, timeout=60).status_code == 401
    assert requests.get(f"{base}page/page.js", headers={"Authorization": f"Bearer {token}"}, timeout=60).ok
    browser = requests.Session()
    answer = browser.get(f"{base}?token={token}", timeout=60)
    assert answer.ok
    assert answer.url == base
    cookie = answer.history[0].headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert browser.get(f"{base}static/js/textual.js", timeout=60).ok
    assert browser.get(base, headers={"Origin": "http://evil.example"}, timeout=60).status_code == 403


def test_where_others_log_in_a_token_is_asked_for_too(serve):
    server = serve("--web", "--token")
    token, base = server.told["token"], f"http://127.0.0.1:{server.port}/"
    assert server.address == f"{base}?token={token}"
    for path in ("", "ws", "sdapi/v1/sd-models"):
        assert requests.get(base + path, timeout=60).status_code == 401
    assert requests.get(f"{base}sdapi/v1/sd-models", auth=("me", token), timeout=60).json()
    assert requests.get(server.address, timeout=60).url == base


# -- its end -----------------------------------------------------------------------------------------------------------


async def tab(client: aiohttp.ClientSession, server: Server) -> tuple[aiohttp.ClientWebSocketResponse, int]:
    """An open tab that shows the library, and its process."""
    socket = await client.ws_connect(f"ws://127.0.0.1:{server.port}/ws?width=120&height=40")
    found = b""
    async for message in socket:
        found += message.data if isinstance(message.data, bytes) else b""
        if b"tiny-shapes-base" in found:
            break
    return socket, server.children[0]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_when_the_server_is_stopped_all_tabs_end(serve, number):
    server = serve("--web")
    async with aiohttp.ClientSession() as client:
        socket, process = await tab(client, server)
        assert await asyncio.to_thread(server.stop, number) == 0
        assert gone(process, 0.5)
        while (await socket.receive()).type != aiohttp.WSMsgType.CLOSE:
            pass


async def test_when_the_server_is_killed_its_tabs_end_by_themselves(serve):
    server = serve("--web")
    async with aiohttp.ClientSession() as client:
        _, process = await tab(client, server)
        server.process.kill()
        server.process.wait()
        assert gone(process)


async def test_a_tui_that_cannot_start_says_why_in_the_page(serve, home):
    server = serve("--web")
    (home / "settings.toml").write_text("colour = 'red'\n")
    async with aiohttp.ClientSession() as client:
        socket = await client.ws_connect(f"ws://127.0.0.1:{server.port}/ws")
        found = b"".join([message.data async for message in socket])
    assert b"there is no setting 'colour'" in found
    assert b"\r\n" in found


async def test_addresses_are_opened_only_on_the_web():
    told = []

    async def tell(text: str) -> None:
        told.append(json.loads(text))

    session = Session(tell, tell)
    for address in (
        "https://civitai.com/models/1",
        "http://a.example",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "",
    ):
        await session._take(b"M", json.dumps({"type": "open_url", "url": address, "new_tab": False}).encode())
    await session._take(b"M", json.dumps({"type": "deliver_file_start", "key": "a", "path": "/etc/passwd"}).encode())
    assert [message[1]["url"] for message in told] == ["https://civitai.com/models/1", "http://a.example"]


# -- the command -------------------------------------------------------------------------------------------------------


def test_a_port_that_is_taken_is_said_with_the_next_step(serve):
    server = serve("--web")
    words = ["serve", "--web", "--port", str(server.port)]
    done = subprocess.run(
        [sys.executable, "-m", "modelhub", *words], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert "Nothing can listen on 127.0.0.1" in done.stderr
    assert f"--port {server.port + 1}" in done.stderr


@pytest.mark.parametrize("words", [["--port", "70000"], ["--port", "x"], ["--host", "no.such.host.invalid"]])
def test_wrong_addresses_are_sentences(models, words):
    done = subprocess.run(
        [sys.executable, "-m", "modelhub", "serve", *words], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


_WITHOUT = """
import sys
sys.modules[{!r}] = None
from modelhub.__main__ import main
sys.argv = ["modelhub", "serve", "--web", "--port", "0"]
sys.exit(main())
"""


@pytest.mark.parametrize("module", ["aiohttp", "textual_serve"])
def test_without_the_extra_the_way_to_get_it_is_said(models, module):
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT.format(module)], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert "pip install 'modelhub[web]'" in done.stderr


def test_a_program_without_a_server_says_so(capsys):
    assert main(["serve"]) == 2
    assert "Run `modelhub serve`." in capsys.readouterr().err


def test_what_is_printed_for_people(models: Path):
    process = subprocess.Popen(
        [sys.executable, "-m", "modelhub", "serve", "--web", "--port", "0"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": ""},
    )
    assert process.stdout is not None
    assert re.fullmatch(r"TUI: http://127\.0\.0\.1:\d+/\n", process.stdout.readline())
    assert re.fullmatch(r"API: http://127\.0\.0\.1:\d+/sdapi/v1\n", process.stdout.readline())
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60) == ("", "Press ctrl-C to stop.\n")
    assert process.returncode == 0
