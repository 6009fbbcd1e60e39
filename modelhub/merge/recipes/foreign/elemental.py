"""supermerger's elemental rules, `BLOCKS:WORDS:NUMBER`, as numbers of patterns of tensor names.

A rule holds for a tensor whose block is one of BLOCKS and whose name contains one of WORDS; nothing stands for all, and
`NOT` in front turns a side round. BASE has the VAE too.
"""

from __future__ import annotations

from modelhub.catalog.weighing.key_rules import blocks_of, elemental
from modelhub.errors import BadRecipeError
from modelhub.merge.recipes.foreign.json_text import number_of
from modelhub.text import brief

_MOST, _LONGEST = 500, 900


def key_weights(items: list[str]) -> tuple[tuple[str, float], ...]:
    """Patterns of names and their numbers, of which the last that fits holds, as it does there.

    Raises BadRecipeError for a rule that cannot be read.
    """
    rules = [item.strip() for item in items if item.count(":") == 2]  # others are passed over there, too
    if len(rules) > _MOST or any(len(rule) > _LONGEST for rule in rules):
        raise BadRecipeError("The recipe has more or longer elemental rules than modelhub reads.", "Shorten them.")
    return tuple(map(_key_weight, rules))


def _key_weight(rule: str) -> tuple[str, float]:
    blocks, words, number = rule.split(":")
    if "*" in words:
        raise BadRecipeError(f"The elemental rule '{brief(rule)}' has stars.", "Its words are parts of tensor names.")
    has_base = any("BASE" in blocks_of(word) for word in blocks.split())
    try:
        pattern = elemental(f"{blocks.upper()} vae" if has_base else blocks.upper(), words)
    except ValueError as error:
        raise BadRecipeError(f"The elemental rule '{brief(rule)}' names no block of SD.", "See BASE, IN00 …") from error
    return pattern, number_of({"number": number.strip()}, "number")
