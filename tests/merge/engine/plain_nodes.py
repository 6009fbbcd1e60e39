"""Plans without models: expressions over tensors in memory, by methods that are registered nowhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from modelhub.formats.header import Header
from modelhub.formats.source import torch_dtype
from modelhub.formats.views import Held
from modelhub.merge import registry
from modelhub.merge.engine.expression import Apply, Leaf, Node
from modelhub.merge.planning.unwritten import Plan
from modelhub.merge.recipes.recipe import simple_recipe
from modelhub.merge.registry import Method


def unregistered(**options: Any) -> Callable[[Any], Method]:
    """Make a method of a function, and forget that there is one."""

    def make(function: Any) -> Method:
        registry.method("for-this-test", "For this test", **options)(function)
        return registry._METHODS.pop("for-this-test")

    return make


def held(tensors: Mapping[str, tuple[str, torch.Tensor]]) -> Held:
    """A source of tensors in memory, each stored as the dtype named; rounded by torch."""
    stored = {name: (dtype, tensor.to(torch_dtype(dtype))) for name, (dtype, tensor) in tensors.items()}
    return Held({name: (dtype, tuple(t.shape), bytes_of(t)) for name, (dtype, t) in stored.items()})


def bytes_of(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b""


def noise(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def leaf(tensor: torch.Tensor, dtype: str) -> Leaf:
    return Leaf(held({"x": (dtype, tensor)}), "x")


def values(one: Leaf) -> torch.Tensor:
    """What a leaf really holds, in fp64."""
    return one.source.tensor(one.name).to(torch.float32 if one.stored.itemsize == 1 else one.stored).double()


def planned(nodes: Mapping[str, tuple[Node, str]]) -> Plan:
    """A plan of expressions by name, each stored as the dtype named."""
    header = Header.of([(name, dtype, node.shape) for name, (node, dtype) in nodes.items()])
    return Plan(
        simple_recipe("weighted-sum", ["a", "b"]), {}, {name: node for name, (node, _) in nodes.items()}, header
    )


def apply(method: Method, *inputs: Node, name: str = "t", **more: Any) -> Apply:
    survey = more.pop("survey", None)
    defaults = {one.name: one.default for one in method.parameters}
    return Apply(method, defaults | more, inputs, name, survey)
