"""Upscalers that need no file, by their display names; without what makes them, which takes torch."""

from __future__ import annotations

from modelhub.text import alike

#: Those that enlarge latents, in the order of A1111.
LATENT_NAMES = (
    "Latent", "Latent (antialiased)", "Latent (bicubic)", "Latent (bicubic antialiased)", "Latent (nearest)",
    "Latent (nearest-exact)",
)  # fmt: skip
#: Those that enlarge pixels; "None" leaves all to LANCZOS.
PIXEL_UPSCALERS = ("None", "Lanczos", "Nearest")
WITHOUT_FILE = (*LATENT_NAMES, *PIXEL_UPSCALERS)


def without_file(name: str) -> str | None:
    """The one of WITHOUT_FILE that `name` is, whatever its case, spaces and hyphens; None for another name."""
    return next((one for one in WITHOUT_FILE if alike(one) == alike(name)), None)


def pixel_upscaler(name: str) -> str | None:
    """The one of PIXEL_UPSCALERS that `name` is, whatever its case, spaces and hyphens; None for another name."""
    found = without_file(name)
    return found if found in PIXEL_UPSCALERS else None
