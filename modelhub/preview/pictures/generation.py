"""Generation: how a picture was made, whoever made it, in the words of A1111's infotext."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from modelhub.preview.pictures.names import split_sampler

_SIZE = re.compile(r"\s*(\d{1,6})\s*[xX×]\s*(\d{1,6})\s*")


@dataclass(frozen=True, slots=True)
class Made:
    """A model that a picture was made with, as its writer names it.

    `role` is checkpoint, merge (one that was never written), diffusion-model, vae, text-encoder, lora, embedding,
    hypernetwork, upscaler, refiner, controlnet, or other. `hash` is lower-case hex digits, of which hash and how many
    is the writer's choice. `model` and `version` are Civitai's ids. `weight` is the strength on the denoiser,
    `text_weight` on the text encoders where that differs.
    """

    role: str
    name: str | None = None
    hash: str | None = None
    weight: float | None = None
    text_weight: float | None = None
    model: int | None = None
    version: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "role": self.role,
            "name": self.name,
            "hash": self.hash,
            "weight": self.weight,
            "text_weight": self.text_weight,
            "civitai_model": self.model,
            "civitai_version": self.version,
        }


@dataclass(frozen=True, slots=True)
class Generation:
    """How a picture was made. `settings` has A1111's keys and texts as values, in order, whoever wrote them.

    `software` is who wrote it, as people call it; "" where nobody says. `infotext` is the text as it was written, for
    those who write one. `notes` are sentences about what could not be read. All of it comes from a stranger's file.
    """

    software: str = ""
    prompt: str = ""
    negative: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    models: Sequence[Made] = ()
    infotext: str | None = None
    notes: Sequence[str] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing at all is known."""
        return not (self.prompt or self.negative or self.settings or self.models)

    @property
    def sampler(self) -> str | None:
        """The sampler in A1111's words; unknown ones as they are."""
        name = self.settings.get("Sampler")
        return split_sampler(name)[0] if name else None

    @property
    def schedule(self) -> str | None:
        """The schedule in A1111's words, also where it ends the name of the sampler."""
        name = self.settings.get("Sampler")
        return split_sampler(name or "Euler", self.settings.get("Schedule type"))[1]

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height in pixels of the first pass."""
        return read_size(self.settings.get("Size"))

    @property
    def recipe(self) -> str | None:
        """The recipe of a merge that was never written, in a picture of modelhub."""
        return self.settings.get("Merge recipe")

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without the models; what is not known is None."""
        size = self.size or (None, None)
        return {
            "software": self.software or None,
            "prompt": None if self.is_empty else self.prompt,
            "negative": None if self.is_empty else self.negative,
            "sampler": self.sampler,
            "schedule": self.schedule,
            "steps": whole(self.settings.get("Steps")),
            "cfg": number(self.settings.get("CFG scale")),
            "seed": whole(self.settings.get("Seed")),
            "width": size[0],
            "height": size[1],
            "settings": dict(self.settings),
            "recipe": self.recipe,
            "infotext": self.infotext,
            "notes": [*self.notes, *(["The picture does not say how it was made."] if self.is_empty else [])],
        }


def read_size(text: str | None) -> tuple[int, int] | None:
    """`512x768` as width and height; None for anything else."""
    match = _SIZE.fullmatch(text or "")
    return (int(match[1]), int(match[2])) if match else None


def whole(text: object) -> int | None:
    """A whole number of up to 20 digits (seeds of 64 bits), also written as a decimal; None for anything else."""
    said = str(text).strip() if isinstance(text, str | int | float) and not isinstance(text, bool) else ""
    match = re.fullmatch(r"([+-]?\d{1,20})(?:\.0+)?", said, re.ASCII)
    return int(match[1]) if match else None


def number(text: object) -> float | None:
    """A finite number; None for anything else."""
    if isinstance(text, bool) or not isinstance(text, str | int | float):
        return None
    try:
        found = float(str(text)[:40])
    except ValueError:
        return None
    return found if -1e30 < found < 1e30 else None


def digits(text: object) -> str | None:
    """A hash in lower-case hex, without a prefix such as `0x` or `blake3:`; None for what is none, as `random:` is."""
    said = str(text).strip().lower() if isinstance(text, str) else ""
    how, _, said = said.rpartition(":")
    said = "" if how == "random" else said.removeprefix("0x")
    return said if re.fullmatch(r"[0-9a-f]{4,64}", said) and set(said) != {"0"} else None
