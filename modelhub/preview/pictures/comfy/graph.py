"""A graph of ComfyUI, from a stranger's picture: nodes, their inputs, and ways through it that always end."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

from modelhub.preview.pictures.generation import number, whole
from modelhub.preview.pictures.reading.tables import plain

_Number = TypeVar("_Number", int, float)

#: Nodes of a graph that are read, inputs of a node, and nodes that are passed on the way to one value.
_MOST_NODES, _MOST_INPUTS, _FARTHEST = 5_000, 500, 64
#: Steps of all ways through one graph together; after so many, every way ends.
_MOST_STEPS = 500_000
#: Names under which nodes that hold a text or a number keep it.
_TEXTS = (
    "populated_text", "text", "string", "value", "prompt", "wildcard_text", "Text", "String", "STRING", "text_positive",
    "result", "output",
)  # fmt: skip
#: Inputs before which no text is that is meant.
_NO_TEXTS = frozenset({
    "clip", "model", "vae", "image", "images", "pixels", "samples", "latent_image", "conditioning", "positive",
    "negative",
})  # fmt: skip
#: Names of inputs that a node joins: `text_a`, `string1`, `prompt_2`.
_JOINED = re.compile(r"(?:text|string|str|prompt)_?(?:[a-d]|[1-9])", re.IGNORECASE)
_SEPARATORS = ("delimiter", "separator", "Delimiter")
_NUMBERS = ("value", "seed", "noise_seed", "int", "float", "number", "Value", "Number", "INT", "FLOAT", "a")
#: Inputs that bring many things at once.
PIPES = ("pipe", "basic_pipe", "context", "base_ctx")
#: Inputs that say which of its others a switch hands on: by number, or as one of two.
_CHOOSERS = ("select", "Input", "index")
_TOGGLES = ("boolean", "switch", "condition", "boolean_value", "boolean_number")
#: Inputs under which other nodes hold what they set a toggle to.
_SETS = ("boolean", "boolean_number", "value")
_HANDS_ON = re.compile(r"reroute|switch", re.IGNORECASE)
_NUMBERED = re.compile(r"[^\d]+?_?0*(\d{1,3})")


class Link(NamedTuple):
    """An input that comes from the output `slot` of another node."""

    node: str
    slot: int


@dataclass(frozen=True, slots=True)
class Node:
    """One node: its class, the values of its inputs, and those that come from other nodes."""

    id: str
    kind: str
    values: Mapping[str, Any]
    links: Mapping[str, Link]

    def has(self, *names: str) -> bool:
        """Whether all of `names` are inputs, with a value or from another node."""
        return all(name in self.values or name in self.links for name in names)

    def first(self, *names: str) -> Link | None:
        """The first of the inputs `names` that comes from another node."""
        return next((self.links[name] for name in names if name in self.links), None)


class Graph:
    """Nodes by their ids; links to nodes that are not there are dropped."""

    def __init__(self, nodes: Mapping[str, Node]) -> None:
        self.nodes = nodes
        self._steps = 0

    @classmethod
    def read(cls, said: Any) -> Graph | None:
        """The graph of a `prompt` chunk; None if no node of ComfyUI is in it."""
        if not isinstance(said, dict):
            return None
        ids = {str(key) for key in said}
        nodes: dict[str, Node] = {}
        for key, one in list(said.items())[:_MOST_NODES]:
            if isinstance(one, dict) and isinstance(one.get("class_type"), str):
                nodes[str(key)] = _node(str(key), one, ids)
        nodes = {key: _switched(nodes, node) for key, node in nodes.items()}
        ends = _ends(nodes)
        straight = {
            key: replace(node, links={name: ends.get(link.node, link) for name, link in node.links.items()})
            for key, node in nodes.items()
        }
        return cls(straight) if nodes else None

    def back(self, start: Link | str | None, follow: Follow) -> Iterator[Node]:
        """The nodes before `start` and it itself, nearest first, each once; `follow` says which links of each to go."""
        first = start.node if isinstance(start, Link) else start
        waiting, seen = deque([first] if first else []), {first}
        while waiting and self._may_go(1):
            node = self.nodes.get(waiting.popleft() or "")
            if node is None:
                continue
            yield node
            links = follow(node)
            self._steps += len(links)
            for link in links:
                if link.node not in seen:
                    seen.add(link.node)
                    waiting.append(link.node)

    def _may_go(self, steps: int) -> bool:
        """Count steps of a way; whether it may go on."""
        self._steps += steps
        return self._steps < _MOST_STEPS

    def text(self, node: Node, name: str) -> str | None:
        """The text of an input, also where other nodes hold or join it; None for none."""
        value = node.values.get(name)
        if isinstance(value, str):
            return value
        link = node.links.get(name)
        return self._text(link, set()) if link else None

    def _text(self, link: Link, seen: set[str]) -> str | None:
        """The text that a node holds, or makes of those of others."""
        node = self.nodes.get(link.node)
        if (
            node is None
            or link.node in seen
            or len(seen) > _FARTHEST
            or not self._may_go(len(node.values) + len(node.links))
        ):
            return None
        seen.add(link.node)
        parts = []
        for name in _names_of_text(node):
            value = node.values.get(name)
            if not isinstance(value, str):
                value = self._text(node.links[name], seen) if name in node.links else None
            parts += [value] if value else []
        between = next((node.values[name] for name in _SEPARATORS if isinstance(node.values.get(name), str)), " ")
        return between.join(parts) if parts else None

    def word(self, node: Node, name: str) -> str | None:
        """The word of an input, such as a sampler's name, also where another node holds it; None for none."""
        found, link, seen = node.values.get(name), node.links.get(name), set[str]()
        names = (name, name.removesuffix("_name"), *_TEXTS)
        while not isinstance(found, str) and link is not None and link.node not in seen and len(seen) < _FARTHEST:
            if not self._may_go(len(names)):
                return None
            seen.add(link.node)
            holder = self.nodes[link.node] if link.node in self.nodes else Node("", "", {}, {})
            found = next((holder.values[one] for one in names if isinstance(holder.values.get(one), str)), None)
            link = holder.first(*names, *PIPES) or next(iter(holder.links.values()), None)
        return found if isinstance(found, str) and found else None

    def number(self, node: Node, *names: str) -> float | None:
        """The number of the first of the inputs `names` that has one, also where another node holds it."""
        return self._first(node, names, number)

    def whole(self, node: Node, *names: str) -> int | None:
        """The same for whole numbers, which may have more digits than a float."""
        return self._first(node, names, whole)

    def _first(self, node: Node, names: Sequence[str], read: Callable[[Any], _Number | None]) -> _Number | None:
        for name in names:
            found = read(node.values.get(name))
            if found is None and name in node.links:
                found = read(self._held(node.links[name], names))
            if found is not None:
                return found
        return None

    def _held(self, link: Link, names: Sequence[str]) -> Any:
        """The number that a chain of nodes hands on, under one of `names` where a node holds several."""
        seen: set[str] = set()
        tried = (*names, *_NUMBERS)
        while link.node not in seen and len(seen) < _FARTHEST and self._may_go(len(tried)):
            seen.add(link.node)
            node = self.nodes.get(link.node)
            if node is None:
                return None
            for name in tried:
                if number(node.values.get(name)) is not None:
                    return node.values[name]
            if not node.links:
                return None
            link = node.first(*tried, *PIPES) or next(iter(node.links.values()))
        return None


