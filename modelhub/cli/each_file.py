"""One command, one file or several: each is worked on, a file that fails is reported, and all are answered for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from modelhub.cli.context import Bold, Context
from modelhub.cli.table import wrapped
from modelhub.errors import CancelledError, ModelhubError
from modelhub.text import one_line

Work = Callable[[Any], dict[str, Any]]
Lines = Callable[[dict[str, Any]], Iterable[str]]


def each_file(context: Context, files: Sequence[str | Path], work: Work, lines: Lines) -> int:
    """Run `work` on every file and answer for all; a file that fails is reported, and the others still answered.

    One file that fails raises its error as it is. With several, the exit code is that of the first failure.
    """
    if len(files) == 1:
        data = work(files[0])
        context.answer(data, lambda: lines(data))
        return 0
    answers, code = [], 0
    for path in files:
        try:
            answers.append(work(path))
        except CancelledError:
            raise
        except ModelhubError as error:
            code = code or error.exit_code
            answers.append({"path": str(path), "error": error.as_dict()})
    context.answer(answers, lambda: (line for at, found in enumerate(answers) for line in _apart(at, found, lines)))
    return code


def _apart(at: int, found: dict[str, Any], lines: Lines) -> Iterator[str]:
    """The lines of one answer or error, with an empty line before all but the first."""
    yield from [""] if at else ()
    if "error" in found:
        yield Bold(one_line(found["path"]))
        yield from wrapped(f"error: {found['error']['message']}", 7)
        yield from wrapped(f"       {found['error']['hint']}", 7) if found["error"]["hint"] else ()
    else:
        yield from lines(found)
