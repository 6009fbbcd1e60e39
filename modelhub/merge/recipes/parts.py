"""What a recipe is made of: models, steps, LoRAs, and where the parts of the result come from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from modelhub.catalog.blocks import DENOISER, TEXT_ENCODERS, VAE
from modelhub.catalog.weighing.key_rules import component_of
from modelhub.catalog.weighing.weight import Weight
from modelhub.merge.recipes.text import dumps
from modelhub.merge.registry import Value

MERGE_VAE = "merge"
#: Components that a step can be limited to, or that can be taken from one model; the last but one is all text encoders.
ALL_TEXT_ENCODERS = "text_encoder"
COMPONENTS = (DENOISER, *TEXT_ENCODERS, ALL_TEXT_ENCODERS, VAE)
COMPATS = ("a1111",)
EMAS = ("drop", "keep")


@dataclass(frozen=True, slots=True)
class ModelRef:
    """A model of a recipe: how it is named, and the SHA256 it is pinned to, if any."""

    ref: str
    sha256: str | None = None

    def as_plain(self) -> str | dict[str, str]:
        """The model as TOML has it."""
        if self.sha256 is None:
            return self.ref
        return {"sha256": self.sha256} if self.ref == self.sha256 else {"ref": self.ref, "sha256": self.sha256}


@dataclass(frozen=True, slots=True)
class Step:
    """One application of a method to models and results of earlier steps.

    `only`: the components that it is applied to ("unet", "te1"); the others are those of its first input.
    """

    method: str
    inputs: tuple[str, ...]
    parameters: Mapping[str, Value | Weight] = field(default_factory=dict)
    name: str = ""
    only: tuple[str, ...] = ()

    def as_table(self) -> dict[str, Any]:
        """The step as TOML has it."""
        table: dict[str, Any] = {"name": self.name} if self.name else {}
        table |= {"method": self.method, "inputs": list(self.inputs)}
        table |= {"only": list(self.only)} if self.only else {}
        return table | {name: _plain(value) for name, value in self.parameters.items()}


@dataclass(frozen=True, slots=True)
class Lora:
    """A LoRA, or one of its kin, that is baked into the result: its letter, and its strength at every place."""

    model: str
    weight: float | Weight = 1.0

    def as_table(self) -> dict[str, Any]:
        """The LoRA as TOML has it."""
        return {"model": self.model, "weight": _plain(self.weight)}


@dataclass(frozen=True, slots=True)
class Recipe:
    """A whole merge; the last step is the result, into which `loras` are baked, one after the other.

    Without steps the result is the one model that is nothing else, which is `base`.
    `vae` is a model's letter, "merge", or None for the first model's; `take` names the model that another component
    comes from as it is ({"te1": "A"}). `compat` is None or "a1111". `ema`: "drop" or "keep" (that of the first model).
    `notes` are sentences on what could not be taken over from another program's recipe; they are not written.
    """

    models: Mapping[str, ModelRef]
    steps: tuple[Step, ...]
    name: str = ""
    dtype: str | None = None
    vae: str | None = None
    take: Mapping[str, str] = field(default_factory=dict)
    compat: str | None = None
    ema: str = "drop"
    notes: tuple[str, ...] = field(default=(), compare=False)
    loras: tuple[Lora, ...] = ()

    @property
    def base(self) -> str | None:
        """The letter of the model that a recipe without steps is about; None if it has steps, or does not say which."""
        others = {*self.take.values(), self.vae}
        models = [key for key in self.models if key not in self.baked]
        found = [key for key in models if key not in others] or models
        return found[0] if len(found) == 1 and not self.steps else None

    @property
    def baked(self) -> frozenset[str]:
        """The letters of the LoRAs."""
        return frozenset(lora.model for lora in self.loras)

    def pinned(self, hashes: Mapping[str, str]) -> Recipe:
        """This recipe with the SHA256 of each model filled in."""
        models = {key: replace(model, sha256=hashes.get(key, model.sha256)) for key, model in self.models.items()}
        return replace(self, models=models)

    def as_table(self) -> dict[str, Any]:
        """The recipe as TOML has it."""
        table: dict[str, Any] = {"name": self.name} if self.name else {}
        table["models"] = {key: model.as_plain() for key, model in self.models.items()}
        table |= {"steps": [step.as_table() for step in self.steps]} if self.steps else {}
        table |= {"loras": [lora.as_table() for lora in self.loras]} if self.loras else {}
        output = {"dtype": self.dtype, "vae": self.vae, **self.take, "compat": self.compat}
        output["ema"] = self.ema if self.ema != EMAS[0] else None
        said = {name: value for name, value in output.items() if value}
        return table | ({"output": said} if said else {})

    def dumps(self) -> str:
        """The recipe as TOML; `parse_recipe` of it gives an equal recipe."""
        return dumps(self.as_table())


def _plain(value: Value | Weight) -> Any:
    return value.toml() if isinstance(value, Weight) else list(value) if isinstance(value, tuple) else value


def component_called(word: str) -> str:
    """A component as recipes name it, by whatever people call it ("te", "denoiser"); other words as they are."""
    found = component_of(word)
    return ALL_TEXT_ENCODERS if found == "te" else found or word


def letters() -> Iterator[str]:
    """A, B, … Z, AA, AB, … : names for any number of models."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    yield from alphabet
    for first in letters():
        yield from (first + last for last in alphabet)


def is_sha256(text: str) -> bool:
    """Whether a text is 64 lower-case hexadecimal digits."""
    return re.fullmatch("[0-9a-f]{64}", text) is not None
