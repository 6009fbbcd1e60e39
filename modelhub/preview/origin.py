"""Where a picture comes from, as its infotext tells it: model, VAE, LoRAs and recipe."""

from __future__ import annotations

from dataclasses import dataclass

from modelhub import __version__
from modelhub.preview.tags import Used, hashes_text

#: AutoV2: the first digits of the SHA256 of the file.
_SHORT = 10


@dataclass(frozen=True, slots=True)
class Origin:
    """Names and SHA256 of what a picture is made with; a merge that was never written has a `recipe` and no hash.

    `loras` are those that its prompt names, and not those of the recipe.
    """

    name: str
    sha256: str | None = None
    recipe: str | None = None
    vae_name: str | None = None
    vae_sha256: str | None = None
    loras: tuple[Used, ...] = ()

    def settings(self, clip_skip: int) -> dict[str, object]:
        """The infotext's settings after the size, in A1111's order; None where there is nothing to say."""
        return {
            "Model hash": self.sha256 and self.sha256[:_SHORT],
            "Model": self.name,
            "VAE hash": self.vae_sha256 and self.vae_sha256[:_SHORT],
            "VAE": self.vae_name,
            "Clip skip": clip_skip if clip_skip > 1 else None,
            "RNG": "CPU",
            "Lora hashes": hashes_text(self.loras),
            "Merge recipe": self.recipe,
            "Version": f"modelhub {__version__}",
        }
