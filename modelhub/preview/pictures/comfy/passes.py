"""Further passes in a graph of ComfyUI: refiners, hires passes and enlargers behind the first sampler."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from modelhub.preview.pictures.comfy.graph import Graph, Node, said, through
from modelhub.preview.pictures.comfy.models import models_before
from modelhub.preview.pictures.comfy.stages import Stage
from modelhub.preview.pictures.generation import Made, number, read_size
from modelhub.preview.pictures.reading.tables import plain, text

#: How the latents of a first pass are enlarged, in A1111's words.
_LATENT_WAYS = {
    "nearest-exact": "Latent (nearest-exact)", "bilinear": "Latent", "bicubic": "Latent (bicubic)",
}  # fmt: skip
_PIXEL_WAYS = {"lanczos": "Lanczos", "nearest-exact": "Nearest", "nearest": "Nearest"}
_MODEL_ONLY = through("upscale_model")


def later(
    graph: Graph, first: Stage, before: Stage, stage: Stage, models: Sequence[Made]
) -> tuple[dict[str, str], list[Made]]:
    """What a further sampler is: a refiner with another model that takes over on the way, or a hires pass."""
    between = [*before.after, stage.node]
    own = list(models_before(graph, stage.model))
    known = {(made.name, made.version) for made in models}
    denoisers = [made for made in own if made.role in ("checkpoint", "diffusion-model")]
    others = [made for made in denoisers if (made.name, made.version) not in known]
    enlarged = _enlarged(graph, between)
    if others and not enlarged and stage.first_step is not None and stage.steps:
        at = said((before.last_step or stage.first_step) / stage.steps)
        name = {"Refiner": others[0].name} if others[0].name else {}  # of Civitai's models, only numbers are known
        return {**name, "Refiner switch at": str(at)}, [replace(made, role="refiner") for made in others]
    pairs = {
        "Denoising strength": said(stage.denoise),
        **enlarged,
        "Hires steps": said(stage.steps),
        "Hires sampler": stage.sampler if stage.sampler != first.sampler else None,
        "Hires schedule type": stage.schedule if stage.schedule != first.schedule else None,
        "Hires CFG Scale": said(stage.cfg) if stage.cfg != first.cfg else None,
    }
    return {key: one for key, one in pairs.items() if one}, [*own, *upscalers(graph, between)]


def _enlarged(graph: Graph, nodes: Sequence[Node]) -> dict[str, str]:
    """How the picture of a first pass was enlarged by the nodes behind it."""
    found: dict[str, str] = {}
    for node in nodes:
        way = text(node.values.get("upscale_method")) or ""
        width, height = graph.whole(node, "width"), graph.whole(node, "height")
        scale = graph.number(node, "scale_by", "upscale_by")
        if "upscale_model" in node.links:
            found["Hires upscaler"] = next((made.name or "" for made in upscalers(graph, [node])), "")
        elif way:
            ways = _LATENT_WAYS if "Latent" in node.kind else _PIXEL_WAYS
            found.setdefault("Hires upscaler", ways.get(way, way))
        if scale:
            found["Hires upscale"] = str(said(scale))
        elif width and height and way:
            found["Hires resize"] = f"{width}x{height}"
    return found


def upscalers(graph: Graph, nodes: Sequence[Node]) -> Iterator[Made]:
    """The models that nodes enlarge pictures by."""
    for node in nodes:
        link = node.links.get("upscale_model")
        for loader in graph.back(link, _MODEL_ONLY) if link else ():
            name = loader.values.get("model_name")
            if isinstance(name, str):
                yield Made("upscaler", name)


def scripted(graph: Graph, sampler: Node) -> tuple[dict[str, str], list[Made]]:
    """The hires pass that a script adds to a sampler of the Efficiency nodes, and its upscaler."""
    link = sampler.links.get("script")
    script = next((node for node in graph.back(link, through("script")) if node.has("hires_steps", "upscale_by")), None)
    if script is None:
        return {}, []
    model = None if script.values.get("upscale_type") == "latent" else text(script.values.get("pixel_upscaler"))
    way = text(script.values.get("latent_upscaler")) or ""
    pairs = {
        "Denoising strength": said(graph.number(script, "denoise")),
        "Hires upscale": said(graph.number(script, "upscale_by")),
        "Hires upscaler": model or _LATENT_WAYS.get(way, way),
        "Hires steps": said(graph.number(script, "hires_steps")),
    }
    return {key: one for key, one in pairs.items() if one}, [Made("upscaler", model)] if model else []


def with_pass(settings: Mapping[str, str], more: Mapping[str, str]) -> dict[str, str]:
    """The settings with those of a further pass, whose size is told against the first: by a factor, or in pixels."""
    both = {**settings, **more}
    scale, older = number(more.get("Hires upscale")), number(settings.get("Hires upscale"))
    size = read_size(settings.get("Hires resize"))
    if "Hires resize" in more:
        if not scale:
            both.pop("Hires upscale", None)
    elif scale and size:
        del both["Hires upscale"]
        both["Hires resize"] = "x".join(str(round(side * scale)) for side in size)
    elif scale and older:
        both["Hires upscale"] = plain(round(scale * older, 4))
    return both
