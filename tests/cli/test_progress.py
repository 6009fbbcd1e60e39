"""Progress: bars that fit, events as JSON lines, warnings above the bar, and a stderr that is gone."""

from __future__ import annotations

import io
import json
import sys
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.cli.progress import Bar, JsonLines, progress_line, reporting_job
from modelhub.jobs import Event, Job, Pace
from modelhub.text import width


def event(done: int = 1_000, total: int | None = 4_000, unit: str = "bytes", item: str = "model.safetensors") -> Event:
    return Event("merge", "writing", done, total, unit, item)


class Screen(io.StringIO):
    """A terminal; `shown` is what a person sees at the end, line by line."""

    def isatty(self) -> bool:
        return True

    @property
    def shown(self) -> list[str]:
        lines = []
        for line in self.getvalue().split("\n"):
            cells: list[str] = []
            column = 0
            for char in line:
                if char == "\r":
                    column = 0
                    continue
                cells[column : column + 1] = [char]
                column += 1
            lines.append("".join(cells).rstrip())
        return lines


def on_screen(monkeypatch: pytest.MonkeyPatch, term: str = "xterm") -> Screen:
    """A screen in the place of stderr; not a fixture, because pytest puts its own stderr back after those."""
    made = Screen()
    monkeypatch.setattr(sys, "stderr", made)
    monkeypatch.setenv("TERM", term)
    return made


def test_a_bar_in_eighty_columns() -> None:
    line = progress_line(event(), 100.0, 79)
    assert line == "writing  ━━━━━───────────────  25%  1 kB of 4 kB  100 B/s  30 s left  mode…sors"
    assert progress_line(event(3, None, "files"), 1.0, 79) == "writing  3 files  model.safetensors"
    assert progress_line(event(3, None), 2_000.0, 79) == "writing  3 B  2 kB/s  model.safetensors"
    assert progress_line(event(10, 20, "steps"), 0.5, 52) == "writing  ━━━━━─────  50%  10 of 20 steps  20 s left"
    assert "left" not in progress_line(event(), None, 79) and "left" not in progress_line(event(), 0.0, 79)


def test_the_speed_is_that_of_lately() -> None:
    pace = Pace()
    assert pace.rate(0, 100.0) is None and pace.rate(500, 100.5) is None
    assert pace.rate(1_000, 101.0) == 1_000
    for second in range(102, 200):
        pace.rate(1_000, float(second))
    assert pace.rate(1_000, 200.0) == 0, "the line has been dead for long"


def test_what_was_there_before_says_nothing_about_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    screen, clock, events = on_screen(monkeypatch), iter([0.0, 0.1, 10.0, 10.0]), list[Event]()
    monkeypatch.setattr("modelhub.cli.progress.time", SimpleNamespace(monotonic=lambda: next(clock)))
    monkeypatch.setenv("COLUMNS", "100")
    with Job("get", events.append, interval=0.0).phase("downloading", 10_000, "bytes") as advance:
        advance(8_000, "a.safetensors", kept=True)
        advance(1_000, "a.safetensors")
    bar = Bar()
    for one in events:
        bar(one)
    assert (events[-1].done, events[-1].kept) == (9_000, 8_000)
    assert "9 kB of 10 kB  100 B/s  10 s left" in screen.getvalue().rpartition("\r")[2]


@given(
    st.integers(0, 10**14),
    st.none() | st.integers(0, 10**14),
    st.sampled_from(["bytes", "files", ""]),
    st.text(max_size=60),
    st.floats(0, 1e6),
    st.integers(1, 120),
    st.booleans(),
)
def test_a_line_never_wraps_and_is_safe(
    done: int, total: int | None, unit: str, item: str, rate: float, room: int, plain: bool
) -> None:
    line = progress_line(event(done, total, unit, item), rate, room, plain=plain)
    assert width(line) <= room and line.isprintable() and (line.isascii() or not plain)
    assert line.startswith("writing"[:room])


def test_in_a_narrow_terminal_the_share_stays_to_the_last() -> None:
    assert [progress_line(event(), 100.0, room) for room in (60, 50, 40, 24, 15, 4)] == [
        "writing  ━━────────  25%  1 kB of 4 kB  100 B/s  30 s left",
        "writing  ━━────────  25%  1 kB of 4 kB  30 s left",
        "writing  ━━────────  25%  1 kB of 4 kB",
        "writing  ━━────────  25%",
        "writing   25%",
        "writ",
    ]


def test_ascii_where_the_encoding_has_no_lines() -> None:
    assert progress_line(event(), None, 60, plain=True).startswith("writing  #####............... ")
    assert progress_line(event(item="x" * 90), 0.5, 60, plain=True).isascii()


def test_the_bar_is_redrawn_in_place_and_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = on_screen(monkeypatch)
    monkeypatch.setenv("COLUMNS", "60")
    bar = Bar()
    bar(event(1_000, item="a-long-name-of-a-model.safetensors"))
    bar(event(2_000, item="b"))
    assert (
        len(screen.shown) == 1 and screen.shown[0].startswith("writing") and screen.shown[0].endswith("2 kB of 4 kB  b")
    )
    bar(Event("merge", "writing", item="Careful\x1b[2J.", level="warning"))
    bar(event(3_000))
    bar.close()
    assert screen.shown == [r"warning: Careful\x1b[2J.", ""]
    assert "\x1b" not in screen.getvalue()


def test_a_dumb_terminal_and_a_file_get_warnings_only(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = on_screen(monkeypatch, "dumb")
    Bar()(event())
    assert screen.getvalue() == ""
    file = io.StringIO()
    monkeypatch.setattr(sys, "stderr", file)
    bar = Bar()
    bar(event())
    bar(Event("x", "", item="done so far", level="info"))
    bar.close()
    assert file.getvalue() == "done so far\n"


def test_json_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    monkeypatch.setattr(sys, "stderr", file)
    job, sink = reporting_job("scan", as_json=True)
    assert isinstance(sink, JsonLines)
    with job.phase("indexing", 2, "files") as advance:
        advance(2, "a\nb\udcff.safetensors")
    job.say("odd", "warning")
    sink.close()
    events = [json.loads(line) for line in file.getvalue().splitlines()]
    assert {frozenset(one) for one in events} == {frozenset({"job", "phase", "done", "total", "unit", "item", "level"})}
    assert events[0] == {
        "job": "scan", "phase": "indexing", "done": 0, "total": 2, "unit": "files", "item": "", "level": "progress"
    }  # fmt: skip
    assert events[-1]["item"] == "odd" and events[-2]["done"] == 2 and events[-2]["item"] == "a\nb\udcff.safetensors"


@pytest.mark.parametrize("sink", [Bar(), JsonLines()])
def test_a_stderr_that_is_gone_stops_nothing(sink: Bar | JsonLines, monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(Screen):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Gone())
    job = Job("merge", sink)
    with job.phase("writing", 2) as advance:
        advance(1)
        job.say("hello", "warning")
        advance(1)
    sink.close()
    assert not job.cancelled
