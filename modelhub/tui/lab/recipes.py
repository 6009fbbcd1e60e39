"""Recipes of the merge lab: what the form says as a recipe, its pictures, titles, and the name of its file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from modelhub.catalog.asset import Asset
from modelhub.catalog.weighing.presets import presets
from modelhub.catalog.weighing.weights import Weight
from modelhub.merge.recipes.recipe import Recipe, bake_recipe, simple_recipe
from modelhub.merge.registry import Value
from modelhub.text import plural, shorten

#: The models that a preview shows besides the merge, and how many a merge of the lab may have.
PARENTS, LARGEST = "ABC", 10


@dataclass(frozen=True, slots=True)
class Part:
    """One picture of a preview: where it is shown, its title, and the path or the recipe of the model.

    `file` is the one that the recipe was opened from.
    """

    letter: str
    title: str
    path: Path | None = None
    recipe: Recipe | None = None
    file: Path | None = None


def parts(recipe: Recipe, models: Sequence[Asset] = (), file: Path | None = None) -> list[Part]:
    """The pictures of a preview: the merge first, because it is what is asked for, then up to three of its models.

    A model that is only a denoiser is shown in the shell of A: the weighted sum at 1 is exactly that. Without `models`
    they are those that the recipe names.
    """
    merge = Part("merge", _title(recipe), recipe=recipe, file=file)
    if models:
        return [merge, *(_parent(key, model, models[0]) for key, model in zip(PARENTS, models, strict=False))]
    named = zip(PARENTS, recipe.models.values(), strict=False)
    return [merge, *(Part(key, Path(model.ref).stem, path=Path(model.ref)) for key, model in named)]


def _parent(letter: str, model: Asset, first: Asset) -> Part:
    if model.kind == "diffusion-model" and first.kind == "checkpoint":
        inside = simple_recipe("weighted-sum", [str(first.path), str(model.path)], parameters={"alpha": 1.0})
        return Part(letter, f"{model.path.stem} in A", recipe=inside)
    return Part(letter, model.path.stem, path=model.path)


def _title(recipe: Recipe) -> str:
    if len(recipe.steps) > 1:
        return f"merge of {plural(len(recipe.steps), 'step')}"
    words = ["merge", *_numbers(recipe.steps[-1].parameters)] if recipe.steps else ["A"]
    loras = _numbers({f"{at}": lora.weight for at, lora in enumerate(recipe.loras)})
    return " ".join([*words, *(["+ LoRA" if len(loras) == 1 else "+ LoRAs", *loras] if loras else [])])


def _numbers(parameters: Mapping[str, Value | Weight]) -> list[str]:
    """What of the parameters fits in a title: numbers, "blocks" for weights of blocks, and words."""
    shown = {name: "blocks" if isinstance(value, Weight) else value for name, value in parameters.items()}
    return [
        value if isinstance(value, str) else f"{value:g}"
        for value in shown.values()
        if not isinstance(value, bool | tuple)
    ]


def merge_recipe(
    models: Sequence[Asset],
    method: str | None,
    parameters: Mapping[str, Value | Weight],
    *,
    vae: str | None = None,
    take: Mapping[str, str] | None = None,
    loras: Sequence[tuple[Asset, float | Weight]] = (),
    only: Sequence[str] = (),
    compat: str | None = None,
    dtype: str | None = None,
    ema: str = "drop",
) -> Recipe:
    """The recipe of one step over the files of `models`, with `loras` baked into the result; without a method, into A.

    `only` and `compat` are of the method, and mean nothing without one. Raises BadRecipeError.
    """
    name = " + ".join(shorten(model.path.stem, 40) for model in [*models, *(lora for lora, _ in loras)])
    refs = [str(model.path) for model in models]
    added = [(str(lora.path), weight) for lora, weight in loras]
    if method is None:
        return bake_recipe(refs[0], added, name=name, vae=vae, take=take, dtype=dtype, ema=ema)
    return simple_recipe(
        method, refs, name=name, parameters=parameters, only=only, vae=vae, take=take, dtype=dtype, ema=ema,
        compat=compat, loras=added,
    )  # fmt: skip


def default_name(
    models: Sequence[Asset],
    method: str | None,
    parameters: Mapping[str, Value | Weight],
    loras: Sequence[tuple[Asset, float | Weight]] = (),
) -> Path:
    """Where a merge goes if the user says nothing: beside A, with the parents and the numbers in its name."""
    stems = _stems(models) + ([method] if method else []) + [*map(_in_a_name, _numbers(parameters))]
    strengths = _numbers({f"{at}": weight for at, (_, weight) in enumerate(loras)})
    words = "-".join([*stems, *_stems([lora for lora, _ in loras]), *strengths[:3]])
    return models[0].path.parent / f"{words}.safetensors".replace("…", "_")


def _stems(models: Sequence[Asset]) -> list[str]:
    more = [f"{len(models) - 3}-more"] if len(models) > 3 else []
    return [*(_in_a_name(shorten(model.path.stem, 24)) for model in models[:3]), *more]


def _in_a_name(text: str) -> str:
    return "".join(c if c.isprintable() and c not in "/\\" else "_" for c in text)


def free_name(path: Path) -> Path:
    """The path, with a number behind its name where there is such a file."""
    found, number = path, 2
    while found.exists() and number < 1000:
        found, number = path.with_stem(f"{path.stem}-{number}"), number + 1
    return found


def preset_names(architecture: str) -> list[str]:
    """The presets of block weights that fit an architecture."""
    return [name for name, preset in presets().items() if preset.values(architecture)]