Follow = Callable[[Node], Sequence[Link]]


def through(*names: str, or_all: bool = True) -> Follow:
    """Follow the inputs called `names`, those that end in digits too (`conditioning_1`); all if a node has none.

    Without `or_all`, a node that has none is the end.
    """

    def follow(node: Node) -> Sequence[Link]:
        named = [link for name, link in node.links.items() if name.lower().rstrip("0123456789_") in names]
        return named if named or not or_all else list(node.links.values())

    return follow


def said(value: float | None) -> str | None:
    """A number as a setting has it."""
    return None if value is None else plain(value)


def _names_of_text(node: Node) -> Sequence[str]:
    """The inputs of which a node makes its text: one that holds it, several that it joins, else all before it."""
    one = next((name for name in _TEXTS if isinstance(node.values.get(name), str) and node.values[name].strip()), None)
    joined = sorted(name for name in (*node.values, *node.links) if _JOINED.fullmatch(name))
    if len(joined) > 1:
        return joined
    return [one] if one else joined or [name for name in node.links if name not in _NO_TEXTS]


def _node(key: str, said: Mapping[str, Any], ids: set[str]) -> Node:
    inputs = said.get("inputs")
    values: dict[str, Any] = {}
    links: dict[str, Link] = {}
    for name, value in list(inputs.items())[:_MOST_INPUTS] if isinstance(inputs, dict) else ():
        link = _link(value)
        if link is None:
            values[str(name)] = value["__value__"] if isinstance(value, dict) and "__value__" in value else value
        elif link.node in ids:
            links[str(name)] = link
    return Node(key, said["class_type"][:200], values, links)


