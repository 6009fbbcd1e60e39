"""Publish models into another tool's folders by links: no byte is copied, no file is moved, and it can be undone.

Symbolic links, as StabilityMatrix makes them: they cross disks, everyone sees where the file really is, and nobody
counts or deletes it twice. A moved library breaks them, visibly. Hard links survive that, but a tool that edits its
"copy" in place changes the original, and the disk stays full until the last name is gone: they are made where
the system permits no symbolic ones, or when they are asked for.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from modelhub.catalog.asset import Asset
from modelhub.catalog.layouts import Layout
from modelhub.errors import FileError, FileExistsAlreadyError, ModelhubError, file_error
from modelhub.formats.sidecars import sidecars_of
from modelhub.formats.sidecars.previews import is_picture
from modelhub.jobs import QUIET, Job

Mode = Literal["auto", "symlink", "hardlink"]
#: new: will be made. there: the tool has the file already. taken: another file has the name. no-folder: the tool has no
#: folder for such files. missing: the source is gone. unlinkable: a folder, of which there are no hard links.
Status = Literal["new", "there", "taken", "no-folder", "missing", "unlinkable"]
Members = Callable[[Path], Sequence[Path]]


@dataclass(frozen=True, slots=True)
class Link:
    """One link to make or not to make: `target` is the name in the tool's folder, None where it has no folder."""

    source: Path
    target: Path | None
    status: Status


@dataclass(frozen=True, slots=True)
class LinkPlan:
    """What publishing would do, link by link."""

    links: tuple[Link, ...]
    mode: Mode

    @property
    def new(self) -> tuple[tuple[Path, Path], ...]:
        """The links that would be made, as (target, source)."""
        return tuple((one.target, one.source) for one in self.links if one.status == "new" and one.target is not None)


def plan_links(
    assets: Iterable[Asset],
    layout: Layout,
    *,
    mode: Mode = "auto",
    sidecars: bool = False,
    members: Members | None = None,
) -> LinkPlan:
    """Where each asset would be linked in the tool's folders. Changes nothing.

    `members` names all files of an asset in pieces (default: the asset's path alone). `sidecars` links the pictures
    beside the models too; not their texts, which the tool would edit, and with them those of the library.
    """
    taken: dict[Path, Path] = {}
    links: dict[tuple[Path, Path | None], Link] = {}  # models of one stem share their pictures
    for asset in assets:
        folder = layout.folder(asset.kind, architecture=asset.architecture, format=asset.format)
        visible = [os.path.realpath(one) for one in layout.folders().get(asset.kind, [])]
        for source in _files(asset.path, sidecars, members):
            link = _link(source, folder, visible, mode, taken)
            links.setdefault((link.source, link.target), link)
    return LinkPlan(tuple(links.values()), mode)


def publish(plan: LinkPlan, job: Job = QUIET) -> list[Path]:
    """Make the new links of a plan, and the folders that they need; returns the links. All of them or none.

    Raises FileExistsAlreadyError for a name that was taken meanwhile, FileError when the system refuses.
    """
    made: list[tuple[Path, Path]] = []
    folders: list[Path] = []
    try:
        with job.phase("linking", len(plan.new), "files") as advance:
            for target, source in plan.new:
                folders += _make_folder(target.parent)
                _make_link(source, target, plan.mode)
                made.append((target, source))
                advance(1, target.name)
    except ModelhubError:
        unpublish(reversed(made))
        _remove_folders(folders)
        raise
    return [target for target, _ in made]


def unpublish(links: Iterable[tuple[Path, Path]]) -> list[Path]:
    """Remove links given as (target, source) that still are links to their source; returns those removed.

    A file that has come in the place of a link stays, as does one that is the only name of its bytes. Raises FileError
    when the system refuses.
    """
    removed = []
    for target, source in links:
        try:
            if _is_link_to(target, source):
                target.unlink()
                removed.append(target)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise file_error(error, target) from error
    return removed


def _files(path: Path, sidecars: bool, members: Members | None) -> Iterator[Path]:
    """What is linked of one asset: a folder as a whole, else its files, and the pictures beside it."""
    yield from members(path) if members is not None and not path.is_dir() else [path]
    if sidecars:
        with suppress(FileError):  # its folder is gone, as its own link says
            yield from filter(is_picture, sidecars_of(path))


def _link(source: Path, folder: Path | None, visible: list[str], mode: Mode, taken: dict[Path, Path]) -> Link:
    target = None if folder is None else folder / source.name
    if target is None:
        return Link(source, None, "no-folder")
    status = _status(source, target, visible, mode)
    if status == "new" and taken.setdefault(target, source) != source:
        status = "taken"
    return Link(source, target, status)


def _status(source: Path, target: Path, visible: list[str], mode: Mode) -> Status:
    if not source.exists():
        return "missing"
    real = os.path.realpath(source)
    if any(real.startswith(os.path.join(folder, "")) for folder in visible):  # noqa: PTH118
        return "there"
    if os.path.lexists(target):
        return "there" if target.exists() and target.samefile(source) else "taken"
    return "unlinkable" if mode == "hardlink" and source.is_dir() else "new"


def _make_folder(folder: Path) -> list[Path]:
    """Make a folder with all above it; returns those that were not there, the innermost first."""
    absent = [one for one in (folder, *folder.parents) if not os.path.lexists(one)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise file_error(error, folder) from error
    return absent


def _remove_folders(folders: Iterable[Path]) -> None:
    for folder in sorted(folders, key=lambda one: -len(one.parts)):
        with suppress(OSError):  # not empty: someone uses it by now
            folder.rmdir()


def _make_link(source: Path, target: Path, mode: Mode) -> None:
    try:
        if mode != "hardlink":
            try:
                os.symlink(_absolute(source), target, target_is_directory=source.is_dir())  # noqa: PTH211
                return
            except FileExistsError:
                raise
            except OSError:  # not permitted here, as on Windows by default, or unknown to the file system
                if mode == "symlink" or source.is_dir():
                    raise
        os.link(os.path.realpath(source), target)
    except FileExistsError as error:
        raise FileExistsAlreadyError(f"{target} has come to exist meanwhile.", "Plan again.") from error
    except OSError as error:
        raise file_error(error, target) from error


def _is_link_to(target: Path, source: Path) -> bool:
    """Whether `target` is a symbolic link to `source`, or one of several names of the same bytes."""
    if target.is_symlink():
        return os.readlink(target).removeprefix("\\\\?\\") == _absolute(source)  # noqa: PTH115 (Windows adds a prefix)
    there, here = target.lstat(), source.stat()
    same = (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino) and there.st_nlink > 1
    return same and _entry(target) != _entry(source)


def _absolute(path: Path) -> str:
    return os.path.abspath(path)  # noqa: PTH100 (a link in the library stays the way to the file)


def _entry(path: Path) -> Path:
    """The name itself, whatever links lead to its folder."""
    return Path(os.path.realpath(path.parent)) / path.name
