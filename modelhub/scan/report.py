"""What a scan has to say at its end."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Problem:
    """A file or folder that could not be read, with the error's code and sentence."""

    path: str
    code: str
    message: str


@dataclass
class ScanReport:
    """What a scan found: counts of assets, the problems, and the seconds it took.

    `links` are further paths of contents that are counted once, `unhashed` assets that no hash is known of.
    """

    roots: list[str]
    files: int = 0
    added: int = 0
    updated: int = 0
    moved: int = 0
    missing: int = 0
    unchanged: int = 0
    links: int = 0
    hashed: int = 0
    unhashed: int = 0
    problems: list[Problem] = field(default_factory=list)
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """The report as the command line's contract has it."""
        return asdict(self)
