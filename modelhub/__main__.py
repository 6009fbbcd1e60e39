"""The program: one command of the command line, or the TUI when there is none. Here the two interfaces meet."""

from __future__ import annotations

from modelhub.cli.console import main as command_line


def _tui() -> int:
    from modelhub.tui.app import run

    return run()


def main() -> int:
    """Run `modelhub` with the words of the shell; returns the exit code."""
    return command_line(without_command=_tui)


if __name__ == "__main__":
    raise SystemExit(main())
