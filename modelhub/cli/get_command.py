"""get: bring models from Civitai, Hugging Face or any address: whole, verified, in their folder and in the catalog."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from modelhub.cli.context import Context
from modelhub.cli.library_commands import CONVENTIONS
from modelhub.cli.options import command, number_from_1, path_word
from modelhub.errors import NoSpaceError, UsageError, file_error
from modelhub.fetch.lists import listed as listed

if TYPE_CHECKING:
    from modelhub.catalog.store import Catalog
    from modelhub.cli.get_words import Told
    from modelhub.cli.options import Commands
    from modelhub.fetch.asking import Asked
    from modelhub.fetch.net import Net
    from modelhub.fetch.planning.ordering import Options
    from modelhub.fetch.planning.plans import Plan

_SOURCE_HELP = (
    "a page, download or AIR of Civitai, civitai:ID[@VERSION], a page or owner/repo[:file][@revision] of Hugging Face, "
    "any other http(s) address, or a hash; - reads them from stdin, one a line"
)
#: Characters of a list of sources that are read; no list that a person made is longer.
_LONGEST = 10_000_000


def add(commands: Commands) -> None:
    """Add the command."""
    help = "Download models: the right file, verified, in the folder where it belongs, and in the catalog."
    parser = command(commands, "get", _get, help, "modelhub get civitai:4384@128713 --to ~/models", reads=False)
    parser.add_argument("sources", metavar="SOURCE", nargs="*", help=_SOURCE_HELP)
    parser.add_argument(
        "--from",
        dest="lists",
        metavar="FILE",
        type=path_word,
        action="append",
        default=[],
        help="read sources from a file, one a line, # begins a comment, e.g. --from models.txt",
    )
    parser.add_argument("--list", action="store_true", help="show all versions and files there are, and stop")
    _add_choice(parser)
    _add_place(parser)
    _add_way(parser)


def _add_choice(parser: ArgumentParser) -> None:
    """Which files of what a source leads to."""
    parser.add_argument("--file", metavar="PATTERN", help="the files of this name, e.g. --file '*fp16*'")
    parser.add_argument("--precision", metavar="NAME", help="the file in this precision, e.g. --precision fp16")
    parser.add_argument(
        "--format", metavar="NAME", help="the file of this format, e.g. --format gguf (default: safetensors, if any)"
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--full", dest="pruned", action="store_false", default=None, help="the file that is not pruned")
    which.add_argument("--pruned", dest="pruned", action="store_true", default=None, help="the pruned file")
    parser.add_argument("--all", action="store_true", help="all files, but for training data")
    parser.add_argument("--yes", action="store_true", help="do not ask which of several files; take the likeliest")


def _add_place(parser: ArgumentParser) -> None:
    """Where the files go, and under which name."""
    parser.add_argument(
        "--to",
        metavar="DIR",
        type=path_word,
        help="the folder (default: that of its kind in the library), e.g. --to ~/loras",
    )
    parser.add_argument("--as", dest="name", metavar="NAME", help="the name of the file, e.g. --as my-lora.safetensors")
    parser.add_argument("--force", action="store_true", help="replace files that exist, and get what is owned already")
    parser.add_argument(
        "--sidecar",
        dest="sidecars",
        metavar="KIND",
        choices=CONVENTIONS,
        action="append",
        default=[],
        help=f"write this file beside it: {', '.join(CONVENTIONS)}; may be given several times, e.g. --sidecar a1111",
    )
    parser.add_argument("--no-preview", action="store_true", help="keep no preview picture")
    parser.add_argument(
        "--keep-unsafe", action="store_true", help="keep a pickle that would run code of its own, marked as dangerous"
    )


def _add_way(parser: ArgumentParser) -> None:
    """How it is done."""
    parser.add_argument(
        "--jobs", metavar="N", type=number_from_1(99), help="files to download at once (default: settings.toml, else 2)"
    )
    parser.add_argument(
        "--queue-only", "--later", action="store_true", help="put it into the queue, for `modelhub queue run`"
    )


# -- sources -----------------------------------------------------------------------------------------------------------


def read_sources(words: Sequence[str], lists: Sequence[Path]) -> list[str]:
    """All that is named, each once: the words, for `-` the lines of stdin, and those of the files.

    Raises UsageError if that is nothing, FileError for a list that cannot be read.
    """
    found: list[str] = []
    for word in words:
        found += listed(sys.stdin.read(_LONGEST)) if word == "-" else [word.strip()]
    for path in lists:
        found += listed(_text_of(path))
    sources = list(dict.fromkeys(filter(None, found)))
    if not sources:
        raise UsageError("There is nothing to get.", "Name a SOURCE: a web page, owner/repo, civitai:ID or a hash.")
    return sources


def _text_of(path: Path) -> str:
    try:
        with path.open(encoding="utf-8-sig") as file:
            return file.read(_LONGEST)
    except OSError as error:
        raise file_error(error, path) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not a text in UTF-8.", "Name a file with one source a line.") from error


# -- the way of it -----------------------------------------------------------------------------------------------------


def _get(context: Context) -> int:
    from modelhub.catalog.store import Catalog
    from modelhub.cli.get_asking import choose_all, marked
    from modelhub.fetch.asking import ask_all, pasted_tokens
    from modelhub.fetch.net import Net

    args = context.args
    sources = read_sources(args.sources, args.lists)
    if args.name is not None and len(sources) > 1:
        raise UsageError(f"--as names one file, and there are {len(sources)} sources.", "Get them one by one.")
    if args.to is not None and args.to.exists() and not args.to.is_dir():
        raise UsageError(f"{args.to} is a file, not a folder.", "--to names the folder, and --as the file in it.")
    with Catalog.open() as catalog, Net(given=pasted_tokens(sources)) as net:
        owned = not (args.force or args.list)
        asked = ask_all(catalog, sources, net, context.job, owned=owned)
        if args.list:
            return _answer_list(context, [marked(context, one) for one in asked])
        return _download(context, catalog, choose_all(context, asked), net)


def _answer_list(context: Context, asked: Sequence[Asked]) -> int:
    """Answer with all that there is; the exit code is that of the first source that leads nowhere."""
    from modelhub.cli.get_words import listed_json, listed_lines

    errors = [one.error for one in asked if one.error is not None]
    if errors and len(asked) == 1:
        raise errors[0]
    context.answer([listed_json(one) for one in asked], lambda: listed_lines(asked))
    return errors[0].exit_code if errors else 0


def _download(context: Context, catalog: Catalog, asked: Sequence[Asked], net: Net) -> int:
    """Plan what was chosen, say the plan, and do it: now, later, or not at all."""
    from modelhub.cli.get_running import answer
    from modelhub.cli.get_words import plan_lines, told_planned, told_without
    from modelhub.fetch.planning.plans import plan

    args = context.args
    chosen = [(one.offer, one.choice) for one in asked if one.offer is not None and one.choice is not None]
    made = plan(catalog, chosen, _options(context, catalog), net, context.job)
    told = [*told_without(asked), *told_planned(catalog, made)]
    if args.dry_run:
        code = answer(context, told, lambda: plan_lines(made))
        return code or (0 if all(disk.fits for disk in made.disks) else NoSpaceError.exit_code)
    for line in plan_lines(made):
        context.say(line)
    made.check()
    told = [one for one in told if one.is_settled] + _run(context, catalog, made, net)
    places = {one.source: at for at, one in enumerate(asked)}
    return answer(context, sorted(told, key=lambda one: places.get(one.source, len(places))))


def _run(context: Context, catalog: Catalog, made: Plan, net: Net) -> list[Told]:
    """Put the orders of a plan into the queue, and run them unless that is for later."""
    from modelhub.cli.get_running import queued, run_queue
    from modelhub.fetch.queue import add

    ids = add(catalog, made.orders) if made.orders else []
    if context.args.queue_only:
        return queued(catalog, ids)
    return run_queue(context, catalog, ids, context.args.jobs, net, made.orders) if ids else []


def _options(context: Context, catalog: Catalog) -> Options:
    """What the user wants of all files, by options and by settings."""
    from modelhub.fetch.planning.ordering import Options, sidecars_of
    from modelhub.settings import load_settings

    args, settings = context.args, load_settings(catalog.folder)
    return Options(
        to=args.to,
        name=args.name,
        replace=args.force,
        sidecars=tuple(dict.fromkeys(args.sidecars)) or sidecars_of(settings),
        previews="none" if args.no_preview else settings.download_previews,
        keep_unsafe=args.keep_unsafe,
    )
