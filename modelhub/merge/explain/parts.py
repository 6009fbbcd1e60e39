"""Parts: the fits of one component, of its blocks and of its tensors, with the parents that it needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from modelhub.merge.explain.fitting import Fit, fit
from modelhub.merge.explain.sums import Sums, total
from modelhub.merge.explain.verdicts import quality

#: A weight that nobody would miss.
_NOTHING = 1e-3
#: How much more may be left without a parent that is not needed.
_SLACK = 1.02


@dataclass(frozen=True)
class Part:
    """One component: the sums of each of its blocks and tensors, and which parents (by number in the sums) it is of.

    `bound`: whether its weights sum to one.
    """

    component: str
    sums: Mapping[str | None, Sums]
    tensors: Mapping[str, Sums]
    block_of: Mapping[str, str | None]
    used: tuple[int, ...] = ()
    bound: bool = True

    @classmethod
    def of(cls, component: str, tensors: Mapping[str, Sums], block_of: Mapping[str, str | None]) -> Part:
        """Find which parents are needed, and whether the weights sum to one."""
        by_block: dict[str | None, list[Sums]] = {}
        for name, sums in tensors.items():
            by_block.setdefault(block_of[name], []).append(sums)
        everyone = tuple(range(len(next(iter(tensors.values())).parents)))
        part = cls(component, {b: total(each) for b, each in by_block.items()}, tensors, block_of, everyone)
        found = part.needed()
        if found.exact:
            return found
        free = replace(part, bound=False).needed()
        return free if free.exact else found

    @property
    def parents(self) -> tuple[int, ...]:
        """The parents that have this component, by number."""
        return self.fit.sums.parents

    @cached_property
    def fit(self) -> Fit:
        """One set of weights for the whole component."""
        return fit(total(self.sums.values()), self.used, bound=self.bound)

    @cached_property
    def blocks(self) -> dict[str | None, Fit]:
        """One set of weights for each block."""
        return {block: fit(sums, self.used, bound=self.bound) for block, sums in self.sums.items()}

    def of_tensor(self, name: str) -> Fit:
        """One set of weights for one tensor."""
        return fit(self.tensors[name], self.used, bound=self.bound)

    @cached_property
    def overall(self) -> Fit:
        """The fit of the whole component, with what is left and what rounding leaves when each block has its own."""
        blocks = self.blocks.values()
        return replace(self.fit, left=sum(b.left for b in blocks), distance=sum(b.distance for b in blocks))

    @property
    def varies(self) -> bool:
        """Whether blocks have weights of their own."""
        return not self.allow(self.fit.weights.tolist())

    @property
    def exact(self) -> bool:
        """Whether every block is explained but for rounding."""
        return all(quality(found) == "exact to rounding" for found in self.blocks.values())

    def among(self, used: Iterable[int]) -> Part:
        """The same, solved for some of the parents."""
        return replace(self, used=tuple(used))

    def without(self, parent: int) -> Part:
        """The same, solved without one of the parents."""
        return self.among(i for i in self.used if i != parent)

    def needed(self) -> Part:
        """The same without the parents whose weights are nothing in every block, one by one."""
        part = self
        while len(part.used) > 1:
            idle = sorted((part.most(i), i) for i in part.used if part.is_idle(i))
            smaller = next((one for _, i in idle if part.spares(one := part.without(i))), None)
            if smaller is None:
                break
            part = smaller
        return part

    def most(self, parent: int) -> float:
        """The largest weight that a parent has in any block."""
        return max(abs(float(found.weights[parent])) for found in self.blocks.values())

    def is_idle(self, parent: int) -> bool:
        """Whether a parent's weight is known somewhere, and is nothing wherever it is known."""
        known = [found for found in self.blocks.values() if found.known(parent)]
        return bool(known) and all(_is_nothing(found, parent) for found in known)

    def spares(self, smaller: Part) -> bool:
        """Whether nothing is lost with fewer parents."""
        return all(
            few.left <= _SLACK * all_.left + few.sums.rounding / 50 + 16 * few.sums.rounding / few.sums.elements
            for few, all_ in zip(smaller.blocks.values(), self.blocks.values(), strict=True)
        )

    def allow(self, weights: Sequence[float]) -> bool:
        """Whether one set of weights explains every block."""
        return all(found.allows(weights) for found in self.blocks.values())

    def copies(self) -> tuple[int, ...]:
        """The parents that the whole component is a copy of, but for its precision."""
        return tuple(
            i
            for i in range(len(self.parents))
            if all(one.same[i] for one in self.sums.values()) or self.among((i,)).exact
        )


def _is_nothing(found: Fit, parent: int) -> bool:
    weight = abs(float(found.weights[parent]))
    return weight <= max(_NOTHING, 4 * float(found.errors[parent]))
