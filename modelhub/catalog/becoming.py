"""What becomes of some tensors of a file when something else is made of it: they stay, go, change, or are added."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from modelhub.formats.header import Header

Action = Literal["keep", "drop", "change", "add"]


@dataclass(frozen=True, slots=True)
class Part:
    """Some tensors and what becomes of them: `what` they are, in words, and the `reason`.

    `size` is their bytes as the source has them, of added ones as they are written.
    """

    action: Action
    what: str
    reason: str
    names: tuple[str, ...] = field(repr=False)
    size: int = 0

    def as_dict(self) -> dict[str, Any]:
        """As plain values; names are counted."""
        return {
            "action": self.action, "what": self.what, "tensors": len(self.names), "bytes": self.size,
            "reason": self.reason,
        }  # fmt: skip


def part(action: Action, what: str, reason: str, names: Iterable[str], header: Header) -> Part:
    """A part whose size is that of the tensors `names` in `header`."""
    names = tuple(names)
    return Part(action, what, reason, names, sum(header.tensors[name].nbytes for name in names))
