"""Baking: LoRAs are added to the result of a merge. What computes them is brought by the caller: merges know none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from modelhub.catalog.identify import identify
from modelhub.catalog.identity import Identity
from modelhub.catalog.opener import Parent
from modelhub.catalog.weighing.weight import Weight
from modelhub.errors import UsageError
from modelhub.formats.header import Header
from modelhub.merge.engine.baked import Baked, Changes, Rows
from modelhub.merge.engine.expression import Node
from modelhub.merge.planning.report import PlanReport
from modelhub.merge.recipes.parts import Lora, Recipe

if TYPE_CHECKING:
    import torch

    #: Rows `start` to `stop` of a tensor before it is changed: [stop - start, …], fp32 or fp64, in memory of their own.
    Read = Callable[[str, int, int], "torch.Tensor"]
    #: From the header of the result, what it is, the LoRAs with their strengths, and a reader to what becomes of it.
    #: Raises IncompatibleError for LoRAs that do not fit, from headers alone.
    Bake = Callable[[Header, Identity, Sequence[tuple[Parent, Weight]], Read], Changes]


def check_bake(recipe: Recipe, bake: Bake | None) -> None:
    """Raise UsageError for a recipe with LoRAs that nobody can add."""
    if recipe.loras and bake is None:
        raise UsageError("The recipe has LoRAs, which cannot be baked in here.", "Merge without them, and bake later.")


def baked(
    recipe: Recipe,
    parents: Mapping[str, Parent],
    header: Header,
    nodes: Mapping[str, Node],
    report: PlanReport,
    bake: Bake | None,
) -> Mapping[str, Node]:
    """`nodes` of the result, which has this `header`, with the LoRAs of the `recipe`; tells it in the `report`.

    `parents` are the opened models by their letters. Raises what `bake` raises.
    """
    if not recipe.loras or bake is None:
        return nodes
    loras = [(parents[lora.model], _weight(lora)) for lora in recipe.loras]
    changes = bake(header, identify(header), loras, Rows(nodes))
    changed = changes.changed
    report.bake([name for name in nodes if name in changed])
    report.warnings += changes.warnings()
    return {name: Baked(node, name, changes) if name in changed else node for name, node in nodes.items()}


def _weight(lora: Lora) -> Weight:
    return lora.weight if isinstance(lora.weight, Weight) else Weight(lora.weight)
