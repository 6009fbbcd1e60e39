"""inspect: what is in a file, and whether it would run code."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelhub.cli.each_file import each_file
from modelhub.cli.options import REF_HELP, command
from modelhub.errors import NotFoundError, UsageError
from modelhub.settings import user_path
from modelhub.text import brief, one_line, plural

if TYPE_CHECKING:
    from modelhub.cli.context import Context
    from modelhub.cli.options import Commands
    from modelhub.convert.inspect import Inspection

#: What a dangerous file exits with: that of an error about a file.
_DANGEROUS = 3


def add(commands: Commands) -> None:
    """Add the command of this group."""
    parser = command(
        commands,
        "inspect",
        _inspect,
        "Look into files, any format, and say whether they would run code; nothing of them is run. Exit code 3 for a "
        "dangerous one.",
        "modelhub inspect old.ckpt",
    )
    parser.add_argument(
        "files", metavar="FILE", nargs="*", help=f"a file, a folder of diffusers, or {REF_HELP}, e.g. old.ckpt"
    )
    parser.add_argument(
        "--tensors",
        metavar="PATTERN",
        nargs="?",
        const="",
        help="list the tensors, all or those with PATTERN in their name, e.g. --tensors '*.attn2.*'",
    )
    parser.add_argument(
        "--metadata", metavar="KEY", help="print one value of the metadata exactly, e.g. --metadata sd_merge_recipe"
    )


def _inspect(context: Context) -> int:
    from modelhub.cli.inspect_words import inspection_lines, tensor_lines
    from modelhub.convert.inspect import inspect
    from modelhub.convert.inspect.report import tensor_row

    files, pattern = _words(context)
    if context.args.metadata is not None:
        return _value(context, files)
    found: dict[str, Inspection] = {}

    def work(ref: Any) -> dict[str, Any]:
        seen = inspect(_path(ref))
        found[str(seen.path)] = seen
        data = seen.as_dict()
        if context.json and pattern is not None:
            data["tensor_list"] = [tensor_row(name, info) for name, info in seen.tensors(pattern)]
        return data

    def lines(data: dict[str, Any]) -> Iterator[str]:
        seen = found[data["path"]]
        yield from inspection_lines(seen) if pattern is None else tensor_lines(seen, pattern, headed=len(files) > 1)

    code = each_file(context, files, work, lines)
    if pattern is not None:
        _say_verdicts(context, found.values(), pattern)
    dangerous = any(seen.verdict == "dangerous" for seen in found.values())
    return code or (_DANGEROUS if dangerous else 0)


def _words(context: Context) -> tuple[list[str], str | None]:
    """The files and the pattern; the one word of `inspect --tensors FILE` is a file if there is one of that name."""
    files, pattern = context.args.files, context.args.tensors
    if not files and pattern and os.path.lexists(user_path(pattern)):
        return [pattern], ""
    if not files:
        raise UsageError("The following arguments are required: FILE.", "See `modelhub inspect --help`.")
    return files, pattern


def _path(ref: str) -> Path:
    """The file that is there by this name, else what the catalog knows by it. Raises NotFoundError, AmbiguousError."""
    path = user_path(ref)
    if os.path.lexists(path) or "\0" in ref:
        return path
    if os.sep in ref:
        raise NotFoundError(f"{one_line(ref)} does not exist.", "Check the path.")
    from modelhub.catalog.reading import CatalogReader
    from modelhub.catalog.refs import resolve

    with CatalogReader.open() as catalog:
        return resolve(catalog, ref).path


def _value(context: Context, files: list[str]) -> int:
    """Print one value of the metadata, as it is."""
    from modelhub.convert.inspect import inspect

    if len(files) > 1:
        raise UsageError("--metadata prints a value of one file.", "Name one FILE.")
    key, seen = context.args.metadata, inspect(_path(files[0]))
    if key not in seen.header.metadata:
        known = ", ".join(brief(name, 40) for name in list(seen.header.metadata)[:20])
        hint = f"It has: {known}." if known else "It has no metadata."
        raise NotFoundError(f"The metadata of {one_line(str(seen.path))} has no {one_line(key)}.", hint)
    value = seen.header.metadata[key]
    context.answer_exactly({"path": str(seen.path), "key": key, "value": value}, value)
    _say_verdicts(context, [seen])
    return _DANGEROUS if seen.verdict == "dangerous" else 0


def _say_verdicts(context: Context, found: Iterable[Inspection], pattern: str = "") -> None:
    """Beside a listing: what is wrong with a file, and that nothing was found in it."""
    for seen in found:
        name = one_line(seen.path.name)
        if pattern and next(seen.tensors(pattern), None) is None:
            context.say(f"{name}: none of {plural(len(seen.header.tensors), 'tensor')} fits '{one_line(pattern)}'")
        if seen.verdict != "safe":
            context.say(f"{name} is {seen.verdict}: see `modelhub inspect` without options")
