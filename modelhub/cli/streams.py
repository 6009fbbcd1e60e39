"""The three standard streams, whatever the shell made of them: closed, a broken pipe, another encoding, any width."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Any


def prepare_streams() -> None:
    """Open what the shell closed, so that no file of ours becomes stdout; show what an encoding lacks as escapes."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:  # each takes the lowest number that is free: its own
            descriptor = os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, os.fdopen(descriptor, "r" if name == "stdin" else "w", encoding="utf-8"))
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def settle_streams() -> None:
    """Write out what is buffered; what cannot be written is dropped, so that Python does not complain at its end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def live(stream: Any) -> bool:
    """Whether `stream` is a terminal."""
    return bool(stream.isatty())


def colours(stream: Any) -> bool:
    """Whether to colour what goes to `stream`: a terminal that can, and the user did not say NO_COLOR."""
    return live(stream) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def columns(stream: Any) -> int:
    """The columns of the terminal behind `stream`: COLUMNS, else what it says itself, else 80."""
    given = os.environ.get("COLUMNS", "")
    if given.isdigit() and int(given) > 0:
        return int(given)
    with suppress(OSError, ValueError, AttributeError):
        return os.get_terminal_size(stream.fileno()).columns or 80
    with suppress(OSError):
        return os.get_terminal_size(sys.__stdout__.fileno() if sys.__stdout__ else 1).columns or 80
    return 80


def is_unicode(stream: Any) -> bool:
    """Whether `stream` can show every character."""
    return (getattr(stream, "encoding", None) or "").lower().replace("-", "").startswith("utf")
