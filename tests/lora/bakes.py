"""Models with LoRAs baked in, as merges make them: planned, not written, and what the stack of them says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelhub.catalog.opener import Parent
from modelhub.catalog.plain import read
from modelhub.catalog.weighing.weight import Weight
from modelhub.catalog.weighing.words import read_weight
from modelhub.formats.opening import members, open_source
from modelhub.formats.source import TensorSource
from modelhub.formats.watching import stats_of
from modelhub.lora.baking.merged import changes
from modelhub.lora.baking.stack import Stack
from modelhub.merge.planning.plan import Plan, plan
from modelhub.merge.recipes.making import bake_recipe


@dataclass(frozen=True)
class Baked:
    """A `plan` of a bake, and the `stack` of LoRAs that it computes with."""

    plan: Plan
    stack: Stack


def parent(path: Path) -> Parent:
    """A file or folder opened as an opener would."""
    return Parent(open_source(path), path, path.stem, None, stats_of(members(path)))


def plain(path: Path) -> TensorSource:
    """A model as a merge reads it: as one file, whatever its layout."""
    return read(parent(path)).source


def baked(path: Path, *loras: tuple[Path, Weight | float | str]) -> Baked:
    """A model with LoRAs, each with its weight or the words of it."""
    stacks: list[Stack] = []

    def bake(*given: Any) -> Stack:
        stacks.append(changes(*given))
        return stacks[0]

    weights = [(str(one), read_weight(weight) if isinstance(weight, str) else weight) for one, weight in loras]
    made = plan(bake_recipe(str(path), weights, ema="keep"), lambda ref: parent(Path(ref)), None, bake)
    return Baked(made, stacks[0])
