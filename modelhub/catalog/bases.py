"""Which architecture an adapter was made for: a vote of its modules against the key maps.

Names alone prove nothing: an SD 1.x LoRA finds all of its names in SD 2.x. Names with
sizes and numbers of dimensions do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache, reduce
from operator import or_

from modelhub.catalog.adapter_names import also_rules
from modelhub.catalog.adapter_shapes import KEEP_DIMS, is_kernel
from modelhub.catalog.adapters import Adapter, Module
from modelhub.catalog.architectures import Architecture, architectures
from modelhub.catalog.identity import Evidence
from modelhub.catalog.keymaps import Spelling, Target, mapped, modules
from modelhub.catalog.match import Names, View

#: Of a file with some unknown modules, the share that has to be proved.
_NEARLY_ALL = 0.9


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
    """The architecture if there is just one, all that are possible, how sure, and why.

    `also` are ids of further models that the same modules fit, `excluded` the architectures that the shapes rule out
    where nothing fits.
    """

    architecture: str | None
    bases: tuple[str, ...]
    confidence: str
    evidence: tuple[Evidence, ...]
    also: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()


def targets(architecture: str, module: Module) -> list[Target]:
    """What a module may change in an architecture: one target for each component that it can mean."""
    known = modules(architecture)
    return [known[name] for name in (module.place.first, *module.place.others) if name in known]


def same_dims(module: Module, goal: Target) -> bool:
    """Whether linear meets linear and convolution meets convolution; LoHa and its kin flatten, so they always pass."""
    dims = module.size.dims
    return module.algorithm not in KEEP_DIMS or dims is None or dims == goal.rank


def same_size(module: Module, goal: Target) -> bool:
    """Whether the known sizes of the module are those of its target."""
    size = module.size
    if size.out_size is not None and size.out_size != goal.out_size:
        return False
    if size.either is not None:
        return size.either in (goal.out_size, goal.in_size)
    if size.in_size is None or size.in_size == goal.in_size:
        return True
    return module.algorithm not in KEEP_DIMS and goal.rank == 4 and is_kernel(size.in_size, goal.in_size)


def _fits(architecture: str, module: Module) -> bool:
    return any(same_dims(module, goal) and same_size(module, goal) for goal in targets(architecture, module))


@cache
def _exact(architecture: str) -> dict[Spelling, tuple[int, int, int]]:
    """Spelling to (out, in, number of dimensions)."""
    known = modules(architecture).items()
    return {spelling: (target.out_size, target.in_size, target.rank) for spelling, target in known}


def _all_equal(architecture: str, voters: Iterable[Module]) -> bool:
    """Whether every module is there with its sizes; stops at the first that is not, so wrong ones cost nothing."""
    sizes = _exact(architecture).get
    for module in voters:
        # The quick answer first: nearly all modules of nearly all files have one spelling and all sizes.
        goal, exact = sizes(module.place.first), module.kind.exact
        if (goal is None or (goal != exact and goal[:2] != exact)) and not _fits(architecture, module):
            return False
    return True


def tally(architecture: str, voters: Sequence[Module]) -> Tally:
    """Count the modules that an architecture has."""
    found = [(module, goals) for module in voters if (goals := targets(architecture, module))]
    shaped = sum(any(same_dims(module, goal) for goal in goals) for module, goals in found)
    equal = sum(_fits(architecture, module) for module, _ in found)
    return Tally(architecture, len(voters), len(found), shaped, equal)


@lru_cache(maxsize=16)
def find_base(adapter: Adapter) -> Verdict:
    """The base of an adapter. Several are listed when several fit equally well; none is ever guessed."""
    voters = [module for module in adapter.modules if module.kind.votes]
    size = len(voters)
    proved = [Tally(name, size, size, size, size) for name in mapped() if voters and _all_equal(name, voters)]
    found = _verdict(proved, "header", "all modules equal") or _by_width(voters) or _by_share(voters)
    return _with_others(found, adapter.modules)


def _by_share(voters: Sequence[Module]) -> Verdict:
    tallies = [tally(name, voters) for name in mapped()] if voters else []
    return (
        _verdict([one for one in tallies if _nearly(one)], "header", "all known modules equal")
        or _verdict(
            [one for one in tallies if one.shaped == one.total], "structure", "names and ranks fit, widths differ"
        )
        or _no_verdict(tallies)
    )


def _nearly(one: Tally) -> bool:
    return one.equal == one.found >= _NEARLY_ALL * one.total


def _no_verdict(tallies: Sequence[Tally]) -> Verdict:
    """Nothing fits. Names that nobody knows rule nothing out; other sizes do, and modules of another architecture."""
    evidence = tuple(_evidence(one, "some modules fit") for one in tallies if one.equal)
    fits = any(one.equal == one.found > 0 for one in tallies)
    excluded = tuple(one.architecture for one in tallies if one.equal < one.found or (fits and not one.found))
    return Verdict(None, (), "header", evidence, excluded=excluded)


def _evidence(one: Tally, rule: str) -> Evidence:
    found = f"{one.found} of {one.total} names, {one.shaped} with equal rank, {one.equal} with equal sizes"
    return Evidence(f"{rule}: {one.architecture}", "", found)


def _verdict(fitting: Sequence[Tally], confidence: str, rule: str) -> Verdict | None:
    if not fitting:
        return None
    bases = tuple(one.architecture for one in fitting)
    evidence = tuple(_evidence(one, rule) for one in fitting)
    return Verdict(bases[0] if len(bases) == 1 else None, bases, confidence, evidence)


def _by_width(voters: Iterable[Module]) -> Verdict | None:
    """For families without a map: what their data files say of module names and sizes."""
    view = View(Names({one.place.flat: (one.size.out_size or 0, one.size.in_size or 0) for one in voters}))
    proofs = {one.id: proof for one in architectures() if (proof := _rule(one, view)) is not None}
    if not proofs:
        return None
    evidence = (Evidence(f"modules of {base}", name, found) for base, proof in proofs.items() for name, found in proof)
    bases = tuple(sorted(proofs))
    return Verdict(bases[0] if len(bases) == 1 else None, bases, "header", tuple(evidence))


def _rule(one: Architecture, view: View) -> tuple[tuple[str, str], ...] | None:
    """What the first rule of an architecture that holds looked at."""
    return next((wanted.proof(view) for wanted in one.adapters if wanted.holds(view)), None)


def _with_others(verdict: Verdict, touched: Iterable[Module]) -> Verdict:
    """With the further models that the same modules fit, by `[[also]]` of `catalog/adapters.toml`."""
    rules = [rule for rule in also_rules() if rule.base == verdict.architecture]
    if not rules:
        return verdict
    bits = reduce(or_, {module.place.also for module in touched})
    fitting = [rule for rule in rules if bits & rule.touches and not bits & rule.without]
    evidence = tuple(Evidence("also fits", "", rule.say) for rule in fitting)
    return replace(verdict, also=tuple(rule.id for rule in fitting), evidence=(*verdict.evidence, *evidence))
