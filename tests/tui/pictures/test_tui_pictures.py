"""Pictures by kitty's graphics and sixel: what a terminal is asked, what it gets, and what is left when they go."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from fake_terminal import FakeTerminal
from picture_show import Dialog, Show, picture
from PIL import Image
from textual.pilot import Pilot

from modelhub.catalog.store import Catalog
from modelhub.scan.run import scan
from modelhub.tui.pictures import graphics, picture_sixel
from modelhub.tui.pictures.graphics import Graphics, find_graphics, side_in, tell_colours
from modelhub.tui.pictures.picture import Picture
from modelhub.tui.pictures.picture_blocks import fit_cells
from modelhub.tui.pictures.picture_kitty import MARKS

ROOT = Path(__file__).resolve().parents[3]
PLACEHOLDER, BLOCK = "\U0010eeee".encode(), "▀".encode()
SENT = rb"\x1b_Gi=(\d+),f=24,s=(\d+),v=(\d+),o=z,q=2,m=0;([^\x1b]*)\x1b\\\x1b_Ga=p,U=1,i=\1,c=(\d+),r=(\d+),q=2\x1b\\"
PAINTED = rb"\x1b\[(\d+);(\d+)H\x1bP[\d;]*q\"1;1;(\d+);(\d+)([^\x1b]*)\x1b\\"
CELL = (10, 20)
#: The picture of the small program, in cells of 10 × 20 pixels in its 60 × 20 cells.
COLUMNS, ROWS = 53, 20


@pytest.fixture
def terminal(home: Path) -> Iterator[Callable[..., FakeTerminal]]:
    """`terminal(kind)`: the small program in a terminal of that kind."""
    running: list[FakeTerminal] = []

    def start(kind: str, wish: str = "auto", **more: object) -> FakeTerminal:
        environment = {"PICTURES": wish, "PYTHONPATH": str(ROOT), **more.pop("environment", {})}
        if "late" not in more:
            environment |= {"PATIENCE": "20", "PATIENCE_SSH": "20"}
        running.append(FakeTerminal(kind, home, words=("tests/tui/picture_show.py",), environment=environment, **more))
        return running[-1]

    yield start
    for one in running:
        one.end()


def unsixel(data: bytes, width: int, height: int) -> np.ndarray:
    """The pixels [H,W,3] that sixels paint."""
    pixels = np.zeros((height + 6, width, 3), np.uint8)
    colours, colour, x, y = {}, (0, 0, 0), 0, 0
    for define, number, count, sign in re.findall(rb"#(\d+;2;\d+;\d+;\d+)|#(\d+)|!?(\d+)?([?-~$-])", data):
        if define:
            name, _, *parts = map(int, define.split(b";"))
            colour = colours[name] = [round(part * 2.55) for part in parts]
        elif number:
            colour = colours[int(number)]
        elif sign in b"$-":
            x, y = 0, y + 6 * (sign == b"-")
        else:
            times = int(count or 1)
            for bit in range(6):
                if sign[0] - 63 >> bit & 1:
                    pixels[y + bit, x : x + times] = colour
            x += times
    return pixels[:height]


# -- kitty -------------------------------------------------------------------------------------------------------------


def test_kitty_gets_the_pixels_and_characters_that_stand_for_them(terminal):
    it = terminal("kitty")
    sent = it.wait(SENT)
    number, width, height, data, columns, rows = sent.groups()
    assert (int(width), int(height), int(columns), int(rows)) == (160, 120, COLUMNS, ROWS)
    pixels = np.frombuffer(zlib.decompress(base64.b64decode(data)), np.uint8)
    assert np.array_equal(pixels.reshape(120, 160, 3), picture(1))
    it.wait(PLACEHOLDER, sent.end())
    shown = it.since(sent.end()).decode()
    colour = "38;2;{};{};{}m".format(*int(number).to_bytes(3, "big"))
    cells = {(MARKS[row], MARKS[column]) for row in range(ROWS) for column in range(COLUMNS)}
    found = re.findall("\x1b\\[[0-9;]*m\U0010eeee..", shown)
    assert all(colour in cell for cell in found)
    assert {(cell[-2], cell[-1]) for cell in found} == cells


def test_a_dialog_over_kittys_picture_shows_it_dimmed_by_blocks(terminal):
    it = terminal("kitty")
    it.wait(PLACEHOLDER)
    it.rest()
    before = it.type("d")
    it.wait(b"a dialog", before)
    end = it.rest()
    assert PLACEHOLDER not in it.written[before:end]
    assert BLOCK in it.written[before:end]
    before = it.type("\x1b")
    it.wait(PLACEHOLDER, before)
    end = it.rest()
    assert BLOCK not in it.written[before:end]
    assert not re.search(SENT, it.written[before:end], re.DOTALL), "the picture was there already"


def test_kitty_forgets_what_is_shown_no_more(terminal):
    it = terminal("kitty")
    first = it.wait(SENT)
    it.rest()
    second = it.wait(SENT, it.type("n"))
    assert second[1] != first[1]
    it.wait(rb"\x1b_Ga=d,d=I,i=" + first[1], second.end())
    it.rest()
    it.wait(rb"\x1b_Ga=d,d=I,i=" + second[1], it.type("x"))
    it.rest()
    third = it.wait(SENT, it.type("n"))
    it.wait(PLACEHOLDER, third.end())
    assert it.end() == 0
    it.wait(rb"\x1b_Ga=d,d=I,i=" + third[1], third.end(), 1)


def test_kitty_over_ssh_has_all_colours(monkeypatch):
    environment = {"TERM": "xterm-kitty"}
    tell_colours(Graphics(frozenset({"kitty"})), environment)
    assert environment["COLORTERM"] == "truecolor"
    other = {"TERM": "xterm"}
    tell_colours(Graphics(frozenset({"sixel"})), other)
    assert other == {"TERM": "xterm"}


# -- sixel -------------------------------------------------------------------------------------------------------------


def test_sixels_are_painted_where_the_picture_stands(terminal):
    it = terminal("sixel")
    painted = it.wait(PAINTED)
    row, column, width, height = map(int, painted.groups()[:4])
    assert (row, column) == (2, 1 + (60 - COLUMNS) // 2)
    assert (width, height) == (COLUMNS * CELL[0], ROWS * CELL[1])
    wanted = np.asarray(Image.fromarray(picture(1)).resize((width, height))).astype(int)
    assert np.abs(unsixel(painted[5], width, height) - wanted).mean() < 4


def test_the_size_of_a_cell_is_that_of_the_system_where_it_knows_it(terminal):
    it = terminal("sixel", pixels=(120 * 8, 40 * 16))
    painted = it.wait(PAINTED)
    assert (int(painted[3]), int(painted[4])) == (COLUMNS * 8, ROWS * 16)


@pytest.mark.parametrize(("away", "back"), [("d", "\x1b"), ("s", "s"), ("h", "h")], ids=["dialog", "scroll", "hide"])
def test_sixels_leave_and_come_back_with_their_cells(terminal, away, back):
    it = terminal("sixel")
    it.wait(PAINTED)
    it.rest()
    before = it.type(away)
    assert not re.search(PAINTED, it.since(before), re.DOTALL)
    it.wait(PAINTED, it.type(back))


def test_a_notice_over_sixels_is_not_painted_over(terminal):
    it = terminal("sixel", environment={"WIDE": "1"})
    it.wait(PAINTED)
    it.rest()
    shown = it.wait(b"a notice", it.type("t"))
    gone = it.wait(PAINTED, shown.end())  # it has left, and the corner it stood on is painted again
    assert it.moments(shown.end(), gone.start()) > 1


def test_another_picture_is_painted_over_the_one_before(terminal):
    it = terminal("sixel")
    first = it.wait(PAINTED)
    it.rest()
    before = it.type("n")
    second = it.wait(PAINTED, before)
    assert first[5] != second[5]
    assert len(re.findall(PAINTED, it.since(before), re.DOTALL)) == 1
    before = it.type("x")
    assert not re.search(PAINTED, it.since(before), re.DOTALL)


# -- what is asked -----------------------------------------------------------------------------------------------------


def test_a_plain_terminal_gets_blocks(terminal):
    it = terminal("plain")
    it.wait(BLOCK)
    end = it.rest()
    assert PLACEHOLDER not in it.written[:end]
    assert b"\x1bP" not in it.written[:end]


_TIMED = """
import time; from modelhub.tui.pictures.graphics import find_graphics
start = time.monotonic(); found = find_graphics("auto")
print("took", time.monotonic() - start, sorted(found.ways), flush=True); time.sleep(5)
"""


@pytest.mark.parametrize("environment", [{}, {"SSH_CONNECTION": "10.0.0.1 5 10.0.0.2 22"}], ids=["here", "ssh"])
def test_a_terminal_that_never_answers_is_not_waited_for_long(home, environment):
    it = FakeTerminal("silent", home, words=("-c", _TIMED), environment=environment)
    took = float(it.wait(rb"took ([\d.]+) \[\]")[1])
    it.process.kill()
    assert 0.3 < took < 10


def test_an_answer_that_comes_late_is_not_read_as_keys(terminal):
    it = terminal("kitty", late=0.6)
    it.wait(BLOCK)
    it.rest(1.5)
    it.wait(b"typed: t", it.type("t"))
    assert len(it.questions) == 2, "kitty is not asked when it has not said what it is"


def test_a_slow_answer_over_ssh_is_waited_for(terminal):
    it = terminal("sixel", late=1, environment={"SSH_CONNECTION": "10.0.0.1 5 10.0.0.2 22", "PATIENCE_SSH": "20"})
    it.wait(PAINTED)


@pytest.mark.parametrize(
    ("wish", "environment"),
    [
        ("blocks", {}),
        ("off", {}),
        ("auto", {"TMUX": "/tmp/tmux-0/default,1,0"}),
        ("auto", {"TERM": "tmux-256color"}),
        ("auto", {"TERM": "screen.xterm-256color"}),
        ("auto", {"TERM": "linux"}),
        ("sixel", {"NO_COLOR": "1"}),
    ],
)
def test_where_the_answer_is_known_nothing_is_asked(terminal, wish, environment):
    it = terminal("sixel", wish, environment=environment)
    it.wait(b"above")
    end = it.rest()
    assert it.questions == []
    assert not re.search(PAINTED, it.written[:end], re.DOTALL)
    assert (BLOCK in it.written[:end]) is (wish != "off")


def test_what_the_user_wishes_is_asked_alone(terminal):
    it = terminal("kitty", "kitty")
    it.wait(PLACEHOLDER)
    assert [question[:3] for question in it.questions] == [b"\x1b_G", b"\x1b[c"]


def test_without_a_terminal_nothing_is_asked_and_nothing_waited_for():
    code = "from modelhub.tui.pictures.graphics import find_graphics; print(sorted(find_graphics('auto').ways))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, input="", capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_in_the_browser_nothing_is_asked(monkeypatch):
    monkeypatch.setattr("sys.stdin", open("/dev/null"))  # noqa: PTH123, SIM115
    assert (
        find_graphics("auto", {"TEXTUAL_DRIVER": "textual.drivers.web_driver:WebDriver", "TERM": "xterm"}).ways == set()
    )


@pytest.mark.parametrize(
    ("ways", "wish", "way"),
    [
        ({"sixel", "kitty"}, "auto", "sixel"),
        ({"kitty"}, "auto", "kitty"),
        ({"kitty"}, "sixel", "blocks"),
        ({"sixel"}, "kitty", "blocks"),
        ({"sixel"}, "blocks", "blocks"),
        ({"sixel"}, "off", "off"),
        (set(), "auto", "blocks"),
        (set(), "off", "off"),
    ],
)
def test_what_is_shown_is_what_both_want(ways, wish, way):
    assert Graphics(frozenset(ways), CELL).way(wish) == way


def test_sixels_need_the_size_of_a_cell(monkeypatch):
    monkeypatch.setattr(graphics, "cell_size", lambda: None)
    assert Graphics(frozenset({"sixel"})).way("auto") == "blocks"
    assert Graphics(frozenset({"kitty"})).way("auto") == "kitty"


# -- the widget --------------------------------------------------------------------------------------------------------


@pytest.fixture
def show(monkeypatch) -> Callable[[str], Show]:
    """`show(way)`: the small program where a terminal could do that."""
    monkeypatch.setattr(graphics, "cell_size", lambda: CELL)

    def make(way: str) -> Show:
        app = Show("auto")
        app.graphics = Graphics(frozenset({way}))
        return app

    return make


async def made(pilot: Pilot, until: Callable[..., object]) -> Picture:
    """The widget, as soon as the graphic of its picture is there."""
    widget = pilot.app.query_one(Picture)
    await until(pilot, lambda: widget._graphic is not None and widget._graphic.wanted.turn == widget._turn)
    return widget


def drawn(widget: Picture) -> str:
    """The signs that stand in the widget's cells."""
    return "".join(widget.render_line(y).text for y in range(widget.size.height)).replace(" ", "")


