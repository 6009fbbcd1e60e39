"""supermerger's `sd_merge_recipe`: a mode, a way to calculate, and 25, 20 or 60 block weights beside a base.

Source of the fields and of what they do: `scripts/mergers/mergers.py` of sd-webui-supermerger. It merges the VAE like
the text encoder, except by cosine, in Flux, and where SDXL's 20th weight says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from modelhub.catalog.weighing.weight import Weight
from modelhub.errors import BadRecipeError
from modelhub.merge.recipes.foreign.elemental import key_weights
from modelhub.merge.recipes.foreign.json_text import number_of, text_of
from modelhub.merge.recipes.foreign.named import model_of
from modelhub.merge.recipes.parts import MERGE_VAE, Recipe, Step
from modelhub.merge.registry import Value
from modelhub.text import brief

TYPE = "sd-webui-supermerger"
_SD1 = ("BASE", *(f"IN{n:02}" for n in range(12)), "M00", *(f"OUT{n:02}" for n in range(12)))
_SDXL = ("BASE", *(f"IN{n:02}" for n in range(9)), "M00", *(f"OUT{n:02}" for n in range(9)))
_FLUX = ("CLIP", "T5", "IN", *(f"D{n:02}" for n in range(19)), *(f"S{n:02}" for n in range(38)), "OUT")
#: Blocks by the number of weights beside the base, which is the first block's; the 20th of SDXL is the VAE's.
_BLOCKS = {25: _SD1, 20: _SDXL, 19: _SDXL, 60: _FLUX}


class _Way(NamedTuple):
    """A method of ours, whether it takes C, whether beta counts, whether it changes the VAE, and the mode it needs."""

    method: str
    third: bool
    beta: bool = False
    vae: bool = True
    mode: str = ""


#: By the word that tells a mode, when it calculates normally.
_MODES = {
    "Weight": _Way("weighted-sum", False),
    "Add": _Way("add-difference", True),
    "Triple": _Way("triple-sum", True, True),
    "Twice": _Way("sum-twice", True, True),
}
#: Ways to calculate that leave the modes behind.
_CALCULATIONS = {
    "cosineA": _Way("cosine-a", False, vae=False, mode="Weight"),
    "cosineB": _Way("cosine-b", False, vae=False, mode="Weight"),
    "trainDifference": _Way("train-difference", True),
    "smoothAdd": _Way("smooth-add", True, mode="Add"),
    "smoothAdd MT": _Way("smooth-add", True, mode="Add"),
    "tensor": _Way("tensor-sum", False, True, mode="Weight"),
}


def read_supermerger(table: Mapping[str, Any], known: Mapping[str, Any]) -> Recipe:
    """The recipe in a table of type "sd-webui-supermerger"; `known` has names by hash. Raises BadRecipeError."""
    way = _way(text_of(table, "mode"), text_of(table, "calcmode") or "normal")
    letters = ("A", "B", "C") if way.third else ("A", "B")
    models = {letter: model_of(table.get(f"model_{letter.lower()}"), known, f"model {letter}") for letter in letters}
    rules, blocks = _rules(table), _weights(table, "alpha")
    parameters: dict[str, Value | Weight] = {"alpha": _weight(table, "alpha", rules)}
    if way.beta:
        parameters["beta"] = _weight(table, "beta", ())
    _check_limits(table)
    is_flux, is_xl = len(blocks) == 60, len(blocks) == 20
    merges_vae = way.vae and not is_flux and not (is_xl and blocks[-1] == 0)
    step = Step(way.method, letters, parameters)
    return Recipe(models, (step,), vae=MERGE_VAE if merges_vae else None, notes=_notes(is_flux))


def _way(mode: str, calculation: str) -> _Way:
    if calculation in _CALCULATIONS:
        found = _CALCULATIONS[calculation]
        if found.mode in mode:
            return found
        what = f"The recipe calculates by '{calculation}' in the mode '{brief(mode)}', which has no equal here."
        raise BadRecipeError(what, f"It has one in the mode {found.mode}.")
    if calculation == "extract":
        what = "The recipe calculates by 'extract', and does not tell the gamma that it was done with."
        raise BadRecipeError(what, "Write the recipe by hand: our extract has the same parameters.")
    if calculation != "normal":
        raise BadRecipeError(
            f"The recipe calculates by '{brief(calculation)}', for which modelhub has no equal method.",
            f"What it has: normal, {', '.join(_CALCULATIONS)}.",
        )
    for word, way in _MODES.items():
        if word in mode:
            return way
    raise BadRecipeError(f"The recipe's mode '{brief(mode)}' is unknown.", f"Known are: {', '.join(_MODES)}.")


def _weights(table: Mapping[str, Any], which: str) -> list[float]:
    """The block weights without the base; none where the recipe has none."""
    found = table.get(f"weights_{which}")
    if table.get("mbw") in (None, False, "False") or found in (None, "", []):
        return []
    items = found.split(",") if isinstance(found, str) else found
    if not isinstance(items, list) or len(items) > 61:
        raise _bad_weights(which, "no list of numbers")
    numbers = [number_of({"weight": item}, "weight") for item in items]
    if len(numbers) in (26, 61):
        numbers = numbers[1:]  # as the user typed it: the base comes first
    if len(numbers) not in _BLOCKS:
        raise _bad_weights(which, f"{len(numbers)} numbers")
    return numbers


def _bad_weights(which: str, found: str) -> BadRecipeError:
    return BadRecipeError(f"The recipe's weights_{which} are {found}.", "It has 25, 20 or 60 numbers beside the base.")


def _weight(table: Mapping[str, Any], which: str, rules: tuple[tuple[str, float], ...]) -> float | Weight:
    base, numbers = number_of(table, f"base_{which}", 0.0), _weights(table, which)
    if not numbers and not rules:
        return base
    components = {"vae": numbers[19]} if len(numbers) == 20 else {}
    names = _BLOCKS[len(numbers)] if numbers else ()
    return Weight(base, components, dict(zip(names, [base, *numbers], strict=False)), rules)


def _rules(table: Mapping[str, Any]) -> tuple[tuple[str, float], ...]:
    found = table.get("elemental_merge")
    items = found.replace("\n", ",").split(",") if isinstance(found, str) else found or []
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise BadRecipeError("The recipe's elemental_merge is no list of rules.", "A rule is BLOCKS:WORDS:NUMBER.")
    return key_weights(items)


def _check_limits(table: Mapping[str, Any]) -> None:
    """Refuse a merge that was limited to some blocks or elements."""
    for name in ("Include", "Exclude"):
        items = table.get(name)
        said = [item for item in items if item] if isinstance(items, list) else items
        if said:
            raise BadRecipeError(
                f"The recipe's list {name} ({brief(str(said)[:1000])}) limits the merge to a part of the tensors, "
                "which has no equal here.",
                "Write the recipe down by hand: a table of block weights with 0 for what is left out.",
            )


def _notes(is_flux: bool) -> tuple[str, ...]:
    notes = ["supermerger's recipe does not tell the precision of the file, nor a VAE that was baked in."]
    if is_flux:
        notes.append("supermerger does not merge the VAE of Flux; it is that of the first model.")
    return tuple(notes)
