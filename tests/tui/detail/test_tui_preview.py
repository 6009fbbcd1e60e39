"""The picture beside a model: shown, kept in its bounds, and never a trap."""

from __future__ import annotations

import os
import struct
import zlib

import pytest
from PIL import Image
from textual.widgets import Static

from modelhub.catalog.store import Catalog
from modelhub.scan.run import scan
from modelhub.tui.assets.asset_list import AssetList
from modelhub.tui.detail.pane import Detail
from modelhub.tui.detail.preview import Preview
from modelhub.tui.library import Library
from modelhub.tui.pictures.picture import Picture

RED = (250, 10, 20)


def bomb(path, side):
    """A PNG file that claims to be `side` pixels wide and high."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    size = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + size + chunk(b"IDAT", zlib.compress(bytes(9))) + chunk(b"IEND", b""))


@pytest.fixture
def library(models, home):
    """The tiny models, the first with a sidecar `preview` that the tests replace."""
    first = min(models.iterdir())
    preview = first.with_suffix(".preview.png")
    Image.new("RGB", (60, 40), RED).save(preview)
    with Catalog.open(home) as catalog:
        scan(catalog, [models])
    return Library(home), preview


async def shown(pilot, until):
    await until(pilot, lambda: pilot.app.screen.query_one(AssetList).count)
    return pilot.app.screen.query_one(Preview)


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_the_picture_stands_in_the_pane_and_leaves_with_its_model(library, app, until, text, size):
    async with (it := app(library[0])).run_test(size=size) as pilot:
        await until(pilot, lambda: it.screen.query_one(AssetList).count)
        await pilot.press("enter")
        preview = it.screen.query_one(Preview)
        await until(pilot, lambda: "▀▀▀▀" in text(it))
        picture, pane = preview.query_one(Picture), it.screen.query_one(Detail)
        assert tuple(picture.pixels[0, 0]) == RED
        assert 6 <= picture.size.height <= max(6, pane.size.height * 0.4)
        await pilot.press("escape", "down")
        await until(pilot, lambda: not preview.display and "▀▀▀▀" not in text(it))


async def test_the_text_stays_where_it_is_until_the_next_picture_comes(library, app, until, text, monkeypatch):
    from modelhub.formats import images

    first, second, *_ = sorted(library[1].parent.glob("*.safetensors"))
    Image.new("RGB", (60, 40), (10, 240, 20)).save(second.with_suffix(".preview.png"))
    with library[0].open() as catalog:
        scan(catalog, [first.parent])
    async with (it := app(library[0])).run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "▀▀▀▀" in text(it))
        pane = it.screen.query_one(Detail)
        picture, places, blank = pane.query_one(Picture), {pane.body.virtual_region.y}, []
        load = images.load_thumbnail
        monkeypatch.setattr(
            images, "load_thumbnail", lambda path, side: (blank.append(picture.pixels is None), load(path, side))[1]
        )
        follow = lambda _: places.add(pane.body.virtual_region.y)  # noqa: E731
        it.screen.screen_layout_refresh_signal.subscribe(it.screen, follow, immediate=True)
        await pilot.press("down")
        await until(pilot, lambda: picture.pixels is not None and tuple(picture.pixels[0, 0]) == (10, 240, 20))
        assert len(places) == 1 and blank == [True], "and the old one is not taken for the new one's"


async def test_the_picture_follows_the_size_of_the_window(library, app, until, text):
    async with (it := app(library[0])).run_test(size=(200, 60)) as pilot:
        preview = await shown(pilot, until)
        await until(pilot, lambda: "▀▀▀▀" in text(it))
        before = preview.query_one(Picture).size
        await pilot.resize_terminal(120, 40)
        await until(pilot, lambda: 0 < preview.query_one(Picture).size.height < before.height)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: bomb(path, 60_000), "picture"),
        (lambda path: bomb(path, 7_000), "more than modelhub"),
        (lambda path: path.write_bytes(b"GIF89a nothing"), "picture"),
        (lambda path: path.write_bytes(b""), "picture"),
        (lambda path: path.unlink(), "does not exist"),
        (lambda path: (path.unlink(), os.mkfifo(path)), "a pipe"),
        (lambda path: (path.unlink(), path.mkdir()), "a folder"),
    ],
    ids=["bomb", "large", "rubbish", "empty", "gone", "pipe", "folder"],
)
async def test_what_is_no_picture_is_a_line_of_text(library, app, until, text, make, says):
    make(library[1])
    async with (it := app(library[0])).run_test(size=(200, 60)) as pilot:
        preview = await shown(pilot, until)
        line = preview.query_one(Static)
        await until(pilot, lambda: preview.display and line.size.height > 0)
        assert says in str(line.content) and line.display and "▀" not in text(it)
        assert it.screen.query_one(Detail).asset.name in text(it)


async def test_a_rushing_cursor_reads_only_where_it_rests(library, app, until, text, monkeypatch):
    from modelhub.formats import images

    read = []
    load = images.load_thumbnail
    monkeypatch.setattr(images, "load_thumbnail", lambda path, side: (read.append(path), load(path, side))[1])
    async with (it := app(library[0])).run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "▀▀▀▀" in text(it))
        preview, here = it.screen.query_one(Preview), it.screen.query_one(Preview).path
        for _ in range(50):
            preview.path = ""
            preview.path = here
        await until(pilot, lambda: len(read) > 1)
        await until(pilot, lambda: "▀▀▀▀" in text(it))
        assert len(read) == 2


async def test_several_pictures_are_gone_through(library, app, until, text):
    preview = library[1]
    stem = preview.name.removesuffix(".preview.png")
    Image.new("RGB", (40, 40), (10, 240, 20)).save(preview.with_name(f"{stem}.example.0.png"))
    preview.with_name(f"{stem}.example.1.png").write_bytes(b"no picture")
    async with (it := app(library[0])).run_test(size=(200, 60), notifications=True) as pilot:
        widget = await shown(pilot, until)
        await until(pilot, lambda: "1 of 3" in text(it))
        await pilot.press("p")
        await until(pilot, lambda: "2 of 3" in text(it))
        await until(pilot, lambda: tuple(widget.query_one(Picture).pixels[0, 0]) == (10, 240, 20))
        await pilot.press("p")
        await until(pilot, lambda: "3 of 3" in text(it) and widget.query_one(Static).display)
        await pilot.press("p")
        await until(pilot, lambda: "1 of 3" in text(it))
        assert tuple(widget.query_one(Picture).pixels[0, 0]) == RED
        await pilot.press("down", "p")
        await until(pilot, lambda: "There is no other picture" in text(it))
