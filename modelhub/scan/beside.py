"""What the files beside a model add: title, source, trigger words, declared base. They never overrule its bytes."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from modelhub.catalog.declared import declared_evidence, declared_facts
from modelhub.catalog.identity import Evidence, Identity
from modelhub.errors import FileError
from modelhub.formats.sidecars import SidecarFacts, read_sidecars, sidecars_in

#: Characters of descriptions and the like that a search looks through.
_MAX_WORDS = 8_000


def beside(path: Path, identity: Identity) -> tuple[Identity, dict[str, Any]]:
    """`identity` with what the sidecars of `path` add, and the columns of its row that they fill."""
    facts = read_sidecars(path, _sidecars(path))
    columns = {
        "title": (facts.name or "")[:300] or None,
        "source": facts.source,
        "sidecar": _plain(facts),
        "sidecar_words": _words(facts),
    }
    return _joined(identity, facts), columns


def _sidecars(path: Path) -> list[Path]:
    """The files beside `path`; a folder of thousands of models is listed once, until something in it changes."""
    try:
        changed = path.parent.stat().st_mtime_ns
    except OSError:
        return []
    return _listing(path.parent, (path.name,) if path.is_dir() else (), changed).get(path.name, [])


@lru_cache(maxsize=2)
def _listing(folder: Path, folders: tuple[str, ...], changed: int) -> dict[str, list[Path]]:
    try:
        return sidecars_in(folder, folders)
    except FileError:  # the walk has said so
        return {}


def _plain(facts: SidecarFacts) -> dict[str, Any]:
    """The facts as JSON can hold them, without those that are not there; the picture by name, for it moves along."""
    plain = {name: value.name if isinstance(value, Path) else value for name, value in asdict(facts).items()}
    return {name: value for name, value in plain.items() if value not in (None, "", [], (), {})}


def _words(facts: SidecarFacts) -> str:
    """What a search finds a model by."""
    parts = (facts.name, facts.version, facts.base_model, facts.creator, *facts.tags, facts.notes, facts.description)
    return " ".join(part for part in parts if part)[:_MAX_WORDS]


def _joined(identity: Identity, facts: SidecarFacts) -> Identity:
    words = tuple(dict.fromkeys((*facts.trigger_words, *identity.trigger_words)))
    evidence, found = list(identity.evidence), dict(identity.facts)
    if facts.base_model:
        found = {**declared_facts(facts.base_model), **found, "declared_base": facts.base_model}
        evidence.append(declared_evidence(facts.base_model, facts.origin.get("base_model", "")))
    prediction = identity.prediction
    if prediction is None and facts.prediction:
        prediction = facts.prediction
        evidence.append(Evidence("sidecar", facts.origin.get("prediction", ""), f"{prediction} prediction"))
    return replace(identity, trigger_words=words, prediction=prediction, facts=found, evidence=tuple(evidence))
