"""Recipes: the text of a merge, in TOML, readable by a person and run again by a program.

    name = "a third of pastel"

    [models]
    A = "tiny-shapes-base"                             # a name, path, #id or hash
    B = { ref = "tiny-shapes-pastel", sha256 = "…" }   # pinned to one content

    [[steps]]
    method = "weighted-sum"
    inputs = ["A", "B"]
    alpha = 0.33                                       # or block weights: a list, a preset, a table
    only = ["unet"]                                    # what is not named is that of the first input

    [[loras]]                                          # optional: baked into the result, in this order
    model = "L1"                                       # one of [models]
    weight = 0.8                                       # default 1; or block weights, as above

    [output]                                           # optional
    dtype = "fp16"                                     # default: as in the first input
    vae = "A"                                          # whose VAE; "merge" to merge it too
    te1 = "B"                                          # whose first text encoder, as it is; or text_encoder, te2, unet
    compat = "a1111"                                   # compute as AUTOMATIC1111 does, to the bit
    ema = "keep"                                       # the first model's EMA weights; default: "drop"

A step may have a `name`, and later steps may take it as an input: nothing is written in between. An input may also be
a step itself: `inputs = ["A", { method = "weighted-sum", inputs = ["B", "C"] }]`. Without steps, LoRAs or another
model's VAE are baked into the one model that is neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelhub.errors import BadRecipeError
from modelhub.formats.toml import read_toml
from modelhub.merge.recipes.checks import checked
from modelhub.merge.recipes.making import bake_recipe, simple_recipe, with_loras
from modelhub.merge.recipes.parts import COMPONENTS, MERGE_VAE, Lora, ModelRef, Recipe, Step, is_sha256
from modelhub.text import brief, brief_value

__all__ = [
    "MERGE_VAE",
    "Lora",
    "ModelRef",
    "Recipe",
    "Step",
    "bake_recipe",
    "checked",
    "parse_recipe",
    "simple_recipe",
    "with_loras",
]

#: Steps inside of steps inside of steps.
_DEPTH = 20
_LONGEST = 1_000_000
_WORDS: dict[type, str] = {dict: "table", list: "list", str: "text"}
_TAKEN = tuple(name for name in COMPONENTS if name != "vae")


def parse_recipe(text: str) -> Recipe:
    """Read a recipe. Raises BadRecipeError with what is wrong and where."""
    if len(text) > _LONGEST:
        raise BadRecipeError(f"The recipe has {len(text):,} characters; {_LONGEST:,} are allowed.", "Shorten it.")
    try:
        table = read_toml(text)
    except ValueError as error:  # TOMLDecodeError, and what Python says of a number with thousands of digits
        raise BadRecipeError(f"The recipe is not valid TOML: {error}.", "Mend that line.") from error
    _only(table, {"name", "models", "steps", "loras", "output", "version"}, "The recipe")
    models = {key: _model(key, value) for key, value in _typed(table.get("models", {}), dict, "[models]").items()}
    steps: list[Step] = []
    for at, value in enumerate(_typed(table.get("steps", []), list, "[[steps]]"), 1):
        _add_step(value, f"{at}", steps, "")
    loras = tuple(_lora(value, at) for at, value in enumerate(_typed(table.get("loras", []), list, "[[loras]]"), 1))
    name = _typed(table.get("name", ""), str, "name")
    return checked(Recipe(models, tuple(steps), name, loras=loras, **_output(table.get("output", {}))))


def _output(value: Any) -> dict[str, Any]:
    table = _typed(value, dict, "[output]")
    _only(table, {"dtype", "compat", "ema", *COMPONENTS}, "[output]")
    texts = {name: _typed(text, str, f"output.{name}") for name, text in table.items()}
    found: dict[str, Any] = {name: texts.get(name) or None for name in ("dtype", "vae", "compat")}
    taken = {name: text for name, text in texts.items() if name in _TAKEN and text}
    return {**found, "take": taken, "ema": texts.get("ema") or "drop"}


def _only(table: Mapping[str, Any], known: set[str], where: str) -> None:
    for name in table:
        if name not in known:
            what = f"{where} has an unknown entry '{brief(name)}'."
            raise BadRecipeError(what, f"It may have: {', '.join(sorted(known))}.")


def _typed(value: Any, kind: type, where: str) -> Any:
    if not isinstance(value, kind):
        what = f"{where} must be a {_WORDS[kind]}, not {brief_value(value)}."
        raise BadRecipeError(what, "See `modelhub merge --help`.")
    return value


def _model(key: str, value: Any) -> ModelRef:
    if isinstance(value, str):
        return ModelRef(value)
    where = f"Model {brief(key)}"
    table = _typed(value, dict, where)
    _only(table, {"ref", "sha256"}, where)
    sha256 = _typed(table.get("sha256", ""), str, f"{where}: sha256").lower() or None
    if sha256 and not is_sha256(sha256):
        raise BadRecipeError(
            f"{where} has a sha256 that is not 64 hexadecimal digits.", "Copy it from `modelhub hash`."
        )
    return ModelRef(_typed(table.get("ref", sha256), str, f"{where}: ref"), sha256)


def _lora(value: Any, at: int) -> Lora:
    where = f"LoRA {at}"
    table = _typed(value, dict, where)
    _only(table, {"model", "weight"}, where)
    return Lora(_typed(table.get("model", ""), str, f"{where}: model"), table.get("weight", 1.0))


def _add_step(value: Any, at: str, steps: list[Step], name: str) -> None:
    """Read a step and add it after those that stand in its inputs, which get the names step-1-1, step-1-2."""
    where = f"Step {at}"
    if at.count(".") > _DEPTH:
        raise BadRecipeError("The recipe is nested too deeply.", "Write it as a flat list of steps.")
    table = dict(_typed(value, dict, where))
    name = _typed(table.pop("name", name), str, f"{where}: name")
    method = _typed(table.pop("method", ""), str, f"{where}: method")
    inputs = []
    for number, item in enumerate(_typed(table.pop("inputs", []), list, f"{where}: inputs"), 1):
        if isinstance(item, dict):
            _add_step(item, f"{at}.{number}", steps, f"step-{at}-{number}".replace(".", "-"))
            item = steps[-1].name
        inputs.append(_typed(item, str, f"{where}: inputs"))
    only = _typed(table.pop("only", []), list, f"{where}: only")
    parts = tuple(_typed(part, str, f"{where}: only") for part in only)
    parameters: dict[str, Any] = {key.replace("-", "_"): item for key, item in table.items()}
    steps.append(Step(method, tuple(inputs), parameters, name, parts))
