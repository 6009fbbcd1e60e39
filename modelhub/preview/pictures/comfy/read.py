"""A picture of ComfyUI as a generation: the first sampler is the picture, a later one its hires pass or refiner."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from modelhub.preview.pictures.comfy.graph import Graph, Node, said, through
from modelhub.preview.pictures.comfy.models import clip_before, loaded, models_before, vae_before
from modelhub.preview.pictures.comfy.prompts import Said, conditioning
from modelhub.preview.pictures.comfy.stages import Stage, stages
from modelhub.preview.pictures.generation import Generation, Made, number, whole
from modelhub.preview.pictures.reading.civitai import read_air
from modelhub.preview.pictures.reading.tables import inner, rows, text, value

#: How the latents of a first pass are enlarged, in A1111's words.
_LATENT_WAYS = {
    "nearest-exact": "Latent (nearest-exact)", "bilinear": "Latent", "bicubic": "Latent (bicubic)",
}  # fmt: skip
_PIXEL_WAYS = {"lanczos": "Lanczos", "nearest-exact": "Nearest", "nearest": "Nearest"}
_MODEL_ONLY = through("upscale_model")


def read_comfy(prompt: Any, workflow: Any = None) -> Generation | None:
    """What a graph says, None for none; `workflow` is the drawing of it, which may hold Civitai's numbers."""
    graph = Graph.read(prompt)
    if graph is None:
        return None
    found = stages(graph)
    extra = list(_extra(prompt, workflow))
    if not found:
        notes = ("The graph has no sampler that leads to a saved picture.",)
        models = [made for node in graph.nodes.values() for made in loaded(node, {"ckpt_name": "checkpoint"})]
        return Generation("ComfyUI", models=tuple(_once([*models, *extra])), notes=notes)
    return _generation(graph, found, extra)


def _generation(graph: Graph, found: Sequence[Stage], extra: Sequence[Made]) -> Generation:
    first, later = found[0], found[1:]
    positive, negative = (conditioning(graph, getattr(first, side), side) for side in ("positive", "negative"))
    encoders, skip = clip_before(graph, positive.clip)
    models = list(_once([*models_before(graph, first.model), *encoders, *_vae(graph, found), *positive.controls]))
    settings = dict(_settings(graph, first, positive, skip))
    notes = list(_notes(graph, first))
    for stage in later:
        more, told = _later(graph, first, stage, models)
        settings |= more
        models = list(_once([*models, *told]))
    if len(later) > 1:
        notes.append(f"The picture went through {len(found)} samplers; the first and the last are told.")
    enlargers = list(_upscalers(graph, found[-1].after))
    if enlargers:
        models = list(_once([*models, *enlargers]))
        notes.append("The finished picture was enlarged; a preview is not.")
    settings["Version"] = "ComfyUI"
    models = list(_with_told(models, extra))
    return Generation("ComfyUI", positive.text, negative.text, settings, tuple(models), notes=tuple(notes))


def _settings(graph: Graph, stage: Stage, positive: Said, skip: int | None) -> Iterator[tuple[str, str]]:
    size = _size(graph, stage)
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


def _size(graph: Graph, stage: Stage) -> tuple[int, int] | None:
    """The size of the empty latents that a sampler begins with; None where it begins with a picture."""
    link = next(
        (stage.node.links[name] for name in ("latent_image", "samples", "optional_latent") if name in stage.node.links),
        None,
    )
    for node in graph.back(link, through("latent_image", "samples", "latent")) if link else ():
        if "pixels" in node.links or "image" in node.links:
            return None
        for names in (("width", "height"), ("empty_latent_width", "empty_latent_height")):
            width, height = (graph.whole(node, name) for name in names)
            if width and height:
                return width, height
    return None


def _notes(graph: Graph, first: Stage) -> Iterator[str]:
    if _size(graph, first) is None:
        yield "The picture was made from another one, which it does not hold."
    kinds = {node.kind for node in graph.nodes.values()}
    merges = sorted(kind for kind in kinds if kind.startswith("ModelMerge"))
    if merges:
        yield f"Its model was merged on the way ({', '.join(merges[:3])})."
    detailers = sorted(kind for kind in kinds if "Detailer" in kind)
    if detailers:
        yield f"Parts of it were drawn again ({', '.join(detailers[:3])})."


