"""Options that many commands share, and the one way to add a command."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from modelhub.cli.context import Context

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

REF_HELP = "an asset: its path, file name, stem, '#id' in quotes, or six or more digits of a hash"


def command(
    commands: Commands, name: str, run: Callable[[Context], int | None], help: str, example: str, *, reads: bool = True
) -> argparse.ArgumentParser:
    """Add a command with its help and example; `--json` to all, `--dry-run` to those that write."""
    parser = commands.add_parser(
        name,
        help=help[:1].lower() + help[1:].rstrip("."),
        description=help,
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "--json", action="store_true", help="answer with one JSON document on stdout; events as JSON lines on stderr"
    )
    if not reads:
        parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    return parser
