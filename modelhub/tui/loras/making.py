"""Making: what the LoRA place can make says its fields, what would be made of what was typed, and makes it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from modelhub.catalog.asset import Asset
from modelhub.catalog.opener import Opener, Parent
from modelhub.jobs import Job
from modelhub.lora.making.telling import TextRow, kept_lines, made_rows, planned_rows
from modelhub.lora.making.workbench import check_goal
from modelhub.text import human_size, one_line
from modelhub.tui.lab.kitchen import without_force
from modelhub.tui.library import Library
from modelhub.tui.loras.wishes import Field, Values, goal

if TYPE_CHECKING:
    from modelhub.lora.making.report import Report


class Making(ABC):
    """Something that can be made."""

    title: ClassVar[str]

    def __init__(self, library: Library) -> None:
        self.library = library

    @property
    @abstractmethod
    def about(self) -> str:
        """Of what it is made, and how large that is."""

    @property
    @abstractmethod
    def fields(self) -> Sequence[Field]:
        """What can be said of it."""

    @abstractmethod
    def plan(self, values: Values, job: Job) -> list[TextRow]:
        """What would be made, by headers alone. Raises what is wrong with that."""

    @abstractmethod
    def make(self, values: Values, job: Job) -> str:
        """Make it, catalog it, and say what came of it. Raises ModelhubError."""


class LoraMaking(Making):
    """A LoRA that is made of some files: a subclass plans and makes it."""

    refs: Sequence[Asset]

    @abstractmethod
    def planned(self, parents: Sequence[Parent], values: Values) -> Any:
        """The plan, whose `stats` are the files that are read."""

    @abstractmethod
    def work(self) -> Callable[..., Report]:
        """What makes it of a plan."""

    @property
    def about(self) -> str:
        """The files."""
        return ", ".join(map(sized, self.refs))

    def plan(self, values: Values, job: Job) -> list[TextRow]:
        """Modules, ranks, and the size at most."""
        with self._open(values, job) as (_, planned):
            said = planned.as_dict()
        size = said.get("size_at_most")
        return [
            ("size", f"{human_size(size)} at most" if size is not None else ""),
            *planned_rows(said),
            *(("", line) for line in kept_lines(said.get("as_it_was", {}))),
            *(("note", warning) for warning in said.get("warnings", ())),
        ]

    def make(self, values: Values, job: Job) -> str:
        """Write it."""
        from modelhub.scan.adding import add_written

        with self._open(values, job) as (catalog, planned), without_force():
            report = self.work()(planned, goal(values), title=values.get("title", "").strip(), job=job)
            add_written(catalog, report.written)
        rows = [f"{label} {text}" for label, text in made_rows(report) if text and label not in ("sha256", "time")]
        kept = kept_lines({why: len(names) for why, names in report.as_it_was.items()})
        return "\n".join(
            (f"Saved and catalogued: {one_line(report.written.path.name)}", *rows, *kept, *report.warnings)
        )

    @contextmanager
    def _open(self, values: Values, job: Job) -> Iterator[tuple[Any, Any]]:
        with self.library.open() as catalog, Opener(catalog, job=job) as opener:
            planned = self.planned([opener(str(asset.path)) for asset in self.refs], values)
            with without_force():
                check_goal(goal(values), planned.stats, force=False)
            yield catalog, planned


def rank_of(lora: Asset) -> int:
    """The largest rank of its modules, 0 where none is known."""
    counts: Iterable[object] = (lora.adapter or {}).get("rank") or ()
    return max((int(str(rank)) for rank in counts if str(rank).isdecimal()), default=0)


def sized(asset: Asset) -> str:
    """Its name, and how large it is."""
    return f"{one_line(asset.name)} ({human_size(asset.size)})"
