"""Where a picture comes from, as its infotext tells it: model, VAE, refiner, LoRAs, embeddings and recipe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from modelhub import __version__
from modelhub.preview.prompts.tags import Used, hashes_text
from modelhub.text import one_line

#: AutoV2: the first digits of the SHA256 of the file. Hashes of embeddings have more.
_SHORT, _EMBEDDING = 10, 12
_USUAL_SWITCH = 0.8


@dataclass(frozen=True, slots=True)
class Origin:
    """Names and SHA256 of what a picture is made with; a merge that was never written has a `recipe` and no hash.

    `loras` are those that its prompt names, and not those of the recipe. `embeddings` are names with the SHA256 of
    their files, of those that the prompts use. `is_pix2pix`: the model is guided by a picture as well. `modules` are
    the names of files that text encoders are from, in Forge's word.
    """

    name: str
    sha256: str | None = None
    recipe: str | None = None
    vae_name: str | None = None
    vae_sha256: str | None = None
    loras: tuple[Used, ...] = ()
    refiner_name: str | None = None
    refiner_sha256: str | None = None
    embeddings: Sequence[tuple[str, str | None]] = ()
    is_pix2pix: bool = False
    modules: Sequence[str] = ()

    def models(self) -> Iterator[tuple[str, object]]:
        """The settings between the size and the noise, in A1111's order; None where there is nothing to say."""
        yield "Model hash", self.sha256 and self.sha256[:_SHORT]
        yield "Model", self.name
        yield "VAE hash", self.vae_sha256 and self.vae_sha256[:_SHORT]
        yield "VAE", self.vae_name

    def refined(self, switch_at: float) -> Iterator[tuple[str, object]]:
        """The refiner, as `name [hash]`, and the part of the way after which it goes on."""
        digits = f" [{self.refiner_sha256[:_SHORT]}]" if self.refiner_sha256 else ""
        yield "Refiner", None if self.refiner_name is None else f"{self.refiner_name}{digits}"
        is_told = self.refiner_name is not None or switch_at != _USUAL_SWITCH
        yield "Refiner switch at", str(switch_at).removesuffix(".0") if is_told else None

    def others(self) -> Iterator[tuple[str, object]]:
        """The settings at the end."""
        yield "Lora hashes", hashes_text(self.loras)
        yield "TI hashes", self._embeddings()
        yield "Merge recipe", self.recipe
        yield from ((f"Module {number}", name) for number, name in enumerate(self.modules, start=1))
        yield "Version", f"modelhub {__version__}"

    def _embeddings(self) -> str | None:
        known = {one_line(name).replace(":", "").replace(",", ""): sha256 for name, sha256 in self.embeddings if sha256}
        return ", ".join(f"{name}: {sha256[:_EMBEDDING]}" for name, sha256 in known.items()) or None
