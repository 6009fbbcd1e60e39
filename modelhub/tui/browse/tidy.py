"""Tidying in the interface: what is asked before, what is done, and what is said after."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from modelhub.catalog.asset import Asset
from modelhub.catalog.store import Catalog
from modelhub.errors import ModelhubError
from modelhub.jobs import Job
from modelhub.text import human_seconds, human_size, one_line, plural
from modelhub.tui.screens.dialogs import confirm

if TYPE_CHECKING:
    from textual.dom import DOMNode

    from modelhub.organize.move import MoveReport

# what moves files is imported by who moves them: the library is seen sooner
_NAMED = 8
#: Assets that are looked up in one search: a query of more would be too deep for SQLite.
_TOGETHER = 200


@dataclass(frozen=True, slots=True)
class Told:
    """What came of something: a sentence, and lines of what needs to be looked at."""

    says: str
    lines: tuple[str, ...] = ()


Work = Callable[[Catalog, Job], Told]


# -- questions ---------------------------------------------------------------------------------------------------------


def confirm_trash(asker: DOMNode, assets: Sequence[Asset], do: Callable[[], object]) -> None:
    """Ask with names and sizes of what is to go."""
    total = f", {human_size(sum(asset.size for asset in assets))} in all" if len(assets) > 1 else ""
    what = plural(len(assets), "asset")
    text = "\n".join([*_named(assets), "", f"{what}{total}, with sidecars and links. u brings them back."])
    confirm(asker, "Move to the trash", text, f"Move {what}", do)


def confirm_forget(asker: DOMNode, assets: Sequence[Asset], do: Callable[[], object]) -> None:
    """Ask with the names of what is to be forgotten."""
    what = plural(len(assets), "asset")
    says = "Their files are gone; tags, stars and notes go with the rows. u brings them back."
    confirm(asker, "Forget what is missing", "\n".join([*_named(assets), "", says]), f"Forget {what}", do)


def _named(assets: Sequence[Asset]) -> list[str]:
    """The first of them with their sizes, and how many more there are."""
    lines = [f"{one_line(asset.name)}  {human_size(asset.size)}" for asset in assets[:_NAMED]]
    return [*lines, f"and {plural(len(assets) - _NAMED, 'more', 'more')}"] if len(assets) > _NAMED else lines


def _one_or_many(assets: Sequence[Asset]) -> str:
    return one_line(assets[0].name) if len(assets) == 1 else plural(len(assets), "asset")


# -- files -------------------------------------------------------------------------------------------------------------


def to_trash(catalog: Catalog, assets: Sequence[Asset], job: Job) -> str:
    """Move assets to the trash; what was done, in words."""
    from modelhub.organize.trash import trash

    report = trash(catalog, assets, job)
    files = f"{plural(len(report.files), 'file')}, {human_size(report.freed)}"
    return f"Moved {_one_or_many(assets)} to the trash: {files}. u undoes it."


def planned_names(catalog: Catalog, assets: Sequence[Asset], pattern: str, job: Job) -> MoveReport:
    """What renaming by a pattern would do. Raises what `rename` raises."""
    from modelhub.organize.move import rename

    return rename(catalog, _names(assets, pattern), job, dry_run=True)


def rename_assets(catalog: Catalog, assets: Sequence[Asset], pattern: str, job: Job) -> str:
    """Rename by a pattern; what was done, in words."""
    from modelhub.organize.move import rename

    return _moved(rename(catalog, _names(assets, pattern), job), "Renamed")


def _names(assets: Sequence[Asset], pattern: str) -> list[tuple[Asset, str]]:
    from modelhub.fetch.names.pattern import file_name

    return [(asset, file_name(pattern, asset, number)) for number, asset in enumerate(assets, 1)]


def move_assets(catalog: Catalog, assets: Sequence[Asset], folder: Path, job: Job) -> str:
    """Move to a folder, which is made if need be; what was done, in words."""
    from modelhub.organize.move import move

    return _moved(move(catalog, assets, folder, job, make=True), "Moved")


def _moved(report: MoveReport, done: str) -> str:
    if not report.files:
        return "There was nothing to do."
    stayed = f" {plural(len(report.shared), 'sidecar')} stayed with another model." if report.shared else ""
    who, files = _one_or_many([asset for asset, _ in report.assets]), plural(len(report.files), "file")
    return f"{done} {who}: {files}.{stayed} u undoes it."


def gone(catalog: Catalog, ids: Sequence[int]) -> list[Asset]:
    """Those of `ids` whose files are not there; if they all are, everything in the catalog that is missing."""
    chosen = [asset for asset in catalog.assets(ids) if not asset.path.exists()]
    return chosen or [asset for asset in catalog.find("missing:yes", sort="path") if not asset.path.exists()]


def forget_assets(catalog: Catalog, assets: Sequence[Asset]) -> str:
    """Take rows out of the catalog; what was done, in words."""
    from modelhub.organize.forget import forget

    forget(catalog, assets)
    return f"Forgot {_one_or_many(assets)}. u brings them back."


# -- bytes and providers -----------------------------------------------------------------------------------------------


def hash_all(catalog: Catalog, assets: Sequence[Asset], workers: int, job: Job) -> Told:
    """Make all hashes, each kept at once."""
    from modelhub.scan.hashing import hash_assets

    there = [asset for asset in assets if not asset.missing]
    problems = [
        f"{one_line(path)}: {error.message}"
        for path, error in hash_assets(catalog, there, "full", workers, job)
        if error is not None
    ]
    lost = f"; {plural(len(assets) - len(there), 'file is', 'files are')} missing" if len(there) < len(assets) else ""
    return Told(f"Hashed {plural(len(there) - len(problems), 'file')}{lost}.", tuple(problems))


def verify_all(catalog: Catalog, assets: Sequence[Asset], job: Job) -> Told:
    """Compare files with their hashes; the lines tell of each that is not as it was."""
    from modelhub.organize.verify import verify

    report = verify(catalog, assets, job)
    words = ", ".join(f"{count:,} {status}" for status, count in report.counts.items() if count)
    read = f"{human_size(report.bytes)} read in {human_seconds(report.seconds)}"
    lines = [f"{one.status}: {one.message}" for one in report.verdicts if one.status not in ("ok", "unhashed")]
    lines += [f"{one_line(one.asset.name)}: {note}" for one in report.verdicts for note in one.notes]
    return Told(f"{plural(len(report.verdicts), 'asset')}: {words}; {read}.", tuple(lines))


def look_up(catalog: Catalog, assets: Iterable[Asset], workers: int, job: Job) -> Told:
    """Ask Civitai about assets by their hashes, which are made first where they lack. Raises what stopped it."""
    from modelhub.fetch.lookup.sync import sync
    from modelhub.fetch.net import Net

    def hashing(ids: Sequence[int]) -> None:
        hash_all(catalog, catalog.assets(ids), workers, job)

    known = unknown = never = 0
    lines: list[str] = []
    rest = iter(assets)
    with Net() as net:
        while some := list(islice(rest, _TOGETHER)):
            query = " OR ".join(f"id:{asset.id}" for asset in some)
            report = sync(catalog, query, net, job, hashing=hashing)
            _raise(report.stopped)
            known, unknown, never = known + len(report.found), unknown + report.unknown, never + report.never
            lines += [f"No longer on Civitai: {one_line(one.title or one.path)}" for one in report.vanished]
    silent = f", {never:,} never looked up" if never else ""
    return Told(f"{known:,} known to Civitai, {unknown:,} unknown to it{silent}.", tuple(lines))


def _raise(error: ModelhubError | None) -> None:
    if error is not None:
        raise error
