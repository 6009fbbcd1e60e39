"""What is pasted and typed, the choice as it folds and is marked, how rows are summed up: without a screen."""

from __future__ import annotations

import time

import pytest

from modelhub.catalog.downloads import Glance
from modelhub.errors import UsageError
from modelhub.fetch.asking import Asked
from modelhub.fetch.choosing import Choice
from modelhub.fetch.offer import Offer, RemoteFile, Version
from modelhub.tui.download.asking import pasted_sources, read_typed
from modelhub.tui.download.choice import Choosing, Line
from modelhub.tui.download.rows import Paces, summary
from modelhub.tui.download.words import next_step, time_left, with_keys

NUMBER = 1_000_000


@pytest.mark.parametrize(
    ("text", "sources"),
    [
        ("https://civitai.com/models/1/x?modelVersionId=2", 1),
        ("urn:air:sdxl:checkpoint:civitai:827184@2514310", 1),
        ("owner/repo", 1),
        ("ab12cd34ef" * 6 + "abcd", 1),
        ("civitai:1\r\n# two\r\nowner/repo:file.safetensors\r\ncivitai:1", 2),
        ("a sentence", 0),
        ("civitai:1\nand a sentence", 0),
        ("", 0),
        ("\n".join(f"civitai:{n}" for n in range(1, 700)), 0),
        ("x" * 200_000, 0),
    ],
)
def test_pasted_text_is_sources_only_if_every_line_is(text: str, sources: int):
    assert len(pasted_sources(text)) == sources


def test_typed_text_is_sources_or_words():
    assert read_typed(" civitai:1 ").sources == ("civitai:1",)
    assert read_typed("civitai:1 owner/repo civitai:1").sources == ("civitai:1", "owner/repo")
    for words in ("water color", "ink kind:lora", "detail_tweaker_lora_v2_sdxl_final", "sd1"):
        assert read_typed(words) == ((), words)
    with pytest.raises(UsageError, match="person"):
        read_typed("https://civitai.com/user/mara")
    for secret in ("hf_abcdefghijklmnopqrstuv", "0123456789abcdef0123456789abcdef"):
        with pytest.raises(UsageError, match="token") as caught:
            read_typed(secret)
        assert secret not in caught.value.message + caught.value.hint


def file(name: str, size: int | None = 100, form: str = "safetensors") -> RemoteFile:
    return RemoteFile(name, f"http://x/{name}", path=name, size=size, format=form)


@pytest.fixture
def choosing() -> Choosing:
    """A model of two versions with two files each, and a source that failed."""
    new, old = (file("a"), file("b")), (file("c"), file("d", None))
    versions = (Version("civitai:1@2", "new", files=new), Version("civitai:1@1", "old", files=old))
    one = Asked("civitai:1", Offer("civitai:1", "civitai:1@2", "civitai", "T", files=new, versions=versions))
    bad = Asked("civitai:9", error=UsageError("no"))
    return Choosing([one, bad], [Asked("civitai:1", one.offer, Choice(new[:1])), bad])


def test_the_usual_choice_is_marked_and_its_version_unfolded(choosing: Choosing):
    assert choosing.lines() == [Line(0), Line(0, 0), Line(0, 0, 0), Line(0, 0, 1), Line(0, 1), Line(1)]
    assert choosing.marks == {(0, 0, 0)} and choosing.size() == 100
    assert [(version.name, [one.name for one in files]) for _, parts in choosing.marked() for version, files in parts] == [
        ("new", ["a"])
    ]  # fmt: skip


def test_marks_of_files_versions_and_sources(choosing: Choosing):
    choosing.toggle(Line(0, 0, 1))
    assert choosing.marks == {(0, 0, 0), (0, 0, 1)}
    choosing.toggle(Line(0, 0))
    assert not choosing.marks and choosing.size() == 0
    choosing.toggle(Line(0))
    assert choosing.marks == {(0, 0, 0)}
    choosing.toggle(Line(0, 1))
    assert choosing.marks == {(0, 0, 0), (0, 1, 0)} and (0, 1) in choosing.unfolded
    choosing.toggle(Line(0, 1, 1))
    assert choosing.size() is None, "of one the size is not known"
    choosing.toggle(Line(1))
    assert len(choosing.marks) == 3, "there is nothing to mark of a source that failed"


def test_versions_fold(choosing: Choosing):
    assert choosing.fold(Line(0, 0, 1), away=True) == Line(0, 0)
    assert choosing.lines() == [Line(0), Line(0, 0), Line(0, 1), Line(1)]
    choosing.fold_all()
    assert len(choosing.lines()) == 8
    choosing.fold_all()
    assert choosing.unfolded == {(0, 0)}


def glance(number: int, state: str, done: int = 0, size: int | None = NUMBER, age: float = 0) -> Glance:
    return Glance(number, time.time() - age, state, f"Model {number}", f"/m/{number}", size, done)


def test_rows_of_all_kinds_are_summed_up():
    states = [
        glance(1, "running", 10),
        glance(2, "running", 10, age=60),
        glance(3, "waiting"),
        glance(4, "done", NUMBER),
    ]
    rows = Paces().rows(states, {})
    assert [row.state for row in rows] == ["running", "broken off", "waiting", "done"]
    assert summary(rows) == "1 running, 1 broken off, 1 waiting, 1 done · 20 B of 3 MB"
    assert summary([]) == ""
    assert summary(Paces().rows([glance(1, "waiting", 5, None)], {})) == "1 waiting · 5 B"


def test_the_pace_counts_only_what_comes(monkeypatch: pytest.MonkeyPatch):
    now = [100.0]
    monkeypatch.setattr("modelhub.tui.download.rows.time.monotonic", lambda: now[0])
    paces, kept = Paces(), 500_000
    (first,) = paces.rows([glance(1, "running", 0)], {1: (0, 0)})
    assert first.rate is None
    for second in range(1, 4):
        now[0] += 1
        (row,) = paces.rows([glance(1, "running", 0)], {1: (kept + second * 1000, kept)})
    assert row.rate == pytest.approx(1000) and row.done == kept + 3000
    assert row.left == NUMBER - row.done and row.share == pytest.approx(0.503)


def test_the_pace_of_another_process_begins_anew_with_its_bytes(monkeypatch: pytest.MonkeyPatch):
    now = [100.0]
    monkeypatch.setattr("modelhub.tui.download.rows.time.monotonic", lambda: now[0])
    paces = Paces()
    for done in (400_000, 0, 400_000, 401_000, 402_000):
        now[0] += 1
        (row,) = paces.rows([glance(1, "running", done)], {})
    assert row.rate == pytest.approx(1000), "that it goes on at 400 kB is no speed"


def test_words():
    failed = Glance(
        1, 0, "failed", "x", "/x", None, 0, "login-needed", "m", "Make a key, then: modelhub login civitai", "civitai"
    )
    assert next_step(failed) == "Add a token for Civitai in Settings (press ,), then r tries again. Make a key."
    assert with_keys("Try again later.") == "Try again later."
    assert time_left(None, 5) == time_left(5, None) == time_left(5, 0) == ""
    assert time_left(1000, 10) == "1 min 40 s"
