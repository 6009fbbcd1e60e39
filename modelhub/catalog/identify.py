"""What a file is, from its header alone: names, shapes, dtypes and metadata; no tensor is read.

The order matters because kinds share names: small kinds first, then denoisers by the longest prefix, adapters only
where there is no denoiser, then what remains. What matches nothing stays unknown, with a fingerprint.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import replace
from itertools import chain
from typing import Any

from blake3 import blake3

from modelhub.catalog.adapter_facts import adapter_facts, adapter_identity
from modelhub.catalog.adapters import Adapter, read_adapter
from modelhub.catalog.architectures import Architecture, Variant
from modelhub.catalog.components import Match, Part, component, find_denoiser, find_inside, find_whole, split
from modelhub.catalog.identity import Component, Evidence, Identity
from modelhub.catalog.lineage import trace
from modelhub.catalog.marks import flags, name_hints, prediction
from modelhub.catalog.match import Names, View
from modelhub.catalog.measures import measure_all
from modelhub.catalog.metadata import refine
from modelhub.catalog.packing import packing
from modelhub.catalog.upscalers import scale
from modelhub.catalog.weights import Weights
from modelhub.formats.header import Header
from modelhub.text import plural, shorten

#: Of all tensors, the share that must belong to adapter modules.
_MOSTLY = 0.5
_INSIDE = ("vae", "text_encoder")


def identify(header: Header, *, name: str = "", form: str = "safetensors") -> Identity:
    """What the file behind `header` is, with evidence.

    `name` is its file name, good for remarks only; `form` its format, which goes into the identity as it is.
    """
    names = Names(header.shapes)
    packed = packing(names, header.columns, header.metadata)
    if packed.shapes:
        names = Names({**names.shapes, **packed.shapes})
    weights = Weights(names, header.columns, packed.parameters)
    found, adapter = _find(names, split(names, form == "diffusers"), weights)
    found = replace(
        found,
        format=form,
        layout="diffusers" if form == "diffusers" else found.layout,
        dtypes=weights.dtypes,
        parameters=weights.total,
        fingerprint=fingerprint(names, adapter),
        facts={**found.facts, **flags(names), **({"quantisation": packed.facts} if packed.facts else {})},
    )
    return trace(_hints(refine(_marked(found, names), header.metadata), name), header.metadata, name)


def _find(names: Names, parts: tuple[Part, ...], weights: Weights) -> tuple[Identity, Adapter | None]:
    """What the file is, by the order of the module's docstring; with its modules if it is an adapter."""
    found = _small(names) or _model(names, parts, weights)
    # A LoRA may have the prefixes of a checkpoint, and a denoiser that nobody knows may be no denoiser.
    known = found is not None and (found.kind != "checkpoint" or found.architecture is not None)
    if found is not None and known and found.kind != "lora":
        return found, None
    adapter = read_adapter(names.shapes)
    if adapter is not None and found is not None and known:
        bases = (found.architecture,) if found.architecture else ()
        return replace(found, adapter=adapter_facts(adapter, bases)), adapter
    if adapter is not None and adapter.tensors >= _MOSTLY * len(names.shapes):
        return adapter_identity(adapter), adapter
    return found or _remainder(names, parts, weights), None


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
        confidence=found.confidence,
        evidence=(*found.evidence, *(proof for variant in true[:3] for proof in _why(variant, found.view))),
        facts=facts,
    )


def _pick(choices: Iterable[str | None], default: str | None) -> str | None:
    return next((choice for choice in choices if choice), default)


def _why(variant: Variant, view: View) -> list[Evidence]:
    """What a variant rests on: tensors that are there, or else that others are not."""
    said = variant.variant or variant.architecture or f"{variant.prediction} prediction"
    absent = [(name, "absent") for name in variant.condition.none]
    return [Evidence(f"variant {said}", name, shape) for name, shape in variant.condition.proof(view) or absent]


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


def _model(names: Names, parts: tuple[Part, ...], weights: Weights) -> Identity | None:
    """A file with a denoiser: a checkpoint if a VAE or text encoder is there too."""
    certain = [part.prefix for part in parts if part.role == "denoiser"]
    found = find_denoiser(names)
    if found is None and len(parts) == len(certain):
        return None
    others = [_component(names, part, weights) for part in parts if part.role != "denoiser"]
    kind = "checkpoint" if any(one.role in _INSIDE for one in others) else "diffusion-model"
    if found is None:
        return _of_unknown(certain, others, weights) if certain and kind == "checkpoint" else None
    prefix = found.view.prefix
    inside = [part.prefix for part in parts if part.prefix != prefix and part.prefix.startswith(prefix)]
    denoiser = component("denoiser", found, prefix, weights, inside)
    return replace(_of_match(found, kind), architecture=found.architecture.id, components=(denoiser, *others))


