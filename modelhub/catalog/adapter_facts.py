"""What to show of an adapter: algorithms, ranks, modules by component, and the base it was made for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from modelhub.catalog.adapter_shapes import Kind
from modelhub.catalog.adapters import Adapter, Module
from modelhub.catalog.bases import Verdict, find_base
from modelhub.catalog.identity import Evidence, Identity
from modelhub.text import one_line, shorten

#: Of names that come from the file, so many are kept, each of so many columns.
_FIRST = 3
_EMBEDDINGS = 20
#: Of different ranks, those that most modules have; resized adapters have some dozens.
_RANKS = 200
_COLUMNS = 120
_LABELS = ("attention", "conv", "te1", "te2", "te3", "norm", "other")


def adapter_identity(adapter: Adapter) -> Identity:
    """What an adapter file is: its base by vote, and what to show of it."""
    verdict = find_base(adapter)
    facts = adapter_facts(adapter, verdict.bases, also=verdict.also, excluded=verdict.excluded)
    return Identity(
        kind="lora",
        architecture=verdict.architecture,
        layout=facts["dialect"],
        confidence=verdict.confidence,
        evidence=_adapter_evidence(adapter, verdict),
        adapter=facts,
    )


def _adapter_evidence(adapter: Adapter, verdict: Verdict) -> tuple[Evidence, ...]:
    first = adapter.modules[0]
    return (Evidence(f"modules of {first.algorithm}", first.name, f"{len(adapter.modules)} modules"), *verdict.evidence)


#: Dialect, label and kind of modules that are alike in all three, and how many there are.
_Group = tuple[str, str, Kind, int]


def _groups(modules: Sequence[Module]) -> list[_Group]:
    """Modules counted by what is told of them."""
    counts = Counter([(one.place.group, one.kind) for one in modules])
    return [(*group, kind, count) for (group, kind), count in counts.items()]


def adapter_facts(
    adapter: Adapter, bases: Iterable[str], *, also: Iterable[str] = (), excluded: Iterable[str] = ()
) -> dict[str, Any]:
    """What to show of an adapter, as plain values.

    `rank` maps each rank (as text) to how many modules have it; `algorithms` and `parts` count modules by algorithm and
    by place. `dora_axis` is the side that weights are normalised along. `also` are models that the same modules fit,
    `excluded` architectures that the shapes rule out, `input_channels` what modules at the model's input take.
    """
    groups = _groups(adapter.modules)
    kinds = [(kind, count) for _, _, kind, count in groups]
    algorithms = _count((kind.algorithm, count) for kind, count in kinds)
    text_encoders = sum(count for _, label, _, count in groups if label.startswith("te"))
    return {
        "algorithm": sorted(algorithms),
        "algorithms": algorithms,
        "rank": _count((str(kind.size.rank), count) for kind, count in kinds if kind.size.rank),
        "modules": len(adapter.modules),
        "alpha": any(kind.alpha for kind, _ in kinds),
        "conv": any(_has_kernel(kind) for kind, _ in kinds),
        "dora": any(kind.dora for kind, _ in kinds),
        "dora_axis": sorted({kind.dora for kind, _ in kinds if kind.dora}),
        "dialect": next(iter(_count((dialect, count) for dialect, _, _, count in groups))),
        "bases": list(bases),
        "also": list(also),
        "excluded": list(excluded),
        "components": {"unet": len(adapter.modules) - text_encoders, "text_encoder": text_encoders},
        "parts": _parts(groups),
        "incomplete": sum(count for kind, count in kinds if kind.incomplete),
        "incomplete_modules": _clean((one.name for one in adapter.modules if one.kind.incomplete), _FIRST),
        "embeddings": _clean(adapter.bundled, _EMBEDDINGS),
        "input_channels": {**adapter.replaced, **_inputs(adapter.modules)},
    }


def _inputs(modules: Iterable[Module]) -> dict[str, int | None]:
    return {one.place.flat: one.kind.size.in_size for one in modules if one.place.input}


def _count(pairs: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Sums by name, the largest first."""
    sums: Counter[str] = Counter()
    for name, count in pairs:
        sums[name] += count
    return dict(sums.most_common(_RANKS))


def _has_kernel(kind: Kind) -> bool:
    return (kind.size.dims or 0) > 2


def _parts(groups: Iterable[_Group]) -> dict[str, int]:
    """Modules by place, in the order of `_LABELS`."""
    sums = _count((_part(label, kind), count) for _, label, kind, count in groups)
    return {label: sums[label] for label in _LABELS if label in sums}


def _part(label: str, kind: Kind) -> str:
    """A norm is one by its algorithm, a convolution outside of attention also by its kernel."""
    if kind.algorithm == "norm":
        return "norm"
    return "conv" if label == "other" and _has_kernel(kind) else label


def _clean(names: Iterable[str], most: int) -> list[str]:
    """The first names, made safe to show."""
    return [shorten(one_line(name[:1000]), _COLUMNS) for name in islice(names, most)]
