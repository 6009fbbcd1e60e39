"""Stack: adapters on a checkpoint, one after the other, each changing what those before it made.

For those that add something that does not depend on the weight (LoRA, LoHa, LoKr, differences) the order means nothing;
DoRA, rotations, IA3 and GLoRA see the weight as the adapters before them left it. A module that changes some rows of a
tensor, or several tensors, is a step in the chains of all of these.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from math import lcm
from typing import TYPE_CHECKING, NamedTuple

from modelhub.catalog.weighing.weight import Weight
from modelhub.formats.header import Header
from modelhub.formats.source import TensorSource
from modelhub.lora.baking.chains import Biased, Chain, Read, Step, Transposed, Weighted
from modelhub.lora.baking.links import Gathered, Link, Narrowed, Part, Recent, Turned
from modelhub.lora.baking.suiting import Suited, suited
from modelhub.lora.fitting import Fate
from modelhub.lora.layers import Layer, Layers, Stretch
from modelhub.lora.network import Network, Patch

if TYPE_CHECKING:
    import torch

    from modelhub.lora.algorithms.registry import Rows


@dataclass(frozen=True)
class Applied:
    """An adapter and its strength, which may differ from block to block."""

    network: Network
    weight: Weight = field(default_factory=lambda: Weight(1.0))

    def strength(self, layer: Layer) -> float:
        """The strength for a layer."""
        return self.weight.at(layer.spot, 1.0)


class Left(NamedTuple):
    """A module that is not baked in, and why."""

    patch: Patch
    fate: Fate
    reason: str = ""


@dataclass
class Tally:
    """What became of one adapter: modules `baked`, those that are `left`, those whose strength is 0 (`silent`).

    Of the baked, `narrow` are at an input of more channels than they know, and those of `biasless` would change a bias
    that the model does not have.
    """

    applied: Applied
    baked: int = 0
    silent: int = 0
    left: list[Left] = field(default_factory=list)
    narrow: list[tuple[Patch, Layer]] = field(default_factory=list)
    biasless: list[Patch] = field(default_factory=list)


def _file(source: TensorSource) -> Hashable:
    return tuple(source.origin(name) for name in source.header.tensors)


class Stack:
    """What `adapters` change in a checkpoint of this `header` with these `layers`, whose rows `read` gives.

    Headers are read here, adapters' weights where rows are asked for, and only those of the tensors that were asked for
    last are kept. `tallies` tell what does not fit, one for each adapter. Raises BadRecipeError for a weight that names
    blocks of another architecture, IncompatibleError for weights that are no floating-point numbers.
    """

    def __init__(self, layers: Layers, header: Header, adapters: Sequence[Applied], read: Read) -> None:
        self._layers, self._header, self._read = layers, header, read
        self._chains: dict[str, Chain] = {}
        self._recent = Recent()
        self._adapters = tuple(adapters)
        self.tallies = [self._tally(applied) for applied in adapters]
        deepest = max((len(chain.steps) for chain in self._chains.values()), default=0)
        self._recent.most = 3 * deepest + 6  # of two tensors that are made at a time, and some that are small

    @property
    def layers(self) -> Layers:
        """The layers of the checkpoint."""
        return self._layers

    @property
    def changed(self) -> set[str]:
        """The tensors that are changed."""
        return {name for name, chain in self._chains.items() if chain.steps}

    @property
    def origin(self) -> Hashable:
        """The files of the adapters, and their strengths."""
        return tuple((_file(applied.network.source), repr(applied.weight)) for applied in self._adapters)

    @property
    def left(self) -> list[Left]:
        """All modules that are not baked in, of all adapters."""
        return [left for tally in self.tallies for left in tally.left]

    def rows(self, tensor: str, start: int, stop: int) -> torch.Tensor:
        """Rows of a changed tensor, as a matrix [stop - start, …], fp32 (fp64 where the checkpoint is)."""
        return self._chains[tensor].rows(start, stop)

    def add(self, tensor: str, start: int, rows: torch.Tensor) -> None:
        """Change rows of a tensor from `start` on where they are: `rows` has them as they were, [count, …]."""
        self._chains[tensor].add(rows.view(len(rows), -1), start, start + len(rows))

    def step(self, tensor: str) -> int:
        """Rows of a changed tensor that are best computed together, from multiples of it on."""
        chain = self._chains[tensor]
        return min(lcm(*(step.link.step for step in chain.steps)), max(1, chain.shape[0]))

    def forget(self, tensor: str) -> None:
        """Let go of what was read for a tensor."""
        for step in self._chains[tensor].steps:
            step.link.forget()

    def warnings(self) -> list[str]:
        """What is to be said of adapters that do not fit as a whole."""
        from modelhub.lora.baking.remarks import remarks

        return remarks(self)

    def _tally(self, applied: Applied) -> Tally:
        applied.weight.check(self._layers.identity.architecture)
        tally = Tally(applied)
        for patch in applied.network.patches:
            self._apply(patch, tally)
        return tally

    def _apply(self, patch: Patch, tally: Tally) -> None:
        found = suited(patch.module, self._layers)
        strength = tally.applied.strength(found.fate.layer) if found.fate.layer is not None else 1.0
        if not strength:
            tally.silent += 1
        elif found.fate.state != "ok" or found.reason:
            tally.left.append(Left(patch, found.fate, found.reason))
        else:
            self._add(patch, found, strength, tally)

    def _add(self, patch: Patch, found: Suited, strength: float, tally: Tally) -> None:
        layer = found.fate.layer
        assert layer is not None
        tally.applied.network.check_floats(patch)
        bias = self._gathered(layer.bias) if found.bias and layer.bias else None
        link = Link(tally.applied.network, patch, found.shape, self._seen(layer, found), bias, self._recent)
        if found.weight:
            self._chain_up(layer.stretches, Transposed if layer.turned else Weighted, link, strength)
        if bias is not None:
            self._chain_up(layer.bias, Biased, link, strength)
        tally.baked += 1
        if found.columns:
            tally.narrow.append((patch, layer))
        if found.bias and not layer.bias:
            tally.biasless.append(patch)

    def _seen(self, layer: Layer, found: Suited) -> Rows:
        """The weight of a layer as its module sees it."""
        weight: Rows = self._gathered(layer.stretches)
        if layer.turned:
            return Turned(weight)
        return Narrowed(weight, found.columns) if found.columns else weight

    def _gathered(self, stretches: Sequence[Stretch]) -> Gathered:
        return Gathered([Part(self._chain(one.tensor).now(), one.start, one.count) for one in stretches])

    def _chain_up(self, stretches: Sequence[Stretch], kind: type[Step], link: Link, strength: float) -> None:
        at = 0
        for one in stretches:
            self._chain(one.tensor).steps.append(kind(link, strength, one.start, at, one.count))
            at += one.count

    def _chain(self, tensor: str) -> Chain:
        if tensor not in self._chains:
            self._chains[tensor] = Chain(tensor, self._header.tensors[tensor].shape, self._read)
        return self._chains[tensor]
