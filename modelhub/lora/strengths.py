"""Strengths: how much an adapter changes each block: the mean of what it adds to a weight, without any checkpoint.

What an algorithm adds that depends on the weight (DoRA, IA3, rotations) cannot be told without one.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from math import prod, sqrt
from typing import TYPE_CHECKING, Any

from modelhub.catalog.blocks import block_names
from modelhub.errors import CorruptFileError
from modelhub.formats.threads import one_thread
from modelhub.jobs import QUIET, Job
from modelhub.lora.algorithms.applying import change_of, step_of, unsupported
from modelhub.lora.algorithms.fits import own
from modelhub.lora.algorithms.registry import Change, Given
from modelhub.lora.layers import Layers
from modelhub.lora.network import Network, Patch
from modelhub.text import brief

if TYPE_CHECKING:
    import torch

#: Elements of a change that are made at once.
_WINDOW = 1 << 20
_DORA = ("extra.dora", "extra.magnitude")


@dataclass
class Strength:
    """Of the modules of one block: the mean of |ΔW| and the root of the mean of ΔW², over all elements."""

    modules: int = 0
    elements: int = 0
    total: float = 0.0
    squares: float = 0.0

    def add(self, other: Strength) -> None:
        """Count another's modules, too."""
        self.modules += other.modules
        self.elements += other.elements
        self.total += other.total
        self.squares += other.squares

    def as_dict(self) -> dict[str, Any]:
        """As plain values."""
        count = max(1, self.elements)
        return {"modules": self.modules, "mean": self.total / count, "rms": sqrt(max(0.0, self.squares) / count)}


@dataclass
class Strengths:
    """By block, in their order; `largest` are the modules that add the most to each element (rms).

    `left` counts modules that were not measured, by the reason. DoRA's lengths of rows are not counted in.
    """

    blocks: dict[str, Strength] = field(default_factory=dict)
    largest: list[tuple[str, float]] = field(default_factory=list)
    left: Counter[str] = field(default_factory=Counter)

    def as_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "blocks": {name: one.as_dict() for name, one in self.blocks.items()},
            "largest": [{"module": brief(name, 120), "rms": rms} for name, rms in self.largest],
            "left": dict(self.left),
        }


def strengths(network: Network, layers: Layers | None, job: Job = QUIET) -> Strengths:
    """What each module of an adapter adds, by block; `layers` of its base tell blocks, else places are told.

    One module is in memory at a time, and a window of its product.
    """
    found = Strengths()
    every: list[tuple[str, float]] = []
    with job.phase("measuring", len(network.patches), "modules") as advance, one_thread():
        for patch in network.patches:
            block, shape = _where(patch, layers)
            one, reason = _measured(network, patch, shape)
            if one is None:
                found.left[reason] += 1
            else:
                found.blocks.setdefault(block, Strength()).add(one)
                every.append((patch.module.name, one.as_dict()["rms"]))
            advance(1, patch.module.name)
    order = block_names(layers.identity.architecture) if layers is not None else ()
    found.blocks = dict(sorted(found.blocks.items(), key=lambda pair: order.index(pair[0]) if pair[0] in order else -1))
    found.largest = sorted(every, key=lambda pair: -pair[1])[:5]
    return found


def _where(patch: Patch, layers: Layers | None) -> tuple[str, tuple[int, ...] | None]:
    """The block of a module, and the shape of its layer where it fits."""
    layer = layers.find(patch.module.place) if layers is not None else None
    if layer is None:
        return patch.module.place.group[1], None
    fits = not unsupported(patch.module, layer.shape)
    return layer.spot.block or layer.spot.component, layer.shape if fits else None


def _measured(network: Network, patch: Patch, shape: tuple[int, ...] | None) -> tuple[Strength | None, str]:
    """What one module adds; or None, and why it is not measured."""
    import torch

    module = patch.module
    shape = shape or _own_shape(patch)
    if shape is None or module.incomplete or unsupported(module, shape):
        return None, "the sizes of its layer are not known, or do not fit"
    parts = {part: value for part, value in network.values(patch).items() if part not in _DORA}
    given = Given(own(module.algorithm, parts), shape, network.configured.settings(module), module.name)
    try:
        with torch.inference_mode():
            change = change_of(module.algorithm, given, _Unknown(shape))
            return (
                (None, "it depends on the weight")
                if change.needs_weight
                else (_summed(change, shape, step_of(module, shape)), "")
            )
    except CorruptFileError:
        return None, "its alpha is no number"


def _summed(change: Change, shape: tuple[int, ...], together: int) -> Strength:
    """The sums over a change, a few rows at a time; `together` is how many rows belong to each other."""
    rows, columns = shape[0], prod(shape[1:])
    found = Strength(1, rows * columns)
    step = max(1, _WINDOW // max(1, columns) // together) * together
    for start in range(0, rows, step):
        made: torch.Tensor = change.rows(start, min(start + step, rows), None).double()
        found.total += float(made.abs().sum())
        found.squares += float(made.square().sum())
    return found


def _own_shape(patch: Patch) -> tuple[int, ...] | None:
    """The shape of the layer that the factors of a LoRA, or a difference, tell by themselves."""
    parts, size = patch.module.parts, patch.module.size
    if "lora.b" in parts and "lora.a" in parts:
        inner = parts.get("lora.mid", parts["lora.a"])[2:]
        return (parts["lora.b"][0], *parts["lora.a"][1:2], *inner)
    if "diff.diff" in parts:
        return parts["diff.diff"]
    return (size.out_size, size.in_size) if size.out_size and size.in_size else None


class _Unknown:
    """The weight of a layer of which only the shape is known."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape[0], prod(shape[1:])

    def rows(self, start: int, stop: int) -> torch.Tensor:
        """Never asked for: what needs it is left out."""
        raise AssertionError(f"rows {start} to {stop} of a weight that is not there")
