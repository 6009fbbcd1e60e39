"""Weights of recipes: a number, a list, a line of words, or a table.

alpha = 0.3
alpha = "GRAD_V, te=0.5"                         # the words of the command line
alpha = { default = 0.5, te1 = 0.2, unet = 0.3, IN00 = 0.1, "IN03-IN06" = 0.2 }
alpha = { preset = "GRAD_V", keys = { "*attn2*" = 0.0 } }
alpha = { preset = { from = "GRAD_V", to = "FLAT_25", at = 0.3 } }
alpha = { blocks = [0, 1, 0.9, …], vae = 0 }     # 26 numbers, 20, 21 (with the VAE) or 61; or a text of them
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from modelhub.catalog.weighing.draft import MAX_KEYS, Draft
from modelhub.catalog.weighing.presets import Blend
from modelhub.catalog.weighing.weight import Spot, Weight
from modelhub.catalog.weighing.words import read_weight, weight_text
from modelhub.text import brief

__all__ = ["Blend", "Spot", "Weight", "parse_weight", "read_weight", "weight_text"]

_MAX_NUMBERS = 200


def parse_weight(value: object, where: str = "The weight") -> Weight:
    """The weight that a value of a recipe says. Raises BadRecipeError with what is wrong and where."""
    if isinstance(value, str):
        return read_weight(value, where)
    draft = Draft(where)
    if isinstance(value, Mapping):
        _table(draft, value)
    elif isinstance(value, list | tuple):
        draft.numbers(_numbers(draft, value))
    else:
        draft.base(draft.number(value, "it"))
    return draft.weight()


def _numbers(draft: Draft, values: Sequence[object]) -> list[float]:
    if len(values) > _MAX_NUMBERS:
        raise draft.wrong(f"it has {len(values):,} numbers.", "SD 1 and 2 have 26 blocks, SDXL 20 and Flux 61.")
    return [draft.number(value, f"number {at}") for at, value in enumerate(values, 1)]


def _table(draft: Draft, table: Mapping[str, Any]) -> None:
    if len(table) > MAX_KEYS:
        raise draft.wrong(f"it has {len(table):,} entries.", "Name stretches of blocks: IN03-IN06.")
    for name, value in table.items():
        if name == "default":
            draft.base(draft.number(value, "default"))
        elif name == "preset":
            _preset(draft, value)
        elif name == "blocks":
            _blocks(draft, value)
        elif name == "keys":
            _keys(draft, value)
        elif not draft.named(name, draft.number(value, brief(name))):
            raise draft.unknown(name)


def _preset(draft: Draft, value: object) -> None:
    if isinstance(value, str):
        draft.preset(value)
        return
    if not isinstance(value, Mapping) or set(value) != {"from", "to", "at"}:
        raise draft.wrong("preset is neither a name nor a way from one to another.", _BETWEEN)
    first, second = value["from"], value["to"]
    if not (isinstance(first, str) and isinstance(second, str) and first and second):
        raise draft.wrong("preset goes between two names.", _BETWEEN)
    draft.preset(first, second, draft.number(value["at"], "preset.at"))


_BETWEEN = 'Write preset = "GRAD_V", or preset = { from = "GRAD_V", to = "FLAT_25", at = 0.3 }.'


def _blocks(draft: Draft, value: object) -> None:
    if isinstance(value, str) and len(value) < 100 * _MAX_NUMBERS:
        words = re.split(r"[\s,;]+", value.strip().strip(",;"))[: _MAX_NUMBERS + 1]
        value = [_float(draft, word) for word in words]
    if not isinstance(value, list | tuple):
        raise draft.wrong("blocks is not a list of numbers.", "Write 26 numbers, 20 or 61.")
    draft.numbers(_numbers(draft, value))


def _float(draft: Draft, word: str) -> float:
    weight = read_weight(word, draft.where)
    if weight.base is None:
        raise draft.wrong(f"'{brief(word)}' is not a number.", "blocks is a list of numbers.")
    return weight.base


def _keys(draft: Draft, value: object) -> None:
    if not isinstance(value, Mapping) or len(value) > MAX_KEYS:
        raise draft.wrong("keys is not a table of patterns.", 'Write keys = { "*attn2*" = 0.0 }.')
    for pattern, number in value.items():
        draft.key(pattern, draft.number(number, brief(pattern)))
