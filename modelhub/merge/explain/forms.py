"""Forms: the method that weights are of, by what the fits of components and blocks have in common.

Looked for is one set of nice numbers that all of them allow, else one for each component, else one for each block.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from modelhub.catalog.blocks import VAE
from modelhub.merge.explain.fitting import Fit
from modelhub.merge.explain.nice import nicest
from modelhub.merge.explain.parts import Part

Kind = Literal["copy", "parts", "weighted-sum", "add-difference", "triple-sum", "linear", "none"]
#: A component, and a block of it, or None for what is in no block or for all of it.
Group = tuple[str, str | None]
#: Weights by the number of the parent; those of no weight are left out.
Weights = dict[int, float]


@dataclass(frozen=True)
class Form:
    """What kind of merge it is: `order` are the parents (by number) that its formula calls A, B, C.

    `weights`: of each group the weights in that order; a component that is not named by blocks is one group.
    `copied`: components that are as one parent has them. `inexact`: components that nothing explains to rounding.
    `twins`: for a parent, those that have the same weights, and may be what it was.
    """

    kind: Kind
    order: tuple[int, ...] = ()
    weights: Mapping[Group, tuple[float, ...]] = field(default_factory=dict)
    copied: Mapping[str, int] = field(default_factory=dict)
    inexact: tuple[str, ...] = ()
    twins: Mapping[int, tuple[int, ...]] = field(default_factory=dict)

    @property
    def is_uniform(self) -> bool:
        """Whether one set of weights holds for everything that was merged."""
        return len(set(self.weights.values())) <= 1

    def numbers(self) -> dict[Group, tuple[float, ...]]:
        """The parameters of the method in each group: alpha, or alpha and beta."""
        few = self.kind in ("weighted-sum", "add-difference")
        return {group: weights[1:2] if few else weights[1:] for group, weights in self.weights.items()}


def recognise(parts: Mapping[str, Part], prefer: Sequence[int]) -> Form:
    """The form of a merge with these components; of parents that would do alike, the earlier in `prefer` goes first."""
    inexact = tuple(name for name, part in parts.items() if not part.exact)
    twins = _twins(parts, prefer)
    others = {twin for those in twins.values() for twin in those}
    parts = {name: _simplest(_narrowed(part, others), prefer) for name, part in parts.items() if name not in inexact}
    if not parts or any(name != VAE for name in inexact):
        return Form("none", inexact=inexact, twins=twins)
    copies = {name: tuple(part.parents[i] for i in part.copies()) for name, part in parts.items()}
    mixed = {name: part for name, part in parts.items() if not copies[name]}
    if mixed:
        return _mixed(parts, mixed, copies, prefer, inexact, twins)
    return _copied(parts, copies, prefer, inexact, twins)


def _twins(parts: Mapping[str, Part], prefer: Sequence[int]) -> dict[int, tuple[int, ...]]:
    """Parents that are the same in every tensor that was compared: to the first of them, the others."""
    found: dict[int, tuple[int, ...]] = {}
    for at, one in enumerate(prefer):
        if not any(one in those for those in found.values()):
            same = tuple(other for other in prefer[at + 1 :] if _are_twins(parts, one, other))
            found |= {one: same} if same else {}
    return found


def _are_twins(parts: Mapping[str, Part], one: int, other: int) -> bool:
    both = [part for part in parts.values() if {one, other} & set(part.parents)]
    return bool(both) and all(
        {one, other} <= set(part.parents)
        and part.fit.sums.same_parents(part.parents.index(one), part.parents.index(other))
        for part in both
    )


def _narrowed(part: Part, without: set[int]) -> Part:
    for local in [i for i in part.used if part.parents[i] in without]:
        part = part.without(local) if len(part.used) > 1 else part
    return part


def _simplest(part: Part, prefer: Sequence[int]) -> Part:
    """A component without the parents that cannot be told from the others, and that it can do without."""
    for local in sorted(part.used, key=lambda i: -list(prefer).index(part.parents[i])):
        if not part.fit.known(local) and len(part.used) > 1 and (fewer := part.without(local)).exact:
            part = fewer
    return part


def _copied(
    parts: Mapping[str, Part],
    copies: Mapping[str, tuple[int, ...]],
    prefer: Sequence[int],
    inexact: tuple[str, ...],
    twins: Mapping[int, tuple[int, ...]],
) -> Form:
    """Every component is some parent's."""
    whole = next((one for one in prefer if all(one in those for those in copies.values())), None)
    if whole is not None:
        return Form("copy", (whole,), {}, dict.fromkeys(parts, whole), inexact, twins)
    first = _preferred(copies[_largest(parts)], prefer)
    copied = {name: first if first in those else _preferred(those, prefer) for name, those in copies.items()}
    return Form("parts", (first,), {}, copied, inexact, twins)


