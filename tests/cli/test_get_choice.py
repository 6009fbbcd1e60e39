"""The choice among files on a terminal: what is shown, what each answer means, and how it ends."""

from __future__ import annotations

import io
import os
import pty
import sys
import threading
from collections.abc import Iterator

import pytest

from modelhub.cli.get_choice import ask, can_ask, choice_lines, picked_by
from modelhub.errors import CancelledError
from modelhub.fetch.offer import RemoteFile
from modelhub.jobs import Job
from modelhub.text import width

SMALL = RemoteFile(
    "small.safetensors", "http://x/1", size=2_000_000, format="safetensors", precision="fp16", pruned=True
)
LARGE = RemoteFile("large.safetensors", "http://x/2", size=4_000_000_000, format="safetensors", precision="fp32")
VAE = RemoteFile("its.vae.pt", "http://x/3", role="vae", format="pickle")
FILES = [SMALL, LARGE, VAE]


@pytest.mark.parametrize(
    ("answer", "picked"),
    [
        ("\n", [LARGE]),
        ("1\n", [SMALL]),
        (" 3 \n", [VAE]),
        ("3,1\n", [SMALL, VAE]),
        ("1 1 2\n", [SMALL, LARGE]),
        ("2-3\n", [LARGE, VAE]),
        ("A\n", FILES),
        ("all", FILES),
        ("0\n", []),
        ("4\n", []),
        ("3-1\n", []),
        ("1-9\n", []),
        ("-1\n", []),
        ("one\n", []),
        (",\n", []),
        ("99999999999999\n", []),
        ("²\n", []),
    ],
)
def test_what_an_answer_means(answer: str, picked: list[RemoteFile]) -> None:
    assert picked_by(answer, FILES, [LARGE]) == picked


def test_the_list_marks_what_enter_takes_and_escapes_what_a_server_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    hostile = RemoteFile("a\x1b[2J\nb" * 30 + ".safetensors", "http://x/4", precision="\x1b]0;x\x07")
    lines = list(choice_lines([*FILES, hostile], [LARGE]))
    assert [line[:4] for line in lines] == ["   1", ">  2", "   3", "   4"]
    assert "2 MB" in lines[0] and "fp16 pruned" in lines[0] and "small.safetensors" in lines[0]
    assert "vae" in lines[2] and "pickle" in lines[2]
    assert all(line.isprintable() for line in lines) and all(width(line) <= 60 for line in lines)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A terminal as stdin, whose other end is returned."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield ours
    os.close(ours)


def test_it_asks_until_it_understands(terminal: int, capsys: pytest.CaptureFixture[str]) -> None:
    os.write(terminal, b"7\nx\n1,3\n")
    assert ask("A \x1b[1mmodel", FILES, [LARGE], Job("get")) == [SMALL, VAE]
    out, err = capsys.readouterr()
    assert out == "" and err.count("Which?") == 3 and err.count("numbers from 1 to 3") == 2 and "\x1b" not in err


@pytest.mark.parametrize("answer", [b"q\n", b"Quit\n", b"\x04"])
def test_it_can_be_stopped(terminal: int, answer: bytes) -> None:
    os.write(terminal, answer)
    with pytest.raises(CancelledError):
        ask("A model", FILES, [LARGE], Job("get"))


def test_a_signal_ends_the_wait(terminal: int) -> None:
    job = Job("get")
    threading.Timer(0.2, job.cancel).start()
    with pytest.raises(CancelledError):
        ask("A model", FILES, [LARGE], job)


def test_nobody_is_asked_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("1\n"))
    assert not can_ask()
