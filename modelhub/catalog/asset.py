"""Asset: one catalogued file as the rest of modelhub sees it, and how it goes to a row and to JSON."""

from __future__ import annotations

import json
import re
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelhub.catalog.columns import HASH_NAMES, OVERRIDABLE
from modelhub.formats.stat import FileStat as FileStat

if TYPE_CHECKING:
    from modelhub.catalog.identity import Identity

#: File dtypes as people call them.
PRECISIONS = {
    "F16": "fp16", "BF16": "bf16", "F32": "fp32", "F64": "fp64", "F8_E4M3": "fp8", "F8_E5M2": "fp8-e5m2", "F4": "fp4",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asset:
    """One catalogued file: hashes in lower-case hex or None, `rating` 0 for none, `problem` why it was not read.

    `kind`, `architecture` and `variant` are what the user `said`, else what was `found` in the bytes. `links` are
    further paths of the same content, `sidecar` what the files beside it say, `verified` when its bytes last matched.
    `provided` is what a provider says of the content ("provider", "at": when it was asked, "not_found": it does not
    know it); it fills what neither the file nor a sidecar tells. `never_look_up`: no provider is asked.
    """

    id: int
    path: Path
    stat: FileStat
    kind: str
    architecture: str | None
    variant: str | None
    format: str
    layout: str | None
    prediction: str | None
    dtype: str | None
    dtypes: dict[str, int]
    parameters: int | None
    components: list[dict[str, Any]]
    adapter: dict[str, Any] | None
    trigger_words: list[str]
    evidence: list[dict[str, str]]
    conflicts: list[str]
    facts: dict[str, Any]
    confidence: str
    fingerprint: str | None
    title: str | None
    source: str | None
    recipe: str | None
    hashes: dict[str, str | None]
    tags: list[str]
    rating: int
    notes: str
    problem_code: str | None
    problem: str | None
    added: float
    missing: bool
    verified: float | None = None
    found: dict[str, str | None] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)
    sidecar: dict[str, Any] = field(default_factory=dict)
    links: list[str] = field(default_factory=list)
    provided: dict[str, Any] = field(default_factory=dict)
    never_look_up: bool = False

    @property
    def name(self) -> str:
        """The file name."""
        return self.path.name

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self.stat.size

    @property
    def preview(self) -> Path | None:
        """The picture beside the model that sidecars name, else the one that was kept of what a provider showed."""
        name = self.sidecar.get("preview")
        kept = self.provided.get("preview")
        return self.path.parent / name if name else Path(kept) if kept else None

    @property
    def sha256(self) -> str | None:
        """SHA256 of the file if it is known."""
        return self.hashes["sha256"]

    @property
    def base_hash(self) -> str:
        """The digits that the trainer of an adapter wrote down of the model it began with; "" for none of 8 to 64."""
        digest = str((self.facts.get("training") or {}).get("base_hash", "")).lower()
        return digest if re.fullmatch(r"[0-9a-f]{8,64}", digest) else ""

    def as_dict(self) -> dict[str, Any]:
        """The asset as the command line's contract has it; unknown values are None."""
        plain = {name: getattr(self, name) for name in _JSON_FIELDS}
        return {
            "id": self.id,
            "path": str(self.path),
            **plain,
            **self.hashes,
            "rating": self.rating or None,
            "size": self.size,
            "override": self.said or None,
        }


_JSON_FIELDS = (
    "kind", "architecture", "variant", "format", "layout", "prediction", "dtypes", "parameters", "components",
    "adapter", "tags", "notes", "trigger_words", "source", "confidence", "evidence", "conflicts", "facts",
    "fingerprint", "title", "problem", "missing", "found", "sidecar", "links", "verified", "provided", "never_look_up",
)  # fmt: skip
_IDENTITY_JSON = ("dtypes", "components", "adapter", "trigger_words", "evidence", "conflicts", "facts")
_JSON_COLUMNS = (*_IDENTITY_JSON, "found", "said", "sidecar")
_PLAIN_COLUMNS = (
    "id", "kind", "architecture", "variant", "format", "layout", "prediction", "dtype", "parameters", "confidence",
    "fingerprint", "title", "source", "recipe", "rating", "notes", "problem_code", "problem", "added",
    "verified",
)  # fmt: skip


def from_row(row: sqlite3.Row) -> Asset:
    """An asset from a row of `SELECT`."""
    plain: dict[str, Any] = {name: row[name] for name in _PLAIN_COLUMNS}
    parsed: dict[str, Any] = {name: json.loads(row[name]) if row[name] else None for name in _JSON_COLUMNS}
    never = row["never_look_up"] > 0 if row["never_look_up"] else bool(parsed["sidecar"].get("never_look_up"))
    if row["provided_list"]:
        from modelhub.catalog.provided import filled  # not needed by most

        plain, parsed = filled(plain, parsed, json.loads(row["provided_list"]))
    return Asset(
        path=Path(row["path"]),
        stat=FileStat(row["device"], row["inode"], row["size"], row["modified"]),
        hashes={name: row[name] for name in HASH_NAMES},
        tags=sorted(json.loads(row["tag_list"])),
        links=sorted(json.loads(row["link_list"])),
        missing=bool(row["missing"]),
        never_look_up=never,
        **plain,
        **parsed,
    )


def precision(dtypes: dict[str, int]) -> str | None:
    """The precision that most elements have, as people call it: fp16."""
    if not dtypes:
        return None
    most = max(dtypes, key=lambda name: dtypes[name])
    return PRECISIONS.get(most, most.lower())


def identity_columns(identity: Identity) -> dict[str, Any]:
    """The columns of a row that follow from an identity."""
    plain = identity.as_dict()
    return {
        **{name: plain[name] for name in ("kind", "architecture", "variant", "format", "layout", "prediction")},
        **{name: plain[name] for name in ("parameters", "confidence", "fingerprint")},
        **{name: None if plain[name] is None else json.dumps(plain[name]) for name in _IDENTITY_JSON},
        "dtype": precision(identity.dtypes),
        "found": json.dumps({name: plain[name] for name in OVERRIDABLE}),
    }
