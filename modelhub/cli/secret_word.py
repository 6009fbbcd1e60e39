"""A secret word: asked for on a terminal that does not show it, or one line of a pipe; never on the command line."""

from __future__ import annotations

import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from modelhub.cli.streams import live
from modelhub.errors import UsageError

#: Characters that are read from a pipe at most.
_MOST = 64 * 1024


def ask(prompt: str) -> str:
    """What the user types or pastes after `prompt`, or the first line of a pipe; "" for nothing.

    Raises UsageError where a terminal would show it, or what is piped is no text; KeyboardInterrupt at Ctrl-C.
    """
    if live(sys.stdin):
        with _interrupting():
            return _hidden(prompt)
    try:
        return sys.stdin.readline(_MOST)
    except (OSError, ValueError):
        raise UsageError("What is piped in is no text.", "Pipe in the token, on one line.") from None


def _hidden(prompt: str) -> str:
    from getpass import GetPassWarning, getpass

    with warnings.catch_warnings():
        warnings.simplefilter("error", GetPassWarning)
        try:
            return getpass(prompt, stream=None)
        except EOFError:
            return ""
        except GetPassWarning:
            hint = "Pipe it in: `modelhub login civitai < file`."
            raise UsageError("This terminal would show the token.", hint) from None


@contextmanager
def _interrupting() -> Iterator[None]:
    """Ctrl-C ends the question at once: the command line's own handler would wait for its answer."""
    try:
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
