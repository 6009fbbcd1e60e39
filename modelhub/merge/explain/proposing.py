"""The recipe of a form: what makes such a merge, as far as it is one that recipes can say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from modelhub.catalog.blocks import DENOISER, VAE, block_names
from modelhub.catalog.weighing.presets import Blend, presets
from modelhub.catalog.weighing.weights import Weight
from modelhub.formats.cast import PRECISIONS
from modelhub.formats.header import FLOAT_DTYPES
from modelhub.merge.explain.forms import Form, Group
from modelhub.merge.explain.parts import Part
from modelhub.merge.inputs.model import Model
from modelhub.merge.recipes.recipe import MERGE_VAE, ModelRef, Recipe, Step
from modelhub.merge.registry import Value, methods

_PARAMETERS = ("alpha", "beta")
#: How near to one weights must sum to be those of an average.
_WHOLE = 1e-9


def propose(form: Form, merge: Model, parents: Sequence[Model], preset: str | None = None) -> Recipe | None:
    """The recipe, its models named by their paths; None for a mere copy, and for what no recipe says exactly.

    The models have the keys of `parents`. `preset` names the block weights, where one fits.
    """
    method = _method(form)
    if form.inexact or method not in methods():
        return None
    keys = {one: parents[one].key for one in sorted({*form.order, *form.copied.values()})}
    first = form.order[0]
    inputs = tuple(keys[one] for one in form.order) if form.kind != "parts" else (keys[first], keys[first])
    parameters = _parameters(form, preset) if form.kind != "parts" else {"alpha": 0.0}
    taken = {name: keys[one] for name, one in form.copied.items() if name != VAE and _differs(form, one)}
    models = {key: ModelRef(str(parents[one].parent.path), parents[one].parent.sha256) for one, key in keys.items()}
    step = Step(method, inputs, parameters)
    return Recipe(models, (step,), dtype=_dtype(merge, parents[first]), vae=_vae(form, keys), take=taken)


def _method(form: Form) -> str:
    """The method that makes a form; "" if there is none."""
    if form.kind == "linear":
        return "average" if form.is_uniform and abs(sum(next(iter(form.weights.values()))) - 1) < _WHOLE else ""
    return {"copy": "", "none": "", "parts": "weighted-sum"}.get(form.kind, form.kind)


def _differs(form: Form, parent: int) -> bool:
    """Whether a copied component has to be said: it is not what the step would leave anyway."""
    return bool(form.weights) or parent != form.order[0]


def _vae(form: Form, keys: Mapping[int, str]) -> str | None:
    if any(component == VAE for component, _ in form.weights):
        return MERGE_VAE
    owner = form.copied.get(VAE, form.order[0])
    return None if owner == form.order[0] else keys[owner]


def _dtype(merge: Model, first: Model) -> str | None:
    """The precision to ask for; None if it is that of the first model."""
    wanted, own = (_main_dtype(model) for model in (merge, first))
    return None if wanted == own else next((word for word, name in PRECISIONS.items() if name == wanted), None)


def _main_dtype(model: Model) -> str | None:
    return next((name for name in model.source.header.dtypes() if name in FLOAT_DTYPES), None)


def _parameters(form: Form, preset: str | None) -> dict[str, Value | Weight]:
    numbers = form.numbers()
    if form.kind == "linear":
        return {"weights": next(iter(form.weights.values()))}
    count = len(next(iter(numbers.values())))
    return {n: _value({g: v[at] for g, v in numbers.items()}, preset) for at, n in enumerate(_PARAMETERS[:count])}


def _value(numbers: Mapping[Group, float], preset: str | None) -> float | Weight:
    """One number where there is but one, else one for each component and block."""
    if len(set(numbers.values())) == 1:
        return next(iter(numbers.values()))
    components = {component: value for (component, block), value in numbers.items() if block is None}
    blocks = {block: value for (part, block), value in numbers.items() if block is not None and part == DENOISER}
    if preset:
        return Weight(components=components, preset=Blend(preset))
    return Weight(components=components, blocks=blocks)


def block_list(form: Form, architecture: str | None) -> list[float | None]:
    """Alpha of every block in the order of the architecture, None where it is not known; empty if it is one number."""
    numbers = form.numbers()
    if form.kind not in ("weighted-sum", "add-difference") or not any(block for _, block in numbers):
        return []
    by_block = {block: values[0] for (_, block), values in numbers.items() if block}
    by_block.setdefault("BASE", numbers.get(("te1", None), (None,))[0])  # type: ignore[arg-type]
    found: list[float | None] = [by_block.get(name) for name in block_names(architecture)]
    return found


def preset_of(form: Form, parts: Mapping[str, Part], architecture: str | None) -> str | None:
    """The preset whose numbers explain every block of the denoiser, if there is one."""
    part = parts.get(DENOISER)
    if part is None or form.kind != "weighted-sum" or form.is_uniform or len(form.order) != 2:
        return None
    return next(
        (name for name, preset in presets().items() if _fits(preset.values(architecture or ""), part, form)), None
    )


def _fits(values: Mapping[str, float], part: Part, form: Form) -> bool:
    """Whether each block allows the preset's number."""
    known = {block: found for block, found in part.blocks.items() if block in values}
    return bool(known) and all(
        found.allows([_share(parent, values[block], form) for parent in part.parents])
        for block, found in known.items()
        if block is not None
    )


def _share(parent: int, alpha: float, form: Form) -> float:
    return {form.order[0]: 1 - alpha, form.order[1]: alpha}.get(parent, 0.0)


def formula(form: Form, names: Mapping[int, str]) -> str:
    """The form in letters and numbers: `0.7·A + 0.3·B`, `A + α·(B − C), α by block`."""
    letters = [names[one] for one in form.order]
    if form.kind == "copy":
        return letters[0]
    values = next(iter(form.weights.values())) if form.is_uniform and form.weights else ()
    if form.kind == "add-difference":
        a, b, c = letters
        return f"{a} + {_number(values[1]) if values else 'α'}·({b} − {c})"
    if values:
        return "".join(_terms(values, letters))
    symbols = {2: ("(1 − α)", "α"), 3: ("(1 − α − β)", "α", "β")}.get(len(letters))
    return " + ".join(f"{s}·{name}" for s, name in zip(symbols or letters, letters, strict=True)) if symbols else ""


def _terms(values: Sequence[float], letters: Sequence[str]) -> Iterator[str]:
    for at, (value, name) in enumerate(zip(values, letters, strict=True)):
        sign = ("−" if value < 0 else "") if at == 0 else (" − " if value < 0 else " + ")
        yield f"{sign}{_number(abs(value))}·{name}"


def _number(value: Any) -> str:
    return f"{float(value):.6g}"
