"""Know a file: read its header, whatever container it is in, identify it, and add what the files beside it say."""

from __future__ import annotations

import gc
import json
import os
import signal
import threading
from collections.abc import Collection, Generator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any

from modelhub.catalog.identify import identify
from modelhub.catalog.identity import Evidence, Identity
from modelhub.catalog.parents import MERGE_KEYS, OURS, merged_from, recipe_key
from modelhub.errors import ModelhubError, NotAModelError
from modelhub.formats.files import claims_safetensors, format_of
from modelhub.formats.opening import read_any_header
from modelhub.scan.beside import beside

#: From this many files on, starting processes costs less than it saves.
_MANY, _CHUNK = 200, 16
#: Characters of a file's recipe that go into its row; one of ours has a few hundred.
_MAX_RECIPE = 100_000


@dataclass(frozen=True, slots=True)
class Learned:
    """What a file turned out to be: its identity and further columns of its row."""

    identity: Identity
    columns: dict[str, Any]


def know(path: Path) -> Learned:
    """What a file or diffusers folder is by its own bytes; its name decides nothing. Raises FileError.

    A file of no known format is unknown; only one whose name promises safetensors is an error for it.
    """
    try:
        form, header = read_any_header(path)
    except NotAModelError as error:
        if path.is_dir() or claims_safetensors(path.name) or format_of(path) != "unknown":
            raise
        return Learned(Identity(format="unknown", evidence=(Evidence(error.message),)), {})
    metadata = header.metadata
    columns = {
        "parents": _parents(metadata),
        "title": (metadata.get("modelspec.title") or "")[:300] or None,
        "recipe": metadata[OURS][:_MAX_RECIPE] if recipe_key(metadata) == OURS else None,
    }
    return Learned(identify(header, name=path.name, form=form), columns)


def _parents(metadata: Mapping[str, str]) -> str | None:
    """The models that went into a file, as its row has them."""
    if not any(key in metadata for key in MERGE_KEYS):
        return None
    found = merged_from(metadata)
    return json.dumps(found) if found else None


def know_beside(path: Path) -> Learned:
    """`know`, with what the files beside it say. Raises FileError."""
    learned = know(path)
    identity, columns = beside(path, learned.identity)
    return replace(learned, identity=identity, columns={**columns, **_present(learned.columns)})


def know_all(paths: Collection[tuple[str, bool]], workers: int) -> Generator[Learned | ModelhubError, None, None]:
    """`know` of every (path, has sidecars) with what its sidecars say, or the error, in order.

    Many are spread over processes: headers are parsed by Python alone. Raises ModelhubError when one was ended.
    """
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


def _try_to_know(wanted: tuple[str, bool]) -> Learned | ModelhubError:
    path, has_sidecars = wanted
    try:
        return know_beside(Path(path)) if has_sidecars else know(Path(path))
    except ModelhubError as error:
        return error


def _present(columns: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in columns.items() if value is not None}


def _prepare_worker() -> None:
    """Ctrl-C is the main process's affair; and what is parsed here has no cycles for the collector to look for."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A worker whose main process was killed would wait for work for ever."""
    if (parent := parent_process()) is not None:
        parent.join()
        os._exit(1)
