"""Does a recipe add up? Methods, inputs, parameters and outputs are checked and completed before any file is opened."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from itertools import islice

from modelhub.catalog.weighing.weight import Weight
from modelhub.errors import BadRecipeError, NotFoundError
from modelhub.formats.cast import PRECISIONS
from modelhub.merge.recipes.parts import COMPATS, COMPONENTS, EMAS, MERGE_VAE, Lora, Recipe, Step, component_called
from modelhub.merge.recipes.values import checked_number, checked_value
from modelhub.merge.registry import Method, Value, find_method
from modelhub.text import brief, meant, plural

#: Methods and models that the result may be made of when every step is written out where it is used.
_MAX_SIZE = 300
#: Names that a message lists.
_MANY = 30


def checked(recipe: Recipe) -> Recipe:
    """The recipe itself, with method names and parameters complete. Raises BadRecipeError when it does not add up."""
    loras = tuple(_checked_lora(lora, at, recipe) for at, lora in enumerate(recipe.loras, 1))
    if not recipe.steps:
        _check_stepless(recipe)
    _check_output(recipe)
    sizes = dict.fromkeys(recipe.models, 1)
    later = {step.name: at for at, step in enumerate(recipe.steps, 1) if step.name}
    steps = []
    for at, step in enumerate(recipe.steps, 1):
        steps.append(_checked_step(step, at, sizes.keys(), later))
        if step.name in sizes:
            raise BadRecipeError(f"Step {at}: the name '{brief(step.name)}' is taken.", "Give it another name.")
        sizes |= {step.name: _size(step, at, sizes)} if step.name else {}
    _check_use(recipe)
    return replace(recipe, steps=tuple(steps), loras=loras)


def _check_stepless(recipe: Recipe) -> None:
    """A recipe without steps bakes something into one model."""
    if not (recipe.loras or recipe.take or recipe.vae):
        raise BadRecipeError("The recipe has no steps.", "Add a [[steps]] table with a method and its inputs.")
    if recipe.vae == MERGE_VAE or recipe.compat:
        what = "merges the VAE, too" if recipe.vae == MERGE_VAE else f"is computed as {brief(recipe.compat or '')} does"
        raise BadRecipeError(f"The recipe has no steps, so nothing {what}.", "Add a [[steps]] table, or leave it out.")
    if recipe.base is None:
        raise BadRecipeError(
            f"The recipe has no steps, and does not say into which of {plural(len(recipe.models), 'model')} is baked.",
            "Name one model beside those that are baked into it, or add a [[steps]] table.",
        )


def _checked_lora(lora: Lora, at: int, recipe: Recipe) -> Lora:
    where = f"LoRA {at}"
    if lora.model not in recipe.models:
        raise BadRecipeError(
            f"{where}: there is no model '{brief(lora.model)}'{meant(lora.model, recipe.models)}.",
            f"Name one of [models]: {_list(recipe.models)}.",
        )
    uses = [f"an input of step {n}" for n, step in enumerate(recipe.steps, 1) if lora.model in step.inputs]
    uses += [f"what the {part} is taken from" for part, key in _taken(recipe).items() if key == lora.model]
    if uses:
        raise BadRecipeError(
            f"{where}: '{brief(lora.model)}' is also {uses[0]}, and no LoRA can be both.",
            "A LoRA stands under [[loras]] alone.",
        )
    weight = checked_number(lora.weight, f"{where}: weight")
    return replace(lora, weight=1.0 if weight == Weight() else weight)


def _taken(recipe: Recipe) -> dict[str, str]:
    return {**recipe.take, **({"VAE": recipe.vae} if recipe.vae else {})}


def _size(step: Step, at: int, sizes: Mapping[str, int]) -> int:
    size = 1 + sum(sizes[name] for name in step.inputs)
    if size > _MAX_SIZE:
        raise BadRecipeError(
            f"Step {at} would compute every number from {size} others; {_MAX_SIZE} are allowed.",
            "Merge the first steps to a file, and go on from it.",
        )
    return size


def _check_output(recipe: Recipe) -> None:
    if recipe.dtype and recipe.dtype not in PRECISIONS:
        raise BadRecipeError(f"The output cannot be '{brief(recipe.dtype)}'.", f"Choose one of: {_list(PRECISIONS)}.")
    if recipe.compat and recipe.compat not in COMPATS:
        what = f"The output cannot be compatible with '{brief(recipe.compat)}'."
        raise BadRecipeError(what, f"Choose one of: {_list(COMPATS)}.")
    if recipe.ema not in EMAS:
        raise BadRecipeError(f"The EMA weights cannot be '{brief(recipe.ema)}'.", f"Choose one of: {_list(EMAS)}.")
    if recipe.vae != MERGE_VAE:
        _check_origin("VAE", recipe.vae, recipe.models)
    for component, key in recipe.take.items():
        if component not in COMPONENTS or component == "vae":
            raise BadRecipeError(
                f"There is no component '{brief(component)}'{meant(component, COMPONENTS)}.",
                f"There are: {_list(COMPONENTS)}.",
            )
        _check_origin(component, key, recipe.models)


def _check_origin(what: str, key: str | None, models: Collection[str]) -> None:
    if key is not None and key not in models:
        raise BadRecipeError(
            f"The {what} is to come from '{brief(key)}', which is no model of the recipe.",
            f"Name one of [models]: {_list(models)}.",
        )


def _checked_step(step: Step, at: int, names: Collection[str], later: Mapping[str, int]) -> Step:
    where = f"Step {at}"
    try:
        method = find_method(step.method)
    except NotFoundError as error:
        raise BadRecipeError(f"{where}: {error.message}", error.hint) from error
    if not method.accepts(len(step.inputs)):
        needed = f"{method.least} models{' or more' if method.many else ''}"
        raise BadRecipeError(
            f"{where}: {method.name} takes {needed}, not {len(step.inputs)}.",
            f"It is {method.name} {method.models}: {method.formula}.",
        )
    for name in step.inputs:
        if name not in names:
            raise _no_input(name, at, names, later)
    only = tuple(map(component_called, step.only))
    for name in only:
        if name not in COMPONENTS:
            what = f"{where}: there is no component '{brief(name)}'{meant(name, COMPONENTS)}."
            raise BadRecipeError(what, f"There are: {_list(COMPONENTS)}.")
    return replace(step, method=method.name, only=only, parameters=_parameters(step, method, where))


def _no_input(name: str, at: int, names: Collection[str], later: Mapping[str, int]) -> BadRecipeError:
    if later.get(name) == at:
        return BadRecipeError(f"Step {at}: '{brief(name)}' is the step itself.", "Name a model or an earlier step.")
    if name in later:
        return BadRecipeError(
            f"Step {at}: '{brief(name)}' is made later, by step {later[name]}.",
            "Put that step before this one; no two steps can need each other.",
        )
    return BadRecipeError(
        f"Step {at}: there is no model or earlier step '{brief(name)}'{meant(name, names)}.",
        f"There are: {_list(sorted(names))}.",
    )


def _parameters(step: Step, method: Method, where: str) -> dict[str, Value | Weight]:
    known: dict[str, Value | Weight] = {parameter.name: parameter.default for parameter in method.parameters}
    for name, value in step.parameters.items():
        parameter = method.parameter(name)
        if parameter is None:
            has = f"It has: {_list(known)}." if known else "It has none."
            raise BadRecipeError(f"{where}: {method.name} has no parameter '{brief(name)}'{meant(name, known)}.", has)
        known[name] = checked_value(parameter, value, len(step.inputs) - len(method.names), f"{where}: {name}")
    return known


def _check_use(recipe: Recipe) -> None:
    """Everything that is named must come into the result: what does not is a slip of the pen."""
    used = {name for step in recipe.steps for name in step.inputs}
    for at, step in enumerate(recipe.steps[:-1], 1):
        if not step.name:
            raise BadRecipeError(f"Step {at} has no name, so nothing can use it.", "Give it a name, or leave it out.")
        if step.name not in used:
            raise BadRecipeError(
                f"Step {at}: nothing uses '{brief(step.name)}'.", "Use it as an input, or leave it out."
            )
    used |= {*recipe.take.values(), recipe.vae or "", *recipe.baked, recipe.base or ""}
    unused = [key for key in recipe.models if key not in used]
    if unused:
        raise BadRecipeError(
            f"{plural(len(unused), 'model')} of the recipe {'is' if len(unused) == 1 else 'are'} not used: "
            f"{_list(unused)}.",
            "Name it in the inputs of a step or under [[loras]], or leave it out.",
        )


def _list(words: Collection[str]) -> str:
    return ", ".join(map(brief, islice(words, _MANY))) + (", …" if len(words) > _MANY else "")
