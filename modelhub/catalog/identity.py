"""Identity: what a file is, and why we say so."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

#: Characters of each word of a piece of evidence.
_MOST = 1000


@dataclass(frozen=True, slots=True)
class Evidence:
    """One reason: the rule that fired, the tensor (or metadata key) it looked at, and what it found there."""

    rule: str
    tensor: str = ""
    found: str = ""

    def __post_init__(self) -> None:
        """Cut what a file made long: names in a header may have millions of characters, and evidence goes into rows."""
        for name in self.__slots__:
            text: str = getattr(self, name)
            if len(text) > _MOST:
                object.__setattr__(self, name, text[: _MOST - 1] + "…")


@dataclass(frozen=True, slots=True)
class Component:
    """One part of a file: `role` is denoiser, vae, text_encoder, ema or other; `prefix` starts all its tensor names."""

    role: str
    architecture: str | None
    prefix: str
    tensors: int
    parameters: int


@dataclass(frozen=True)
class Identity:
    """What a file is, with evidence.

    `confidence`: header (proved by names and shapes), structure (names and ranks fit, the widths are not those of the
    released model), metadata, name, or none. `facts` holds measured numbers such as in_channels, context, heads of a
    structure; `conflicts` are sentences about metadata that contradicts shapes. `fingerprint` is equal for equal
    layouts.
    """

    kind: str = "unknown"
    architecture: str | None = None
    variant: str | None = None
    format: str = "safetensors"
    layout: str | None = None
    prediction: str | None = None
    dtypes: dict[str, int] = field(default_factory=dict)
    parameters: int | None = None
    components: tuple[Component, ...] = ()
    adapter: dict[str, Any] | None = None
    trigger_words: tuple[str, ...] = ()
    confidence: str = "none"
    evidence: tuple[Evidence, ...] = ()
    conflicts: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    fingerprint: str | None = None

    def component(self, role: str) -> Component | None:
        """The first component of `role`, or None."""
        return next((part for part in self.components if part.role == role), None)

    def as_dict(self) -> dict[str, Any]:
        """The identity as plain values for JSON."""
        return asdict(self)
