"""What can be rendered and what cannot, said before anything is loaded."""

from __future__ import annotations

from modelhub.catalog.identity import Identity
from modelhub.errors import IncompatibleError, UnknownModelError
from modelhub.text import one_line

RENDERED = ("sd1", "sd2", "sdxl", "sdxl-refiner", "flux1")
_KINDS = ("checkpoint", "diffusion-model")
#: Variants that start from more than text and a picture, or from noise of another kind; and what they want.
_WANTING = {
    "depth": "a depth map",
    "zero123": "the angle of a camera",
    "unclip-l": "the embedding of a picture",
    "unclip-h": "the embedding of a picture",
    "animatediff": "frames of a film",
    "depth-or-canny": "a picture of edges or of depth",
    "canny": "a picture of edges",
    "control": "a picture to be controlled by",
    "playground-v2.5": "noise of another kind (EDM)",
}


def check(identity: Identity, name: str) -> None:
    """Raise UnknownModelError or IncompatibleError if a model of this identity cannot be rendered."""
    name = one_line(name)
    if identity.kind == "unknown" or (identity.kind == "checkpoint" and identity.architecture is None):
        raise UnknownModelError(
            f"{name} is of no architecture that modelhub knows.", "`modelhub identify` shows what was looked at."
        )
    known = identity.architecture
    family = known or "an unknown architecture"
    if identity.kind not in _KINDS:
        raise IncompatibleError(
            f"{name} is {named(identity.kind)}{f' for {known}' if known else ''}, not a checkpoint.",
            "Name the checkpoint that it belongs to.",
        )
    if identity.architecture not in RENDERED:
        raise IncompatibleError(
            f"{name} is {family}, which cannot be rendered.", f"Previews work for: {', '.join(RENDERED)}."
        )
    wants = _WANTING.get(identity.variant or "")
    if wants:
        raise IncompatibleError(
            f"{name} is the {identity.variant} variant of {family}, which wants more than a prompt: {wants}.",
            "Such models cannot be previewed; choose a plain checkpoint.",
        )
    if identity.layout in ("diffusers", "nunchaku"):
        raise IncompatibleError(
            f"{name} has its tensors in the {identity.layout} layout, of which no rule makes the original's.",
            "Choose a single-file checkpoint.",
        )


def named(kind: str) -> str:
    """A kind of file in a sentence: "a vae", "an embedding"."""
    return "of no kind that modelhub knows" if kind == "unknown" else f"a{'n' if kind[0] in 'aeiou' else ''} {kind}"
