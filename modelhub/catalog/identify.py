"""What a file is, from its header alone: names, shapes, dtypes and metadata; no tensor is read.

The order matters because kinds share names: small kinds first, then denoisers by the longest prefix, adapters only where there
is no denoiser, then what remains. What matches nothing stays unknown, with a fingerprint.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from hashlib import blake2b
from math import prod
from typing import Any

from modelhub.catalog.adapters import Adapter, read_adapter
from modelhub.catalog.architectures import Architecture
from modelhub.catalog.bases import Verdict, find_base
from modelhub.catalog.components import Match, Part, component, find_denoiser, find_inside, find_whole, split
from modelhub.catalog.identity import Component, Evidence, Identity
from modelhub.catalog.marks import flags, name_hints, prediction, quantisation
from modelhub.catalog.match import Names
from modelhub.catalog.measures import measure_all
from modelhub.catalog.metadata import refine
from modelhub.catalog.upscalers import scale
from modelhub.formats.header import FLOAT_DTYPES, Header

#: Of all tensors, the share that must belong to adapter modules.
_MOSTLY = 0.5


def identify(header: Header, *, name: str = "") -> Identity:
    """What the file behind `header` is, with evidence. `name` is its file name, good for remarks only."""
    names = Names(header.shapes)
    dtypes, weights = _count(header)
    adapter = None
    found = _small(names)
    if found is None:
        found = _model(names, weights)
    if found is None or found.kind == "lora":
        adapter = read_adapter(names.shapes)
        if found is None and adapter is not None and adapter.tensors >= _MOSTLY * len(names.shapes):
            found = _lora(adapter)
        elif found is not None and adapter is not None:
            found = replace(found, adapter=adapter_facts(adapter, (found.architecture,) if found.architecture else ()))
    if found is None:
        found = _remainder(names, weights)
    is_adapter = adapter is not None and found.kind == "lora"
    found = replace(
        found,
        dtypes=dtypes,
        parameters=sum(weights.values()),
        fingerprint=fingerprint(names, adapter if is_adapter else None),
        facts={**found.facts, **flags(names)},
    )
    return _hints(refine(_marked(found, names), header.metadata), name)


def _count(header: Header) -> tuple[dict[str, int], dict[str, int]]:
    """Elements by dtype, the most used first, and parameters (elements of floating-point tensors) by name."""
    dtypes: Counter[str] = Counter()
    weights: dict[str, int] = {}
    for name, info in header.tensors.items():
        size = prod(info.shape)
        dtypes[info.dtype] += size
        if info.dtype in FLOAT_DTYPES:
            weights[name] = size
    return dict(dtypes.most_common()), weights


def _of_match(found: Match, kind: str) -> Identity:
    """Everything that follows from one match: variant, prediction, facts."""
    one = found.architecture
    layout = found.signature.layout
    measures = one.measures.get(layout or "any", one.measures.get("any", {}))
    true = [variant for variant in one.variants if variant.condition.holds(found.view)]
    facts: dict[str, Any] = {**measure_all(found.view, measures), **one.assume}
    return Identity(
        kind=kind,
        architecture=_pick((variant.architecture for variant in true), one.architecture),
        variant=_pick((variant.variant for variant in true), one.variant),
        prediction=_pick((variant.prediction for variant in true), one.prediction),
        layout=layout,
        confidence=found.signature.confidence,
        evidence=found.evidence + tuple(proof for variant in true[:3] for proof in _why(variant.condition.proof(found.view))),
        facts=facts,
    )


def _pick(choices: Iterable[str | None], default: str | None) -> str | None:
    return next((choice for choice in choices if choice), default)


def _why(proof: Iterable[tuple[str, str]]) -> list[Evidence]:
    return [Evidence("variant", name, shape) for name, shape in proof]


def _small(names: Names) -> Identity | None:
    """ControlNets, embeddings and other small kinds; their architecture follows from a width, if from anything."""
    found = find_whole(names, "small")
    if found is None:
        return None
    identity = _of_match(found, found.architecture.kind or "other")
    widths = any(variant.architecture for variant in found.architecture.variants)
    if identity.architecture is None and widths:
        width = Evidence("widths differ", "", "no known architecture has these widths")
        return replace(identity, confidence="structure", evidence=(*identity.evidence, width))
    return identity


def _model(names: Names, weights: Mapping[str, int]) -> Identity | None:
    """A file with a denoiser: a checkpoint if a VAE or text encoder is there too."""
    parts, rest = split(names)
    found = find_denoiser(names)
    certain = [part for part in parts if part.role == "denoiser"]
    if found is None and not (certain and len(parts) > len(certain)):
        return None
    others = [_component(names, part, weights) for part in parts if part.role != "denoiser"]
    kind = "checkpoint" if any(one.role in ("vae", "text_encoder") for one in others) else "diffusion-model"
    if found is None:
        unknown = [component("denoiser", None, part.prefix, part.names, weights) for part in certain]
        why = Evidence("denoiser of no known architecture", "", certain[0].prefix)
        return Identity(kind, components=(*unknown, *others), evidence=(why,)) if kind == "checkpoint" else None
    own = next((part.names for part in certain if part.prefix == found.view.prefix), rest)
    denoiser = component("denoiser", found, found.view.prefix, own, weights)
    identity = _of_match(found, kind)
    return replace(identity, architecture=found.architecture.id, components=(denoiser, *others))


def _component(names: Names, part: Part, weights: Mapping[str, int]) -> Component:
    found = find_inside(names, part.role, part.prefix) if part.role in ("vae", "text_encoder") else None
    return component(part.role, found, found.view.prefix if found else part.prefix, part.names, weights)


def _lora(adapter: Adapter) -> Identity:
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
    """What to show of an adapter, as plain values; `rank` maps each rank (as text) to the number of modules that have it."""
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


def _remainder(names: Names, weights: Mapping[str, int]) -> Identity:
    """A file without denoiser and adapter: VAE, text encoders, vision encoder, upscaler, or unknown."""
    parts, _ = split(names)
    inside = [(part.role, part.prefix, find_inside(names, part.role, part.prefix)) for part in parts if part.role in ("vae", "text_encoder")]
    matches = [(role, found) for role, _, found in inside if found]
    if not matches:
        whole = find_whole(names, "whole")
        bare = [(role, found) for role in ("vae", "text_encoder") if whole is None and (found := find_inside(names, role, ""))]
        matches = bare[:1]
        if whole is not None:
            return _whole(whole)
    if not matches:
        return Identity()
    return _parts(matches, [component(role, found, found.view.prefix, names.under(found.view.prefix), weights) for role, found in matches])


def _parts(matches: list[tuple[str, Match]], components: list[Component]) -> Identity:
    roles = {role for role, _ in matches}
    first: Match = matches[0][1]
    kind = (first.architecture.kind or "other") if len(roles) == 1 else "other"
    identity = _of_match(first, kind)
    facts = {**identity.facts, **({"used_by": list(first.architecture.used_by)} if first.architecture.used_by else {})}
    if len(matches) > 1:
        facts = {"bundle": [found.architecture.id for _, found in matches]}
    alone = len(matches) == 1
    note = (Evidence("verdict", "", first.architecture.title),) if alone else ()
    return replace(
        identity,
        architecture=first.architecture.id if alone else None,
        variant=identity.variant if alone else None,
        components=tuple(components),
        evidence=(*(proof for _, found in matches for proof in found.evidence), *note),
        facts=facts,
    )


def _whole(found: Match) -> Identity:
    one: Architecture = found.architecture
    identity = _of_match(found, one.kind or "other")
    factor = scale(found.view, one) if one.upscale else None
    facts = {**identity.facts, **({"scale": factor} if factor else {})}
    return replace(identity, architecture=one.id if one.kind == "upscaler" else identity.architecture, facts=facts)


def _marked(identity: Identity, names: Names) -> Identity:
    """With the prediction that a marker tensor declares and with the packing of the weights."""
    marker = prediction(names)
    packed = quantisation(names, identity.dtypes)
    if packed:
        identity = replace(identity, facts={**identity.facts, "quantisation": packed})
    if marker is None or identity.kind == "unknown":
        return identity
    return replace(identity, prediction=marker[0], evidence=(*identity.evidence, marker[1]))


def _hints(identity: Identity, name: str) -> Identity:
    hints = name_hints(name)
    if not hints:
        return identity
    evidence = tuple(Evidence("from the file name", "", hint) for hint in hints)
    return replace(identity, evidence=(*identity.evidence, *evidence), facts={**identity.facts, "name_hints": list(hints)})


def fingerprint(names: Names, adapter: Adapter | None = None) -> str:
    """32 hex digits that are equal for equal layouts: names and shapes, without dtypes, order or an adapter's rank."""
    if adapter is None:
        lines = [f"{name}:{names.shapes[name]}" for name in names.ordered]
    else:
        lines = sorted(f"{one.name}:{one.algorithm}:{one.size.out_size}:{one.size.in_size}" for one in adapter.modules)
    return blake2b("\n".join(lines).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
