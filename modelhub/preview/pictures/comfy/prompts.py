"""Prompts of a graph of ComfyUI: the texts that reach a sampler's positive and negative input."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from modelhub.preview.pictures.comfy.graph import PIPES, Graph, Link, Node, through
from modelhub.preview.pictures.comfy.models import named
from modelhub.preview.pictures.generation import Made

#: Inputs of nodes that encode a text, those that say most first; two that say the same count once.
_ENCODED = ("text", "text_g", "text_l", "t5xxl", "clip_l", "clip_g", "text1", "text2", "prompt", "wildcard_text")
#: What became of a text with wildcards, beside it.
_FILLED = "populated_text"
_TO_CONDITIONING = ("conditioning", "conditioning_to", "conditioning_from", "cond", *PIPES, "guider", "cond1")


@dataclass(slots=True)
class Said:
    """What reaches one side of a sampler: texts, guidance, the link to the text encoder, ControlNets."""

    texts: list[str] = field(default_factory=list)
    guidance: float | None = None
    clip: Link | None = None
    controls: list[Made] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All of it as one prompt."""
        return "\n".join(self.texts)


def conditioning(graph: Graph, start: Link | None, side: str) -> Said:
    """What reaches a sampler at `start`; `side` is positive or negative, for nodes that have both."""
    said = Said()
    follow = through(side, *_TO_CONDITIONING)
    stopped: set[str] = set()

    def onward(node: Node) -> Sequence[Link]:
        return [] if node.id in stopped or node.kind == "ConditioningZeroOut" else follow(node)

    for node in graph.back(start, onward) if start else ():
        guidance = graph.number(node, "guidance") if "uidance" in node.kind or "Flux" in node.kind else None
        said.guidance = guidance if said.guidance is None else said.guidance
        said.controls += _controls(graph, node)
        texts = list(_texts(graph, node, side))
        if texts or _is_encoder(node):
            stopped.add(node.id)
            said.texts += [text for text in dict.fromkeys(texts) if text.strip() and text not in said.texts]
            said.clip = said.clip or node.links.get("clip") or Link(node.id, 0)
    return said


def _is_encoder(node: Node) -> bool:
    """Whether a node makes conditioning of a text, and of no other conditioning."""
    return "clip" in node.links and any(map(node.has, (*_ENCODED, _FILLED))) and node.first(*_TO_CONDITIONING) is None


def _texts(graph: Graph, node: Node, side: str) -> Iterator[str]:
    """The texts that a node encodes; nothing for a node that hands on what others encoded."""
    encodes = "clip" in node.links or "Encode" in node.kind
    known = (_FILLED,) if node.has(_FILLED) else _ENCODED
    names = [name for name in (known if encodes else ()) if node.has(name)]
    if not names and isinstance(node.values.get(side), str):
        names = [side]
    for name in names:
        text = graph.text(node, name)
        if text is not None:
            yield text


def _controls(graph: Graph, node: Node) -> Iterator[Made]:
    link = node.links.get("control_net")
    for loader in graph.back(link, through("control_net")) if link else ():
        name = loader.values.get("control_net_name")
        if isinstance(name, str):
            yield named("controlnet", name)
