"""The program: one command of the command line, or the TUI when there is none. Here the two interfaces meet."""

from __future__ import annotations

import gc

from modelhub.cli.console import main as command_line

#: Objects that may come to be before Python looks for cycles among them: a list of 10,000 files has none.
_MANY_OBJECTS = 100_000


def _tui() -> int:
    from modelhub.tui.app import run

    return run()


def main() -> int:
    """Run `modelhub` with the words of the shell; returns the exit code."""
    gc.set_threshold(_MANY_OBJECTS)
    try:
        return command_line(without_command=_tui)
    finally:
        gc.freeze()  # the process ends, and its memory with it: a last look through all objects would cost 10 ms


if __name__ == "__main__":
    raise SystemExit(main())