def _of_unknown(certain: list[str], others: list[Component], weights: Weights) -> Identity:
    """A checkpoint whose denoiser nobody knows: its prefix proves what it is, nothing proves whose."""
    unknown = [component("denoiser", None, prefix, weights) for prefix in certain]
    why = Evidence("denoiser of no known architecture", "", certain[0])
    return Identity("checkpoint", components=(*unknown, *others), evidence=(why,))


def _component(names: Names, part: Part, weights: Weights) -> Component:
    found = find_inside(names, part.role, part.prefix) if part.role in _INSIDE else None
    return component(part.role, found, found.view.prefix if found else part.prefix, weights)


def _remainder(names: Names, parts: tuple[Part, ...], weights: Weights) -> Identity:
    """A file without denoiser and adapter: VAE, text encoders, vision encoder, upscaler, or unknown."""
    inside = [part for part in parts if part.role in _INSIDE]
    matches = [found for part in inside if (found := find_inside(names, part.role, part.prefix))]
    if not matches:
        whole = find_whole(names, "whole")
        if whole is not None:
            return _whole(whole)
        matches = [found for role in _INSIDE if (found := find_inside(names, role, ""))][:1]
    return _parts(matches, weights) if matches else Identity(evidence=(_nothing(names),))


def _nothing(names: Names) -> Evidence:
    """Why a file is unknown: what it has in place of anything known."""
    first = next(iter(names.ordered), None)
    if first is None:
        return Evidence("no tensors")
    others = len(names.shapes) - 1
    found = f"{list(names.shapes[first][:8])}" + (f" and {plural(others, 'other tensor')}" if others else "")
    return Evidence("no rule fits", shorten(first[:1000], 120), found)


def _parts(matches: list[Match], weights: Weights) -> Identity:
    """VAE and text encoders without a denoiser: one by itself, or several together."""
    components = tuple(component(one.architecture.role, one, one.view.prefix, weights) for one in matches)
    if len(matches) > 1:
        kinds = {one.architecture.kind or "other" for one in matches}
        bundle = {"bundle": [one.architecture.id for one in matches]}
        evidence = tuple(proof for one in matches for proof in one.evidence)
        kind = kinds.pop() if len(kinds) == 1 else "other"
        return Identity(kind, components=components, confidence="header", evidence=evidence, facts=bundle)
    one = matches[0].architecture
    identity = _of_match(matches[0], one.kind or "other")
    used_by = {"used_by": list(one.used_by)} if one.used_by else {}
    evidence = (*identity.evidence, Evidence("verdict", "", one.title))
    facts = {**identity.facts, **used_by}
    return replace(identity, architecture=one.id, components=components, evidence=evidence, facts=facts)


def _whole(found: Match) -> Identity:
    one: Architecture = found.architecture
    identity = _of_match(found, one.kind or "other")
    factor = scale(found.view, one) if one.upscale else None
    facts = {**identity.facts, **({"scale": factor} if factor else {})}
    return replace(identity, architecture=one.id if one.kind == "upscaler" else identity.architecture, facts=facts)


def _marked(identity: Identity, names: Names) -> Identity:
    """With the prediction that a marker tensor declares."""
    marker = prediction(names)
    if marker is None or identity.kind == "unknown":
        return identity
    return replace(identity, prediction=marker[0], evidence=(*identity.evidence, marker[1]))


def _hints(identity: Identity, name: str) -> Identity:
    hints = name_hints(name)
    if not hints:
        return identity
    evidence = tuple(Evidence("from the file name", "", hint) for hint in hints)
    return replace(
        identity, evidence=(*identity.evidence, *evidence), facts={**identity.facts, "name_hints": list(hints)}
    )


def fingerprint(names: Names, adapter: Adapter | None = None) -> str:
    """32 hex digits that are equal for equal layouts: names and shapes, without dtypes, order or an adapter's rank."""
    if adapter is not None:
        return blake3("\n".join(adapter.lines).encode("utf-8", "surrogatepass")).hexdigest(length=16)
    shapes = list(map(names.shapes.__getitem__, names.ordered))
    digest = blake3(names.lines.encode("utf-8", "surrogatepass"))
    digest.update(_numbers([*map(len, shapes), *chain.from_iterable(shapes)]))
    return digest.hexdigest(length=16)


def _numbers(sizes: list[int]) -> bytes:
    """Numbers as bytes; no tensor has a size of 64 bits, but a header may say so."""
    try:
        return array("q", sizes).tobytes()
    except OverflowError:
        return repr(sizes).encode()
