"""Text encoders built from tensors and filled with them, and token ids to ask them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

from modelhub.preview.networks.layers import Layer
from modelhub.preview.networks.t5 import T5
from modelhub.preview.networks.text_encoder import TextEncoder
from modelhub.preview.networks.tree import Shape

Tensors = dict[str, torch.Tensor]
Network = TypeVar("Network", bound=Layer)


def filled(build: Callable[[dict[str, Shape]], Network], tensors: Tensors) -> Network:
    """The network that the shapes make, with every parameter taken from the tensors."""
    network = build({name: tuple(value.shape) for name, value in tensors.items()})
    kept = {name: tensors[name] for name, _ in network.named_parameters()}
    network.load_state_dict(kept, strict=True, assign=True)
    return network.eval()


def token_ids(vocabulary: int, length: int) -> torch.Tensor:
    """Two texts [2, length] of any tokens, always the same."""
    return torch.randint(0, vocabulary, (2, length), generator=torch.Generator().manual_seed(5))


def assert_vectors_may_be_replaced(network: TextEncoder | T5, ids: torch.Tensor) -> None:
    """What is put into `embed`'s vectors before `encode` counts like a token of its own."""
    vectors = network.embed(ids)
    assert torch.equal(network.encode(vectors), network(ids))
    other = ids.clone()
    other[0, 3] = 9
    vectors[0, 3] = network.embed(other)[0, 3]
    assert torch.equal(network.encode(vectors), network(other))