@pytest.mark.parametrize("way", ["kitty", "sixel"])
async def test_what_cannot_be_made_stays_in_blocks(show, until, monkeypatch, way):
    def fail(*_: object) -> str:
        raise ValueError("no")

    monkeypatch.setattr(picture_sixel, "encode", fail)
    monkeypatch.setattr("modelhub.tui.pictures.picture_kitty.send", fail)
    async with (app := show(way)).run_test(size=(100, 40)) as pilot:
        await until(pilot, lambda: app.graphics.failed == {way})
        widget = app.query_one(Picture)
        await until(pilot, lambda: set(drawn(widget)) == {"▀"})
        assert len(app.screen_stack) == 1, "no dialog tells of it"
        assert widget.painting() is None
        app.action_next()
        await pilot.pause()
        assert set(drawn(widget)) == {"▀"}


async def test_pictures_that_come_faster_than_they_are_made_end_with_the_newest(show, until, monkeypatch):
    go, seen, encode = threading.Event(), [], picture_sixel.encode

    def slow(pixels: np.ndarray, width: int, height: int) -> str:
        seen.append(int(pixels[0, 0, 2]))
        go.wait(20)
        return encode(pixels, width, height)

    monkeypatch.setattr(picture_sixel, "encode", slow)
    async with (app := show("sixel")).run_test(size=(100, 40)) as pilot:
        await until(pilot, lambda: seen)
        for _ in range(5):
            app.action_next()
            await pilot.pause()
        go.set()
        await made(pilot, until)
        assert seen == [40, 240], "one at a time, and none that is old when its turn comes"


