"""What the merge lab does in its worker: render a model or an unwritten merge, write a merge, write its recipe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelhub.catalog.architectures import architecture
from modelhub.catalog.asset import Asset
from modelhub.catalog.folder.original import in_original
from modelhub.catalog.identity import Identity
from modelhub.catalog.opener import Opener
from modelhub.catalog.reading import CatalogReader
from modelhub.catalog.refs import lora_ref, resolve
from modelhub.catalog.weighing.presets import presets
from modelhub.catalog.weighing.weights import Weight
from modelhub.errors import NotFoundError, UsageError
from modelhub.jobs import Job
from modelhub.lora.baking.merged import changes
from modelhub.merge.planning.plan import Plan, plan
from modelhub.merge.recipes.files import check_recipe_goal, read_recipe, write_recipe
from modelhub.merge.recipes.finding import Carrier
from modelhub.merge.recipes.recipe import ModelRef, Recipe, bake_recipe, checked, simple_recipe, with_loras
from modelhub.merge.recipes.telling import recipe_lines
from modelhub.merge.registry import Value
from modelhub.scan.adding import add_written
from modelhub.text import one_line, plural, shorten
from modelhub.tui.library import Library

if TYPE_CHECKING:
    from modelhub.formats.source import TensorSource
    from modelhub.merge.execute import MergeReport
    from modelhub.preview.pictures.picture import Picture
    from modelhub.preview.request import Request

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
) -> Recipe:
    """The recipe of one step over the files of `models`, with `loras` baked into the result; without a method, into A.

    Raises BadRecipeError.
    """
    name = " + ".join(shorten(model.path.stem, 40) for model in [*models, *(lora for lora, _ in loras)])
    refs = [str(model.path) for model in models]
    added = [(str(lora.path), weight) for lora, weight in loras]
    if method is None:
        return bake_recipe(refs[0], added, name=name, vae=vae, take=take)
    return simple_recipe(method, refs, name=name, parameters=parameters, vae=vae, take=take, loras=added)


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


def preset_names(architecture: str) -> list[str]:
    """The presets of block weights that fit an architecture."""
    return [name for name, preset in presets().items() if preset.values(architecture)]


@dataclass(frozen=True, slots=True)
class Opened:
    """A recipe file: the recipe, the assets of its models by letter as far as the catalog has them, and its lines."""

    path: Path
    recipe: Recipe
    assets: Mapping[str, Asset]

    @property
    def fits_form(self) -> bool:
        """Whether the form can show it: one step over models of the catalog, and nothing that it has no field for."""
        recipe = self.recipe
        inputs = [recipe.base] if recipe.base else [*recipe.steps[-1].inputs]
        taken = {key for key in (recipe.vae, *recipe.take.values()) if key in recipe.models}
        return (
            len(recipe.steps) <= 1
            and {*inputs, *recipe.baked} <= set(self.assets)
            and taken <= set(inputs)
            and len(set(inputs)) == len(inputs) <= LARGEST
            and len(set(recipe.take.values())) <= 1
            and len(self.loras) == len(recipe.loras) == len(recipe.baked) <= LARGEST
            and bool(recipe.steps or recipe.loras)
            and not any(step.only for step in recipe.steps)
            and not (recipe.dtype or recipe.compat or recipe.ema != "drop")
        )

    @property
    def loras(self) -> list[tuple[Asset, float]]:
        """The LoRAs with one number each, as far as the catalog has them."""
        found = [(self.assets.get(lora.model), lora.weight) for lora in self.recipe.loras]
        return [(asset, weight) for asset, weight in found if asset is not None and isinstance(weight, float)]

    @property
    def lines(self) -> list[str]:
        """What the recipe says, for a person: its name, then a line for each step and one for all else."""
        return [one_line(f"{self.recipe.name or self.path.stem}  ({self.path})"), *recipe_lines(self.recipe)]


def open_recipe(library: Library, path: Path) -> Opened:
    """Read a recipe file, and look its models up. Raises FileError, BadRecipeError."""
    recipe = read_recipe(path)
    found = {}
    with library.open() as catalog:
        for key, model in recipe.models.items():
            with suppress(UsageError):  # a model that is no asset is named by its path, or missing until it is needed
                found[key] = _asset(catalog, model)
    return Opened(path, recipe, found)


def _asset(catalog: CatalogReader, model: ModelRef) -> Asset:
    """What the catalog has of a model: by its content where it is known, whatever it is called now."""
    if model.sha256 and any(not asset.missing for asset in catalog.hashed(model.sha256)):
        return resolve(catalog, model.sha256)
    asset = resolve(catalog, model.ref)
    if model.sha256 and asset.sha256 not in (None, model.sha256):
        raise NotFoundError(f"'{model.ref}' is another file than the recipe was made with.")
    return asset


def render(library: Library, part: Part, request: Request, device: str, job: Job) -> Picture:
    """Render one part, with the LoRAs that the prompt names. Raises what opening, planning and rendering raise."""
    from modelhub.preview.models.beside import stand_beside
    from modelhub.preview.models.looking import look
    from modelhub.preview.prompts.t5_places import t5_tokenizer_for
    from modelhub.preview.prompts.tags import read_tags, used
    from modelhub.preview.render import Renderer

    with library.open() as catalog, Opener(catalog, job=job) as opener:
        named = [(lora_ref(catalog, tag.name), tag.weight) for tag in read_tags(request.prompt)]
        loras = used(request.prompt, [opener(ref) for ref, _ in named])
        source, told = _shown(part, named, opener)
        _, identity, _ = in_original(source)
        standing = stand_beside(catalog, opener, identity)
        look(source, standing.parts, told["name"])  # what is lacking comes before the tokenizer, which is lacking, too
        t5 = standing.parents.get("t5xxl")
        tokenizer = t5_tokenizer_for(identity.architecture, t5.path if t5 else None)
        renderer = Renderer(
            source, loras=loras, parts=standing.parts, t5_tokenizer=tokenizer, device=device, job=job, **told
        )
        return renderer.render(_suited(request, identity), job).pictures[0]


def _suited(request: Request, identity: Identity) -> Request:
    """The request with the sampler and schedule that suit a model, of which the form says nothing.

    A model that is made to be guided by a number of its own, as Flux is, has no other guidance.
    """
    known = architecture(identity.architecture).preview if identity.architecture else None
    if known is None:
        return request
    cfg = known.cfg if known.guidance is not None else request.cfg
    return replace(request, sampler=known.sampler, schedule=known.schedule, cfg=cfg)


def _shown(part: Part, named: Sequence[tuple[str, Weight]], opener: Opener) -> tuple[TensorSource, dict[str, Any]]:
    """What is rendered, which has the LoRAs that a prompt names, and what an infotext tells of it, without them."""
    if part.recipe is None:
        ref = str(part.path)
        parent = opener(ref)
        source = plan(bake_recipe(ref, named), opener, None, changes) if named else parent.source
        return source, {"name": parent.name, "sha256": parent.sha256}
    planned = plan(part.recipe, opener, _carrier(part.file), changes)
    told = {"name": part.title, "recipe": planned.header.metadata["modelhub.recipe"]}
    more = checked(with_loras(part.recipe, named)) if named else part.recipe
    return plan(more, opener, _carrier(part.file), changes) if named else planned, told


def save(library: Library, recipe: Recipe, path: Path, job: Job, file: Path | None = None) -> MergeReport:
    """Write the merge to a new file and catalog it; `file` is the recipe's own. Raises what `merge` raises."""
    from modelhub.merge.engine.starting import start_torch
    from modelhub.merge.execute import check_goal, merge

    with library.open() as catalog:
        with Opener(catalog, job=job) as headers:  # what headers alone can refuse, before gigabytes are hashed
            planned = plan(recipe, headers, _carrier(file), changes)
            check_goal(planned, path)
        if planned.computes:
            start_torch()
        with Opener(catalog, hashed=True, job=job) as opener:
            report = merge(plan(recipe, opener, _carrier(file), changes), path, job=job)
        add_written(catalog, report.written)
    return report


def save_recipe(library: Library, recipe: Recipe, path: Path, job: Job, file: Path | None = None) -> Plan:
    """Write the recipe to a new file, after a look whether the models fit. Raises FileError, IncompatibleError."""
    check_recipe_goal(path)
    with _opener(library, job) as opener:
        planned = plan(recipe, opener, _carrier(file), changes)
    write_recipe(recipe.dumps(), path)
    return planned


def _carrier(file: Path | None) -> Carrier | None:
    return Carrier(file, {}) if file else None


@contextmanager
def _opener(library: Library, job: Job) -> Iterator[Opener]:
    with library.open() as catalog, Opener(catalog, job=job) as opener:
        yield opener
