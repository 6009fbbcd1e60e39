"""What an inspection found, in lines for a person: the verdict, what is in the file, and what is odd about it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from modelhub.catalog.describe import describe
from modelhub.catalog.parents import merged_from
from modelhub.cli.context import Bold
from modelhub.cli.identity_words import counted_words, merged_row
from modelhub.cli.streams import live
from modelhub.cli.table import facts, table, wrapped
from modelhub.convert.inspect.wording import (
    format_words,
    members_words,
    metadata_said,
    shape_words,
    short_value,
    verdict_words,
)
from modelhub.text import brief, human_count, human_size, one_line, pad, shorten, width

if TYPE_CHECKING:
    from modelhub.convert.inspect import Finding, Inspection

#: Rows of a list that a terminal gets, and columns of a key.
_ROWS, _KEY = 40, 40


def inspection_lines(seen: Inspection) -> Iterator[str]:
    """Everything about one file; it comes from the file, so it is shown on lines of ours and with escapes."""
    yield Bold(one_line(str(seen.path)))
    yield from _verdict(seen)
    yield ""
    yield from facts([(name, one_line(value)) for name, value in _facts(seen)])
    for section in (_pieces(seen), _components(seen), _files(seen), _others(seen), _globals(seen), _metadata(seen)):
        lines = list(section)
        yield from ["", *lines] if lines else ()


def _verdict(seen: Inspection) -> Iterator[str]:
    level = {"dangerous": "danger", "suspicious": "suspicious"}.get(seen.verdict, "")
    yield from map(Bold, wrapped(f"{seen.verdict}: {verdict_words(seen)}", 2))
    found = [finding for finding in seen.findings if finding.level == level]
    for hint, group in groupby(_cut(found), lambda finding: finding.hint):
        for finding in group:
            yield from wrapped(f"  {one_line(finding.message)}", 4, whole=False)
        yield from wrapped(f"    {one_line(hint)}", 4) if hint else ()
    yield from _and_more(len(found))


def _cut(rows: Sequence[Any]) -> Sequence[Any]:
    return rows[:_ROWS] if live(sys.stdout) else rows


def _and_more(count: int, indent: str = "  ") -> Iterator[str]:
    if live(sys.stdout) and count > _ROWS:
        yield f"{indent}and {count - _ROWS:,} more, see --json"


def _facts(seen: Inspection) -> list[tuple[str, str]]:
    identity, header = seen.identity, seen.header
    prediction = identity.prediction or ""
    counts = f": {counted_words(identity.dtypes)}" if identity.dtypes else ""
    return [
        ("what it is", describe(identity) if identity.kind != "unknown" else "unknown to modelhub"),
        ("prediction", prediction),
        ("format", format_words(seen)),
        ("members", members_words(seen)),
        merged_row(merged_from(header.metadata)),
        ("size", f"{human_size(seen.size)} ({seen.size:,} bytes)"),
        ("tensors", f"{len(header.tensors):,}{counts}"),
    ]


def _pieces(seen: Inspection) -> Iterator[str]:
    if len(seen.pieces) < 2 and not any(piece.prefix for piece in seen.pieces):
        return
    rows = (
        (
            piece.what, f"{piece.tensors:,}", human_count(piece.parameters) if piece.parameters else "-",
            human_size(piece.size), " ".join(piece.dtypes), piece.prefix,
        )
        for piece in seen.pieces
    )  # fmt: skip
    yield from table(("component", "tensors", "params", "size", "dtypes", "prefix"), rows, right=(1, 2, 3))


def _components(seen: Inspection) -> Iterator[str]:
    """The components of a diffusers folder with their classes."""
    rows = [(one["name"], one["class"]) for one in seen.container.get("components", ())]
    yield from table(("folder", "class"), rows) if rows else ()


def _files(seen: Inspection) -> Iterator[str]:
    if len(seen.files) < 2 and seen.container["kind"] != "diffusers":
        return
    folder = seen.path if seen.container["kind"] == "diffusers" else seen.path.parent
    rows = [(str(path.relative_to(folder)), human_size(size)) for path, size in _cut(seen.files)]
    yield from table(("file", "size"), rows, right=(1,))
    yield from _and_more(len(seen.files))


def _others(seen: Inspection) -> Iterator[str]:
    """What is no reason to distrust it."""
    for finding in _cut([finding for finding in seen.findings if finding.level in ("problem", "note")]):
        yield from _sentence(finding)


def _sentence(finding: Finding) -> Iterable[str]:
    text = f"{finding.level}: {one_line(finding.message)} {finding.hint}"
    return wrapped(text.rstrip(), 2, whole=False)


def _globals(seen: Inspection) -> Iterator[str]:
    if not seen.globals:
        return
    rows = [(name.verdict, shorten(name.path, 200), f"{name.offset:,}") for name in _cut(seen.globals)]
    yield from table(("verdict", f"what it refers to ({len(seen.globals)})", "at byte"), rows, right=(2,))
    yield from _and_more(len(seen.globals))


def _metadata(seen: Inspection) -> Iterator[str]:
    said = metadata_said(seen)
    if not said:
        return
    yield f"metadata ({len(said)})"
    shown = [(brief(key, _KEY), short_value(text)) for key, text in _cut(said)]
    left = max(width(key) for key, _ in shown) + 4
    for key, text in shown:
        yield from wrapped(f"{pad('  ' + key, left)}{text}", left, whole=False)
    yield from _and_more(len(said))


def tensor_lines(seen: Inspection, pattern: str, *, headed: bool) -> Iterator[str]:
    """The tensors that `pattern` fits, one in a line, in the order of the file; `headed`: below the path.

    The name comes last and is never cut.
    """
    yield from [Bold(one_line(str(seen.path)))] if headed else ()
    columns = seen.header.columns
    shapes = {shape: shape_words(shape) for shape in {*columns.shapes}}
    wide = [max(map(len, words), default=0) for words in (("dtype", *columns.dtypes), ("shape", *shapes.values()))]
    right = len(f"{seen.header.data_size:,}")
    yield f"{'dtype':{wide[0]}}  {'shape':{wide[1]}}  {'bytes':>{right}}  tensor"
    for name, info in seen.tensors(pattern):
        shape = shapes[info.shape]
        yield f"{info.dtype:{wide[0]}}  {shape:{wide[1]}}  {info.nbytes:{right},}  {one_line(name)}"
