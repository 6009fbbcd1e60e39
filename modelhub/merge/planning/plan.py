"""Plan: a recipe with its models opened and checked becomes a source; the merge is that source, read.

The output has the first model's tensors, names, order and dtypes. Weights that all inputs have are merged; what becomes
of the others, `deciding` tells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from modelhub.catalog.opener import Parent
from modelhub.catalog.weighing.weight import check_component
from modelhub.catalog.weighing.weights import Weight
from modelhub.formats.cast import PRECISIONS
from modelhub.formats.header import FLOAT_DTYPES, Header
from modelhub.merge.ancestry.provenance import pinned, provenance
from modelhub.merge.engine.expression import Node
from modelhub.merge.inputs.align import Model, aligned, check_together
from modelhub.merge.planning.compat import CompatTrees, check_compat
from modelhub.merge.planning.deciding import Decisions
from modelhub.merge.planning.remarks import decided, remarks
from modelhub.merge.planning.report import PlanReport
from modelhub.merge.planning.unwritten import Plan
from modelhub.merge.recipes.finding import Carrier, find
from modelhub.merge.recipes.parts import ALL_TEXT_ENCODERS
from modelhub.merge.recipes.recipe import Recipe, Step

__all__ = ["Plan", "PlanReport", "plan"]


def plan(recipe: Recipe, open: Callable[[str], Parent], carrier: Carrier | None = None) -> Plan:
    """Open the models of `recipe` with `open`, check that they fit, and lay out the file it would become.

    `carrier` is the file that the recipe stands in: models that are not known may lie beside it. Reads headers, and
    marks of a few bytes. Raises what `find` raises, IncompatibleError, UnknownModelError, UsageError for what a
    compatibility mode lacks, and BadRecipeError when weights are for other blocks.
    """
    if recipe.compat:
        check_compat(recipe)
    models = {key: Model(key, find(key, model, open, carrier)) for key, model in recipe.models.items()}
    order = _inputs(recipe)
    check_together([models[key] for key in order])
    _check_steps(recipe, models[order[0]].identity.architecture)
    return _compatible(recipe, models, order) if recipe.compat else _decided(recipe, models, order)


def _inputs(recipe: Recipe) -> list[str]:
    """The models below the last step, in the order they are met, each once."""
    steps = {step.name: step for step in recipe.steps if step.name}

    def below(step: Step) -> Iterator[str]:
        for name in step.inputs:
            yield from [name] if name in recipe.models else below(steps[name])

    return list(dict.fromkeys(below(recipe.steps[-1])))


def _check_steps(recipe: Recipe, architecture: str | None) -> None:
    for step in recipe.steps:
        for name in step.only:
            if name != ALL_TEXT_ENCODERS:
                check_component(name, architecture)
        for value in step.parameters.values():
            if isinstance(value, Weight):
                value.check(architecture)


def _decided(recipe: Recipe, models: Mapping[str, Model], order: list[str]) -> Plan:
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
    return _laid_out(recipe, models, made.first, made.nodes, dtypes, report)


def _is_beside(first: Model, name: str) -> bool:
    """Whether a tensor stands beside the components, as the scheduler's data do, and keeps its precision."""
    return bool(first.sections) and name in first.source.header.tensors and first.place(name)[0] == ""


def _notes(models: Mapping[str, Model], order: list[str]) -> list[str]:
    return [note for key, model in models.items() for note in model.notes(first=key == order[0])]


def _compatible(recipe: Recipe, models: Mapping[str, Model], order: list[str]) -> Plan:
    report = PlanReport()
    found = CompatTrees(recipe, models, report).nodes()
    report.warnings = [*recipe.notes, *remarks(models[order[0]], [models[key] for key in order[1:]], False)]
    nodes = {name: node for name, (node, _) in found.items()}
    dtypes = {name: dtype for name, (_, dtype) in found.items()}
    return _laid_out(recipe, models, models[order[0]], nodes, dtypes, report)


def _laid_out(
    recipe: Recipe,
    models: Mapping[str, Model],
    first: Model,
    nodes: Mapping[str, Node],
    dtypes: Mapping[str, str],
    report: PlanReport,
) -> Plan:
    entries = [(name, dtypes[name], node.shape) for name, node in nodes.items()]
    known = pinned(recipe, models)
    made = Plan(known, models, nodes, Header.of(entries, provenance(known, models, first)))
    made.report = report
    return made
