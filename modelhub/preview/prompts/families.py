"""Which text encoders an architecture reads prompts with, and which of their vectors it wants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from modelhub.errors import IncompatibleError
from modelhub.preview.prompts.clip_tokenizer import ClipTokenizer

T5XXL = "t5xxl"


@dataclass(frozen=True, slots=True)
class Family:
    """`tokens`: the encoders whose token vectors lie side by side; `pooled`: that of the vector of the whole text.

    Token vectors come from the layer that clip skip says, counted from the end, but from no later one than `least`, and
    are normalised; or, with `fixed`, from the last but one, as they are. `projected`: the vector of the whole text is.
    `blank`: an empty negative prompt is zeros. `every`: an embedding needs vectors for all CLIP encoders.
    """

    tokens: tuple[str, ...]
    pooled: str | None = None
    least: int = 1
    fixed: bool = False
    projected: bool = True
    blank: bool = False
    every: bool = True

    @property
    def encoders(self) -> tuple[str, ...]:
        """All encoders, once each."""
        return tuple(dict.fromkeys((*self.tokens, *([self.pooled] if self.pooled else []))))


FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        "sd1": Family(("clip-l",)),
        "sd2": Family(("openclip-h",), least=2),
        "sdxl": Family(("clip-l", "clip-g"), "clip-g", fixed=True, blank=True),
        "sdxl-refiner": Family(("clip-g",), "clip-g", fixed=True, blank=True),
        "flux1": Family((T5XXL,), "clip-l", projected=False, every=False),
    }
)

#: What follows the end token: CLIP-L was trained with more of them, OpenCLIP with zeros.
PADS: Mapping[str, int] = MappingProxyType({"clip-l": ClipTokenizer.eos, "clip-g": 0, "openclip-h": 0})


def family_of(architecture: str) -> Family:
    """The family of an architecture. Raises IncompatibleError for one that prompts are not known for."""
    if architecture not in FAMILIES:
        raise IncompatibleError(
            f"How {architecture} reads prompts is not known.", f"Previews work for: {', '.join(FAMILIES)}."
        )
    return FAMILIES[architecture]
