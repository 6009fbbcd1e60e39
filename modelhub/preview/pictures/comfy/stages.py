"""Samplers of a graph of ComfyUI: one stage for each that the picture went through, with what drives it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from modelhub.preview.pictures.comfy.graph import PIPES, Graph, Link, Node, through
from modelhub.preview.pictures.names import COMFY_SAMPLERS, schedule_name

_PICTURES = through(
    "images", "image", "samples", "latent", "latent_image", "latents", "pixels", "optional_latent", "lq_image",
    "vae_decode",
)  # fmt: skip
#: Saved pictures that are followed back until one of them was sampled.
_MOST_ENDS = 10
#: Schedulers that are nodes of their own.
_SCHEDULERS = {
    "KarrasScheduler": "Karras", "ExponentialScheduler": "Exponential", "PolyexponentialScheduler": "Polyexponential",
    "AlignYourStepsScheduler": "Align Your Steps", "AlignYourSteps": "Align Your Steps",
    "BetaSamplingScheduler": "Beta",
}  # fmt: skip
#: Samplers that are nodes of their own.
_SAMPLERS = {
    "SamplerEuler": "Euler", "SamplerEulerAncestral": "Euler a", "SamplerLMS": "LMS",
    "SamplerDPMPP_2M_SDE": "DPM++ 2M SDE", "SamplerDPMPP_3M_SDE": "DPM++ 3M SDE",
    "SamplerDPMPP_SDE": "DPM++ SDE", "SamplerDPMPP_2S_Ancestral": "DPM++ 2S a",
    "SamplerDPMAdaptative": "DPM adaptive", "SamplerLCMUpscale": "LCM",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stage:
    """One sampler: its node, the nodes between it and the next one or the picture, and where its parts come from."""

    node: Node
    after: Sequence[Node]
    model: Link | None
    positive: Link | None
    negative: Link | None
    sampler: str | None
    schedule: str | None
    steps: int | None
    cfg: float | None
    seed: int | None
    denoise: float | None
    first_step: int | None = None
    last_step: int | None = None
    eta: float | None = None
    noise: float | None = None


def stages(graph: Graph) -> list[Stage]:
    """The samplers that a saved picture went through, the first one first; none where nothing was sampled."""
    found: list[Stage] = []
    for start in _saving(graph):
        found = list(_chain(graph, start))
        if found:
            break
    return found[::-1]


def _saving(graph: Graph) -> list[str]:
    """Nodes that save pictures, then those that show them, then all that nothing follows."""
    used = {link.node for node in graph.nodes.values() for link in node.links.values()}

    def rank(node: Node) -> int:
        return 0 if node.kind == "SaveImage" else 1 if "Save" in node.kind else 2 if "Preview" in node.kind else 3

    ends = [node for node in graph.nodes.values() if node.links and (rank(node) < 2 or node.id not in used)]
    return [node.id for node in sorted(ends, key=rank)][:_MOST_ENDS]


def _chain(graph: Graph, start: str) -> Iterator[Stage]:
    """The samplers before a node, the last one first."""
    at: str | None = start
    seen: set[str] = set()
    for _ in range(10):
        passed: list[Node] = []
        found = None
        for node in graph.back(at, _PICTURES):
            if node.id not in seen and is_sampler(node):
                found = node
                break
            passed.append(node)
        if found is None:
            return
        seen.update({found.id, *(node.id for node in passed)})
        yield _stage(graph, found, passed)
        link = next(
            (found.links[name] for name in ("latent_image", "samples", "image", "pixels") if name in found.links), None
        )
        at = link.node if link else None


def is_sampler(node: Node) -> bool:
    """Whether a node samples the whole picture: it has a model or a guider, and something to begin with."""
    if "Detailer" in node.kind or node.kind.startswith("Context"):
        return False
    drives = any(node.has(name) for name in ("sampler_name", "sampler", "guider"))
    is_driven = node.first("model", "guider", *PIPES) is not None
    return drives and is_driven and (len(node.links) > 1 or node.has("steps", "seed"))


def _stage(graph: Graph, node: Node, after: Sequence[Node]) -> Stage:
    guider, sigmas, sampler, noise = (
        _at(graph, node.links.get(name)) for name in ("guider", "sigmas", "sampler", "noise")
    )
    driver, timing, walker = guider or node, _scheduler(graph, sigmas) or node, sampler or node
    return Stage(
        node=node,
        after=after,
        model=driver.first("model", *PIPES),
        positive=driver.first("positive", "conditioning", "cond1", *PIPES),
        negative=driver.first("negative", *PIPES),
        sampler=_sampler(graph, walker),
        schedule=_SCHEDULERS.get(timing.kind) or schedule_name(graph.word(timing, "scheduler")),
        steps=graph.whole(timing, "steps", "base_steps"),
        cfg=graph.number(driver, "cfg", "cfg_conds", "base_cfg"),
        seed=graph.whole(noise or node, "noise_seed", "seed"),
        denoise=graph.number(timing, "denoise"),
        first_step=graph.whole(node, "start_at_step"),
        last_step=graph.whole(node, "end_at_step"),
        eta=graph.number(walker, "eta"),
        noise=graph.number(walker, "s_noise"),
    )


def _at(graph: Graph, link: Link | None) -> Node | None:
    return graph.nodes.get(link.node) if link else None


def _scheduler(graph: Graph, node: Node | None) -> Node | None:
    """The node that makes the sigmas: those that split or turn them are passed."""
    return next((one for one in graph.back(node.id, through("sigmas")) if one.has("steps")), None) if node else None


def _sampler(graph: Graph, node: Node) -> str | None:
    if (own := _SAMPLERS.get(node.kind)) is not None:
        return own + (" Heun" if own == "DPM++ 2M SDE" and node.values.get("solver_type") == "heun" else "")
    name = graph.word(node, "sampler_name")
    return COMFY_SAMPLERS.get(name, name) if name else None
