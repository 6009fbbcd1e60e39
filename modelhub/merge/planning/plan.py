"""Plan: a recipe with its models opened and checked becomes a source; the merge is that source, read.

The output has the first model's tensors, names, order and dtypes. Weights that all inputs have are merged; what becomes
of the others, `deciding` tells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelhub.catalog.opener import Parent
from modelhub.catalog.weighing.weight import check_component
from modelhub.catalog.weighing.weights import Weight
from modelhub.formats.cast import PRECISIONS
from modelhub.formats.header import FLOAT_DTYPES, Header
from modelhub.merge.ancestry.provenance import pinned, provenance
from modelhub.merge.engine.expression import Node
from modelhub.merge.inputs.align import Model, aligned, check_together
from modelhub.merge.planning.baking import baked, check_bake
from modelhub.merge.planning.compat import CompatTrees, check_compat
from modelhub.merge.planning.deciding import Decisions
from modelhub.merge.planning.remarks import decided, remarks
from modelhub.merge.planning.report import PlanReport
from modelhub.merge.planning.unwritten import Plan
from modelhub.merge.recipes.finding import Carrier, find
from modelhub.merge.recipes.parts import ALL_TEXT_ENCODERS
from modelhub.merge.recipes.recipe import Recipe, Step

if TYPE_CHECKING:
    from modelhub.merge.planning.baking import Bake

__all__ = ["Plan", "PlanReport", "plan"]


def plan(
    recipe: Recipe, open: Callable[[str], Parent], carrier: Carrier | None = None, bake: Bake | None = None
) -> Plan:
    """Open the models of `recipe` with `open`, check that they fit, and lay out the file it would become.

    `carrier` is the file that the recipe stands in: models that are not known may lie beside it. `bake` adds LoRAs.
    Reads headers, and marks of a few bytes. Raises what `find` and `bake` raise, IncompatibleError, UnknownModelError,
    UsageError for what a compatibility mode lacks, and BadRecipeError when weights are for other blocks.
    """
    check_bake(recipe, bake)
    if recipe.compat:
        check_compat(recipe)
    opened = {key: Model(key, find(key, model, open, carrier)) for key, model in recipe.models.items()}
    models = {key: model for key, model in opened.items() if key not in recipe.baked}
    order = _inputs(recipe)
    check_together([models[key] for key in order])
    _check_weights(recipe, models[order[0]].identity.architecture)
    made = _compatible(recipe, models, order) if recipe.compat else _decided(recipe, models, order)
    return _laid_out(recipe, opened, made, bake)


def _inputs(recipe: Recipe) -> list[str]:
    """The models below the last step, in the order they are met, each once."""
    if recipe.base is not None:
        return [recipe.base]
    steps = {step.name: step for step in recipe.steps if step.name}

    def below(step: Step) -> Iterator[str]:
        for name in step.inputs:
            yield from [name] if name in recipe.models else below(steps[name])

    return list(dict.fromkeys(below(recipe.steps[-1])))


def _check_weights(recipe: Recipe, architecture: str | None) -> None:
    for lora in recipe.loras:
        if isinstance(lora.weight, Weight):
            lora.weight.check(architecture)
    for step in recipe.steps:
        for name in step.only:
            if name != ALL_TEXT_ENCODERS:
                check_component(name, architecture)
        for value in step.parameters.values():
            if isinstance(value, Weight):
                value.check(architecture)


@dataclass(frozen=True, slots=True)
class _Made:
    """What becomes of every tensor, in the layout of `first`, and the dtype that each is stored as."""

    first: Model
    nodes: Mapping[str, Node]
    dtypes: Mapping[str, str]
    report: PlanReport


def _decided(recipe: Recipe, models: Mapping[str, Model], order: list[str]) -> _Made:
    made = Decisions(recipe, aligned(models, order[0]), order)
    made.decide()
    report = made.report
    report.warnings = [*recipe.notes, *_notes(models, order), *decided(made)]
    report.warnings += remarks(made.first, made.others, any(method.adds for method in made.trees.methods))
    wanted = PRECISIONS.get(recipe.dtype or "")
    beside = {name for name in made.nodes if _is_beside(made.first, name)}
    dtypes = {
        name: wanted if wanted and own in FLOAT_DTYPES and name not in beside else own
        for name, own in made.dtypes.items()
    }
    return _Made(made.first, made.nodes, dtypes, report)


def _is_beside(first: Model, name: str) -> bool:
    """Whether a tensor stands beside the components, as the scheduler's data do, and keeps its precision."""
    return bool(first.sections) and name in first.source.header.tensors and first.place(name)[0] == ""


def _notes(models: Mapping[str, Model], order: list[str]) -> list[str]:
    return [note for key, model in models.items() for note in model.notes(first=key == order[0])]


def _compatible(recipe: Recipe, models: Mapping[str, Model], order: list[str]) -> _Made:
    report = PlanReport()
    found = CompatTrees(recipe, models, report).nodes()
    report.warnings = [*recipe.notes, *remarks(models[order[0]], [models[key] for key in order[1:]], False)]
    nodes = {name: node for name, (node, _) in found.items()}
    dtypes = {name: dtype for name, (_, dtype) in found.items()}
    return _Made(models[order[0]], nodes, dtypes, report)


def _laid_out(recipe: Recipe, opened: Mapping[str, Model], made: _Made, bake: Bake | None) -> Plan:
    """The plan; `opened` are all models, LoRAs among them."""
    entries = [(name, made.dtypes[name], node.shape) for name, node in made.nodes.items()]
    known = pinned(recipe, opened)
    header = Header.of(entries, provenance(known, opened, made.first))
    parents = {key: model.parent for key, model in opened.items()}
    planned = Plan(known, opened, baked(recipe, parents, header, made.nodes, made.report, bake), header)
    planned.report = made.report
    return planned
