"""Scan: walk the folders, know every model by its header, and bring the catalog up to date.

Headers come first and are written in batches, so that a scan that is stopped keeps what it has; unchanged files are
skipped by (device, inode, size, modified); vanished files stay in the catalog as missing until the user forgets them.
Hashing comes last, the smallest files first, each stored at once: a scan that is stopped goes on where it was.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from modelhub.catalog.reading import FileRow
from modelhub.catalog.rules import rules_version
from modelhub.catalog.store import Catalog
from modelhub.errors import FileError, ModelhubError, NotFoundError
from modelhub.formats.naming import check_name
from modelhub.formats.walk import Found, find_assets
from modelhub.jobs import QUIET, Job
from modelhub.scan.report import Problem, ScanReport
from modelhub.settings import user_path

if TYPE_CHECKING:
    from modelhub.scan.know import Learned

_BATCH = 128
#: Files that are walked between two looks at whether to stop.
_STEP = 50


def scan(
    catalog: Catalog, folders: Iterable[Path] = (), *, hashes: str = "none", workers: int = 2, job: Job = QUIET
) -> ScanReport:
    """Index `folders` and remember them; without any, the remembered ones.

    `hashes`: none, fast or full, made after indexing. Raises NotFoundError for a folder that does not exist, FileError
    for one with a name that is not text, CancelledError when stopped; what was indexed by then is kept.
    """
    started = time.monotonic()
    roots = [_root(Path(folder)) for folder in folders]
    for root in roots:
        catalog.add_root(root)
    roots = roots or catalog.roots()
    run = _Scan(catalog, ScanReport([str(root) for root in roots]), job)
    run.index(roots, workers)
    if hashes != "none":
        run.hash(hashes, workers)
    run.report.unhashed = catalog.count_unhashed()
    run.report.seconds = round(time.monotonic() - started, 3)
    return run.report


def _root(folder: Path) -> Path:
    folder = Path(os.path.abspath(user_path(folder)))  # noqa: PTH100 (links stay as the user wrote them)
    if not os.path.isdir(folder):  # noqa: PTH112 (never raises)
        raise NotFoundError(f"{folder} is not a folder.", "Name the folder that holds the models.")
    check_name(str(folder))
    return folder


class _Scan:
    """One scan under way: what the catalog knew before, and what was seen on disk."""

    def __init__(self, catalog: Catalog, report: ScanReport, job: Job) -> None:
        self.catalog, self.report, self.job = catalog, report, job
        self.rules = rules_version()
        self.seen: set[str] = set()
        self.aliases: dict[str, str] = {}
        self.doubles: dict[str, str] = {}
        self.unread: list[str] = []
        self.added: dict[int, int] = {}  # id to size

    @cached_property
    def before(self) -> dict[str, FileRow]:
        """The rows that there were; most scans find nothing new, and do without."""
        return self.catalog.stats()

    def index(self, roots: list[Path], workers: int) -> None:
        """Headers of new and changed files, then what moved and what is gone."""
        walk = self._walk(roots)
        if self._all_known(walk, roots):
            self.seen = {found.path for found in walk}
            self.report.files = self.report.unchanged = len(walk)
            self._set_links(roots)
            return
        changed = self._changed(self._contents(walk))
        if changed:
            self._follow_renames(changed)
            self._know(changed, workers)
        self._set_links(roots)
        self._mark_missing(roots)

    def _all_known(self, walk: list[Found], roots: list[Path]) -> bool:
        """Whether every file is a row as it is and a content of its own, and every row below the roots was found."""
        known = self.catalog.states(self.rules)
        found = {one[:6] for one in walk}  # what a row knows too; by place, for there may be 50,000
        if not found <= known or len({one[1:3] for one in walk}) < len(walk):
            return False
        inside = _inside(roots)
        return len(known) == len(found) or not any(state[0].startswith(inside) for state in known - found)

    def _contents(self, walk: list[Found]) -> list[Found]:
        """Every content once; the other names that lead to it are kept for later."""
        from modelhub.scan.contents import Contents

        contents = Contents(walk, self.before)
        self.aliases, self.doubles = contents.aliases, contents.doubles
        self.report.links = len(self.aliases)
        return list(contents.standing.values())

    def _walk(self, roots: list[Path]) -> list[Found]:
        walked: list[Found] = []
        with self.job.phase("walking", None, "files") as advance:
            for batch in _batches(find_assets(roots, self._unreadable, [self.catalog.trash]), _STEP):
                walked += batch
                advance(len(batch), batch[-1].path)
        return walked

    def _changed(self, contents: list[Found]) -> dict[str, Found]:
        """The files whose rows are not up to date."""
        changed: dict[str, Found] = {}
        back = []
        for found in contents:
            row = self.before.get(found.path)
            if row is None or row[:5] != found[1:6] or row.rules != self.rules:
                changed[found.path] = found
            else:
                back += [row.id] if row.missing else []
        self.seen = {found.path for found in contents}
        self.report.files = len(contents)
        self.report.unchanged = len(contents) - len(changed)
        if back:
            self.catalog.set_missing(back, False)
        return changed

    def _unreadable(self, error: FileError, path: str) -> None:
        self.unread.append(path)
        self._problem(path, error)

    def _problem(self, path: str, error: ModelhubError) -> None:
        self.report.problems.append(Problem(path, error.code, error.message))
        self.job.say(error.message, "warning")

    def _follow_renames(self, changed: dict[str, Found]) -> None:
        """The rows are read again under the lock that moves are written with: another scan may have followed them."""
        from modelhub.scan.follow import renamed

        with self.catalog.atomic():
            self.before = self.catalog.stats()
            moves = renamed(self.before, changed, self.seen, self.aliases)
            self.catalog.move({self.before[old].id: Path(new) for old, new in moves.items()})
        self.report.moved += len(moves)
        moved = {new: self.before.pop(old) for old, new in moves.items()}
        self.before |= moved
        for path, row in moved.items():
            if row.rules == self.rules and row.sidecars == changed[path].sidecars:
                del changed[path]

    def _know(self, changed: Mapping[str, Found], workers: int) -> None:
        from modelhub.scan.know import know_all

        wanted = [(path, found.sidecars != 0) for path, found in changed.items()]
        with (
            self.job.phase("indexing", len(changed), "files") as advance,
            closing(know_all(wanted, workers)) as known,
        ):
            for batch in _batches(changed.values(), _BATCH):
                learned = list(islice(known, len(batch)))
                with self.catalog.atomic():
                    for found, what in zip(batch, learned, strict=True):
                        self._record(found, what)
                        advance(1, found.path)

    def _record(self, found: Found, what: Learned | ModelhubError) -> None:
        from modelhub.scan.recording import record

        known = self.before.get(found.path)
        number = record(self.catalog, found, what, self.rules)
        if isinstance(what, ModelhubError):
            self._problem(found.path, what)
        if number is None:
            self.seen.discard(found.path)
            return
        self.report.updated += known is not None
        self.report.added += known is None
        if known is None:
            self.added[number] = found.size

    def _set_links(self, roots: list[Path]) -> None:
        """Remember the further paths of contents; a path that had a row of its own hands its words over."""
        known = self.catalog.links()
        inside = _inside(roots)
        gone = [p for p in known if p not in self.aliases and p.startswith(inside) and not os.path.lexists(p)]
        fresh = {path: target for path, target in self.aliases.items() if not self._is_known_link(known, path, target)}
        if not fresh and not gone and not self.doubles:
            return
        with self.catalog.atomic():
            rows = self.catalog.stats()
            for path, target in (*fresh.items(), *self.doubles.items()):
                if path in rows and target in rows:
                    self.catalog.absorb(rows[target].id, rows[path].id)
            gone += [path for path in self.doubles if path in known]
            self.catalog.set_links({p: rows[target].id for p, target in fresh.items() if target in rows}, gone)

    def _is_known_link(self, known: Mapping[str, int], path: str, target: str) -> bool:
        row = self.before.get(target)
        return row is not None and known.get(path) == row.id and path not in self.before

    def _mark_missing(self, roots: list[Path]) -> None:
        """Rows below the scanned folders whose file was not seen, and is not there by a path that the walk left out.

        A folder that could not be read proves nothing. What came back elsewhere is recognised by its hash.
        """
        inside = _inside(roots)
        lost: dict[str, FileRow] = {}
        absent: dict[str, FileRow] = {}
        for path, row in self._unseen():
            if row.missing or not os.path.exists(path):  # noqa: PTH110 (never raises)
                absent[path] = row
                if not row.missing and path.startswith(inside):
                    lost[path] = row
        followed = self._follow_contents(lost, absent) if absent and (self.added or lost) else set()
        gone = {path: row.id for path, row in lost.items() if row.id not in followed}
        if gone:
            with self.catalog.atomic():  # what another process moved meanwhile is not lost
                now = self.catalog.stats()
                gone = {path: number for path, number in gone.items() if path in now and now[path].id == number}
                self.catalog.set_missing(gone.values())
        self.report.missing = len(gone)

    def _unseen(self) -> Iterator[tuple[str, FileRow]]:
        closed = tuple(f"{path}{os.sep}" for path in self.unread)
        for path, row in self.before.items():
            here = path in self.seen or path in self.aliases or path in self.doubles
            if not here and path not in self.unread and not path.startswith(closed):
                yield path, row

    def _follow_contents(self, lost: Mapping[str, FileRow], absent: Mapping[str, FileRow]) -> set[int]:
        """The ids of absent assets that go on as others: as new ones or, lost just now, as copies that were known."""
        from modelhub.scan.follow import reappeared, survivors, take_over

        sizes = set(self.added.values())
        gone = [row.id for row in absent.values() if row.size in sizes]
        found = reappeared(self.catalog, gone, self.added, self.job) if gone else {}
        left = {row.id: row.size for row in lost.values() if row.id not in found}
        sizes = set(left.values())
        copies = [row.id for path, row in self.before.items() if row.size in sizes and path not in absent]
        found |= survivors(self.catalog, left, copies, self.job) if copies else {}
        followed = {old for old, new in found.items() if take_over(self.catalog, old, new)}
        self.report.moved += len(followed)
        self.report.added -= sum(found[old] in self.added for old in followed)
        return followed

    def hash(self, mode: str, workers: int) -> None:
        """Hash what has no hash yet; each is stored at once."""
        wanted = [asset for asset in self.catalog.unhashed(full=mode == "full") if str(asset.path) in self.seen]
        if not wanted:
            return
        from modelhub.scan.hashing import hash_assets

        for path, error in hash_assets(self.catalog, wanted, mode, workers, self.job):
            self.report.hashed += error is None
            if error is not None:
                self._problem(path, error)


def _inside(roots: list[Path]) -> tuple[str, ...]:
    """What the paths below the roots begin with: each ends in one separator, also "/"."""
    return tuple(os.path.join(root, "") for root in roots)  # noqa: PTH118


def _batches(items: Iterable[Found], size: int) -> Iterator[list[Found]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
