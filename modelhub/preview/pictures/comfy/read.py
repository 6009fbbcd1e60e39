"""A picture of ComfyUI as a generation: the first sampler is the picture, a later one its hires pass or refiner."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, pairwise
from typing import Any

from modelhub.preview.pictures.comfy.beginning import begins_with_picture, size_of
from modelhub.preview.pictures.comfy.graph import Graph, said
from modelhub.preview.pictures.comfy.models import (
    LOADS,
    MOST_MODELS,
    clip_before,
    loaded,
    loras_of,
    models_before,
    vae_before,
)
from modelhub.preview.pictures.comfy.numbered import numbered, with_numbered
from modelhub.preview.pictures.comfy.passes import later, scripted, upscalers, with_pass
from modelhub.preview.pictures.comfy.prompts import Said, conditioning
from modelhub.preview.pictures.comfy.stages import Stage, stages
from modelhub.preview.pictures.generation import Generation, Made


def read_comfy(prompt: Any, workflow: Any = None) -> Generation | None:
    """What a graph says, None for none; `workflow` is the drawing of it, which may hold Civitai's numbers."""
    graph = Graph.read(prompt)
    if graph is None:
        return None
    found = stages(graph)
    extra = list(numbered(prompt, workflow))
    if not found:
        notes = ("The graph has no sampler that leads to a saved picture.",)
        return Generation("ComfyUI", models=_told(_all_models(graph), extra), notes=notes)
    return _generation(graph, found, extra)


def _all_models(graph: Graph) -> Iterator[Made]:
    """The models of all nodes, whatever they are for."""
    nodes = list(graph.nodes.values())
    for node in nodes:
        yield from loaded(node, LOADS)
        yield from loras_of(graph, node)
    yield from upscalers(graph, nodes)


def _generation(graph: Graph, found: Sequence[Stage], extra: Sequence[Made]) -> Generation:
    first = found[0]
    positive, negative = (conditioning(graph, getattr(first, side), side) for side in ("positive", "negative"))
    encoders, skip = clip_before(graph, positive.clip)
    settings = dict(_settings(graph, first, positive, skip))
    models = [*models_before(graph, first.model), *encoders, *_vae(graph, found), *positive.controls]
    for before, stage in pairwise(found):
        more, told = later(graph, first, before, stage, models)
        settings = with_pass(settings, more)
        models += told
    more, told = scripted(graph, first.node)
    settings |= more
    enlargers = list(upscalers(graph, found[-1].after))
    return Generation(
        "ComfyUI",
        positive.text,
        negative.text,
        settings | {"Version": "ComfyUI"},
        _told([*models, *told, *enlargers], extra),
        notes=tuple(_notes(graph, found, is_enlarged=bool(enlargers))),
    )


def _settings(graph: Graph, stage: Stage, positive: Said, skip: int | None) -> Iterator[tuple[str, str]]:
    size = size_of(graph, stage)
    pairs = {
        "Steps": said(stage.steps),
        "Sampler": stage.sampler,
        "Schedule type": stage.schedule,
        "CFG scale": said(1.0 if stage.cfg is None else stage.cfg),
        "Distilled CFG Scale": said(positive.guidance),
        "Seed": None if stage.seed is None else str(stage.seed),
        "Size": f"{size[0]}x{size[1]}" if size else None,
        "Denoising strength": said(stage.denoise) if stage.denoise not in (None, 1.0) and size is None else None,
        "Clip skip": str(skip) if skip and skip > 1 else None,
        "RNG": "CPU",
        "Eta": said(stage.eta),
        "Sigma noise": said(stage.noise) if stage.noise not in (None, 1.0) else None,
    }
    return ((key, one) for key, one in pairs.items() if one is not None)


def _notes(graph: Graph, found: Sequence[Stage], *, is_enlarged: bool) -> Iterator[str]:
    if begins_with_picture(graph, found[0]):
        yield "The picture was made from another one, which it does not hold."
    kinds = {node.kind for node in graph.nodes.values()}
    merges = sorted(kind for kind in kinds if kind.startswith("ModelMerge"))
    if merges:
        yield f"Its model was merged on the way ({', '.join(merges[:3])})."
    detailers = sorted(kind for kind in kinds if "Detailer" in kind)
    if detailers:
        yield f"Parts of it were drawn again ({', '.join(detailers[:3])})."
    if len(found) > 2:
        yield f"The picture went through {len(found)} samplers; the first and the last are told."
    if is_enlarged:
        yield "The finished picture was enlarged; a preview is not."


def _vae(graph: Graph, found: Sequence[Stage]) -> Iterator[Made]:
    """The VAE that the picture was decoded with, where that is none of the checkpoint's."""
    decoders = [node for stage in found[::-1] for node in stage.after if "vae" in node.links]
    for node in decoders[:1]:
        made = vae_before(graph, node.links["vae"])
        if made is not None:
            yield made


def _told(models: Iterable[Made], extra: Sequence[Made]) -> tuple[Made, ...]:
    """The models, each once, with those that are told by number, as many as are told."""
    return tuple(islice(with_numbered(list(islice(_once(models), MOST_MODELS)), extra), MOST_MODELS))


def _once(models: Iterable[Made]) -> Iterator[Made]:
    seen = set()
    for made in models:
        key = (made.role, made.name, made.version)
        if key not in seen:
            seen.add(key)
            yield made
