"""A stack of LoRAs: each with its strengths and block weights, and which of them count."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

from modelhub.catalog.asset import Asset
from modelhub.catalog.blocks import TEXT_ENCODERS
from modelhub.catalog.weighing.weight import Weight
from modelhub.lora.baking.words import read_block_weights, times
from modelhub.preview.prompts.tags import Tag, tagged

#: As many LoRAs as a stack may have.
MOST = 12
_LONGEST = 2_000


@dataclass(frozen=True, slots=True)
class Entry:
    """A LoRA of the stack. `text` is the strength in the text encoders, None for that of the U-Net.

    `blocks` are block weights in words, which `unet` multiplies; a muted one does not count, and beside one that is
    `alone` only such ones do.
    """

    asset: Asset
    unet: float = 1.0
    text: float | None = None
    blocks: str = ""
    muted: bool = False
    alone: bool = False

    @property
    def weight(self) -> float | Weight:
        """The strength, as a recipe has it. Raises BadRecipeError for block weights that cannot be read."""
        if not self.blocks and self.text in (None, self.unet):
            return self.unet
        found = times(read_block_weights(self.blocks), self.unet) if self.blocks else Weight(self.unet)
        if self.text is None:
            return found
        others = {name: value for name, value in found.components.items() if name not in TEXT_ENCODERS}
        return replace(found, components={**others, "te": self.text})

    @property
    def has_text(self) -> bool:
        """Whether it changes text encoders, as far as is known."""
        parts = (self.asset.adapter or {}).get("components") or {}
        return not isinstance(parts, Mapping) or parts.get("text_encoder") != 0

    def at(self, strength: float) -> Entry:
        """The same with another strength; that of the text encoders, where it is apart, keeps its proportion."""
        text = self.text * strength / self.unet if self.text is not None and self.unet else None
        return replace(self, unet=strength, text=text, muted=False)


def counted(entries: Iterable[Entry]) -> list[Entry]:
    """Those that are not muted; beside ones that are alone, only these."""
    heard = [entry for entry in entries if not entry.muted]
    return [entry for entry in heard if entry.alone] or heard


def strengths(entries: Iterable[Entry]) -> list[tuple[Asset, float | Weight]]:
    """The LoRAs that count, in their order, each with its strength. Raises BadRecipeError."""
    return [(entry.asset, entry.weight) for entry in counted(entries)]


def moved(entries: Sequence[Entry], at: int, by: int) -> tuple[Entry, ...]:
    """The stack with the one at `at` so many places further down."""
    found = list(entries)
    found.insert(max(0, at + by), found.pop(at))
    return tuple(found)


def prompt_words(entries: Iterable[Entry]) -> tuple[str, list[str]]:
    """Tags for a prompt, `<lora:style:0.8>`, and the names of LoRAs of which they do not tell all, or nothing."""
    found, short = [], []
    for entry in counted(entries):
        plain = replace(entry, blocks="").weight
        weight = plain if isinstance(plain, Weight) else Weight(plain)
        text = tagged("", [Tag(entry.asset.path.stem, weight)])
        found += [text] if text else []
        short += [entry.asset.path.stem] if entry.blocks or not text else []
    return " ".join(found), short


def plain(entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """A stack as plain values, to be remembered."""
    return [
        {
            "path": str(entry.asset.path), "unet": entry.unet, "text": entry.text, "blocks": entry.blocks,
            "muted": entry.muted, "alone": entry.alone,
        }
        for entry in entries
    ]  # fmt: skip


def recalled(values: object) -> list[tuple[str, dict[str, Any]]]:
    """Paths, and what `Entry` is made of beside the asset, of what was remembered; what makes no sense is left out."""
    rows = values if isinstance(values, list) else []
    good = [row for row in rows if isinstance(row, dict) and isinstance(row.get("path"), str) and row["path"]]
    return [(row["path"], _fields(row)) for row in good[:MOST]]


def _fields(row: Mapping[str, Any]) -> dict[str, Any]:
    unet = number(row.get("unet"))
    blocks = row.get("blocks")
    return {
        "unet": 1.0 if unet is None else unet,
        "text": number(row.get("text")),
        "blocks": blocks if isinstance(blocks, str) and len(blocks) < _LONGEST else "",
        "muted": row.get("muted") is True,
        "alone": row.get("alone") is True,
    }


def number(value: object) -> float | None:
    """A number that can be computed with, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if isfinite(found) else None
