"""Options that many commands share, and the one way to add a command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from modelhub.cli.context import Context
from modelhub.cli.streams import columns
from modelhub.settings import user_path

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

REF_HELP = "an asset: its path, file name, stem, '#id' in quotes, or six or more digits of a hash"

#: Digits of a number that anybody means; longer ones take a program long to read.
_DIGITS = 18


def path_word(text: str) -> Path:
    """A path as the user wrote it; an empty one, as an unset variable of a shell gives it, is refused."""
    if not text:
        raise argparse.ArgumentTypeError("an empty word names no file or folder")
    return user_path(text)


def number_from_1(most: int | None = None) -> Callable[[str], int]:
    """How an option reads a number from 1 on, or from 1 to `most`."""

    def read(text: str) -> int:
        number = int(text) if text.isdecimal() and len(text) <= _DIGITS else 0
        if number < 1 or (most is not None and number > most):
            raise argparse.ArgumentTypeError(
                f"'{text}' is not a number from 1 {'on' if most is None else f'to {most}'}"
            )
        return number

    return read


def add_goal(parser: argparse.ArgumentParser, name: str) -> None:
    """DST, which may be left out: the result is then called `name`."""
    text = f"the file or folder to write to (default: {name} beside SRC)"
    parser.add_argument("goal", metavar="DST", nargs="?", type=path_word, help=text)


def add_precisions(parser: argparse.ArgumentParser) -> None:
    """--dtype and --vae-dtype."""
    from modelhub.formats.cast import PRECISIONS

    for option, what in (("--dtype", "store weights in this precision"), ("--vae-dtype", "the same for the VAE")):
        text = f"{what}, e.g. {option} fp16"
        parser.add_argument(option, choices=("keep", *PRECISIONS), default="keep", help=text)


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Help with its lines as they are written; those that are too long for the terminal go on below their last column.

    Lines are broken at spaces only, so that an example can be copied.
    """

    def __init__(self, prog: str) -> None:
        # argparse makes one for every option, and would ask shutil, which loads all its compressors, for the width
        super().__init__(prog, width=columns(sys.stdout) - 2)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        lines = (_broken(line, width) if len(line) > width else [line] for line in text.splitlines())
        return "".join(f"{indent}{line}\n" for broken in lines for line in broken)

    def _split_lines(self, text: str, width: int) -> list[str]:
        return _broken(" ".join(text.split()), width)


def _broken(line: str, width: int) -> list[str]:
    """A line in several, which stand below the column that begins after its last wide gap."""
    import textwrap

    left = line.rfind("  ", 0, width // 2) + 2 if "  " in line[: width // 2] else 0
    return textwrap.wrap(line, width, subsequent_indent=" " * left, break_on_hyphens=False)


def command(
    commands: Commands, name: str, run: Callable[[Context], int | None], help: str, example: str, *, reads: bool = True
) -> argparse.ArgumentParser:
    """Add a command with its help and example; `--json` to all, `--dry-run` to those that write."""
    parser = commands.add_parser(
        name,
        help=help[:1].lower() + help[1:].rstrip("."),
        description=help,
        epilog=f"example:\n  {example}",
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "--json", action="store_true", help="answer with one JSON document on stdout; events as JSON lines on stderr"
    )
    if not reads:
        parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    return parser