async def test_a_picture_that_went_while_it_was_made_does_not_come_back(show, until, monkeypatch):
    go, encode = threading.Event(), picture_sixel.encode
    monkeypatch.setattr(picture_sixel, "encode", lambda *size: go.wait(20) and encode(*size))
    async with (app := show("sixel")).run_test(size=(100, 40)) as pilot:
        widget = app.query_one(Picture)
        await until(pilot, lambda: widget._making)
        app.action_none()
        go.set()
        await until(pilot, lambda: widget._making is None)
        assert widget.painting() is None
        assert not drawn(widget)


async def test_a_picture_takes_the_cells_that_are_there(show, until):
    async with show("sixel").run_test(size=(100, 40)) as pilot:
        widget = await made(pilot, until)
        sixels, place = widget.painting()
        assert '"1;1;530;400' in sixels
        assert place.size == (COLUMNS, ROWS)
        widget.styles.height = 10
        await until(pilot, lambda: widget.painting() and widget.painting()[1].size == (27, 10))
        assert '"1;1;270;200' in widget.painting()[0]
        widget.styles.height = 60  # more than the screen has
        await until(pilot, lambda: widget.size.height == 60)
        await until(pilot, lambda: widget._graphic is not None)
        assert widget.painting() is None, "half of it is not on the screen"


