"""Recipes: the text of a merge, in TOML, readable by a person and run again by a program.

    name = "a third of pastel"

    [models]
    A = "tiny-shapes-base"                             # a name, path, #id or hash
    B = { ref = "tiny-shapes-pastel", sha256 = "…" }   # pinned to one content

    [[steps]]
    method = "weighted-sum"
    inputs = ["A", "B"]
    alpha = 0.33

    [output]                                           # optional
    dtype = "fp16"                                     # default: as in the first input
    vae = "A"                                          # whose VAE; "merge" to merge it too

A step may have a `name`, and later steps may take it as an input: nothing is written in between.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from modelhub.errors import BadRecipeError, NotFoundError
from modelhub.formats.cast import PRECISIONS
from modelhub.merge.registry import Method, find_method

MERGE_VAE = "merge"
#: Methods and models that the result may be made of when every step is written out where it is used.
_MAX_SIZE = 300


@dataclass(frozen=True, slots=True)
class ModelRef:
    """A model of a recipe: how it is named, and the SHA256 it is pinned to, if any."""

    ref: str
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One application of a method to models and results of earlier steps."""

    method: str
    inputs: tuple[str, ...]
    parameters: Mapping[str, float] = field(default_factory=dict)
    name: str = ""


@dataclass(frozen=True, slots=True)
class Recipe:
    """A whole merge; the last step is the result. `vae` is a model's letter, "merge", or None for the first model's."""

    models: Mapping[str, ModelRef]
    steps: tuple[Step, ...]
    name: str = ""
    dtype: str | None = None
    vae: str | None = None

    def pinned(self, hashes: Mapping[str, str]) -> Recipe:
        """This recipe with the SHA256 of each model filled in."""
        models = {key: replace(model, sha256=hashes.get(key, model.sha256)) for key, model in self.models.items()}
        return replace(self, models=models)

    def dumps(self) -> str:
        """The recipe as TOML; `parse_recipe` of it gives an equal recipe."""
        import tomli_w

        table: dict[str, Any] = {"name": self.name} if self.name else {}
        table["models"] = {
            key: {"ref": model.ref, "sha256": model.sha256} if model.sha256 else model.ref
            for key, model in self.models.items()
        }
        table["steps"] = [_step_table(step) for step in self.steps]
        output = {name: value for name, value in (("dtype", self.dtype), ("vae", self.vae)) if value}
        return tomli_w.dumps(table | ({"output": output} if output else {}))


def _step_table(step: Step) -> dict[str, Any]:
    named = {"name": step.name} if step.name else {}
    return {**named, "method": step.method, "inputs": list(step.inputs), **step.parameters}


