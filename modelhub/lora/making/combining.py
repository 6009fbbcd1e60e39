"""Combining: which modules of several adapters change the same layer, and how they can be one, from their headers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from modelhub.catalog.bases import find_base
from modelhub.catalog.opener import Parent
from modelhub.catalog.weighing.weight import Spot, Weight
from modelhub.errors import IncompatibleError, UsageError
from modelhub.formats.stat import FileStat
from modelhub.lora.layers import LABELS, Layer, Layers
from modelhub.lora.making.ranks import Ranks
from modelhub.lora.making.rename import rename
from modelhub.lora.names import Dialect
from modelhub.lora.network import Network, Patch
from modelhub.lora.reference import reference, referred
from modelhub.text import brief, few, plural

#: Algorithms that add a product of matrices, and those that add what they hold.
_PRODUCTS, _SUMS = frozenset({"lora", "loha", "lokr"}), frozenset({"diff", "norm"})
#: Parts with which what is added is no sum any more, or has no form that several could share.
_NONLINEAR = frozenset({
    "extra.dora", "extra.magnitude", "extra.reshape", "extra.a_bias", "diff.set", "lora.embedding_a", "lora.embedding_b"
})  # fmt: skip
_FLAT = frozenset({"kohya", "lycoris", "onetrainer"})
_BAKE = "`modelhub lora bake` adds them to a checkpoint one after the other."


@dataclass(frozen=True, slots=True)
class Wish:
    """The ranks of what comes out (None: as many as go in together), its dtype (None: the widest), and its names."""

    ranks: Ranks | None = None
    dtype: str | None = None
    names: Dialect | None = None


class Share(NamedTuple):
    """What one adapter has of a layer, and its strength there."""

    network: Network
    patch: Patch
    strength: float


class Group(NamedTuple):
    """All that changes one layer. `how`: "copy" the only one, one "product", or a "sum" of what is held whole."""

    shares: tuple[Share, ...]
    how: str


@dataclass(frozen=True)
class Ingredient:
    """An adapter and its weight."""

    parent: Parent
    weight: Weight = field(default_factory=lambda: Weight(1.0))


@dataclass(frozen=True)
class Combining:
    """A merge of adapters that was not made."""

    wish: Wish
    ingredients: tuple[Ingredient, ...]
    networks: tuple[Network, ...]
    groups: tuple[Group, ...]
    architecture: str | None
    stats: Mapping[Path, FileStat]

    def as_dict(self) -> dict[str, object]:
        """As plain values."""
        hows = [group.how for group in self.groups]
        return {
            "modules": len(self.groups),
            "shared": sum(len(group.shares) > 1 for group in self.groups),
            "how": {how: hows.count(how) for how in dict.fromkeys(hows)},
            "architecture": self.architecture,
            "adapters": [one.parent.name for one in self.ingredients],
        }


def plan_combine(ingredients: Sequence[Ingredient], wish: Wish) -> Combining:
    """How adapters are merged.

    Raises IncompatibleError for adapters of different bases, for modules that are no sums (DoRA, rotations) and do not
    stand alone at strength 1, and for names that have no counterpart; BadRecipeError for a weight by blocks that the
    base has not; UsageError for nothing to merge.
    """
    if not ingredients:
        raise UsageError("There is nothing to merge.", "Name one LoRA or more, each with its weight: style:0.8.")
    networks = [Network(one.parent.source, one.parent.name) for one in ingredients]
    base = _base(networks)
    layers = reference(base) if base in referred() else None
    for one in ingredients:
        one.weight.check(base)
    named = tuple(_renamed(networks, layers, wish.names))
    groups = _groups(ingredients, named, layers, wish)
    if not groups:
        raise IncompatibleError("With these weights nothing is left to merge.", "Give a LoRA a weight other than 0.")
    stats = {path: stat for one in ingredients for path, stat in one.parent.stats.items()}
    return Combining(wish, tuple(ingredients), named, tuple(groups), base, stats)


def _base(networks: Sequence[Network]) -> str | None:
    """The architecture that all are for; None if none of them tells, the first if they leave several."""
    found = {network.name: find_base(network.adapter).bases for network in networks}
    known = {name: bases for name, bases in found.items() if bases}
    common = [base for base in next(iter(known.values()), ()) if all(base in bases for bases in known.values())]
    if known and not common:
        said = ", ".join(f"{brief(name)} is for {' or '.join(bases)}" for name, bases in known.items())
        raise IncompatibleError(f"These LoRAs are for different models: {said}.", "Merge those of one architecture.")
    return common[0] if common else None


def dialect_of(network: Network) -> Dialect | None:
    """The way a file's modules are named, None for one that is neither kohya's nor that of diffusers."""
    dialects = {patch.module.place.group[0] for patch in network.patches}
    if dialects <= {"kohya"}:
        return "kohya"
    return "peft" if dialects <= {"diffusers"} else None


def _renamed(networks: Sequence[Network], layers: Layers | None, wanted: Dialect | None) -> Iterator[Network]:
    """All under names of one dialect: that which is wanted, or the one they have, or that of the first."""
    dialects = [{patch.module.place.group[0] for patch in network.patches} for network in networks]
    if wanted is None and all(one == dialects[0] for one in dialects) and not _overlap(networks, layers):
        yield from networks
        return
    goal = wanted or ("kohya" if dialects[0] & _FLAT else "peft")
    for network in networks:
        if dialect_of(network) == goal and not _overlap([network], layers):
            yield network
        elif layers is None:
            raise IncompatibleError(
                f"{network.name} has names of another kind, and its base is not known.",
                "Give all of them one kind of names with `modelhub lora rename --for CHECKPOINT`.",
            )
        else:
            yield rename(network, layers, goal).network(network.name)


def _overlap(networks: Sequence[Network], layers: Layers | None) -> bool:
    """Whether some modules change parts of what others change whole, or the same in another order."""
    if layers is None:
        return False
    places = (patch.module.place for network in networks for patch in network.patches)
    found = {layer.stretches: layer for place in places if (layer := layers.find(place)) is not None}
    taken: dict[str, set[tuple[int, int]]] = defaultdict(set)
    turns: dict[str, set[bool]] = defaultdict(set)
    for stretches, layer in found.items():
        turns[layer.tensor].add(layer.turned)
        for one in stretches:
            taken[one.tensor].add((one.start, one.count))
    return any(_meet(sorted(rows)) for rows in taken.values()) or any(len(one) > 1 for one in turns.values())


def _meet(rows: list[tuple[int, int]]) -> bool:
    """Whether two different stretches have a row in common."""
    return any(one[0] + one[1] > two[0] for one, two in pairwise(rows))


def _groups(
    ingredients: Sequence[Ingredient], networks: Sequence[Network], layers: Layers | None, wish: Wish
) -> list[Group]:
    shares: dict[object, list[Share]] = defaultdict(list)
    for one, network in zip(ingredients, networks, strict=True):
        for patch in network.patches:
            layer = layers.find(patch.module.place) if layers else None
            strength = one.weight.at(_spot(patch, layer), 1.0)
            if strength:
                shares[_key(patch, layer)].append(Share(network, patch, strength))
    groups = [Group(tuple(found), _how(found, wish)) for found in shares.values()]
    _refuse([group for group in groups if not group.how])
    return groups


def _key(patch: Patch, layer: Layer | None) -> object:
    """What modules that change the same layer have in common; norms and their like stay with their own kind."""
    return layer.stretches if layer is not None else (patch.module.place.components[0], patch.module.place.flat)


def _spot(patch: Patch, layer: Layer | None) -> Spot:
    """Where a module belongs; of an unknown base only its component is known."""
    if layer is not None:
        return layer.spot
    place = patch.module.place
    return Spot(LABELS[place.components[0]][0], None, place.flat, patch.module.name)


def _how(shares: Sequence[Share], wish: Wish) -> str:
    """How modules become one, "" if they cannot."""
    patches = [share.patch for share in shares]
    linear = not any(patch.module.incomplete or _NONLINEAR & patch.tensors.keys() for patch in patches)
    algorithms = {patch.module.algorithm for patch in patches}
    is_alone = len(shares) == 1 and shares[0].strength == 1 and not patches[0].module.incomplete
    is_kept = is_alone and wish.ranks is None and wish.dtype is None
    is_kept = is_kept and (algorithms != {"lora"} or not shares[0].network.outer(patches[0]))
    if linear and algorithms <= _PRODUCTS and not is_kept:
        return "product"
    if is_alone:
        return "copy"
    if linear and algorithms <= (_PRODUCTS | _SUMS) and not ("norm" in algorithms and len(algorithms) > 1):
        return "sum"
    return ""


def _refuse(groups: Sequence[Group]) -> None:
    """Raise IncompatibleError for modules that cannot be merged."""
    if not groups:
        return
    shares = [share for group in groups for share in group.shares]
    incomplete = [share.patch.module.name for share in shares if share.patch.module.incomplete]
    if incomplete:
        raise IncompatibleError(
            f"{plural(len(incomplete), 'module')} {'lacks' if len(incomplete) == 1 else 'lack'} a part: "
            f"{few(incomplete)}.", "Get the file again.",
        )  # fmt: skip
    names = [share.patch.module.name for share in shares]
    kinds = sorted({_kind(share.patch) for share in shares})
    raise IncompatibleError(
        f"{plural(len(groups), 'layer')} cannot be merged without a checkpoint, for what changes them is no sum "
        f"({', '.join(kinds)}): {few(names)}.", _BAKE,
    )  # fmt: skip


def _kind(patch: Patch) -> str:
    return "DoRA" if patch.module.kind.dora else patch.module.algorithm