async def test_nothing_is_painted_into_the_last_line(show, until):
    async with show("sixel").run_test(size=(100, 21)) as pilot:
        widget = await made(pilot, until)
        assert widget.region.bottom == 21
        assert widget.painting() is None
        assert set(drawn(widget)) == {"▀"}


async def test_blocks_and_graphics_stand_in_the_same_cells(show, until):
    async with (app := show("kitty")).run_test(size=(100, 40)) as pilot:
        widget = await made(pilot, until)
        await pilot.pause()
        graphic = [[bool(segment.text.strip()) for segment in widget.render_line(y)] for y in range(20)]
        await app.push_screen(Dialog())
        await pilot.pause()
        blocks = [[bool(segment.text.strip()) for segment in widget.render_line(y)] for y in range(20)]
        assert graphic == blocks
        assert set(drawn(widget)) == {"▀"}


async def test_the_way_follows_the_setting(show, until):
    async with (app := show("kitty")).run_test(size=(100, 40)) as pilot:
        widget = await made(pilot, until)
        assert side_in(app) == 768
        for wish, signs, side in (("blocks", {"▀"}, 256), ("off", set(), 0)):
            app.settings = app.settings._replace(pictures=wish)
            app.screen.refresh(repaint=True)
            await pilot.pause()
            assert set(drawn(widget)) == signs
            assert side_in(app) == side


def test_a_fitted_picture_keeps_its_shape_in_cells_of_any_size():
    for height, width, cell in ((100, 100, (10, 20)), (50, 400, (9, 19)), (768, 300, (8, 16))):
        columns, rows = fit_cells(np.zeros((height, width, 3), np.uint8), 60, 20, cell)
        assert 1 <= columns <= 60
        assert 1 <= rows <= 20
        off = columns * cell[0] / (rows * cell[1]) / (width / height)
        assert abs(off - 1) < 0.35 if rows < 4 else 0.06


# -- modelhub ----------------------------------------------------------------------------------------------------------


_PATIENT = """
import sys; from modelhub.tui.pictures import graphics; graphics._PATIENCE = 20
from modelhub.__main__ import main; sys.exit(main())
"""


def test_modelhub_shows_the_picture_beside_a_model_by_kitty(models: Path, home: Path):
    Image.fromarray(picture(1)).save(min(models.iterdir()).with_suffix(".preview.png"))
    with Catalog.open(home) as catalog:
        scan(catalog, [models])
    it = FakeTerminal("kitty", home, words=("-c", _PATIENT))
    sent = it.wait(SENT)
    pixels = np.frombuffer(zlib.decompress(base64.b64decode(sent[4])), np.uint8)
    assert np.array_equal(pixels.reshape(120, 160, 3), picture(1))
    it.wait(PLACEHOLDER, sent.end())
    it.rest()
    assert it.end() == 0
    it.wait(rb"\x1b_Ga=d,d=I,i=" + sent[1], sent.end(), 1)
