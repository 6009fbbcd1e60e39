"""Write what is known of a model as a sidecar that another tool reads; what already stands in the file is kept."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelhub.errors import UsageError, file_error
from modelhub.formats.sidecars.convention import Convention
from modelhub.formats.sidecars.documents import read_text
from modelhub.formats.sidecars.facts import SidecarFacts, differing
from modelhub.formats.sidecars.files import stem_of
from modelhub.formats.sidecars.table import WRITABLE
from modelhub.formats.writer import check_place, replacing, write_all


def sidecar_path(model: str | Path, convention: str) -> Path:
    """Where the sidecar of a convention lies. Raises UsageError for one that modelhub does not write."""
    path = Path(model)
    return path.with_name(stem_of(path) + _named(convention).suffix)


def export_sidecar(
    facts: SidecarFacts,
    model: str | Path,
    convention: str,
    *,
    force: bool = False,
    extra: Mapping[str, Any] | None = None,
) -> Path:
    """Write `facts` beside `model` as a1111, civitai-info, lora-manager, stability-matrix, swarm or sha256.

    Fields that the convention has no place for are left out, fields that say nothing change nothing. With `force` an
    existing file is merged into: what it says already, in whatever words, and all that modelhub does not know stays.
    `extra` are values under the convention's own keys, for what `facts` has no field for (JSON conventions only).
    Raises FileExistsAlreadyError without `force`, CorruptFileError for an existing file that cannot be read,
    UsageError for an unknown convention or facts of which it has none, FileError when the disk refuses.
    """
    path, known = Path(model), _named(convention)
    goal = sidecar_path(path, convention)
    try:
        check_place(goal, force=force)
    except OSError as error:
        raise file_error(error, goal) from error
    document = known.parse(read_text(goal), goal) if goal.exists() else known.empty()
    _update(document, facts, path, known)
    if extra and isinstance(document, dict):
        document.update(extra)
    if not document:
        raise UsageError(f"Nothing is known of {path} that a file for {convention} could hold.", "Hash it first.")
    with replacing(goal, force=force) as file:
        write_all(file, _encoded(known, document, goal))
    return goal


def _named(convention: str) -> Convention:
    if convention not in WRITABLE:
        raise UsageError(
            f"There is no kind of sidecar called '{convention}'.", f"Choose one of: {', '.join(WRITABLE)}."
        )
    return WRITABLE[convention]


def _update(document: Any, facts: SidecarFacts, model: Path, convention: Convention) -> None:
    assert convention.update is not None
    changed = differing(facts, convention.facts(document, model), convention.fields)
    convention.update(document, changed, model)


def _encoded(convention: Convention, document: Any, goal: Path) -> bytes:
    """UTF-8; halves of characters, which JSON can hold and UTF-8 cannot, become question marks."""
    return convention.dump(document, goal).encode("utf-8", "replace")
