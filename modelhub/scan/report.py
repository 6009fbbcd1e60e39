"""What a scan has to say at its end."""

from __future__ import annotations

from typing import Any, NamedTuple


class Problem(NamedTuple):
    """A file or folder that could not be read, with the error's code and sentence."""

    path: str
    code: str
    message: str


class ScanReport:
    """What a scan found: counts of assets, the problems, and the seconds it took.

    `links` are further paths of contents that are counted once, `unhashed` assets that no hash is known of.
    """

    def __init__(self, roots: list[str]) -> None:
        self.roots = roots
        self.files = self.added = self.updated = self.moved = self.missing = self.unchanged = 0
        self.links = self.hashed = self.unhashed = 0
        self.problems: list[Problem] = []
        self.seconds = 0.0

    def as_dict(self) -> dict[str, Any]:
        """The report as the command line's contract has it."""
        return {**vars(self), "problems": [problem._asdict() for problem in self.problems]}
