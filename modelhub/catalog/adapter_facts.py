"""What to show of an adapter: algorithms, ranks, modules by component, and the base it was made for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from modelhub.catalog.adapters import Adapter
from modelhub.catalog.bases import Verdict, find_base
from modelhub.catalog.identity import Evidence, Identity


def adapter_identity(adapter: Adapter) -> Identity:
    """What an adapter file is: its base by vote, and what to show of it."""
    verdict = find_base(adapter)
    return Identity(
        kind="lora",
        architecture=verdict.architecture,
        layout=_dialect(adapter),
        confidence=verdict.confidence,
        evidence=_adapter_evidence(adapter, verdict),
        adapter=adapter_facts(adapter, verdict.bases),
    )


def _adapter_evidence(adapter: Adapter, verdict: Verdict) -> tuple[Evidence, ...]:
    first = adapter.modules[0]
    return (Evidence(f"modules of {first.algorithm}", first.name, f"{len(adapter.modules)} modules"), *verdict.evidence)


def _dialect(adapter: Adapter) -> str:
    return Counter(module.dialect for module in adapter.modules).most_common(1)[0][0]


def adapter_facts(adapter: Adapter, bases: Iterable[str]) -> dict[str, Any]:
    """What to show of an adapter, as plain values; `rank` maps each rank (as text) to how many modules have it."""
    sizes = [module.size for module in adapter.modules]
    ranks = Counter(size.rank for size in sizes if size.rank)
    extra = [module.parts.get("extra", {}) for module in adapter.modules]
    places = Counter("unet" if module.components == ("denoiser",) else "text_encoder" for module in adapter.modules)
    return {
        "algorithm": sorted({module.algorithm or "" for module in adapter.modules}),
        "rank": {str(rank): count for rank, count in ranks.most_common()},
        "modules": len(adapter.modules),
        "alpha": any("alpha" in parts for parts in extra),
        "conv": any((size.dims or 0) > 2 for size in sizes),
        "dora": any("dora" in parts for parts in extra),
        "dialect": _dialect(adapter),
        "bases": list(bases),
        "components": {place: places.get(place, 0) for place in ("unet", "text_encoder")},
        "incomplete": sum(module.incomplete for module in adapter.modules),
    }
