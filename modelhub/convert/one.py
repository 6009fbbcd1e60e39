"""Convert, prune or repair one file into the library: the result is catalogued, and takes over what the user said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from modelhub.catalog.asset import Asset
from modelhub.catalog.opener import known_sha256, make_sha256
from modelhub.catalog.store import Catalog
from modelhub.convert.conversion import ConversionReport, carry_out
from modelhub.convert.converting import NothingToDoError, Options
from modelhub.convert.handing import hand_over
from modelhub.convert.tasks import Plan, Task, planned
from modelhub.errors import CorruptFileError, FileError
from modelhub.formats.hashes import Hashes
from modelhub.formats.opening import stat_of
from modelhub.formats.stat import FileStat
from modelhub.jobs import QUIET, Job


@dataclass(frozen=True)
class Wish:
    """What a user wants of a batch, or of one file: what to do, with its options, and what to do besides.

    `force` replaces files, `hashes` makes the SHA256 of source and result, `trash` moves originals to the trash.
    """

    options: Task = field(default_factory=Options)
    force: bool = False
    hashes: bool = False
    trash: bool = False


@dataclass(frozen=True)
class Library:
    """The catalog, and what other rooms do for a batch.

    `add` puts a file into the catalog, with its hashes if they are known, and returns its id; `trash` moves assets to
    the trash and returns the entry of the journal.
    """

    catalog: Catalog
    add: Callable[[Path, Hashes | None], int]
    trash: Callable[[Sequence[Asset]], int | None]

    def keep(self, report: ConversionReport, original: Asset | None) -> int:
        """Put what was written into the catalog, with what the user said of its source; returns its id.

        Raises FileError, which says that the file stands, when the catalog cannot be written to.
        """
        path = report.written.path
        try:
            with self.catalog.atomic():
                number = self.add(path, report.written.hashes)
                if original is not None:
                    hand_over(self.catalog, original, number)
        except FileError as error:
            words = f"{path} was written, and is not in the catalog yet: {error.message}"
            raise type(error)(words, f"Then run `modelhub scan`. {error.hint}") from error
        return number


@dataclass(frozen=True, slots=True)
class Converted:
    """One file that was converted: the `id` of the result, and why the original `stays` ("" when it may go)."""

    plan: Plan
    report: ConversionReport
    id: int | None
    stays: str

    @property
    def proven(self) -> dict[Path, FileStat]:
        """How the files of the original were when they were opened, and the result when it was written."""
        written = self.report.written
        return {**self.report.conversion.stats, written.path: written.stat}


def convert_file(
    path: Path, goal: Path, wish: Wish, *, library: Library | None = None, asset: Asset | None = None, job: Job = QUIET
) -> Converted:
    """Convert what is at `path`, which is `asset` if the catalog has it, to `goal`, and read the result back.

    Without `library` nothing is catalogued. Raises as `planned` and `carry_out`, NothingToDoError.
    """
    before = stat_of(path)
    sha256 = _sha256(path, wish, library, asset, job) if isinstance(wish.options, Options) else None
    with planned(path, wish.options, sha256=sha256, job=job) as plan:
        if plan.idle:
            raise NothingToDoError(f"{path}: {plan.idle}")
        if stat_of(path) != before:  # the hash would not be that of what was opened
            raise CorruptFileError(f"{path} was written to while it was read.", "Wait until that is over.")
        report = carry_out(plan.conversion, goal, force=wish.force, hashes=wish.hashes, salvage=plan.salvage, job=job)
        stays = plan.why_stays(path, goal)
    number = library.keep(report, asset if plan.same else None) if library is not None else None
    return Converted(plan, report, number, stays)


def sha256_to_be(path: Path, wish: Wish, asset: Asset | None = None) -> str | None:
    """For a plan: the SHA256 that is known, or zeros in the place of one that will be made, so that sizes are right."""
    return known_sha256(path, asset) or ("0" * 64 if wish.hashes or wish.trash else None)


def _sha256(path: Path, wish: Wish, library: Library | None, asset: Asset | None, job: Job) -> str | None:
    """The SHA256 of a file if the catalog knows it and the file is as it was; else it is made, if `wish` needs it."""
    found = known_sha256(path, asset)
    if found is not None or not (wish.hashes or wish.trash):
        return found
    return make_sha256(path, asset, library.catalog if library else None, job)
