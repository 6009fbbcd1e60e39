"""Info: what there is to know of an adapter besides its bytes: what it is made of, for what, by whom, and of what.

All of it but the alphas comes from the header; those are numbers of a few bytes, read one by one.
"""

from __future__ import annotations

import math
import struct
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from modelhub.catalog.adapter_facts import adapter_facts
from modelhub.catalog.bases import find_base
from modelhub.catalog.training import frequent_tags, learn
from modelhub.lora.network import ALPHA, Network, Patch
from modelhub.text import brief

#: Most frequent tags that are shown; names that come from the file, of each kind.
_TAGS, _NAMES = 20, 50
#: Different alphas, or scales, that are told apart.
_VALUES = 50
#: How the bytes of one number are read.
_FORMATS = {"F64": "<d", "F32": "<f", "F16": "<e", "I64": "<q", "I32": "<i", "I16": "<h", "I8": "<b", "U8": "<B"}


def info(network: Network) -> dict[str, Any]:
    """What the file of an adapter tells, as plain values; all text of it is made safe to show."""
    adapter, metadata = network.adapter, network.metadata
    verdict, learned = find_base(adapter), learn(metadata)
    facts = adapter_facts(adapter, verdict.bases, also=verdict.also, excluded=verdict.excluded)
    training = {key: value for key, value in learned.training.items() if key != "tags"}
    return {
        **facts,
        "alpha": _alphas(network),
        "tensors": len(network.source.header.tensors),
        "bytes": network.source.header.file_size,
        "dtypes": _dtypes(network),
        "base_confidence": verdict.confidence,
        "base_evidence": [f"{one.rule}: {one.found}" for one in verdict.evidence],
        "incomplete_modules": _names(one.name for one in adapter.modules if one.incomplete),
        "stray_tensors": _names(_stray(network)),
        "trained_on": {key: training.get(f"base_{key}") for key in ("model", "hash")},
        "trigger_words": list(learned.trigger_words),
        "tags": frequent_tags(metadata, _TAGS),
        "training": training,
    }


def _names(names: Iterable[str]) -> list[str]:
    """The first of names that a file chose, safe to show."""
    return [brief(name, 120) for name, _ in zip(names, range(_NAMES), strict=False)]


def _stray(network: Network) -> list[str]:
    """Tensors that are of no module, nor of an embedding."""
    used = {tensor for patch in network.patches for tensor in patch.tensors.values()}
    return [name for name in network.source.header.tensors if name not in used and not name.startswith("bundle_emb.")]


def _dtypes(network: Network) -> dict[str, int]:
    """Elements by dtype, the most frequent first."""
    counts: Counter[str] = Counter()
    for one in network.source.header.tensors.values():
        counts[one.dtype] += math.prod(one.shape)
    return dict(counts.most_common())


def _alphas(network: Network) -> dict[str, Any]:
    """How many modules have which alpha, and which scale (alpha / rank); and how many have none, or no number."""
    values, scales = Counter[str](), Counter[str]()
    missing = 0
    for patch in network.patches:
        alpha = alpha_of(network, patch)
        if alpha is None:
            missing += patch.module.algorithm in ("lora", "loha", "lokr", "glora")
        elif patch.module.algorithm != "oft":  # there it is a constraint
            rank = patch.module.size.rank
            values[_number(alpha)] += 1
            scales[_number(alpha / rank) if rank else "unknown"] += 1
    return {"values": _most(values), "scales": _most(scales), "missing": missing}


def _most(counts: Counter[str]) -> dict[str, int]:
    return dict(counts.most_common(_VALUES))


def _number(value: float) -> str:
    """As people write it: 8, 0.5, nan."""
    return f"{value:.6g}"


def alpha_of(network: Network, patch: Patch) -> float | None:
    """The alpha of a module, of the file or of PEFT's configuration; NaN for what is not one number, None for none."""
    name = patch.tensors.get(ALPHA)
    return network.outer(patch).get(ALPHA) if name is None else number_of(network, name)


def number_of(network: Network, name: str) -> float:
    """The value of a tensor that holds one number; NaN for others."""
    one = network.source.info(name)
    if math.prod(one.shape) != 1:
        return math.nan
    data = network.source.read_bytes(name)
    if one.dtype == "BF16":
        return float(struct.unpack("<f", b"\0\0" + data)[0])
    return float(struct.unpack(_FORMATS[one.dtype], data)[0]) if one.dtype in _FORMATS else math.nan


def base_of(facts: Mapping[str, Any]) -> str | None:
    """The one architecture that an adapter is for."""
    bases: list[str] = facts["bases"]
    return bases[0] if len(bases) == 1 else None