def _vae(graph: Graph, found: Sequence[Stage]) -> Iterator[Made]:
    """The VAE that the picture was decoded with, where that is none of the checkpoint's."""
    decoders = [node for stage in found[::-1] for node in stage.after if "vae" in node.links]
    for node in decoders[:1]:
        made = vae_before(graph, node.links["vae"])
        if made is not None:
            yield made


def _later(graph: Graph, first: Stage, stage: Stage, models: Sequence[Made]) -> tuple[dict[str, str], list[Made]]:
    """What a further sampler is: a refiner with another model that takes over on the way, or a hires pass."""
    between = [*first.after, stage.node]
    own = list(models_before(graph, stage.model))
    before = {made.name for made in models}
    others = [made for made in own if made.role in ("checkpoint", "diffusion-model") and made.name not in before]
    enlarged = _enlarged(graph, between)
    if others and not enlarged and stage.first_step is not None and stage.steps:
        refiner = [Made("refiner", made.name, made.hash, model=made.model, version=made.version) for made in others]
        at = said((first.last_step or stage.first_step) / stage.steps)
        return {"Refiner": others[0].name or "", "Refiner switch at": str(at)}, refiner
    pairs = {
        "Denoising strength": said(stage.denoise),
        **enlarged,
        "Hires steps": said(stage.steps),
        "Hires sampler": stage.sampler if stage.sampler != first.sampler else None,
        "Hires schedule type": stage.schedule if stage.schedule != first.schedule else None,
        "Hires CFG Scale": said(stage.cfg) if stage.cfg != first.cfg else None,
    }
    return {key: one for key, one in pairs.items() if one}, [*own, *_upscalers(graph, between)]


def _enlarged(graph: Graph, nodes: Sequence[Node]) -> dict[str, str]:
    """How the picture of a first pass was enlarged by the nodes behind it."""
    found: dict[str, str] = {}
    for node in nodes:
        way = text(node.values.get("upscale_method")) or ""
        width, height = graph.whole(node, "width"), graph.whole(node, "height")
        scale = graph.number(node, "scale_by", "upscale_by")
        if "upscale_model" in node.links:
            found["Hires upscaler"] = next((made.name or "" for made in _upscalers(graph, [node])), "")
        elif way:
            ways = _LATENT_WAYS if "Latent" in node.kind else _PIXEL_WAYS
            found.setdefault("Hires upscaler", ways.get(way, way))
        if scale:
            found["Hires upscale"] = str(said(scale))
        elif width and height and way:
            found["Hires resize"] = f"{width}x{height}"
    return found


def _upscalers(graph: Graph, nodes: Sequence[Node]) -> Iterator[Made]:
    for node in nodes:
        link = node.links.get("upscale_model")
        for loader in graph.back(link, _MODEL_ONLY) if link else ():
            name = loader.values.get("model_name")
            if isinstance(name, str):
                yield Made("upscaler", name)


# -- Civitai ---------------------------------------------------------------------------------------------------------


def _extra(prompt: Mapping[str, Any], workflow: Any) -> Iterator[Made]:
    """The models that Civitai adds to graphs that ran there."""
    for holder in (prompt, workflow if isinstance(workflow, dict) else {}):
        airs = inner(holder, "extra").get("airs")
        for air in airs[:200] if isinstance(airs, list) else ():
            if isinstance(air, str) and (made := read_air(air)) is not None:
                yield made
        told = holder.get("extraMetadata")
        told = value(told) if isinstance(told, str) else told
        for one in rows(told.get("resources") if isinstance(told, dict) else None):
            version = whole(one.get("modelVersionId"))
            if version is not None:
                yield Made("other", version=version, weight=number(one.get("strength")))


def _with_told(models: Sequence[Made], extra: Sequence[Made]) -> Iterator[Made]:
    """The models with those that are told apart, each version once."""
    known: set[int | None] = {made.version for made in models if made.version}
    yield from models
    for made in extra:
        if made.version not in known:
            known.add(made.version)
            yield made


def _once(models: Sequence[Made]) -> Iterator[Made]:
    seen = set()
    for made in models:
        key = (made.role, made.name, made.version)
        if key not in seen:
            seen.add(key)
            yield made
