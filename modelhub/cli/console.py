"""The command `modelhub`: reads the words, runs one command, turns errors into sentences and exit codes."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from modelhub import __version__
from modelhub.cli import asset_commands, catalog_commands, demo_command, merge_commands, preview_command
from modelhub.cli.context import Context, colours, print_json
from modelhub.cli.progress import reporting_job
from modelhub.errors import CancelledError, ModelhubError, UsageError
from modelhub.jobs import Job

_DESCRIPTION = "Know, merge and preview the models of Stable Diffusion and Flux. Without a command: the TUI."
_EPILOG = """\
examples:
  modelhub                                    open the TUI
  modelhub scan ~/models                      index a folder
  modelhub ls kind:checkpoint arch:sdxl       search
  modelhub merge weighted-sum A B --alpha 0.3 -o C.safetensors
  modelhub preview C -p "a red circle" -o C.png
  modelhub demo                               see it all on tiny models

exit codes: 0 done, 1 unexpected, 2 usage or not found, 3 file, 4 model, 5 provider, 130 stopped
"""


class _Parser(argparse.ArgumentParser):
    """argparse with our error: exit code 2, a sentence and a hint, JSON when it was asked for."""

    def error(self, message: str) -> NoReturn:
        """Raise UsageError in place of printing and exiting."""
        raise UsageError(f"{message[:1].upper()}{message[1:]}.", f"See `{self.prog} --help`.")


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands; the reference in the README is made from it."""
    parser = _Parser(
        "modelhub",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"modelhub {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)
    for group in (catalog_commands, asset_commands, merge_commands, preview_command, demo_command):
        group.add(commands)
    return parser


def main(argv: Sequence[str] | None = None, without_command: Callable[[], int] | None = None) -> int:
    """Run one command, or `without_command` (the TUI) when there is none; returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    # torch's threads would burn whole cores while they wait for each other: ten times slower beside any other program
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        return _run(words, without_command)
    except ModelhubError as error:
        return _explain(error, as_json="--json" in words)
    except KeyboardInterrupt:
        return _explain(CancelledError(), as_json="--json" in words)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001 (the last resort: a sentence, not a traceback)
        return _unexpected(error, as_json="--json" in words)


def _run(words: list[str], without_command: Callable[[], int] | None) -> int:
    args = build_parser().parse_args(words)
    if args.command is None:
        if without_command is None:
            raise UsageError("No command was given.", "See `modelhub --help`.")
        return without_command()
    job, sink = reporting_job(args.command, as_json=bool(getattr(args, "json", False)))
    try:
        with _stoppable(job):
            command: Callable[[Context], int | None] = args.run
            return command(Context(args, job)) or 0
    finally:
        sink.close()


@contextmanager
def _stoppable(job: Job) -> Iterator[None]:
    """Ctrl-C asks the job to stop at its next step and clean up; a second one interrupts at once."""

    def stop(signum: int, frame: Any) -> None:
        if job.cancelled:
            raise KeyboardInterrupt
        job.cancel()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    try:
        before = signal.signal(signal.SIGINT, stop)
    except ValueError:  # not the main thread: tests
        yield
        return
    try:
        yield
        job.check()
    finally:
        signal.signal(signal.SIGINT, before)


def _explain(error: ModelhubError, *, as_json: bool) -> int:
    if as_json:
        print_json({"error": {"code": error.code, "message": error.message, "hint": error.hint}})
    else:
        name = "\x1b[1;31merror:\x1b[0m" if colours(sys.stderr) else "error:"
        print(f"{name} {error.message}", file=sys.stderr)
        if error.hint:
            print(f"       {error.hint}", file=sys.stderr)
    return error.exit_code


def _unexpected(error: Exception, *, as_json: bool) -> int:
    if os.environ.get("MODELHUB_DEBUG"):
        traceback.print_exception(error)
    hint = "This is a bug in modelhub. Run again with MODELHUB_DEBUG=1 to see where."
    return _explain(ModelhubError(f"Unexpected {type(error).__name__}: {error}", hint), as_json=as_json)
