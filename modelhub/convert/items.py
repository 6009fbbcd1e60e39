"""An item of a batch: one file, what would become of it, and what did, in values that outlive the open file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from modelhub.catalog.asset import Asset
from modelhub.catalog.becoming import Action
from modelhub.convert.tasks import Plan
from modelhub.errors import FileError, ModelhubError
from modelhub.formats.opening import stat_of
from modelhub.formats.stat import FileStat
from modelhub.text import brief

#: "already": an earlier batch left the result; "idle": the asset is what it would become.
Status = Literal["planned", "converted", "already", "idle", "skipped", "failed"]
_UNCATALOGUED = "It is not in the catalog under this path, and cannot go to the trash."


class PartRow(NamedTuple):
    """What becomes of how many tensors, of how many bytes, and why: a part without its names, which are many."""

    action: Action
    what: str
    tensors: int
    size: int
    reason: str


@dataclass
class Item:
    """One file of a batch, and what became of it: the sizes in bytes, `message` why it was skipped or failed.

    `asset` is None for a file at `path` that is not in the catalog. `size` is that of the result, `id` its asset,
    `same` whether it is the same model; `trashed` the entry of the journal by which the original went to the trash,
    `stays` why it did not. `health` pairs what is damaged with what became of it, `notes` are no damage. `proven` is
    how the files of the original and the result were when they were found to be equal; a result that stands `already`
    is `trusted` if it cannot but be the conversion of the original as it is.
    """

    asset: Asset | None
    goal: Path
    path: Path | None = None
    status: Status = "planned"
    size: int = 0
    message: str = ""
    hint: str = ""
    code: str = ""
    exit_code: int = 0
    id: int | None = None
    warnings: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    parts: list[PartRow] = field(default_factory=list)
    tensors: int = 0
    health: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    same: bool = True
    sha256: str | None = None
    seconds: float = 0.0
    trashed: int | None = None
    stays: str = ""
    proven: dict[Path, FileStat] = field(default_factory=dict, repr=False)
    trusted: bool = True

    @property
    def source(self) -> Path:
        """The file that it is made of."""
        return self.asset.path if self.asset is not None else self.path or self.goal

    @property
    def label(self) -> str:
        """What a sentence calls it: #7, or the name of a file that is not in the catalog."""
        return f"#{self.asset.id}" if self.asset is not None else brief(self.source.name)

    @property
    def before(self) -> int:
        """Bytes of the source; 0 if it is gone."""
        if self.asset is not None:
            return self.asset.size
        try:
            return stat_of(self.source).size
        except FileError:
            return 0

    def as_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "source": str(self.source), "source_id": self.asset and self.asset.id, "source_size": self.before,
            "path": str(self.goal), "id": self.id, "size": self.size, "status": self.status, "code": self.code or None,
            "message": self.message or None, "warnings": self.warnings, "findings": self.findings,
            "trashed": self.trashed, "original_stays": self.stays or None,
        }  # fmt: skip

    def learn(self, plan: Plan) -> None:
        """What there is to say of it."""
        made = plan.conversion
        self.warnings, self.findings = [*made.warnings], [*made.findings]
        self.parts = [PartRow(one.action, one.what, len(one.names), one.size, one.reason) for one in made.parts]
        self.size, self.tensors, self.same = made.view.header.file_size, len(made.view.header.tensors), plan.same
        self.stays = plan.why_stays(self.source, self.goal) if self.asset is not None else _UNCATALOGUED
        if plan.repair is not None:
            self.health = [(problem.sentence, problem.outcome) for problem in plan.repair.problems]
            self.notes = [*plan.repair.notes]

    def fail(self, error: ModelhubError) -> None:
        """It could not be converted."""
        self.status, self.code, self.exit_code = "failed", error.code, error.exit_code
        self.message, self.hint = error.message, error.hint

    def skip(self, why: str) -> None:
        """It is left as it is."""
        self.status, self.message = "skipped", why
