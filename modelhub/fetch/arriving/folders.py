"""Folders: a model of several files grows in a hidden folder beside its goal, and gets its name when it is whole.

A file that came is under its own name in there, and only then: so a later try fetches the others only.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from modelhub.catalog.identify import identify
from modelhub.catalog.store import Catalog
from modelhub.errors import FileError, file_error
from modelhub.fetch.arriving.contents import Content, look, unsafe
from modelhub.fetch.arriving.placing import Arrived, goal_of, put_aside
from modelhub.fetch.names.safe import unused
from modelhub.fetch.offer import RemoteFile
from modelhub.fetch.order import Order
from modelhub.formats.hashes import Hashes, hash_file, hash_list
from modelhub.formats.naming import INDEX
from modelhub.formats.opening import members, read_any_header
from modelhub.formats.writer import into_place
from modelhub.jobs import QUIET, Advance, Job

if TYPE_CHECKING:
    from modelhub.fetch.net.client import Net

#: Gives a file of the order with the link that it has now.
Again = Callable[[RemoteFile], RemoteFile]


class Staging:
    """The hidden folder in which one order grows; its name depends on the goal and the files, so that it is found."""

    def __init__(self, order: Order) -> None:
        self._order = order
        named = [(file.path, file.hashes.get("sha256") or file.url) for file in order.files]
        key = hashlib.sha256(json.dumps([order.goal.name, named]).encode()).hexdigest()[:24]
        self.folder = order.goal.with_name(f".get-{key}.folder")

    def already(self) -> int:
        """Bytes that are there."""
        from modelhub.fetch.download import already

        if not self.folder.is_dir():
            return 0
        return sum(
            goal.stat().st_size if _is_whole(goal, file) else already(file, goal)
            for file, goal in self._goals()
            if goal.parent.is_dir()
        )

    def discard(self) -> None:
        """Remove what is there. Raises FileError."""
        try:
            if self.folder.is_dir():
                shutil.rmtree(self.folder)
        except OSError as error:
            raise file_error(error, self.folder) from error

    def collect(self, net: Net, job: Job, advance: Advance, again: Again) -> Arrived | None:
        """Fetch what is not there yet; what is refused of it, if anything is. Raises what `fetched` raises."""
        from modelhub.fetch.download import discard, fetched

        for file, goal in self._goals():
            if _is_whole(goal, file):
                discard(file, goal)  # what a process leaves that dies right after the file got its name
                advance(goal.stat().st_size, kept=True)
                continue
            renew = partial(again, file)
            with fetched(file, goal, self._order.provider, net, job, advance, renew) as got:
                content = look(got.part, goal.name)
                bad = bool(content.dangers) and not self._order.keep_unsafe
                kept = put_aside(got.part, self._unsafe(goal), got.hashes) if bad else _put(got.part, goal)
            if bad:
                return Arrived(kept, got.size, got.hashes, refused=unsafe(file.path, kept, content))
        return None

    def place(self, catalog: Catalog, job: Job = QUIET) -> Arrived:
        """Give the whole folder its name, by what it is. Raises FileError."""
        order, sizes = self._order, sum(goal.stat().st_size for _, goal in self._goals())
        content = _look_at_folder(self.folder, order)
        hashes = self._hashes(job)
        goal, notes = goal_of(catalog, order, content)
        path, more = _placed(self.folder, goal, order)
        return Arrived(path, sizes, hashes, (*content.notes, *notes, *more))

    def _goals(self) -> Iterator[tuple[RemoteFile, Path]]:
        return ((file, self.folder / file.path) for file in self._order.files)

    def _unsafe(self, goal: Path) -> Path:
        """Where a file goes that would run code: out of the folder, for no tool loads that name."""
        return self._order.goal.with_name(f"{self._order.goal.name}.{goal.name}.unsafe")

    def _hashes(self, job: Job) -> Hashes:
        """The hash of the list of the hashes of all files with weights, as that of an asset of several files.

        The only file with weights of a folder that is no asset itself has its own.
        """
        try:
            weights = members(self.folder)
        except FileError:
            return Hashes()
        known = {goal: file.hashes.get("sha256") for file, goal in self._goals()}
        found = {
            path.relative_to(self.folder).as_posix(): known.get(path) or str(hash_file(path, "fast", job).sha256)
            for path in weights
        }
        digest = hashlib.sha256(hash_list(found.items())).hexdigest()
        if len(found) == 1 and not (self.folder / INDEX).is_file():
            (digest,) = found.values()
        return Hashes(sha256=digest, autov2=digest[:10])


def _is_whole(goal: Path, file: RemoteFile) -> bool:
    """Whether the file came before; its bytes were verified then."""
    try:
        size = goal.lstat().st_size
    except OSError:
        return False
    return goal.is_file() and file.exact_size in (None, size)


def _look_at_folder(folder: Path, order: Order) -> Content:
    try:
        form, header = read_any_header(folder)
        return Content(form, identify(header, name=order.goal.name, form=form))
    except FileError as error:
        has_index = (folder / INDEX).is_file()
        return Content("unknown", notes=(f"It cannot be read as a model: {error.message}",) if has_index else ())


def _put(part: Path, goal: Path) -> Path:
    try:
        into_place(part, goal, force=True)
    except OSError as error:
        raise file_error(error, goal) from error
    return goal


def _placed(staging: Path, goal: Path, order: Order) -> tuple[Path, tuple[str, ...]]:
    """Where the folder is then; another is merged into only if the order says so."""
    old = staging.with_suffix(".replaced")
    try:
        goal.parent.mkdir(parents=True, exist_ok=True)
        if order.replace and goal == order.goal and not goal.is_symlink() and (goal.is_dir() or old.is_dir()):
            _replace(staging, goal, old)
            return goal, ()
        if os.path.lexists(goal):
            other = unused(goal)
            staging.rename(other)
            return other, (f"{goal} has come to exist, and is not replaced: this one is {other.name}.",)
        staging.rename(goal)
    except OSError as error:
        if error.errno == errno.EXDEV and goal.parent != order.goal.parent:
            path, notes = _placed(staging, order.goal.with_name(goal.name), order)
            return path, (*notes, f"It belongs into {goal.parent}, which is on another disk.")
        raise file_error(error, goal) from error
    return goal, ()


def _replace(staging: Path, goal: Path, old: Path) -> None:
    """Put the new folder in place of the old, whose files that are not in the new one are the user's own and stay.

    Whenever a process dies in here, the next try finds the old folder at `old`, and goes on with it.
    """
    if goal.is_dir():
        _merge(old, goal)
        goal.rename(old)
    try:
        staging.rename(goal)
    except OSError:
        old.rename(goal)
        raise
    _merge(old, goal)


def _merge(old: Path, goal: Path) -> None:
    """Move what `goal` has not out of the folder `old`, then remove the rest; nothing, where there is none."""
    leaves = list(_leaves(old))
    for path in leaves:
        target = goal / path.relative_to(old)
        with suppress(OSError):  # a file where a folder is now: it stays in the hidden folder
            if not os.path.lexists(target):
                target.parent.mkdir(parents=True, exist_ok=True)
                path.rename(target)
    for path in leaves:
        with suppress(OSError):
            if os.path.lexists(goal / path.relative_to(old)):
                path.unlink(missing_ok=True)
    for folder, _, _ in os.walk(old, topdown=False):
        with suppress(OSError):
            Path(folder).rmdir()


def _leaves(folder: Path) -> Iterator[Path]:
    """Every file and link below a folder."""
    for here, folders, files in os.walk(folder):
        links = [name for name in folders if Path(here, name).is_symlink()]
        yield from (Path(here, name) for name in (*files, *links))