def _ends(nodes: Mapping[str, Node]) -> dict[str, Link]:
    """What links lead to behind nodes that hand on their only input: reroutes, and switches that are set."""
    onward = {
        key: next(iter(node.links.values()))
        for key, node in nodes.items()
        if len(node.links) == 1 and _HANDS_ON.search(node.kind)
    }
    return {key: _end(onward, link) for key, link in onward.items()}


def _end(onward: Mapping[str, Link], link: Link) -> Link:
    for _ in range(_FARTHEST):
        link = onward.get(link.node, link)
    return link


def _switched(nodes: Mapping[str, Node], node: Node) -> Node:
    """A node without the inputs that it does not hand on, if it is a switch."""
    gone = set(_not_chosen(nodes, node)) if "switch" in node.kind.lower() else set()
    if not gone:
        return node
    values, links = ({name: one for name, one in of.items() if name not in gone} for of in (node.values, node.links))
    return replace(node, values=values, links=links)


def _not_chosen(nodes: Mapping[str, Node], node: Node) -> list[str]:
    """The inputs of a switch that it does not hand on, as far as it says."""
    is_on = next((one for name in _TOGGLES if (one := _toggled(nodes, node, name)) is not None), None)
    if is_on is not None:
        other = ("on_false", "_b") if is_on else ("on_true", "_a")
        return [*_TOGGLES, *(name for name in (*node.values, *node.links) if name.endswith(other))]
    numbers = {name: int(match[1]) for name in (*node.values, *node.links) if (match := _NUMBERED.fullmatch(name))}
    at = next((found for name in _CHOOSERS if (found := whole(node.values.get(name))) is not None), None)
    if at is None and node.kind.startswith("Any Switch"):  # the first that is there
        at = min((numbers[name] for name in node.links if name in numbers), default=None)
    return [] if at is None else [name for name, found in numbers.items() if found != at]


def _toggled(nodes: Mapping[str, Node], node: Node, name: str) -> bool | None:
    """How a toggle is set, by its own node or by the one that it comes from; a number of old nodes is on at 1."""
    link = node.links.get(name)
    holder = nodes.get(link.node) if link else node
    for one in _SETS if link else (name,):
        found = holder.values.get(one) if holder else None
        if isinstance(found, bool):
            return found
        if one == "boolean_number" and (at := number(found)) is not None:
            return round(at) == 1
    return None


def _link(value: Any) -> Link | None:
    if not isinstance(value, list) or len(value) != 2 or type(value[1]) is not int or type(value[0]) not in (str, int):
        return None
    return Link(str(value[0])[:200], value[1])
