"""Move: assets to another folder or name with all that belongs to them; rows, tags and hashes go with them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelhub.catalog import journal
from modelhub.catalog.asset import Asset
from modelhub.catalog.store import Catalog
from modelhub.errors import FileError, FileExistsAlreadyError, NoSpaceError, UsageError, file_error
from modelhub.formats.naming import check_name, is_model_name
from modelhub.formats.opening import stat_of
from modelhub.formats.stat import FileStat
from modelhub.jobs import QUIET, Job
from modelhub.organize.belongings import Belongings, belongings, files_of
from modelhub.organize.carrying import Pair, carry, same_content
from modelhub.organize.entries import begin, clear_row, explained, give_up, names, plain, row_in_the_way
from modelhub.organize.links import Relink, pointing_at, relink
from modelhub.organize.renaming import probe, reaches, remove
from modelhub.text import human_size, one_line


@dataclass(frozen=True, slots=True)
class MoveReport:
    """What was moved, or would be: assets with their old and new paths, all files, links that point elsewhere now.

    `shared`: sidecars that stayed with another model; `already`: assets that were there before.
    """

    entry: int | None
    assets: list[tuple[Asset, Path]]
    files: list[Pair]
    links: list[Path] = field(default_factory=list)
    shared: list[Path] = field(default_factory=list)
    already: list[Asset] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """The report as plain values."""
        return {
            "entry": self.entry,
            "assets": [{"id": a.id, "from": str(a.path), "path": str(new)} for a, new in self.assets],
            "files": [{"from": str(old), "path": str(new)} for old, new in self.files],
            "links": [str(path) for path in self.links],
            "shared": [str(path) for path in self.shared],
            "already": [{"id": a.id, "path": str(a.path)} for a in self.already],
        }


def move(
    catalog: Catalog,
    assets: Sequence[Asset],
    goal: Path,
    job: Job = QUIET,
    *,
    dry_run: bool = False,
    make: bool = False,
) -> MoveReport:
    """Move assets to the folder `goal`, or one asset to the name `goal` in a folder: all of them, or none.

    `make`: a folder that is not there yet is made. Raises UsageError for a goal that is neither, FileExistsAlreadyError
    for a name that is taken, VanishedError for a missing file, NoSpaceError, FileError, CancelledError.
    """
    goal = Path(os.path.abspath(goal))  # noqa: PTH100 (links stay as the user wrote them)
    with explained(goal), ExitStack() as undo:
        folder, name = _goal(goal, assets, make=make)
        if make and not dry_run:
            _make_folder(folder, undo)
        report = _relocate(catalog, [(asset, folder / (name or asset.path.name)) for asset in assets], job, dry_run)
        if report.entry is not None:
            undo.pop_all()
    return report


def rename(
    catalog: Catalog, names: Iterable[tuple[Asset, str]], job: Job = QUIET, *, dry_run: bool = False
) -> MoveReport:
    """Give assets other file names where they lie, with all their sidecars: all of them, or none.

    Raises UsageError for what is no name of such a file, and what `move` raises.
    """
    goals = [(asset, _renamed(asset, name)) for asset, name in names]
    with explained(catalog.folder):
        return _relocate(catalog, goals, job, dry_run)


def _relocate(catalog: Catalog, goals: Sequence[tuple[Asset, Path]], job: Job, dry_run: bool) -> MoveReport:
    """Bring every asset to its new path."""
    there = [asset for asset, new in goals if asset.path == new]
    paths = {asset.id: new for asset, new in goals}
    kits = belongings(catalog, [asset for asset, new in goals if asset.path != new], links=False)
    _check_movable(kits, paths)
    pairs = [pair for kit in kits for pair in _pairs(kit, paths[kit.asset.id])]
    _check_free(pairs)
    moved = [(kit.asset, paths[kit.asset.id]) for kit in kits]
    for asset, new in moved:
        row_in_the_way(catalog, new, asset.id)
    links = [one for asset, new in moved for one in pointing_at(asset, new)]
    known = _hashes(kits)
    entry = None
    if pairs and not dry_run:
        for folder in {new.parent for _, new in pairs}:
            _check_room([pair for pair in pairs if pair[1].parent == folder], folder)
        entry = _carry_out(catalog, moved, pairs, links, known, job)
    kept = [path for kit in kits for path in kit.shared]
    return MoveReport(entry, moved, pairs, [one.link for one in links], kept, there)


def _make_folder(folder: Path, undo: ExitStack) -> None:
    """Make a folder and those above it; if nothing moves into it, it goes again."""
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in reversed(new):
        undo.callback(_drop_folder, path)


def _drop_folder(path: Path) -> None:
    with suppress(OSError):
        path.rmdir()


def _renamed(asset: Asset, name: str) -> Path:
    """The path of an asset under another name in its folder. Raises UsageError."""
    check_name(name)
    old = asset.path
    if not name.strip(". ") or not name.isprintable() or "/" in name or os.sep in name:
        raise UsageError(f"'{one_line(name)}' is no name of a file.", "Give a name without any folder.")
    if name.startswith("."):
        raise UsageError(f"A file that is called {name} is hidden, and no scan would find it.", "Leave out the dot.")
    if not old.is_dir() and Path(name).suffix.lower() != old.suffix.lower():
        raise UsageError(
            f"{one_line(old.name)} cannot be named {one_line(name)}: an ending says what a file is.",
            f"Let the name end in {old.suffix}.",
        )
    return old.with_name(name)


def _goal(goal: Path, assets: Sequence[Asset], *, make: bool) -> tuple[Path, str | None]:
    """The folder to move to, and the new name if it was one."""
    check_name(str(goal))
    if goal.is_dir() and not any(asset.path == goal for asset in assets):
        return goal, None
    if make and not os.path.lexists(goal) and not is_model_name(goal.name):
        return goal, None
    if not is_model_name(goal.name):
        raise UsageError(f"{one_line(str(goal))} is not a folder.", "Create it first with mkdir -p, or name another.")
    if not goal.parent.is_dir() and not (make and not os.path.lexists(goal.parent)):
        raise UsageError(f"{one_line(str(goal.parent))} is not a folder.", "Create it first with mkdir -p.")
    if len({asset.id for asset in assets}) > 1:
        raise UsageError(f"Several assets cannot all be named {one_line(goal.name)}.", "Name a folder.")
    suffix = assets[0].path.suffix
    if assets[0].path.is_dir() or goal.suffix.lower() != suffix.lower():
        raise UsageError(
            f"{one_line(assets[0].name)} cannot be named {one_line(goal.name)}: an ending says what a file is.",
            f"Let the name end in {suffix}." if suffix else "Name a folder.",
        )
    return goal.parent, goal.name


def _check_movable(kits: Iterable[Belongings], paths: Mapping[int, Path]) -> None:
    for kit in kits:
        if paths[kit.asset.id].name != kit.asset.path.name and len(kit.files) > 1:
            raise UsageError(
                f"{one_line(kit.asset.name)} is a set of {len(kit.files)} files; their names belong together.",
                "Name a folder to move them to.",
            )
        if kit.asset.path.is_dir() and any(_leads_out(path, kit.asset.path) for path in files_of(kit.asset.path)):
            raise FileError(
                f"{one_line(str(kit.asset.path))} holds links to files outside it, which would lead nowhere.",
                "A folder of a download cache is best left where it is.",
            )


def _leads_out(path: Path, folder: Path) -> bool:
    """Whether `path` is a link in `folder` that a move of the folder would break."""
    if not path.is_symlink() or path.readlink().is_absolute():
        return False
    return not path.resolve().is_relative_to(folder.resolve())


def _pairs(kit: Belongings, goal: Path) -> Iterator[Pair]:
    """Old and new paths; sidecars of a file that gets a new name get its stem."""
    old, folder = kit.asset.path, goal.parent
    is_folder = old.is_dir()
    before, after = (old.name, goal.name) if is_folder else (old.stem, goal.stem)
    for path in kit.files:
        yield path, goal if path == old else folder / path.name
    for path in kit.sidecars:
        yield path, folder / (path.name if before == after else after + path.name[len(before) :])


def _check_free(pairs: Sequence[Pair]) -> None:
    seen: dict[Path, Path] = {}
    for old, new in pairs:
        if new in seen:
            raise FileExistsAlreadyError(
                f"{one_line(str(seen[new]))} and {one_line(str(old))} would have the same name in one folder.",
                "Move them one by one, under other names.",
            )
        seen[new] = old
        if os.path.lexists(new):
            same = ", with the same content" if same_content(old, new) else ", and is another file"
            raise FileExistsAlreadyError(
                f"{one_line(str(new))} exists already{same}; nothing was moved.",
                "Give it another name (`modelhub mv REF DIR/NAME`), or move one of the two to the trash.",
            )


def _check_room(pairs: Sequence[Pair], folder: Path) -> None:
    """Raise FileError for a folder that may not be changed, NoSpaceError if copies do not fit."""
    with explained(folder):
        far = {old for old in {old.parent for old, _ in pairs} if not _is_renamed(old, folder)}
        copied = [old for old, _ in pairs if old.parent in far]
        needed = sum(os.lstat(file).st_size for path in copied for file in files_of(path))
        free = shutil.disk_usage(folder).free
    if needed > free:
        raise NoSpaceError(
            f"{one_line(str(folder))} is on another disk: {human_size(needed)} are to be copied there, and "
            f"{human_size(free)} are free.",
            "Free some, or choose another disk.",
        )


def _is_renamed(old: Path, new: Path) -> bool:
    with probe(old) as file:
        try:
            return reaches(file, new)
        except OSError as error:
            raise file_error(error, new) from error


def _carry_out(
    catalog: Catalog,
    moved: Sequence[tuple[Asset, Path]],
    pairs: list[Pair],
    links: list[Relink],
    known: Mapping[Path, str],
    job: Job,
) -> int:
    """The files, then the links, then the rows, and only then the sources of copies; the journal comes before all."""
    details: dict[str, Any] = {
        "state": "begun",
        "pairs": plain(pairs),
        "assets": [[asset.id, str(asset.path), str(new)] for asset, new in moved],
        "links": [one.plain() for one in links],
    }
    entry = begin(catalog, "mv", _summary(moved), details)
    with ExitStack() as undo:
        undo.callback(give_up, catalog, entry, pairs)
        copied = carry(pairs, undo, job, phase="moving", known=known)
        for one in links:
            relink(one)
            undo.callback(relink, one.back())
        settle(catalog, [(asset.id, new) for asset, new in moved])
        undo.pop_all()
    remove_sources(copied)
    journal.update(catalog, entry, {**details, "state": "done"})
    return entry


def _summary(moved: Sequence[tuple[Asset, Path]]) -> str:
    """What was done, for the journal: a file that stays in its folder got another name."""
    who, new = names([asset.name for asset, _ in moved]), moved[0][1]
    if any(asset.path.parent != path.parent for asset, path in moved):
        return f"Moved {who} to {one_line(str(new.parent))}"
    return f"Renamed {who}" + (f" to {one_line(new.name)}" if len(moved) == 1 else "")


def _hashes(kits: Iterable[Belongings]) -> dict[Path, str]:
    """The SHA256 of the files that did not change since they were hashed; those of sets and folders are of lists."""
    return {
        kit.asset.path: kit.asset.sha256
        for kit in kits
        if kit.asset.sha256 and kit.files == (kit.asset.path,) and kit.asset.path.is_file()
        if FileStat.of(kit.asset.path.stat()) == kit.asset.stat
    }


def settle(catalog: Catalog, moved: Iterable[tuple[int, Path]]) -> None:
    """Rows follow their files, by id. Raises NotFoundError for a row that is gone.

    A copy has another stat, and its source is still there. One that was written to since it was scanned keeps the old
    stat, so that the next scan reads it and its hashes go.
    """
    with catalog.atomic():
        for number, path in moved:
            before = catalog.get(number)
            clear_row(catalog, path, number)
            catalog.move({number: path})
            with suppress(FileError):
                if before.path != path and stat_of(before.path) == before.stat:
                    catalog.set_stat(number, stat_of(path))


def remove_sources(copied: Iterable[Path]) -> None:
    """Remove what was copied and checked. Raises FileError; both files are whole then."""
    for path in copied:
        with explained(path):
            remove(path)
