"""What can be rendered and what cannot yet, said before anything is loaded; and where the parts of a model are."""

from __future__ import annotations

from modelhub.catalog.identify import identify
from modelhub.catalog.identity import Identity
from modelhub.errors import IncompatibleError, UnknownModelError
from modelhub.formats.source import TensorSource
from modelhub.text import one_line

RENDERED = ("sd1", "sd2")
_KINDS = ("checkpoint", "diffusion-model")
#: Variants that start from a picture, a depth map or an image embedding.
_VARIANTS = frozenset({"inpaint", "pix2pix", "depth", "zero123", "unclip-l", "unclip-h"})
_PARTS = {"denoiser": "no denoiser", "vae": "no VAE", "text_encoder": "no text encoder"}
_HINTS = {
    "vae": "Give one with --vae.",
    "text_encoder": "Choose a full checkpoint, or put the text encoder of one into it with `modelhub merge`.",
    "denoiser": "Choose a full checkpoint.",
}


def check(identity: Identity, name: str) -> None:
    """Raise UnknownModelError or IncompatibleError if a model of this identity cannot be rendered."""
    name = one_line(name)
    if identity.kind == "unknown" or (identity.kind == "checkpoint" and identity.architecture is None):
        raise UnknownModelError(
            f"{name} is of no architecture that modelhub knows.", "`modelhub identify` shows what was looked at."
        )
    family = identity.architecture or "an unknown architecture"
    if identity.kind not in _KINDS:
        raise IncompatibleError(
            f"{name} is a {identity.kind} for {family}, not a checkpoint.", "Name the checkpoint that it belongs to."
        )
    if identity.architecture not in RENDERED:
        raise IncompatibleError(
            f"{name} is {family}, which cannot be rendered yet.", f"Previews work for: {', '.join(RENDERED)}."
        )
    if identity.variant in _VARIANTS:
        raise IncompatibleError(
            f"{name} is the {identity.variant} variant of {family}, which wants more than a prompt.",
            "Such models cannot be previewed yet; choose a plain checkpoint.",
        )
    if identity.layout not in (None, "ldm"):
        raise IncompatibleError(
            f"{name} has its tensors in the {identity.layout} layout, which cannot be rendered yet.",
            "Choose a single-file checkpoint.",
        )


def prefix(identity: Identity, role: str, name: str) -> str:
    """What the tensor names of the part `role` begin with. Raises IncompatibleError if the model lacks it."""
    part = identity.component(role)
    if part is None:
        raise IncompatibleError(f"{one_line(name)} has {_PARTS[role]}, so it cannot be rendered alone.", _HINTS[role])
    return part.prefix


def vae_prefix(vae: TensorSource | None, identity: Identity, name: str) -> str:
    """What the tensor names of the VAE begin with: in `vae` if there is one, else in the model itself."""
    if vae is None:
        return prefix(identity, "vae", name)
    other = identify(vae.header)
    part = other.component("vae")
    if part is not None:
        return part.prefix
    if other.kind == "vae":
        return ""
    raise IncompatibleError(
        f"What was given as VAE for {one_line(name)} is a {other.kind} without one.", "Give a VAE or a full checkpoint."
    )
