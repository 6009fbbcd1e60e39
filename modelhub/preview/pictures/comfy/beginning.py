"""What the first sampler of a graph of ComfyUI begins with: empty latents of some size, or another picture."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from modelhub.preview.pictures.comfy.graph import PIPES, Graph, Link, Node, through
from modelhub.preview.pictures.comfy.stages import Stage

_BEFORE = ("latent_image", "samples", "latent", *PIPES)
_TO_LATENTS, _TO_NAMED = through(*_BEFORE), through(*_BEFORE, or_all=False)
_PAIRS = (("width", "height"), ("empty_latent_width", "empty_latent_height"))
#: Inputs that name a size out of a list, `896x1152 (0.78)`.
_CHOICES = ("resolution", "dimensions", "aspect_ratio", "size", "empty_latent")
_SIZE = re.compile(r"(\d{2,5})\s*[x×]\s*(\d{2,5})")


def size_of(graph: Graph, stage: Stage) -> tuple[int, int] | None:
    """The size of the empty latents that a sampler begins with; None where it is not told."""
    for node in _beginning(graph, stage):
        for names in _PAIRS:
            link = node.links.get(names[0])
            holder = graph.nodes.get(link.node, node) if link else node
            width, height = _chosen_size(graph, holder) or (graph.whole(node, name) for name in names)
            if width and height:
                return (height, width) if holder.values.get("swap_dimensions") in ("On", True) else (width, height)
    return None


def _chosen_size(graph: Graph, holder: Node) -> tuple[int, int] | None:
    """A size that was chosen from a list, `896x1152 (0.78)`, by the node that holds it, and what overrides it there."""
    told = (holder.values.get(name) for name in _CHOICES)
    match = next(filter(None, (_SIZE.search(one[:200]) for one in told if isinstance(one, str))), None)
    if match is None:
        return None
    width, height = (graph.whole(holder, f"{name}_override") for name in ("width", "height"))
    return width or int(match[1]), height or int(match[2])


def _beginning(graph: Graph, stage: Stage) -> Iterator[Node]:
    """The nodes that make the latents that a sampler begins with, up to one that takes a picture."""
    link = stage.node.first("latent_image", "samples", "optional_latent", "latent", *PIPES)
    for node in graph.back(link, _to_latents):
        if _takes_picture(node):
            return
        yield node


def _to_latents(node: Node) -> Sequence[Link]:
    """The links to the latents before a node; behind one that has a size, others lead to what that is for or from."""
    return (_TO_NAMED if any(node.has(*pair) for pair in _PAIRS) else _TO_LATENTS)(node)


def _takes_picture(node: Node) -> bool:
    return "pixels" in node.links or "image" in node.links


def begins_with_picture(graph: Graph, stage: Stage) -> bool:
    """Whether a sampler begins with a picture, and not with empty latents."""
    link = stage.node.first("latent_image", "samples", "optional_latent", "latent", "image", "pixels")
    return _takes_picture(stage.node) or any(map(_takes_picture, graph.back(link, _to_latents)))