def simple_recipe(
    method: str,
    refs: Sequence[str],
    *,
    name: str = "",
    parameters: Mapping[str, float] | None = None,
    vae: str | None = None,
    dtype: str | None = None,
) -> Recipe:
    """The recipe of one step over `refs`, which become A, B, C; `vae` is a REF, or "merge".

    Raises BadRecipeError, and NotFoundError for a method that does not exist.
    """
    models = {letter: ModelRef(ref) for letter, ref in zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", refs, strict=False)}
    step = Step(find_method(method).name, tuple(models), dict(parameters or {}))
    if vae and vae != MERGE_VAE:
        models["VAE"] = ModelRef(vae)
        vae = "VAE"
    return checked(Recipe(models, (step,), name, dtype, vae))


def parse_recipe(text: str) -> Recipe:
    """Read a recipe. Raises BadRecipeError with what is wrong and where."""
    try:
        table = tomllib.loads(text)
    except RecursionError as error:
        raise BadRecipeError("The recipe is nested too deeply.", "Write it as a flat list of steps.") from error
    except ValueError as error:  # TOMLDecodeError, and what Python says of a number with thousands of digits
        raise BadRecipeError(f"The recipe is not valid TOML: {error}.", "Mend that line.") from error
    _only(table, {"name", "models", "steps", "output", "version"}, "The recipe")
    output = _typed(table.get("output", {}), dict, "[output]")
    _only(output, {"dtype", "vae"}, "[output]")
    models = {key: _model(key, value) for key, value in _typed(table.get("models", {}), dict, "[models]").items()}
    steps = tuple(_step(value, at) for at, value in enumerate(_typed(table.get("steps", []), list, "[[steps]]"), 1))
    texts = {name: _typed(output.get(name, ""), str, f"output.{name}") or None for name in ("dtype", "vae")}
    return checked(Recipe(models, steps, _typed(table.get("name", ""), str, "name"), **texts))


_WORDS: dict[type, str] = {dict: "table", list: "list", str: "text"}


def _only(table: Mapping[str, Any], known: set[str], where: str) -> None:
    for name in table:
        if name not in known:
            raise BadRecipeError(f"{where} has an unknown entry '{name}'.", f"It may have: {', '.join(sorted(known))}.")


def _typed(value: Any, kind: type, where: str) -> Any:
    if not isinstance(value, kind):
        raise BadRecipeError(f"{where} must be a {_WORDS[kind]}, not {value!r}.", "See `modelhub merge --help`.")
    return value


def _model(key: str, value: Any) -> ModelRef:
    if isinstance(value, str):
        return ModelRef(value)
    table = _typed(value, dict, f"Model {key}")
    _only(table, {"ref", "sha256"}, f"Model {key}")
    sha256 = str(table.get("sha256", "")).lower() or None
    if sha256 and (len(sha256) != 64 or set(sha256) - set("0123456789abcdef")):
        raise BadRecipeError(
            f"Model {key} has a sha256 that is not 64 hexadecimal digits.", "Copy it from `modelhub hash`."
        )
    ref = table.get("ref", sha256)
    return ModelRef(_typed(ref, str, f"The ref of model {key}"), sha256)


def _step(value: Any, at: int) -> Step:
    table = dict(_typed(value, dict, f"Step {at}"))
    where = f"Step {at}"
    name = _typed(table.pop("name", ""), str, f"{where}: name")
    method = _typed(table.pop("method", ""), str, f"{where}: method")
    inputs = _typed(table.pop("inputs", []), list, f"{where}: inputs")
    return Step(method, tuple(_typed(item, str, f"{where}: inputs") for item in inputs), table, name)


def checked(recipe: Recipe) -> Recipe:
    """The recipe itself, with method names and parameters complete. Raises BadRecipeError when it does not add up."""
    if not recipe.steps:
        raise BadRecipeError("The recipe has no steps.", "Add a [[steps]] table with a method and its inputs.")
    if recipe.dtype and recipe.dtype not in PRECISIONS:
        raise BadRecipeError(f"The output cannot be '{recipe.dtype}'.", f"Choose one of: {', '.join(PRECISIONS)}.")
    if recipe.vae and recipe.vae not in {MERGE_VAE, *recipe.models}:
        raise BadRecipeError(
            f"The VAE is to come from '{recipe.vae}', which is no model of the recipe.", "Name one of [models]."
        )
    sizes = dict.fromkeys(recipe.models, 1)
    steps = []
    for at, step in enumerate(recipe.steps, 1):
        steps.append(_checked_step(step, sizes.keys(), f"Step {at}"))
        if step.name in sizes:
            raise BadRecipeError(f"Step {at}: the name '{step.name}' is taken.", "Give it another name.")
        size = 1 + sum(sizes[name] for name in step.inputs)
        if size > _MAX_SIZE:
            raise BadRecipeError(
                f"Step {at} would compute every number from {size} others; {_MAX_SIZE} are allowed.",
                "Merge the first steps to a file, and go on from it.",
            )
        sizes |= {step.name: size} if step.name else {}
    return replace(recipe, steps=tuple(steps))


def _checked_step(step: Step, names: Collection[str], where: str) -> Step:
    try:
        method = find_method(step.method)
    except NotFoundError as error:
        raise BadRecipeError(f"{where}: {error.message}", error.hint) from error
    if len(step.inputs) != method.inputs:
        raise BadRecipeError(
            f"{where}: {method.name} takes {method.inputs} models, not {len(step.inputs)}.", method.formula
        )
    for name in step.inputs:
        if name not in names:
            raise BadRecipeError(
                f"{where}: there is no model or earlier step '{name}'.", f"There are: {', '.join(sorted(names))}."
            )
    return replace(step, method=method.name, parameters=_parameters(step, method, where))


def _parameters(step: Step, method: Method, where: str) -> dict[str, float]:
    known = {parameter.name: parameter.default for parameter in method.parameters}
    for name, value in step.parameters.items():
        if name not in known:
            raise BadRecipeError(f"{where}: {method.name} has no parameter '{name}'.", f"It has: {', '.join(known)}.")
        if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
            raise BadRecipeError(f"{where}: {name} must be a number, not {value!r}.", "Write it as 0.5.")
        known[name] = float(value)
    return known


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number that no float can hold
        return False
