"""The widgets by themselves: pictures equal their pixels, columns fill their width, pages are few, queries are narrowed."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from rich.cells import cell_len
from rich.segment import Segment
from textual import events
from textual.app import App, ComposeResult
from textual.widgets.selection_list import Selection

from modelhub.catalog.search import compile_query
from modelhub.errors import UsageError
from modelhub.jobs import Event
from modelhub.tui.assets.columns import USUAL, chosen, layout
from modelhub.tui.assets.pages import Pages
from modelhub.tui.browse.narrow import narrow
from modelhub.tui.keys.keymap import load_keys
from modelhub.tui.library import term
from modelhub.tui.pictures.picture import Picture, fit, half_blocks, resize
from modelhub.tui.widgets.field import TextField
from modelhub.tui.widgets.line_list import LineList, cell
from modelhub.tui.widgets.slider import Slider
from modelhub.tui.widgets.status import StatusLine
from modelhub.tui.widgets.ticks import TickBox, TickList
from modelhub.tui.work import Progress

pixels = hnp.arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20), st.just(3)))


def colours(strips):
    """The pixels that half-block lines show."""
    upper = [[tuple(segment.style.color.triplet) for segment in strip] for strip in strips]
    lower = [[tuple(segment.style.bgcolor.triplet) for segment in strip] for strip in strips]
    return np.array([row for pair in zip(upper, lower, strict=True) for row in pair], dtype=np.uint8)


@given(pixels.filter(lambda picture: picture.shape[0] % 2 == 0))
def test_half_blocks_show_the_pixels(picture):
    strips = half_blocks(picture)
    assert all(segment.text == "▀" for strip in strips for segment in strip)
    assert np.array_equal(colours(strips), picture)


@given(pixels, st.integers(1, 5), st.integers(1, 5))
def test_growing_by_whole_factors_repeats_pixels(picture, down, across):
    bigger = resize(picture, picture.shape[0] * down, picture.shape[1] * across)
    assert np.array_equal(bigger, picture.repeat(down, 0).repeat(across, 1))


@given(pixels, st.integers(1, 4), st.integers(1, 4))
def test_shrinking_by_whole_factors_takes_means(picture, down, across):
    big = picture.repeat(down, 0).repeat(across, 1)
    assert np.array_equal(resize(big, *picture.shape[:2]), picture)


@given(pixels, st.integers(1, 30), st.integers(1, 30))
def test_resizing_gives_the_size_and_no_new_extremes(picture, height, width):
    other = resize(picture, height, width)
    assert other.shape == (height, width, 3)
    assert picture.min() <= other.min() <= other.max() <= picture.max()


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(1, 200), st.integers(1, 100))
def test_a_fitted_picture_stays_inside_and_keeps_its_shape(height, width, columns, rows):
    tall, wide = fit(height, width, columns, rows)
    assert tall % 2 == 0
    assert 2 <= tall <= 2 * rows
    assert 1 <= wide <= columns
    scale = min(columns / width, 2 * rows / height)
    assert abs(tall - height * scale) <= 2
    assert abs(wide - width * scale) <= 1


@pytest.mark.parametrize("size", [(16, 4), (40, 20), (7, 30)])
async def test_a_picture_is_drawn_in_the_middle(size):
    picture = np.random.default_rng(1).integers(0, 256, (8, 8, 3), np.uint8)

    class Show(App[None]):
        def compose(self):
            yield Picture()

    async with (app := Show()).run_test(size=size) as pilot:
        widget = app.query_one(Picture)
        assert not "".join(widget.render_line(y).text for y in range(size[1])).strip()
        widget.pixels = picture
        await pilot.pause()
        lines = [widget.render_line(y) for y in range(size[1])]
        assert all(line.cell_length == size[0] for line in lines)
        drawn = [[segment for segment in line if segment.text == "▀"] for line in lines]
        drawn = [line for line in drawn if line]
        tall, wide = fit(8, 8, *size)
        assert np.array_equal(colours(drawn), resize(picture, tall, wide))


@given(st.integers(24, 400))
def test_columns_fill_their_width_and_the_name_keeps_room(width):
    columns = layout(width, chosen(USUAL), {"name": width, "tags": 12, "kind": 30})
    assert columns[0][0].name == "name"
    assert columns[0][1] >= 22
    assert sum(size for _, size in columns) + 2 * (len(columns) - 1) == width


@given(st.text(), st.integers(0, 60), st.booleans())
def test_a_cell_takes_exactly_its_columns_and_is_harmless(text, columns, right):
    shown = cell(text, columns, right=right)
    assert cell_len(shown) == columns
    assert shown.isprintable() or not shown


def test_pages_fetch_what_is_looked_at_and_forget_the_oldest():
    asked: list[list[int]] = []

    def fetch(ids):
        asked.append(list(ids))
        return [SimpleNamespace(id=number) for number in ids if number != 25]

    pages = Pages(fetch, size=10, keep=2)
    pages.show(range(100, 0, -1))
    assert [pages.get(row).id for row in (0, 9, 3)] == [100, 91, 97]
    assert asked == [list(range(100, 90, -1))]
    assert pages.get(75) is None, "it is gone from the catalog"
    assert pages.get(100) is None
    assert pages.get(-1) is None
    pages.get(50)
    pages.get(0)
    assert len(asked) == 4
    pages.forget()
    pages.get(0)
    assert len(asked) == 5


@pytest.mark.parametrize(
    ("query", "terms", "narrowed"),
    [
        ("", {"kind": "lora"}, "kind:lora"),
        ("cat", {"kind": "lora", "arch": None}, "cat kind:lora"),
        ("cat kind:vae arch:sd1 dog", {"kind": "lora", "arch": None}, "cat dog kind:lora"),
        ("cat kind:lora", {"kind": "lora"}, "cat"),
        ("-kind:vae cat", {"kind": "lora"}, "cat kind:lora"),
        ("a OR b", {"tag": "x"}, "(a OR b) tag:x"),
        ("(a OR b) tag:x", {"tag": "y"}, "(a OR b) tag:y"),
        ("(kind:vae OR b)", {"kind": "lora"}, "(kind:vae OR b) kind:lora"),
        ('"a OR kind:vae"', {"kind": "lora"}, '"a OR kind:vae" kind:lora'),
        ("cat", {"tag": "two words"}, 'cat tag:"two words"'),
        ('cat tag:"two words"', {"tag": None}, "cat"),
        ("x", {"path": '/a "b"/c\\d/'}, 'x path:"/a \\"b\\"/c\\\\d/"'),
    ],
)
def test_a_query_is_narrowed(query, terms, narrowed):
    assert narrow(query, terms) == narrowed
    compile_query(narrowed)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1))
def test_any_value_can_be_searched_for(value):
    condition = compile_query(f"kind:vae {term('tag', value)}")
    assert condition.parameters[0] == "vae"


async def test_a_slider_takes_arrows_ends_and_digits():
    class Show(App[None]):
        def compose(self):
            yield Slider("alpha", 0.5, 0.0, 2.0)

    async with (app := Show()).run_test(size=(40, 3)) as pilot:
        slider = app.query_one(Slider)
        await pilot.press("right", "right", "left")
        assert slider.value == pytest.approx(0.6)
        await pilot.press("shift+left")
        assert slider.value == pytest.approx(0.58)
        await pilot.press("end", "right")
        assert slider.value == 2.0
        await pilot.press("home")
        assert slider.value == 0.0
        await pilot.press(*"0.37", "enter")
        assert slider.value == 0.37
        assert "0.37" in slider.render().plain
        await pilot.press(*"9-", "enter")
        assert slider.value == 0.37, "not a number"
        await pilot.press(*"77", "backspace", "enter")
        assert slider.value == 7.0, "the ends are those of the track"
        assert "7.00" in slider.render().plain
        await pilot.press("right")
        assert slider.value == 7.0, "more of what is too much is not less"
        await pilot.press("left")
        assert slider.value == 6.9
        await pilot.press(*"0,1234567890123456", "enter")
        assert slider.value == 0.1234567890123456
        await pilot.press(*"1e999", "enter")
        assert slider.value == 0.1234567890123456, "not a number that there is"
        await pilot.click(slider, offset=(8, 0))
        assert slider.value == 0.0


async def test_a_slider_is_dragged_and_shows_what_was_given():
    class Show(App[None]):
        def compose(self):
            yield Slider("alpha", -1.23456789, 0.0, 2.0)

    async with (app := Show()).run_test(size=(60, 3)) as pilot:
        slider = app.query_one(Slider)
        assert slider.value == -1.23456789
        assert "-1.23457" in slider.render().plain
        assert cell_len(slider.render().plain) == 60
        await pilot.mouse_down(slider, offset=(20, 0))
        first = slider.value
        await pilot.hover(slider, offset=(40, 0))
        assert slider.value > first > 0
        await pilot.mouse_up(slider, offset=(40, 0))
        last = slider.value
        await pilot.hover(slider, offset=(10, 0))
        assert slider.value == last, "let go"


async def test_the_status_line_shows_how_far_a_job_is():
    class Show(App[None]):
        def compose(self):
            yield StatusLine()

    async with (app := Show()).run_test(size=(80, 3)) as pilot:
        line = app.query_one(StatusLine)
        assert not line.display
        line.event = Event("save", "writing", 500_000_000, 2_000_000_000, "bytes", "a\x1b[31m\nb")
        await pilot.pause()
        assert line.display
        shown = line.render().plain
        assert "500 MB/2 GB" in shown
        assert "a\\x1b[31m\\x0ab" in shown
        assert shown.endswith("esc stops ")
        assert len(shown) == 80


def test_waiting_events_give_way_to_newer_ones_but_pictures_do_not():
    plain, picture = Event("p", "sampling", 1), Event("p", "sampling", 2, picture=np.zeros((1, 1, 3)))
    assert Progress("A", plain).can_replace(Progress("A", picture))
    assert Progress("A", picture).can_replace(Progress("A", picture))
    assert not Progress("A", picture).can_replace(Progress("A", plain))
    assert not Progress("A", plain).can_replace(Progress("B", plain))
    assert not Progress("A", Event("p", "s", level="warning")).can_replace(Progress("A", plain))


def test_keys_are_read_from_a_file(tmp_path):
    assert load_keys(tmp_path) == {}
    file = tmp_path / "keys.toml"
    file.write_text('"browse.tag" = "T,ctrl+t"\n')
    assert load_keys(tmp_path) == {"browse.tag": "T,ctrl+t"}


@pytest.mark.parametrize("line", ['"browse.nothing" = "x"', '"browse.tag" = 3', '"browse.tag" = ","', "nonsense"])
def test_keys_that_cannot_be_are_explained(tmp_path, line):
    (tmp_path / "keys.toml").write_text(line)
    with pytest.raises(UsageError, match=r"keys\.toml"):
        load_keys(tmp_path)


async def test_a_tick_is_seen_without_colours(text):
    class Show(App[None]):
        def compose(self):
            yield TickBox("live", True)
            yield TickBox("loud")
            yield TickList(*(Selection(word, word, word == "b") for word in "abc"))

    async with (it := Show()).run_test() as pilot:
        lines = [line for line in text(it).splitlines() if "▐" in line]
        assert ["✓" in line for line in lines] == [True, False, False, True, False]
        assert "X" not in text(it)
        it.query_one(TickList).focus()
        await pilot.press("home", "space")
        assert ["✓" in line for line in text(it).splitlines() if "▐" in line] == [True, False, True, True, False]


@pytest.mark.parametrize("frame", ["", "border: solid white; padding: 1 2;"])
async def test_a_step_moves_the_cursor_that_is_seen_in_a_frame_and_after_scrolling(frame):
    class Rows(LineList):
        header = 1

        def heading(self, y, width):
            return [Segment("heading", self.rich_style)]

        def row(self, number, width, style):
            return [Segment(f"row {number} ", style)]

    class Show(App[None]):
        CSS = f"Rows {{ height: 12; {frame} }} Rows > .list--cursor {{ text-style: underline; }}"

        def compose(self):
            yield Rows()

        def lit(self):
            lines = self.screen._compositor.render_strips()
            return [
                segment.text.split()[1] for line in lines for segment in line
                if "row" in segment.text and segment.style.underline
            ]  # fmt: skip

    async with (it := Show()).run_test() as pilot:
        it.query_one(Rows).count = 40
        await pilot.pause()
        for number in (*range(1, 15), *range(13, -1, -1)):
            await pilot.press("down" if number > it.query_one(Rows).cursor else "up")
            assert it.lit() == [str(number)]


async def test_keys_that_come_together_count_in_their_order():
    class Holder(App[None]):
        def compose(self) -> ComposeResult:
            yield TextField("before")

    async with (app := Holder()).run_test() as pilot:
        field = app.query_one(TextField)
        field.focus()
        await pilot.pause()
        for key in ("ctrl+u", "a", "x", "backspace", "b", "left", "c", "end", "d"):
            app.post_message(events.Key(key, key if len(key) == 1 else None))
        for _ in range(20):
            await pilot.pause()
        assert field.value == "acbd"
