"""Untrusted text made safe, widths in columns, numbers for people."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.text import (
    alike,
    brief,
    clock,
    few,
    human_count,
    human_seconds,
    human_size,
    is_utf8,
    meant,
    one_line,
    pad,
    plural,
    printable,
    shorten,
    sparkline,
    width,
)

#: Every kind of character, halves of surrogate pairs among them.
ANY_TEXT = st.text(st.characters(codec=None, categories=None), max_size=60)


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain é 名前 😀", "plain é 名前 😀"),
        ("\x1b[31mred\x1b]0;title\x07", "\\x1b[31mred\\x1b]0;title\\x07"),
        ("safe\u202egpj.exe", "safe\\u202egpj.exe"),
        ("a\u2066b\u2069", "a\\u2066b\\u2069"),
        ("name\udcff.ckpt", "name\\udcff.ckpt"),
        ("c1\x9b31m", "c1\\x9b31m"),
        ("back\x08space\rreturn", "back\\x08space\\x0dreturn"),
        ("tag\U000e0041", "tag\\U000e0041"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("", ""),
    ],
)
def test_printable(raw: str, shown: str):
    assert printable(raw) == shown


@given(ANY_TEXT)
def test_nothing_that_drives_a_terminal_is_left(text: str):
    shown = printable(text)
    shown.encode("utf-8")
    assert not {unicodedata.category(char) for char in shown if char not in "\n\t"} & {"Cc", "Cf", "Cs", "Co", "Cn"}
    assert printable(shown) == shown
    assert "\n" not in one_line(text)
    assert one_line(text).isprintable()


@given(st.text(st.characters(categories=["L", "N", "P", "S"])))
def test_words_stay_as_they_are(text: str):
    assert printable(text) == one_line(text) == text


@pytest.mark.parametrize(("text", "columns"), [("abc", 3), ("名前", 4), ("e\u0301", 1), ("😀", 2), ("", 0), ("ｱ", 1)])
def test_width(text: str, columns: int):
    assert width(text) == columns


@given(ANY_TEXT.map(one_line), st.integers(0, 40))
def test_shorten_and_pad_keep_to_their_columns(text: str, columns: int):
    short = shorten(text, columns)
    assert width(short) <= columns
    assert (short == text) is (width(text) <= columns)
    assert width(pad(text, columns)) == width(pad(text, columns, right=True)) == columns
    assert pad(text, columns).startswith(short)
    assert pad(text, columns, right=True).endswith(short)


def test_shorten_keeps_both_ends():
    assert shorten("sd_xl_base_1.0_0.9vae.safetensors", 15) == "sd_xl_b…tensors"
    assert shorten("名前名前名前", 6) == "名…前"


@pytest.mark.parametrize(
    ("size", "shown"),
    [(None, "-"), (0, "0 B"), (336, "336 B"), (999, "999 B"), (1000, "1 kB"), (23_800_000, "23.8 MB"),
     (999_600, "1 MB"), (2_132_696_762, "2.13 GB"), (23_802_932_552, "23.8 GB"), (10**15, "1,000 TB"),
     (2**63, "9,223,372 TB")],
)  # fmt: skip
def test_human_size(size: int | None, shown: str):
    assert human_size(size) == shown


@given(st.integers(0, 10**15))
def test_human_size_is_true_to_half_a_percent(size: int):
    number, unit = human_size(size).replace(",", "").split()
    back = float(number) * 1000 ** ("B", "kB", "MB", "GB", "TB").index(unit)
    assert abs(back - size) <= 0.00501 * size


@pytest.mark.parametrize(
    ("count", "shown"), [(None, "-"), (0, "0"), (999, "999"), (859_520_964, "859.5M"), (2_600_000_000, "2.6B")]
)
def test_human_count(count: int | None, shown: str):
    assert human_count(count) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.4, "0.4 s"), (12, "12 s"), (59.7, "1 min 00 s"), (200, "3 min 20 s"), (7500, "2 h 05 min")],
)
def test_human_seconds(seconds: float, shown: str):
    assert human_seconds(seconds) == shown


def test_what_was_meant_is_asked_at_the_end_of_a_sentence():
    assert meant("LRA", ["lora", "vae"]) == " (did you mean 'lora'?)"
    assert meant("B", ["A", "B2"]) == " (did you mean 'B2'?)" and meant("xyz", ["lora"]) == "" == meant("", [])
    assert meant("name", (f"{'x' * 9}{number}" for number in range(10**9))) == "", "few of very many are looked at"


@pytest.mark.parametrize(
    ("zone", "at", "now", "seconds", "shown"),
    [
        ("UTC0", 34_867, 86_399, False, "09:41"),
        ("UTC0", 34_867, 0, True, "09:41:07"),
        ("UTC0", 86_399, 86_400, False, "1970-01-01 23:59"),
        ("UTC0", 86_400, 86_399, True, "1970-01-02 00:00:00"),
        ("EAST-14", 34_867, 35_999, False, "23:41"),
        ("EAST-14", 34_867, 36_000, False, "1970-01-01 23:41"),
    ],
)
def test_a_clock_has_the_date_of_another_day(
    zone: str, at: float, now: float, seconds: bool, shown: str, monkeypatch: pytest.MonkeyPatch
):
    with monkeypatch.context() as patch:
        patch.setenv("TZ", zone)
        time.tzset()
        says = clock(at, now, seconds=seconds)
    time.tzset()
    assert says == shown


def test_a_brief_name_shows_both_of_its_ends_and_no_control_character():
    assert brief("a\x1b[31m\nb") == "a\\x1b[31m\\x0ab"
    for length in (50, 100, 10_000_000):
        shown = brief("begin" + "x" * length + "\x1bend", 30)
        assert width(shown) == 30 and shown.startswith("begin") and shown.endswith("\\x1bend") and "…" in shown


def test_few_names_and_how_many_more():
    assert few([]) == "" and few({"a": 1, "b": 2}) == "a, b" and few(["a", "b", "c"]) == "a, b, c"
    assert few(list("abcd")) == "a, b, c and 1 more"
    assert few(["x" * 20] * 1003, 5) == "xx…xx, xx…xx, xx…xx and 1,000 more"


def test_plural():
    assert [plural(0, "file"), plural(1, "file"), plural(1234, "file")] == ["0 files", "1 file", "1,234 files"]
    assert plural(3, "entry", "entries") == "3 entries"


def test_sparkline():
    assert sparkline([0, 0.5, 1, -3, 7]) == "▁▅█▁█"
    assert sparkline([5, 10], 5, 10) == "▁█"
    assert sparkline([float("nan"), float("inf"), float("-inf")]) == " █▁"
    assert sparkline([]) == "" and sparkline([2, 3], 2, 2) == "▁█"


@given(st.text() | st.text(st.characters(categories=["Cs", "Lu"])))
def test_only_halves_of_characters_cannot_be_utf8(text: str):
    assert is_utf8(text) == (not any("\ud800" <= char <= "\udfff" for char in text))


@given(st.text(max_size=20))
def test_names_are_alike_whatever_their_case_spaces_and_hyphens(name: str):
    assert alike(name) == alike(f" {name.upper().lower()}-") == alike(alike(name)) or not name.isascii()
    assert alike("DPM++ 2M_SDE") == "dpm++2msde" and alike("a-b") != alike("a+b")
