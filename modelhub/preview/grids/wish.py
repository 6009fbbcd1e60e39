"""A wish: everything that decides the weights of a picture, in words; whoever opens models makes it come true."""

from __future__ import annotations

from dataclasses import dataclass, replace

from modelhub.preview.grids.names import short_name


@dataclass(frozen=True, slots=True, order=True)
class Wish:
    """`source` is a REF or a recipe file, which takes other `models` (letter and REF of each), and whose method takes
    other `parameters` and `blocks` (name and text of each).

    `loras` are words such as `style:0.8`, beside those that a prompt names; `vae` and `refiner` are REFs, "" for the
    model's own and for none. `shell` is the REF of a checkpoint in which `source`, a denoiser alone, is rendered.
    """

    source: str
    models: tuple[tuple[str, str], ...] = ()
    parameters: tuple[tuple[str, str], ...] = ()
    blocks: tuple[tuple[str, str], ...] = ()
    loras: tuple[str, ...] = ()
    vae: str = ""
    refiner: str = ""
    shell: str = ""

    @property
    def unchanged(self) -> Wish:
        """The same of a model, or of a recipe as it is."""
        return replace(self, models=(), parameters=(), blocks=())

    @property
    def changes(self) -> list[str]:
        """What a recipe is changed in, in words: `B: photo`, `alpha 0.5`, `IN04 1`."""
        models = [f"{letter}: {short_name(ref)}" for letter, ref in self.models]
        return [*models, *(f"{name} {value}" for name, value in (*self.parameters, *self.blocks))]
