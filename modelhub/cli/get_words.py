"""What get and queue say: what there is to choose from, what is planned, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelhub.cli.context import Bold
from modelhub.cli.table import packed, table, wrapped
from modelhub.errors import ModelhubError, error_dict
from modelhub.fetch.file_words import file_words
from modelhub.text import human_size, one_line, plural

if TYPE_CHECKING:
    from modelhub.catalog.asset import Asset
    from modelhub.catalog.store import Catalog
    from modelhub.fetch.asking import Asked
    from modelhub.fetch.offer import Offer, RemoteFile
    from modelhub.fetch.planning.plans import Plan, Planned

#: Digits of a hash that are shown; six of them name an asset.
_DIGITS = 10


# -- what came of it ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Told:
    """What became of one model: one item of the answer.

    `status` is downloaded, owned, queued, failed, or of a plan: new, resume, conflict. `download` is its number in the
    queue, `asset` what the catalog knows of it.
    """

    source: str
    status: str
    path: Path | None = None
    size: int | None = None
    sha256: str | None = None
    title: str = ""
    download: int | None = None
    asset: Asset | None = None
    notes: Sequence[str] = ()
    error: ModelhubError | None = None

    @property
    def is_settled(self) -> bool:
        """Whether nothing is left to be done about it."""
        return self.status not in ("new", "resume")

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        asset = self.asset
        return {
            "source": self.source,
            "path": None if self.path is None else str(self.path),
            "size": self.size,
            "sha256": self.sha256,
            "status": self.status,
            "id": asset.id if asset else None,
            "kind": asset.kind if asset else None,
            "architecture": asset.architecture if asset else None,
            "format": asset.format if asset else None,
            "title": self.title or None,
            "download": self.download,
            "notes": list(self.notes),
            "error": error_dict(self.error),
        }

    def lines(self) -> Iterator[str]:
        """What a person gets to read: the outcome in a line, what there is to note of it below."""
        yield from packed(self._words(), 4)
        for note in self.notes:
            yield from wrapped(f"    note: {one_line(note)}", 6)
        if self.asset and self.asset.format == "pickle" and self.status in ("downloaded", "owned"):
            yield f"    as safetensors: modelhub convert '#{self.asset.id}'"
        if self.error:
            yield from wrapped(f"    {self.error.message}", 4)
            yield from wrapped(f"    {self.error.hint}", 4) if self.error.hint else ()

    def _words(self) -> Iterator[str]:
        yield _STATUS.get(self.status, self.status)
        yield one_line(str(self.path) if self.path and not self.error else self.source)
        if self.error:
            return
        yield human_size(self.size) if self.size is not None else ""
        yield f"sha256 {self.sha256[:_DIGITS]}" if self.sha256 else ""
        yield what(self.asset) if self.asset else ""
        yield f"waits as {self.download}" if self.status == "queued" else ""


_STATUS = {"owned": "owned already", "new": "would get", "resume": "would go on with"}


def what(asset: Asset) -> str:
    """Kind and architecture as the bytes of an asset say it, with its number."""
    kind = "of unknown kind" if asset.kind == "unknown" else asset.kind
    return f"{kind}{f', {asset.architecture}' if asset.architecture else ''}  #{asset.id}"


# -- what is planned ---------------------------------------------------------------------------------------------------


def told_without(asked: Sequence[Asked]) -> Iterator[Told]:
    """The sources that need no plan: those that lead nowhere, and hashes of files that are there."""
    for one in asked:
        if one.error is not None:
            yield Told(one.source, "failed", error=one.error)
        elif one.asset is not None:
            asset, title = one.asset, one.asset.title or one.asset.name
            yield Told(one.source, "owned", asset.path, asset.size, asset.sha256, title, asset=asset)


def told_planned(catalog: Catalog, plan: Plan) -> Iterator[Told]:
    """What is planned, item by item."""
    for one in plan.items:
        asset = catalog.get(one.asset) if one.asset is not None else None
        sha256 = (one.order.sha256 if one.order else None) or (asset.sha256 if asset else None)
        size = asset.size if asset and one.size is None else one.size
        yield Told(one.source, one.status, one.path, size, sha256, one.title, asset=asset, error=one.error)


def plan_lines(plan: Plan) -> Iterator[str]:
    """What is to come, from where, how large, where to, and what then is left of each disk."""
    coming = [one for one in plan.items if one.status in ("new", "resume")]
    for one in coming:
        yield from packed(_planned_words(one), 4)
    if len(coming) > 1:
        yield f"{plural(len(coming), 'download')}, {human_size(plan.to_come)} to come"
    for disk in plan.disks:
        yield from wrapped(disk.words, 4)


def _planned_words(one: Planned) -> Iterator[str]:
    order = one.order
    yield one_line(order.title if order else one.title)
    if order is not None and order.whole:
        yield plural(len(order.files), "file")
    yield "size unknown" if one.size is None else human_size(one.size)
    if order is not None and (order.kind or order.architecture):
        yield ", ".join(one_line(word) for word in (order.kind, order.architecture) if word)
    yield f"→  {one_line(str(one.path))}"
    if one.status == "resume":
        yield f"resumes at {one.there / one.size:.0%}" if one.size else f"resumes after {human_size(one.there)}"


# -- what there is -----------------------------------------------------------------------------------------------------


def listed_json(one: Asked) -> dict[str, Any]:
    """What a source leads to, for --list."""
    if one.offer is None:
        return {"source": one.source, "versions": [], "error": error_dict(one.error)}
    return offer_json(one.source, one.offer, one.choice.files if one.choice else ())


def listed_lines(asked: Sequence[Asked]) -> Iterator[str]:
    """What all sources lead to, for --list."""
    for at, one in enumerate(asked):
        yield from [""] if at else ()
        if one.offer is not None:
            yield from offer_lines(one.offer, one.choice.files if one.choice else ())
        elif one.error is not None:
            yield from Told(one.source, "failed", error=one.error).lines()


def offer_json(source: str, offer: Offer, marked: Sequence[RemoteFile]) -> dict[str, Any]:
    """What a source leads to, for --list; `marked` are the files that `get` would take."""
    words = ("title", "provider", "address", "page", "kind", "architecture", "whole")
    versions = [
        {
            "address": one.address,
            "name": one.name,
            "base_model": one.base_model,
            "published": one.published,
            "error": error_dict(one.trouble),
            "files": [{**_file_json(file), "chosen": file in marked} for file in one.files],
        }
        for one in offer.all_versions
    ]
    return {"source": source, **{word: getattr(offer, word) for word in words}, "versions": versions}


def _file_json(file: RemoteFile) -> dict[str, Any]:
    words = ("name", "path", "size", "format", "precision", "pruned", "role", "primary")
    return {**{word: getattr(file, word) for word in words}, "hashes": dict(file.hashes)}


def offer_lines(offer: Offer, marked: Sequence[RemoteFile]) -> Iterator[str]:
    """All versions of one model, each with what to hand to get, why it cannot be had if so, and its files."""
    versions = offer.all_versions
    yield Bold(" · ".join(one_line(word) for word in (offer.title, offer.kind, offer.architecture) if word))
    if offer.page:
        yield one_line(offer.page)
    rows = [_file_row(file, file in marked) for one in versions for file in one.files]
    lines = table(("     FILE", "SIZE", "FORMAT", "WHAT"), rows, right=(1,), names=0)
    head = next(lines)
    if rows:
        yield Bold(head)
    for one in versions:
        name = one.name if one.name not in one.address else ""
        words = (one.address, name, one.base_model, (one.published or "")[:10])
        yield from wrapped("  ".join(one_line(word) for word in words if word), 4)
        if one.trouble:
            yield from wrapped(f"  ✗ {one_line(one.trouble.message)}", 4)
        yield from islice(lines, len(one.files))


def _file_row(file: RemoteFile, is_marked: bool) -> Sequence[str]:
    form = file.format if file.format != "other" else ""
    return (
        f"{'  >  ' if is_marked else '     '}{file.path or file.name}",
        human_size(file.size),
        form or "",
        file_words(file),
    )
