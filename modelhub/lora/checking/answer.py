"""Answer: whether an adapter fits a model, why, and what was looked at; every interface shows the same one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

#: From best to worst; "unknown" is apart: it says that nothing can be said.
Verdict = Literal["compatible", "partial", "caution", "partly-incompatible", "incompatible", "unknown"]
VERDICTS: tuple[Verdict, ...] = ("compatible", "partial", "caution", "partly-incompatible", "incompatible", "unknown")
#: What people read.
WORDS: Mapping[Verdict, str] = {
    "compatible": "compatible",
    "partial": "compatible, partially applied",
    "caution": "compatible with caution",
    "partly-incompatible": "partly incompatible",
    "incompatible": "incompatible",
    "unknown": "unknown",
}
#: One sign for each in a matrix, and what stands for it where only ASCII can be shown.
SIGNS: Mapping[Verdict, str] = {
    "compatible": "✓",
    "partial": "◐",
    "caution": "!",
    "partly-incompatible": "◔",
    "incompatible": "✗",
    "unknown": "?",
}
ASCII_SIGNS: Mapping[Verdict, str] = {
    "compatible": "+",
    "partial": "o",
    "caution": "!",
    "partly-incompatible": "-",
    "incompatible": "x",
    "unknown": "?",
}


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that was found: the rule's id, a sentence, and the verdict that it alone would give.

    A severity of "compatible" takes nothing away: it is good news, or a remark.
    """

    id: str
    say: str
    severity: Verdict = "compatible"


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A module that cannot be applied, and how many others like it (but for numbers in their names) there are.

    `state` is that of `fitting.Fate`; `lora` and `checkpoint` are the two sizes in words ("in 768" and
    "….attn2.to_k.weight [320, 1024]"), "" where there are none; `say` is all of it in a line.
    """

    component: str
    state: str
    module: str
    lora: str
    checkpoint: str
    say: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class Lines:
    """Lineage of both sides: ids, "" for unknown, a sentence that names the evidence, and the rule about the pair.

    `say` has the strongest evidence of each side, `evidence` all of it.
    """

    lora: str = ""
    checkpoint: str = ""
    say: str = ""
    rule: str = ""
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether `lora` fits `checkpoint` (names of both), with all evidence.

    `base` are the architectures that its modules vote for, `vote` how (confidence, modules, equal, also). `counts` has
    modules by component ("unet", "te1", "te2", "t5") and state ("ok", "dim-mismatch", …), `names` what people call the
    components. `checked` and `unchecked` say what was looked at, and what was not.
    """

    lora: str
    checkpoint: str
    verdict: Verdict
    headline: str
    base: tuple[str, ...] = ()
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    mismatches: tuple[Mismatch, ...] = ()
    reasons: tuple[Reason, ...] = ()
    vote: Mapping[str, Any] = field(default_factory=dict)
    lineage: Lines = Lines()
    checked: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The answer as plain values for JSON."""
        return asdict(self)


def rank(verdict: Verdict) -> int:
    """0 for the best; for sorting, and to find the worst of several."""
    return VERDICTS.index(verdict)


def worst(reasons: Iterable[Reason]) -> Verdict:
    """The verdict that all reasons together come to; "unknown" if one of them says so."""
    return max((one.severity for one in reasons), key=rank, default="compatible")
