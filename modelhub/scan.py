"""Scan: walk the folders, know every model file by its header, and bring the catalog up to date.

Headers come first and are written in batches, so that a scan that is stopped keeps what it has; unchanged files are
skipped by (device, inode, size, modified); vanished files stay in the catalog as missing.
"""

from __future__ import annotations

import gc
import os
import signal
import time
from collections.abc import Collection, Generator, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import asdict, dataclass, field
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from modelhub.catalog.asset import FileStat
from modelhub.catalog.identify import identify
from modelhub.catalog.identity import Evidence, Identity
from modelhub.catalog.rules import rules_version
from modelhub.catalog.store import Catalog
from modelhub.errors import (
    CorruptFileError,
    FileError,
    ModelhubError,
    NotAModelError,
    NotFoundError,
    VanishedError,
    file_error,
)
from modelhub.formats.hashes import Hashes, hash_file
from modelhub.formats.safetensors import read_header
from modelhub.formats.sniff import sniff
from modelhub.formats.walk import check_name, walk
from modelhub.formats.writer import Written
from modelhub.jobs import QUIET, Job
from modelhub.settings import user_path

_BATCH = 128
#: From this many files on, starting processes costs less than it saves.
_MANY, _CHUNK = 200, 16
#: Characters of a file's recipe that go into its row; one of ours has a few hundred.
_MAX_RECIPE = 100_000


@dataclass(frozen=True, slots=True)
class Problem:
    """A file or folder that could not be read, with the error's code and sentence."""

    path: str
    code: str
    message: str


