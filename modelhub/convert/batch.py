"""Convert, prune or repair many: one after the other; one that fails does not stop the others.

Everything is planned from headers first, so that the room on each disk is known before anything is written. A batch
that was stopped can be run again: what stands already, and is the same conversion of the same source, is left alone.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from modelhub.catalog.asset import Asset
from modelhub.catalog.opener import known_sha256
from modelhub.convert.conversion import Conversion, check_goal
from modelhub.convert.converting import NothingToDoError
from modelhub.convert.describing import SOURCE, SOURCE_SHA256
from modelhub.convert.handing import hand_over
from modelhub.convert.items import Item as Item
from modelhub.convert.one import Library, Wish, convert_file, sha256_to_be
from modelhub.convert.tasks import goal_for, planned
from modelhub.errors import CancelledError, FileError, ModelhubError, NoSpaceError, UsageError, file_error
from modelhub.formats.header import Header
from modelhub.formats.safetensors import SafetensorsFile, read_header
from modelhub.formats.source import TensorSource
from modelhub.formats.watching import counted, stats_of, watched
from modelhub.formats.writer import settle
from modelhub.jobs import QUIET, Job
from modelhub.text import human_size, plural

#: Bytes that are compared at a time.
_BLOCK = 1024 * 1024


def plan_batch(assets: Sequence[Asset], to: Path | None, wish: Wish, job: Job = QUIET) -> list[Item]:
    """What would become of each asset, from headers alone: planned, already there, skipped or failed.

    Raises UsageError when `to` is no folder, NoSpaceError when the results do not fit on their disks together,
    CancelledError.
    """
    if to is not None and not to.is_dir():
        raise UsageError(f"{to} is not a folder.", "Create it first.")
    items = [Item(asset, goal_for(asset.path, to, wish.options)) for asset in assets]
    planner = Planner([asset.path for asset in assets], wish)
    with job.phase("reading headers", len(items), "files") as advance:
        for item in items:
            advance(1, item.source.name)
            planner.look(item)
    check_room(items)
    return items


class Planner:
    """Plans items of one batch, one after the other; knows which names of results are taken. `originals` are all."""

    def __init__(self, originals: Iterable[Path], wish: Wish) -> None:
        self._originals, self._wish = frozenset(originals), wish
        self._taken: dict[Path, Item] = {}

    def look(self, item: Item, job: Job = QUIET) -> None:
        """What would become of an item; only cancelling raises."""
        if item.goal in self._originals:
            item.skip(f"{item.goal} is itself among what is to be converted.")
        else:
            _look(item, self._taken, self._wish, job)


def _look(item: Item, taken: dict[Path, Item], wish: Wish, job: Job) -> None:
    other = taken.setdefault(item.goal, item)
    try:
        if other is not item:
            item.skip(f"{other.label} of the same name is converted to {item.goal}.")
        elif item.asset is not None and item.asset.missing:
            item.skip("Its file is missing.")
        else:
            sha256 = sha256_to_be(item.source, wish, item.asset)
            with planned(item.source, wish.options, sha256=sha256, job=job) as plan:
                item.learn(plan)
                if plan.idle:
                    raise NothingToDoError(plan.idle)
                _look_at_goal(item, plan.conversion, wish)
    except NothingToDoError as error:
        item.status, item.message, item.hint = "idle", error.message, error.hint
    except UsageError as error:
        item.skip(error.message)
    except ModelhubError as error:
        if isinstance(error, CancelledError):
            raise
        item.fail(error)
    if item.status not in ("planned", "already") and other is item:
        del taken[item.goal]  # another asset may have the name


def _look_at_goal(item: Item, conversion: Conversion, wish: Wish) -> None:
    try:
        is_settled = item.goal.exists() and _look_at_standing(item, conversion, wish)
    except OSError as error:
        raise file_error(error, item.goal) from error
    if not is_settled:
        with suppress(NoSpaceError):  # told for all of them together
            check_goal(conversion, item.goal, force=wish.force)


def _look_at_standing(item: Item, conversion: Conversion, wish: Wish) -> bool:
    """Whether what stands at the goal decides what becomes of the item."""
    if item.goal.samefile(item.source):  # which would take it along to the trash
        item.skip(f"{item.goal} is a link to it.")
        return True
    found = _standing(item)
    if found is not None and _layout(found) == _layout(conversion.view.header):
        item.status, item.size = "already", item.goal.stat().st_size
        item.trusted = is_conversion(found, item, conversion)
        item.message = "" if item.trusted else "it has the same tensors, whose numbers are compared first."
        return True
    if not wish.force:
        item.skip(f"{item.goal} exists already, and is something else; --force would replace it.")
    return not wish.force


def _standing(item: Item) -> Header | None:
    """The header of what stands at the goal, None if it is no safetensors file."""
    try:
        return read_header(item.goal)
    except ModelhubError:
        return None


def is_conversion(found: Header, item: Item, conversion: Conversion) -> bool:
    """Whether the file with the header `found` at the goal of `item` says that it was made of the original as it is.

    It names the original, and its hash if that is known; else it was written after the original came to be what it is,
    and to where it is.
    """
    if found.metadata.get(SOURCE) != conversion.view.header.metadata.get(SOURCE):
        return False
    said = found.metadata.get(SOURCE_SHA256)
    known = known_sha256(item.source, item.asset)
    if said and known:
        return said == known
    written = item.goal.stat().st_mtime_ns
    stats = [path.stat() for path in conversion.stats]
    return all(max(stat.st_mtime_ns, stat.st_ctime_ns) < written for stat in stats)


def _layout(header: Header) -> dict[str, tuple[str, tuple[int, ...]]]:
    return {name: (info.dtype, info.shape) for name, info in header.tensors.items()}


def check_room(items: Iterable[Item]) -> None:
    """Raise NoSpaceError for a disk that cannot hold all that is planned to be written to it."""
    needs: dict[int, int] = {}
    folders: dict[int, Path] = {}
    for item in items:
        if item.status != "planned":
            continue
        folder = item.goal.parent
        try:
            disk = folder.stat().st_dev
        except OSError as error:
            raise file_error(error, folder) from error
        needs[disk] = needs.get(disk, 0) + item.size
        folders.setdefault(disk, folder)
    for disk, folder in folders.items():
        free = shutil.disk_usage(folder).free
        if free < needs[disk]:
            raise NoSpaceError(
                f"All of it needs {human_size(needs[disk])} on the disk of {folder}, and {human_size(free)} are free.",
                "Convert fewer at a time, or to another disk with --to; what goes to the trash frees no room until "
                "`modelhub trash --empty`.",
            )


def run_batch(library: Library, items: Sequence[Item], wish: Wish, job: Job = QUIET) -> Iterator[Item]:
    """Carry out what was planned, yielding each item when it is done; then the originals go to the trash, if wished.

    They go together, as one entry of the journal, each only after its result was read back, is synced and in the
    catalog. Raises CancelledError when stopped: what was converted stays, and so do all originals.
    """
    for at, item in enumerate(items, 1):
        try:
            job.check()
            if item.status in ("planned", "already"):
                _carry_out(library, item, wish, counted(job, at, len(items)))
        except CancelledError as error:
            done = sum(one.status == "converted" for one in items)
            words = f"Stopped; {plural(done, 'file')} converted, and nothing half-written is left behind."
            raise CancelledError(words, "Run it again to go on; all originals are where they were.") from error
        except ModelhubError as error:
            item.fail(error)
        yield item
    if wish.trash:
        trash_originals(library, [item for item in items if item.status in ("converted", "already")])


def _carry_out(library: Library, item: Item, wish: Wish, job: Job) -> None:
    if item.status == "already" and _look_again(library, item, wish, job):
        return
    done = convert_file(item.source, item.goal, wish, library=library, asset=item.asset, job=job)
    item.learn(done.plan)
    item.status, item.size, item.id = "converted", done.report.written.size, done.id
    item.sha256, item.seconds = done.report.written.sha256, done.report.seconds
    item.proven = done.proven


def _look_again(library: Library, item: Item, wish: Wish, job: Job) -> bool:
    """Whether a result that stands settles it: an original may go only if each byte of it is right, and on the disk."""
    item.message = ""
    if (wish.trash or not item.trusted) and not _is_equal(item, wish, job):
        if not wish.force:
            item.skip(f"{item.goal} exists already, and holds other numbers; --force would replace it.")
        return not wish.force
    known = library.catalog.by_path(item.goal.absolute())
    with library.catalog.atomic():
        item.id = known.id if known else library.add(item.goal, None)
        if item.asset is not None and item.same and (wish.trash or not known):
            hand_over(library.catalog, item.asset, item.id)
    return True


def _is_equal(item: Item, wish: Wish, job: Job) -> bool:
    stats = stats_of([item.goal])
    settle(item.goal)
    with planned(item.source, wish.options, job=job) as plan:
        conversion = plan.conversion
        if not same_bytes(conversion.view, item.goal, watched(job, conversion.stats)):
            return False
        item.learn(plan)
        item.proven = {**conversion.stats, **stats}
    return True


def same_bytes(view: TensorSource, path: Path, job: Job = QUIET) -> bool:
    """Whether the safetensors file at `path` holds the same bytes for every tensor of `view`. Raises FileError."""
    header = view.header
    with SafetensorsFile(path) as file, job.phase("comparing", header.data_size, "bytes") as advance:
        if _layout(file.header) != _layout(header):
            return False
        one, two = memoryview(bytearray(_BLOCK)), memoryview(bytearray(_BLOCK))
        for name, info in header.tensors.items():
            for offset in range(0, info.nbytes, _BLOCK):
                size = min(_BLOCK, info.nbytes - offset)
                view.read_into(name, offset, one[:size])
                file.read_into(name, offset, two[:size])
                if one[:size] != two[:size]:
                    return False
                advance(size, name)
    return True


def trash_originals(library: Library, items: Sequence[Item]) -> None:
    """Move the originals that may go to the trash, as one entry; where that fails, each by itself."""
    assets = {asset.id: asset for asset in library.catalog.assets([item.asset.id for item in items if item.asset])}
    for item in items:
        item.stays = item.stays or _moved_on(item, assets.get(item.asset.id) if item.asset else None)
    going = {item.asset.id: item for item in items if item.asset and not item.stays}
    if not going:
        return
    try:  # with the links that they have now: a result may stand where one was
        entry = library.trash([assets[number] for number in going])
    except CancelledError:
        raise
    except ModelhubError as error:
        if len(going) == 1:
            next(iter(going.values())).stays = error.message
            return
        for item in going.values():
            trash_originals(library, [item])
        return
    for item in going.values():
        item.trashed = entry


def _moved_on(item: Item, asset: Asset | None) -> str:
    """Why an original has to stay after all: what was proven is not what there is any more; "" if it is."""
    if asset is None or asset.path != item.source:
        return "It is no longer in the catalog under this path."
    try:
        if stats_of(item.proven) == item.proven:
            return ""
    except FileError as error:
        return error.message
    return "It, or the result, was written to after they were compared."
