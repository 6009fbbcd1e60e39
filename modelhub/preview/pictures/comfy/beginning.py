"""What the first sampler of a graph of ComfyUI begins with: empty latents of some size, or another picture."""

from __future__ import annotations

import re
from collections.abc import Iterator

from modelhub.preview.pictures.comfy.graph import PIPES, Graph, Node, through
from modelhub.preview.pictures.comfy.stages import Stage

_TO_LATENTS = through("latent_image", "samples", "latent", *PIPES)
_PAIRS = (("width", "height"), ("empty_latent_width", "empty_latent_height"))
#: Inputs that name a size out of a list, `896x1152 (0.78)`.
_CHOICES = ("resolution", "dimensions", "aspect_ratio", "size", "empty_latent")
_SIZE = re.compile(r"(\d{2,5})\s*[x×]\s*(\d{2,5})")


def size_of(graph: Graph, stage: Stage) -> tuple[int, int] | None:
    """The size of the empty latents that a sampler begins with; None where it is not told."""
    for node in _beginning(graph, stage):
        for names in _PAIRS:
            chosen = _chosen_size(graph, node, names[0])
            width, height = chosen or (graph.whole(node, name) for name in names)
            if width and height:
                return width, height
    return None


def _chosen_size(graph: Graph, node: Node, width: str) -> tuple[int, int] | None:
    """A size that was chosen from a list, `896x1152 (0.78)`, by a node or by the one that its width comes from."""
    link = node.links.get(width)
    holder = graph.nodes.get(link.node) if link else node
    said = (str(holder.values.get(name, ""))[:200] for name in _CHOICES) if holder else ()
    match = next(filter(None, map(_SIZE.search, said)), None)
    return (int(match[1]), int(match[2])) if match else None


def _beginning(graph: Graph, stage: Stage) -> Iterator[Node]:
    """The nodes that make the latents that a sampler begins with, up to one that takes a picture."""
    link = stage.node.first("latent_image", "samples", "optional_latent", "latent", *PIPES)
    for node in graph.back(link, _TO_LATENTS):
        if _takes_picture(node):
            return
        yield node


def _takes_picture(node: Node) -> bool:
    return "pixels" in node.links or "image" in node.links


def begins_with_picture(graph: Graph, stage: Stage) -> bool:
    """Whether a sampler begins with a picture, and not with empty latents."""
    link = stage.node.first("latent_image", "samples", "optional_latent", "latent", "image", "pixels")
    return _takes_picture(stage.node) or any(map(_takes_picture, graph.back(link, _TO_LATENTS)))