@dataclass
class ScanReport:
    """What a scan found: counts of files, the problems, and the seconds it took."""

    roots: list[str]
    files: int = 0
    added: int = 0
    updated: int = 0
    moved: int = 0
    missing: int = 0
    unchanged: int = 0
    problems: list[Problem] = field(default_factory=list)
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """The report as the command line's contract has it."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Known:
    """What a file turned out to be: its identity and further columns of its row."""

    identity: Identity
    columns: dict[str, str | None]


def know(path: Path) -> Known:
    """Read the header of a file and identify it; its bytes tell the format, not its name. Raises FileError."""
    form = sniff(path)
    if form != "pickle" and path.suffix.lower() in (".safetensors", ".sft"):
        form = "safetensors"  # so it claims, and what is wrong with it is said
    if form != "safetensors":
        return Known(_unread(form), {})
    header = read_header(path)
    metadata = header.metadata
    columns = {
        "title": (metadata.get("modelspec.title") or "")[:300] or None,
        "recipe": metadata.get("modelhub.recipe", "")[:_MAX_RECIPE] or None,
    }
    return Known(identify(header, name=path.name), columns)


def _unread(form: str) -> Identity:
    found = {"pickle": "a Python pickle", "gguf": "a GGUF file"}.get(form, "no model format that is known")
    return Identity(format=form, evidence=(Evidence(f"the first bytes are of {found}; tensors inside are not read"),))


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
        run.hash(hashes)
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
        self.before = catalog.stats()
        self.rules = rules_version()
        self.seen: set[str] = set()
        self.unread: list[str] = []

    def index(self, roots: list[Path], workers: int) -> None:
        """Headers of new and changed files, then what moved and what is gone."""
        changed = self._changed(roots)
        self._follow_moves(changed)
        with (
            self.job.phase("indexing", len(changed), "files") as advance,
            closing(_know_all(changed, workers)) as known,
        ):
            for batch in _batches(changed.items(), _BATCH):
                found = list(islice(known, len(batch)))
                with self.catalog.atomic():
                    for (path, stat), what in zip(batch, found, strict=True):
                        self._record(path, stat, what)
                        advance(1, path)
        self._mark_missing(roots)

    def _changed(self, roots: list[Path]) -> dict[str, FileStat]:
        """The files whose rows are not up to date."""
        changed: dict[str, FileStat] = {}
        back = []
        with self.job.phase("walking", None, "files") as advance:
            for path, result in walk(roots, self._unreadable):
                advance(1, path)
                stat = FileStat.of(result)
                self.seen.add(path)
                number, was, missing, rules = self.before.get(path, (0, None, False, ""))
                if was != stat or rules != self.rules:
                    changed[path] = stat
                else:
                    self.report.unchanged += 1
                    back += [number] if missing else []
        self.report.files = len(self.seen)
        self.catalog.set_missing(back, False)
        return changed

    def _unreadable(self, error: FileError, path: str) -> None:
        self.unread.append(path)
        self._problem(path, error)

    def _problem(self, path: str, error: ModelhubError) -> None:
        self.report.problems.append(Problem(path, error.code, error.message))
        self.job.say(error.message, "warning")

    def _follow_moves(self, changed: dict[str, FileStat]) -> None:
        """A path with the inode, size and time that another path had is that file under another name.

        The rows are read again, under the lock that the moves are written with: another scan may have followed them.
        """
        if not changed:
            return
        with self.catalog.atomic():
            self.before = self.catalog.stats()
            moves = self._moves(changed)
            self.catalog.move({self.before[old][0]: Path(new) for old, new in moves.items()})
        self.report.moved += len(moves)
        moved = {new: self.before.pop(old) for old, new in moves.items()}
        self.before |= moved
        for path, (_, _, _, rules) in moved.items():
            if rules == self.rules:
                del changed[path]

    def _moves(self, changed: dict[str, FileStat]) -> dict[str, str]:
        """Old path to new path, also of files that swapped their names or passed them on.

        A file that took the place of another is left out: what the user said of the other one would have no place.
        """
        rows = [(path, stat) for path, (_, stat, _, _) in self.before.items()]
        left = {stat: path for path, stat in rows if changed.get(path, stat) != stat}
        left |= {stat: path for path, stat in rows if path not in self.seen}
        moves: dict[str, str] = {}
        for new, stat in changed.items():
            old = left.get(stat, new)
            if old != new and (old in self.seen or not os.path.lexists(old)):
                moves.setdefault(old, new)
        while stuck := [old for old, new in moves.items() if new in self.before and new not in moves]:
            for old in stuck:
                del moves[old]
        return moves

    def _record(self, path: str, stat: FileStat, found: Known | ModelhubError) -> None:
        if isinstance(found, VanishedError):
            self.seen.discard(path)
            self._problem(path, found)
            return
        rules = self.rules
        if isinstance(found, ModelhubError):
            self._problem(path, found)
            if not isinstance(found, (CorruptFileError, NotAModelError)):
                rules = ""  # says nothing of the content, and may pass unseen by size and time: read it again next time
            problem: dict[str, str | None] = {"problem": found.message, "problem_code": found.code}
            found = Known(Identity(format="unknown", evidence=(Evidence(found.message),)), problem)
        self.catalog.record(Path(path), stat, found.identity, rules, **found.columns)
        self.report.updated += path in self.before
        self.report.added += path not in self.before

    def _mark_missing(self, roots: list[Path]) -> None:
        """Rows below the scanned folders whose file was not seen, and is not there by a path that the walk left out.

        A folder that could not be read proves nothing.
        """
        inside = tuple(os.path.join(root, "") for root in roots)  # noqa: PTH118 (ends in one separator, also for "/")
        closed = tuple(f"{path}{os.sep}" for path in self.unread)
        lost = [
            number
            for path, (number, _, missing, _) in self.before.items()
            if path not in self.seen and not missing and path.startswith(inside) and not path.startswith(closed)
            if path not in self.unread and not os.path.exists(path)  # noqa: PTH110 (never raises)
        ]
        self.catalog.set_missing(lost)
        self.report.missing = len(lost)

    def hash(self, mode: str) -> None:
        """Hash what has no hash yet, one file after another; each is stored at once."""
        inside = [asset for asset in self.catalog.unhashed(full=mode == "full") if str(asset.path) in self.seen]
        made: dict[FileStat, Hashes] = {}  # a file with several links is read once
        for asset in inside:
            try:
                stat = FileStat.of(asset.path.stat())
                digests = made[stat] = made.get(stat) or hash_file(asset.path, mode, self.job)
                if stat == asset.stat == FileStat.of(asset.path.stat()):
                    self.catalog.set_hashes(asset.id, digests)
            except OSError as error:
                self._problem(str(asset.path), file_error(error, asset.path))
            except FileError as error:
                self._problem(str(asset.path), error)


def _try_to_know(path: str) -> Known | ModelhubError:
    try:
        return know(Path(path))
    except ModelhubError as error:
        return error


def _know_all(paths: Collection[str], workers: int) -> Generator[Known | ModelhubError, None, None]:
    """`_try_to_know` of every path, in order; many are spread over processes: headers are parsed by Python alone."""
    if len(paths) < _MANY or workers < 2:
        yield from map(_try_to_know, paths)
        return
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _prepare_worker)
    try:
        yield from pool.map(_try_to_know, paths, chunksize=_CHUNK)
    except BrokenProcessPool as error:
        raise ModelhubError(
            "A process that reads headers was ended from outside.",
            "Is memory short? What was indexed is kept; scan again, or set threads = 1 in settings.toml.",
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _prepare_worker() -> None:
    """Ctrl-C is the main process's affair; and what is parsed here has no cycles for the collector to look for."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()


def _batches(items: Iterable[tuple[str, FileStat]], size: int) -> Iterator[list[tuple[str, FileStat]]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def add_file(catalog: Catalog, path: Path, hashes: Hashes | None = None) -> int:
    """Put one file into the catalog, with hashes that are known already; returns its id. Raises FileError."""
    path = Path(os.path.abspath(path))  # noqa: PTH100
    check_name(str(path))
    try:
        stat = FileStat.of(path.stat())
    except OSError as error:
        raise file_error(error, path) from error
    known = know(path)
    number = catalog.record(path, stat, known.identity, rules_version(), **known.columns)
    if hashes is not None:
        catalog.set_hashes(number, hashes)
    return number


def add_written(catalog: Catalog, written: Written) -> int:
    """Put a file that was just written into the catalog, with the hashes made on the way; returns its id."""
    sha256 = written.sha256
    return add_file(catalog, written.path, Hashes(sha256, autov2=sha256[:10], autov3=written.tensor_sha256[:12]))
