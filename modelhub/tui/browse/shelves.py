"""The lines of the sidebar: saved searches, kinds with architectures, folders, tags, and what else can be asked."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from modelhub.tui.library import Survey

#: Tags that are shown before one asks for all.
_TAGS = 30
_ALL_TAGS = "tags/all"
_CARE = {"missing": ("missing", "yes"), "problem": ("problem", "yes"), "untagged": ("tag", "none")}
_CARE_WORDS = {"missing": "file is gone", "problem": "cannot be read", "untagged": "without a tag"}
_EVERYTHING = ("kind", "arch", "tag", "path", "rating", "format", "dtype", "missing", "problem")

#: What is unfolded at the first start.
OPEN = frozenset({"SAVED", "KINDS", "FOLDERS", "TAGS", "CARE"})


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: its text and count, the terms it puts in the query (None: a title), and the name of what it folds.

    `query`: a whole query that it puts in place of the other, saved as `label`.
    """

    label: str
    count: int | None = None
    terms: Mapping[str, str | None] | None = None
    depth: int = 0
    folds: str = ""
    query: str | None = None

    @property
    def is_blank(self) -> bool:
        """Whether there is nothing to be done with it."""
        return self.terms is None and self.query is None and not self.folds

    @property
    def is_title(self) -> bool:
        """Whether it is the heading of others."""
        return self.terms is None and self.query is None and bool(self.folds)

    def is_in(self, query: str, asked: frozenset[tuple[str, str]]) -> bool:
        """Whether a query, which asks for these fields and values, contains all that this puts into it."""
        if self.query is not None:
            return self.query == query
        wanted = {(name, value) for name, value in (self.terms or {}).items() if value is not None}
        return bool(wanted) and wanted <= asked


def shelves(survey: Survey, unfolded: frozenset[str], saved: Mapping[str, str]) -> Iterator[Entry]:
    """All lines that are to be seen."""
    yield Entry("All assets", survey.total, dict.fromkeys(_EVERYTHING))
    parts = {
        "SAVED": (Entry(name, query=query) for name, query in saved.items()),
        "KINDS": _kinds(survey, unfolded),
        "FOLDERS": _folders(survey, unfolded),
        "TAGS": _tags(survey, unfolded),
        "CARE": _care(survey),
        "STARS": _stars(survey),
        "FORMATS": _plain("format", survey.formats),
        "PRECISION": _plain("dtype", survey.dtypes),
    }
    for title, entries in parts.items():
        yield from _section(title, entries, title in unfolded)


def _section(title: str, entries: Iterator[Entry], is_open: bool) -> Iterator[Entry]:
    first = next(entries, None)
    if first is None:
        return
    if is_open:
        yield Entry("")
    yield Entry(title, folds=title)
    if is_open:
        yield first
        yield from entries


def _kinds(survey: Survey, unfolded: frozenset[str]) -> Iterator[Entry]:
    for kind, count in survey.kinds.items():
        parts = {name: n for name, n in survey.architectures[kind].items() if name}
        yield Entry(kind, count, {"kind": kind, "arch": None}, folds=kind if parts else "")
        if kind in unfolded:
            yield from (Entry(name, n, {"kind": kind, "arch": name}, 1) for name, n in parts.items())


def _folders(survey: Survey, unfolded: frozenset[str]) -> Iterator[Entry]:
    roots = survey.folders.roots
    names = [os.path.basename(root) or root for root in roots]  # noqa: PTH119
    for root, name in zip(roots, names, strict=True):
        yield from _folder(survey, unfolded, root, 0, _longer(root) if names.count(name) > 1 else name)


def _longer(path: str) -> str:
    """The name of a folder behind that of the one it is in."""
    return str(Path(*Path(path).parts[-2:]))


def _folder(survey: Survey, unfolded: frozenset[str], path: str, depth: int, name: str = "") -> Iterator[Entry]:
    inside = survey.folders.inside.get(path, ())
    key = f"folder:{path}"
    name = name or os.path.basename(path)  # noqa: PTH119 (thousands of folders)
    where = os.path.join(path, "")  # noqa: PTH118
    yield Entry(name, survey.folders.counts[path], {"path": where}, depth, key if inside else "")
    if key in unfolded:
        for one in inside:
            yield from _folder(survey, unfolded, one, depth + 1)


def _tags(survey: Survey, unfolded: frozenset[str]) -> Iterator[Entry]:
    shown = len(survey.tags) if _ALL_TAGS in unfolded else _TAGS
    yield from (Entry(tag, n, {"tag": tag}) for tag, n in list(survey.tags.items())[:shown])
    if len(survey.tags) > _TAGS:
        rest = len(survey.tags) - _TAGS
        yield Entry("fewer" if shown > _TAGS else f"{rest:,} more", folds=_ALL_TAGS, terms={})


def _care(survey: Survey) -> Iterator[Entry]:
    untagged = survey.untagged if survey.tags else 0
    for name, count in {**survey.states, "untagged": untagged}.items():
        if count:
            yield Entry(_CARE_WORDS[name], count, dict([_CARE[name]]))


def _stars(survey: Survey) -> Iterator[Entry]:
    for stars, count in survey.ratings.items() if len(survey.ratings) > 1 else ():
        yield Entry("★" * stars or "none", count, {"rating": str(stars)})


def _plain(name: str, counts: Mapping[str, int]) -> Iterator[Entry]:
    if len(counts) > 1:
        yield from (Entry(value, count, {name: value}) for value, count in counts.items())
