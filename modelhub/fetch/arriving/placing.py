"""Arriving: verified bytes are looked at, get their name in the right folder, and become known to the catalog.

Until the file has its name, an error stops it; from then on it is there, and what goes wrong afterwards is a note.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from modelhub.catalog.store import Catalog
from modelhub.errors import FileError, FileExistsAlreadyError, ModelhubError, file_error
from modelhub.fetch.arriving.contents import Content, look, unsafe
from modelhub.fetch.names.safe import unused
from modelhub.fetch.order import Order
from modelhub.fetch.planning.places import Places
from modelhub.formats.hashes import Hashes, hash_file
from modelhub.formats.writer import into_place
from modelhub.jobs import QUIET, Job
from modelhub.text import few

#: Kinds that models of several families share: their architecture is one of their own.
_PARTS = ("vae", "text-encoder", "clip-vision", "upscaler")
#: Puts a file or folder into the catalog, with the hashes that are known; returns the id of the asset.
Index = Callable[[Catalog, Path, Hashes | None], int]


@dataclass(frozen=True, slots=True)
class Arrived:
    """A model that is at its place: `size` in bytes, `notes` what a user should read of it.

    `refused` says why it is at no place of a model's, but where no tool loads it.
    """

    path: Path
    size: int
    hashes: Hashes
    notes: tuple[str, ...] = ()
    refused: ModelhubError | None = None


def place(catalog: Catalog, order: Order, part: Path, size: int, hashes: Hashes, job: Job = QUIET) -> Arrived:
    """Give the verified file `part` its final name, by what it is. Raises FileError; `part` is still there then.

    A file that came to that name meanwhile is not replaced unless the order says so: this one gets a name beside it.
    """
    content = look(part, order.goal.name)
    job.check()
    if content.dangers and not order.keep_unsafe:
        kept = put_aside(part, order.goal.with_name(f"{order.goal.name}.unsafe"), hashes)
        return Arrived(kept, size, hashes, refused=unsafe(order.goal.name, kept, content))
    goal, notes = goal_of(catalog, order, content)
    if content.dangers:
        notes = (*notes, f"It would run code when a program loads it: {few(content.dangers, 120)}.")
    name = content.name(goal.name)
    if name != goal.name:
        notes = (*notes, f"{goal.name} holds {content.form}, and was named {name}.")
    path, more = _placed(part, goal.with_name(name), order, hashes)
    return Arrived(path, size, hashes, (*content.notes, *notes, *more))


def put_aside(part: Path, goal: Path, hashes: Hashes) -> Path:
    """Give a file that no tool shall load a name of its own, if the same is not there already. Raises FileError."""
    try:
        return goal if _has(goal, hashes, part.stat().st_size) else _put(part, unused(goal), force=False)
    except OSError as error:
        raise file_error(error, goal) from error


def make_folder(folder: Path) -> None:
    """Make a folder and those above it. Raises FileError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise file_error(error, folder) from error


def goal_of(catalog: Catalog, order: Order, content: Content) -> tuple[Path, tuple[str, ...]]:
    """Where the model goes, now that its bytes are known, and what there is to say of the provider's words."""
    identity = content.identity
    if identity is None or not content.is_proven:
        return order.goal, ()
    architecture = identity.architecture or order.architecture
    notes = _contradiction(order, identity.kind, identity.architecture)
    if order.fixed or order.library is None or (identity.kind, architecture) == (order.kind, order.architecture):
        return order.goal, notes
    from modelhub.fetch.order_facts import facts_of

    places = Places(catalog, library=order.library)
    form = "diffusers" if order.whole else content.form
    return places.folder(identity.kind, architecture, form, facts_of(order)) / order.goal.name, notes


def _contradiction(order: Order, kind: str, architecture: str | None) -> tuple[str, ...]:
    """What the provider says and the bytes do not; of a part, its page says the family, and its bytes which part."""
    family = None if kind in _PARTS else order.architecture
    pairs = ((order.kind, kind), (family, architecture))
    said = [(word, true) for word, true in pairs if word and true and word != true]
    return tuple(f"Its page says {word}, and its bytes say {true}." for word, true in said)


def _placed(part: Path, goal: Path, order: Order, hashes: Hashes) -> tuple[Path, tuple[str, ...]]:
    """Where the file is then: at `goal`, or beside what stands there, or where it was to go before it was known."""
    try:
        return _put(part, goal, force=order.replace and goal == order.goal), ()
    except FileExistsAlreadyError:
        if _has(goal, hashes, part.stat().st_size):
            return goal, ()
        other = _put(part, unused(goal), force=False)
        return other, (f"{goal} has come to exist, and is not replaced: this one is {other.name}.",)
    except OSError as error:
        if error.errno != errno.EXDEV or goal.parent == order.goal.parent:
            raise file_error(error, goal) from error
        stays = order.goal.with_name(goal.name)
        path, notes = _placed(part, stays, order, hashes)
        return path, (*notes, f"It belongs into {goal.parent}, which is on another disk.")


def _has(goal: Path, hashes: Hashes, size: int) -> bool:
    """Whether the very bytes are there: an earlier try ended right after it had placed them."""
    with suppress(FileError, OSError):
        return goal.is_file() and goal.stat().st_size == size and hash_file(goal, "fast").sha256 == hashes.sha256
    return False


def _put(part: Path, goal: Path, *, force: bool) -> Path:
    make_folder(goal.parent)
    into_place(part, goal, force=force)
    return goal
