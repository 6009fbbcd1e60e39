"""What every command gets: its arguments, a job that reports, and the one way to answer."""

from __future__ import annotations

import re
import sys
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from modelhub.cli.progress import Bar, JsonLines
from modelhub.cli.streams import colours, is_unicode
from modelhub.cli.table import wrapped
from modelhub.errors import file_error
from modelhub.jobs import Job
from modelhub.text import printable

#: Characters that a terminal obeys or hides, and halves of characters; JSON itself escapes only those below space.
_UNSEEN = re.compile("[\x7f-\x9f\xad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff]")


class Bold(str):
    """A line that is bold on a terminal, plain elsewhere."""


class Context:
    """One call of one command. `progress` shows the events of `job`; it makes way for every line of the answer.

    `serve` runs the server, in a program that has one.
    """

    def __init__(
        self, args: Namespace, job: Job, progress: Bar | JsonLines, serve: Callable[..., None] | None = None
    ) -> None:
        self.args, self.job, self.progress, self.serve = args, job, progress, serve

    @property
    def json(self) -> bool:
        """Whether the answer is to be JSON."""
        return bool(getattr(self.args, "json", False))

    def answer(self, data: Any, text: Callable[[], Iterable[str]]) -> None:
        """Print the answer to stdout: `data` as one JSON document, or the lines of `text` for a person."""
        self.progress.close()
        if self.json:
            print_json(data)
            return
        with _stdout():
            for line in text():
                print(_shown(line))

    def answer_each(self, data: Iterable[Any], text: Callable[[], Iterable[str]]) -> None:
        """Like `answer`, for a list of which each item is made when it is printed."""
        if not self.json:
            self.answer(None, text)
            return
        self.progress.close()
        empty = True
        with _stdout():
            for at, item in enumerate(data):
                print("," if at else "[", _json(item), sep="\n", end="")
                empty = False
            print("[]" if empty else "\n]")

    def answer_exactly(self, data: Any, text: str) -> None:
        """Like `answer`, for a text that is to be saved: to a file or a pipe it goes as it is, character by character.

        A terminal gets it with everything unprintable shown as escapes.
        """
        if self.json or sys.stdout.isatty():
            self.answer(data, lambda: [text.rstrip("\n")])
            return
        with _stdout():
            sys.stdout.write(text)

    def say(self, message: str) -> None:
        """Talk: a line on stderr, not with --json."""
        if not self.json:
            self.progress.close()
            for text in printable(message).split("\n"):
                for line in wrapped(text, 0, stream=sys.stderr):
                    print(line, file=sys.stderr)


@contextmanager
def _stdout() -> Iterator[None]:
    """Everything is out at the end, and a disk that is full is said to be."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise file_error(error, "standard output") from error


def _shown(line: str) -> str:
    text = printable(line)
    return f"\x1b[1m{text}\x1b[0m" if isinstance(line, Bold) and colours(sys.stdout) else text


def print_json(data: Any) -> None:
    """One JSON document on stdout, in characters that its encoding has."""
    with _stdout():
        print(_json(data))


def _json(data: Any) -> str:
    import json

    text = json.dumps(data, indent=2, ensure_ascii=not is_unicode(sys.stdout), default=str)
    return _UNSEEN.sub(lambda char: f"\\u{ord(char[0]):04x}", text)