def _preferred(some: Sequence[int], prefer: Sequence[int]) -> int:
    return min(some, key=list(prefer).index)


def _largest(parts: Mapping[str, Part]) -> str:
    return max(parts, key=lambda name: (name != VAE, parts[name].fit.sums.elements))


def _mixed(
    parts: Mapping[str, Part],
    mixed: Mapping[str, Part],
    copies: Mapping[str, tuple[int, ...]],
    prefer: Sequence[int],
    inexact: tuple[str, ...],
    twins: Mapping[int, tuple[int, ...]],
) -> Form:
    """Some components are sums; the others are copies, unless the same sum explains them, too."""
    main = mixed[_largest(mixed)]
    common = _one_set(main)
    weights: dict[Group, Weights] = {}
    copied: dict[str, int] = {}
    for name, part in parts.items():
        if common is not None and not (name == VAE and copies[name]) and _allowed(part, common):
            weights[name, None] = common
        elif copies[name]:
            copied[name] = _preferred(copies[name], prefer)
        else:
            weights |= _each_block(name, part)
    members = {parent for those in weights.values() for parent in those}
    kind, order = _kind(weights, [one for one in prefer if one in members])
    if all(not part.bound for part in mixed.values()):
        kind = "linear"
    copied = {name: order[0] if order[0] in copies[name] else owner for name, owner in copied.items()}
    ordered = {group: tuple(those.get(one, 0.0) for one in order) for group, those in weights.items()}
    return Form(kind, order, ordered, copied, inexact, twins)


def _one_set(part: Part) -> Weights | None:
    """Nice weights that hold for every block."""
    found = nicest(part.fit.weights.tolist(), part.allow, bound=part.bound)
    return _global(part, found) if part.allow(found) else None


def _each_block(name: str, part: Part) -> dict[Group, Weights]:
    one = _one_set(part)
    if one is not None:
        return {(name, None): one}
    return {
        (name, block): _global(part, nicest(found.weights.tolist(), found.allows, bound=part.bound))
        for block, found in part.blocks.items()
    }


def _global(part: Part, weights: Sequence[float]) -> Weights:
    return {parent: value for parent, value in zip(part.parents, weights, strict=True) if value}


def _local(fit: Fit, weights: Weights) -> list[float] | None:
    """Weights in the order of a fit's parents; None if it lacks one of them."""
    inside = set(weights) <= set(fit.sums.parents)
    return [weights.get(parent, 0.0) for parent in fit.sums.parents] if inside else None


def _allowed(part: Part, weights: Weights) -> bool:
    """Whether weights that were found elsewhere explain a component, which may need fewer parents by itself."""
    local = _local(part.fit, weights)
    return local is not None and part.among(range(len(local))).allow(local)


def _kind(weights: Mapping[Group, Weights], members: list[int]) -> tuple[Kind, tuple[int, ...]]:
    if len(members) <= 2:
        return "weighted-sum", tuple(members)
    if len(members) == 3:
        return _three(list(weights.values()), members)
    return "linear", tuple(members)


def _three(weights: list[Weights], members: list[int]) -> tuple[Kind, tuple[int, ...]]:
    """A + α·(B − C) where one weight is 1 everywhere, and the others are opposite; else a sum of three."""
    for first in members:
        if all(those.get(first) == 1 for those in weights):
            second = max(
                (one for one in members if one != first), key=lambda one: sum(w.get(one, 0.0) for w in weights)
            )
            third = next(one for one in members if one not in (first, second))
            return "add-difference", (first, second, third)
    return "triple-sum", tuple(members)
