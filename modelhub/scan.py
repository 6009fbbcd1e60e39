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
from modelhub.errors import FileError, ModelhubError, NotFoundError, VanishedError, file_error
from modelhub.formats.hashes import Hashes, hash_file
from modelhub.formats.safetensors import read_header
from modelhub.formats.sniff import sniff
from modelhub.formats.walk import walk
from modelhub.formats.writer import Written
from modelhub.jobs import QUIET, Job

_BATCH = 128
#: From this many files on, starting processes costs less than it saves.
_MANY, _CHUNK = 200, 16


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
    form = "safetensors" if path.suffix.lower() in (".safetensors", ".sft") else sniff(path)
    if form == "safetensors" and sniff(path) == "pickle":
        form = "pickle"
    if form != "safetensors":
        return Known(_unread(form), {})
    header = read_header(path)
    metadata = header.metadata
    columns = {
        "title": (metadata.get("modelspec.title") or "")[:300] or None,
        "recipe": metadata.get("modelhub.recipe"),
    }
    return Known(identify(header, name=path.name), columns)


def _unread(form: str) -> Identity:
    found = {"pickle": "a Python pickle", "gguf": "a GGUF file"}.get(form, "no model format that is known")
    return Identity(format=form, evidence=(Evidence(f"the first bytes are of {found}; tensors inside are not read"),))


def scan(
    catalog: Catalog, folders: Iterable[Path] = (), *, hashes: str = "none", workers: int = 2, job: Job = QUIET
) -> ScanReport:
    """Index `folders` and remember them; without any, the remembered ones.

    `hashes`: none, fast or full, made after indexing. Raises NotFoundError for a folder that does not exist,
    CancelledError when stopped; what was indexed by then is kept.
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
    folder = Path(os.path.abspath(folder.expanduser()))  # noqa: PTH100 (links stay as the user wrote them)
    if not folder.is_dir():
        raise NotFoundError(f"{folder} is not a folder.", "Name the folder that holds the models.")
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
        """A new path with the inode, size and time of a path that is gone is that file under another name."""
        gone = {stat: (path, number) for path, (number, stat, _, _) in self.before.items() if path not in self.seen}
        for path, stat in list(changed.items()):
            if path in self.before or stat not in gone or os.path.lexists(gone[stat][0]):
                continue
            old, number = gone.pop(stat)
            self.catalog.move(number, Path(path))
            self.report.moved += 1
            self.before[path] = self.before.pop(old)
            if self.before[path][3] == self.rules:
                del changed[path]

    def _record(self, path: str, stat: FileStat, found: Known | ModelhubError) -> None:
        if isinstance(found, VanishedError):
            self.seen.discard(path)
            self._problem(path, found)
            return
        if isinstance(found, ModelhubError):
            self._problem(path, found)
            problem: dict[str, str | None] = {"problem": found.message, "problem_code": found.code}
            found = Known(Identity(format="unknown", evidence=(Evidence(found.message),)), problem)
        self.catalog.record(Path(path), stat, found.identity, self.rules, **found.columns)
        self.report.updated += path in self.before
        self.report.added += path not in self.before

    def _mark_missing(self, roots: list[Path]) -> None:
        """Rows below the scanned folders whose file was not seen; a folder that could not be read proves nothing."""
        inside = tuple(f"{root}{os.sep}" for root in roots)
        closed = tuple(f"{path}{os.sep}" for path in self.unread)
        lost = [
            number
            for path, (number, _, missing, _) in self.before.items()
            if path not in self.seen and not missing and path.startswith(inside) and not path.startswith(closed)
            if path not in self.unread
        ]
        self.catalog.set_missing(lost)
        self.report.missing = len(lost)

    def hash(self, mode: str) -> None:
        """Hash what has no hash yet, one file after another; each is stored at once."""
        inside = [asset for asset in self.catalog.unhashed(full=mode == "full") if str(asset.path) in self.seen]
        for asset in inside:
            try:
                stat = FileStat.of(asset.path.stat())
                digests = hash_file(asset.path, mode, self.job)
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
