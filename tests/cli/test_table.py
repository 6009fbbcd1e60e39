"""Tables and facts: whole in a file, never wider than a terminal, and safe whatever is in them."""

from __future__ import annotations

import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelhub.cli import table as tables
from modelhub.cli.table import facts, packed, table, wrapped
from modelhub.text import width

ROWS = [("#1", "a" * 60 + ".safetensors", "checkpoint", "23.8 MB"), ("#12", "漢字.ckpt", "lora", "1 B")]
HEAD = ("ID", "NAME", "KIND", "SIZE")


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "live", lambda stream: True)


def test_a_file_gets_every_character() -> None:
    lines = list(table(HEAD, ROWS, right=(3,)))
    assert lines[0].split() == list(HEAD) and "a" * 60 + ".safetensors" in lines[1]
    assert len({width(line) for line in lines}) == 1, "the last column is right-aligned, so all lines are as long"
    assert lines[2].endswith("1 B") and lines[2].startswith("#12  漢字.ckpt ")


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("columns", [200, 80, 60, 40, 30, 20, 5])
def test_no_line_is_wider_than_the_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = list(table(HEAD, ROWS, right=(3,)))
    assert all(width(line) <= max(columns, 3) for line in lines), lines
    assert lines[1].startswith("#1") and ("a" * 60 in lines[1]) == (columns == 200)
    if columns >= 40:
        assert "SIZE" in lines[0] and "23.8 MB" in lines[1]


def test_hostile_cells_are_shown_as_escapes() -> None:
    line = list(table(("NAME",), [("a\nb\x1b[31m[red]\u202e\t",)]))[1]
    assert line == r"a\x0ab\x1b[31m[red]\u202e\x09"


@pytest.mark.usefixtures("terminal")
def test_facts_wrap_below_themselves_and_break_no_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    path = "/a/path/without/any/space/that/is/long.safetensors"
    lines = list(facts([("path", path), ("empty", ""), ("notes", "one two three four five six seven\nnext")]))
    assert lines == [f"path   {path}", "notes  one two three four five", "       six seven", "       next"]


@pytest.mark.usefixtures("terminal")
def test_no_line_ends_within_a_fact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    path = "/a/path that is longer than one line/a.safetensors"
    assert list(packed(["downloaded", "a.safetensors", "", "7.22 MB", "sha256 72422f4530"], 4)) == [
        "downloaded  a.safetensors",
        "    7.22 MB  sha256 72422f4530",
    ]
    assert list(packed(["new", path, "1 kB"], 4)) == ["new", f"    {path}", "    1 kB"]


@pytest.mark.usefixtures("terminal")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.sampled_from("ab ._漢"), max_size=120), st.integers(0, 8), st.integers(12, 60))
def test_wrapping_keeps_every_word_and_the_width(text: str, indent: int, columns: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(columns))
        lines = list(wrapped("x" * indent + text, indent, whole=False))
        gentle = list(wrapped("x" * indent + text, indent))
    assert all(width(line) <= columns for line in lines)
    assert "".join(line[indent:] for line in lines).replace(" ", "") == text.replace(" ", "")
    assert " ".join(line[indent:] for line in gentle).split() == text.split()


@pytest.mark.usefixtures("terminal")
def test_a_first_line_may_begin_left_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "16")
    for text in ("  no rule fits it at all", "  a rule fits it at all", "  rules that fit are many"):
        lines = list(wrapped(text, 4, whole=False))
        assert " ".join(" ".join(lines).split()) == text.strip()
        assert [len(line) - len(line.lstrip()) for line in lines] == [2, *[4] * (len(lines) - 1)]


@pytest.mark.usefixtures("terminal")
def test_a_file_name_goes_without_its_ending_before_it_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [("#1", "a-rather-long-name.safetensors", "checkpoint", "1 B", "x" * 12), ("#2", "b.ckpt", "vae", "2 B", "")]
    head = ("ID", "NAME", "KIND", "SIZE", "TAGS")
    monkeypatch.setenv("COLUMNS", "50")
    first, one, two = table(head, rows, names=1)
    assert one.split() == ["#1", "a-rather-long-name", "checkpoint", "1", "B"] and "TAGS" not in first
    assert two.split()[1] == "b.ckpt"
    monkeypatch.setenv("COLUMNS", "90")
    assert "a-rather-long-name.safetensors" in list(table(head, rows, names=1))[1]


def test_nothing_is_wrapped_in_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    assert not sys.stdout.isatty()
    assert list(wrapped("many words that are longer than a line", 2)) == ["many words that are longer than a line"]
