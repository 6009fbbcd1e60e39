"""Input channels: inpainting models have more of them, and what is merged are those that all inputs have.

The first convolution of an inpainting model takes 9 channels, that of an image-editing one 8, and of all others 4: the
latent alone. A node of this module is made of stretches of other nodes' channels, and of zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from modelhub.errors import IncompatibleError
from modelhub.merge.engine.expression import Node
from modelhub.merge.registry import Method
from modelhub.text import brief

if TYPE_CHECKING:
    import torch

#: What the latent goes into first, in the denoisers that others are made of: its place, and the latent's own channels
#: (Flux sees 2 x 2 points of 16 channels at once).
LATENT_CHANNELS = {"input_blocks.0.0.weight": 4, "img_in.weight": 64}


class Piece(NamedTuple):
    """The channels `low` to `high` of a node, or as many zeros where there is none."""

    node: Node | None
    low: int
    high: int


@dataclass(eq=False)
class Channels(Node):
    """Pieces one after another along the second dimension; their first and further dimensions are the same."""

    pieces: tuple[Piece, ...]

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """That of its nodes, with all channels of the pieces."""
        one = next(piece.node.shape for piece in self.pieces if piece.node)
        return (one[0], sum(piece.high - piece.low for piece in self.pieces), *one[2:])

    @cached_property
    def dtypes(self) -> frozenset[str]:
        """The dtypes of all leaves below."""
        return frozenset().union(*(node.dtypes for node in self.children))

    @property
    def children(self) -> tuple[Node, ...]:
        """The nodes of its pieces."""
        return tuple(piece.node for piece in self.pieces if piece.node)

    def window(self, start: int, count: int, dtype: torch.dtype) -> torch.Tensor:
        """Whole rows of the first dimension, put together and cut."""
        import torch

        row = max(1, self.numel // max(1, self.shape[0]))
        low, high = start // row, -(-(start + count) // row)
        parts = [self._rows(piece, low, high, dtype) for piece in self.pieces]
        joined = torch.cat(parts, 1).reshape(-1)
        return joined[start - low * row : start - low * row + count].clone()

    def _rows(self, piece: Piece, low: int, high: int, dtype: torch.dtype) -> torch.Tensor:
        """The rows `low` to `high` of one piece, flattened but for the first dimension."""
        import torch

        inner = self.numel // max(1, self.shape[0] * self.shape[1])
        if piece.node is None:
            return torch.zeros(high - low, (piece.high - piece.low) * inner, dtype=dtype)
        row = piece.node.shape[1] * inner
        rows = piece.node.window(low * row, (high - low) * row, dtype).view(high - low, row)
        return rows[:, piece.low * inner : piece.high * inner]


def narrowed(node: Node, channels: int) -> Node:
    """The first `channels` of a node."""
    return node if node.shape[1] == channels else Channels((Piece(node, 0, channels),))


def padded(node: Node, channels: int) -> Node:
    """A node with zeros after its own channels, up to `channels`."""
    own = node.shape[1]
    return node if own == channels else Channels((Piece(node, 0, own), Piece(None, 0, channels - own)))


def continued(node: Node, wider: Node) -> Node:
    """The channels of `node`, and after them those of `wider` that it has more."""
    own = node.shape[1]
    return Channels((Piece(node, 0, own), Piece(wider, own, wider.shape[1]))) if wider.shape[1] > own else node


class Input(NamedTuple):
    """What a step is given: a tensor of weights, or of differences."""

    node: Node
    is_delta: bool


def alike(method: Method, inputs: Sequence[Input], latent: int) -> tuple[list[Node], str | None]:
    """The nodes with equal numbers of channels, and what was done for it; None if they are so by themselves.

    "kept": where the first has more than the `latent`, the latent's are merged, and its others are to be kept. "taken":
    a difference between a wide model and a narrow one is as wide, since what is not there counts as zeros, and brings
    its further channels along to what it is added to. "cut": the first is narrow, and so is the result.
    """
    nodes = [one.node for one in inputs]
    widths = [_width(node) for node in nodes]
    if len(set(widths)) == 1:
        return nodes, None
    latent = min(latent, *widths)
    if method.delta or (widths[0] == latent and _brings_channels(method, inputs, latent)):
        return [padded(node, max(widths)) for node in nodes], "taken"
    return [narrowed(node, latent) for node in nodes], "kept" if widths[0] > latent else "cut"


def _width(node: Node) -> int:
    return node.shape[1] if len(node.shape) > 1 else 0


def _brings_channels(method: Method, inputs: Sequence[Input], latent: int) -> bool:
    """Whether what is added to a narrow first input is a difference from another narrow one."""
    reference = next((method.names.index(name) for name in ("c", "base") if name in method.names), None)
    if reference is not None:
        return _width(inputs[reference].node) == latent
    return all(one.is_delta for one in inputs if _width(one.node) > latent)


def narrow_first(method: Method, name: str, inputs: Sequence[Input]) -> IncompatibleError:
    """The refusal to weigh a narrow first model against a wide one."""
    widths = [_width(one.node) for one in inputs]
    return IncompatibleError(
        f"The tensor {brief(name, 120)} takes {widths[0]} channels in the first model and {max(widths)} in another, "
        f"which is for inpainting or editing: {method.name} cannot give the first its channels.",
        "Name the model with more channels first, or add its difference to a model without: `add-difference`.",
    )
