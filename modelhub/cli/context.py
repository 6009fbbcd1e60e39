"""What every command gets: its arguments, a job that reports, and the one way to answer."""

from __future__ import annotations

import json
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from modelhub.jobs import Job
from modelhub.text import printable


@dataclass(frozen=True)
class Context:
    """One call of one command."""

    args: Namespace
    job: Job

    @property
    def json(self) -> bool:
        """Whether the answer is to be JSON."""
        return bool(getattr(self.args, "json", False))

    def answer(self, data: Any, text: Callable[[], Iterable[str]]) -> None:
        """Print the answer to stdout: `data` as one JSON document, or the lines of `text` for a person."""
        if self.json:
            print_json(data)
        else:
            for line in text():
                print(printable(line))

    def say(self, message: str) -> None:
        """Talk: a line on stderr, not with --json."""
        if not self.json:
            print(printable(message), file=sys.stderr)


def print_json(data: Any) -> None:
    """One JSON document on stdout, in characters that its encoding has."""
    utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    print(json.dumps(data, indent=2, ensure_ascii=not utf8, default=str))


def colours(stream: Any) -> bool:
    """Whether to colour what goes to `stream`: a terminal, and the user did not say NO_COLOR."""
    return bool(stream.isatty()) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def bold(text: str) -> str:
    """Bold on a terminal, plain elsewhere."""
    return f"\x1b[1m{text}\x1b[0m" if colours(sys.stdout) else text
