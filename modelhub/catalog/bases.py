"""Which architecture an adapter was made for: a vote of its modules against the key maps.

Names alone prove nothing: an SD 1.x LoRA finds all of its names in SD 2.x. Names with
sizes and numbers of dimensions do.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from modelhub.catalog.adapters import AUXILIARY, Adapter, Module, kernel
from modelhub.catalog.architectures import architectures
from modelhub.catalog.identity import Evidence
from modelhub.catalog.keymaps import Target, keymap, mapped
from modelhub.catalog.match import Names, View

#: Of a file with some unknown modules, the share that has to be proved.
_NEARLY_ALL = 0.9
#: Algorithms whose factors keep the number of dimensions of the weight.
_KEEP_DIMS = frozenset({"lora", "diff"})


@dataclass(frozen=True, slots=True)
class Tally:
    """Of `total` modules: names that the architecture has, those with as many dimensions, those with the same sizes."""

    architecture: str
    total: int
    found: int = 0
    shaped: int = 0
    equal: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """The architecture if there is just one, all that are possible, how sure, and why."""

    architecture: str | None
    bases: tuple[str, ...]
    confidence: str
    evidence: tuple[Evidence, ...]


def target(architecture: str, module: Module) -> Target | None:
    """What a module changes in an architecture, or None if that has no such module."""
    known = keymap(architecture)
    for place in module.components:
        if (place, module.flat) in known:
            return known[place, module.flat]
    return None


def same_dims(module: Module, goal: Target) -> bool:
    """Whether linear meets linear and convolution meets convolution; LoHa and its kin flatten, so they always pass."""
    dims = module.size.dims
    return module.algorithm not in _KEEP_DIMS or dims is None or dims == goal.rank


def same_size(module: Module, goal: Target) -> bool:
    """Whether the known sizes of the module are those of its target."""
    size = module.size
    if size.out_size is not None and size.out_size != goal.out_size:
        return False
    if size.in_size is None or size.in_size == goal.in_size:
        return True
    return module.algorithm not in _KEEP_DIMS and goal.rank == 4 and kernel(size.in_size, goal.in_size)


def votable(module: Module) -> bool:
    """Whether a module says anything about the base: norms and lone biases do not."""
    return module.algorithm not in AUXILIARY and (module.algorithm != "diff" or module.size.dims is not None)


def tally(architecture: str, modules: Iterable[Module]) -> Tally:
    """Count the modules that an architecture has."""
    voters = [(module, target(architecture, module)) for module in modules]
    found = [(module, goal) for module, goal in voters if goal is not None]
    shaped = [(module, goal) for module, goal in found if same_dims(module, goal)]
    equal = sum(same_size(module, goal) for module, goal in shaped)
    return Tally(architecture, len(voters), len(found), len(shaped), equal)


def _all_equal(architecture: str, modules: Iterable[Module]) -> bool:
    """Whether every module is there with its sizes; stops at the first that is not, so wrong ones cost nothing."""
    goals = ((module, target(architecture, module)) for module in modules)
    return all(goal is not None and same_dims(module, goal) and same_size(module, goal) for module, goal in goals)


def find_base(adapter: Adapter) -> Verdict:
    """The base of an adapter. Several are listed when several fit equally well; none is ever guessed."""
    voters = [module for module in adapter.modules if votable(module)]
    proved = [tally(name, voters) for name in mapped() if voters and _all_equal(name, voters)]
    return _verdict(proved, "header", "all modules equal") or _by_width(voters) or _by_share(voters)


def _by_share(voters: list[Module]) -> Verdict:
    tallies = [tally(name, voters) for name in mapped()] if voters else []
    return (
        _verdict([one for one in tallies if _nearly(one)], "header", "all known modules equal")
        or _verdict(
            [one for one in tallies if one.shaped == one.total], "structure", "names and ranks fit, widths differ"
        )
        or Verdict(None, (), "header", tuple(_evidence(one, "some modules fit") for one in tallies if one.equal))
    )


def _nearly(one: Tally) -> bool:
    return one.equal == one.found >= _NEARLY_ALL * one.total


def _evidence(one: Tally, rule: str) -> Evidence:
    found = f"{one.found} of {one.total} names, {one.shaped} with equal rank, {one.equal} with equal sizes"
    return Evidence(f"{rule}: {one.architecture}", "", found)


def _verdict(fitting: list[Tally], confidence: str, rule: str) -> Verdict | None:
    if not fitting:
        return None
    bases = tuple(one.architecture for one in fitting)
    return Verdict(
        bases[0] if len(bases) == 1 else None, bases, confidence, tuple(_evidence(one, rule) for one in fitting)
    )


def _by_width(voters: list[Module]) -> Verdict | None:
    """For families without a map: what their data files say of module names and sizes."""
    sizes = {module.flat: (module.size.out_size or 0, module.size.in_size or 0) for module in voters}
    view = View(Names(sizes))
    for one in architectures():
        for wanted in one.adapters:
            if wanted.holds(view):
                proof = (Evidence(f"modules of {one.id}", name, found) for name, found in wanted.proof(view))
                return Verdict(one.id, (one.id,), "header", tuple(proof))
    return None
