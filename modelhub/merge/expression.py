"""Expressions over tensors: a tree of methods whose leaves are tensors of opened models, computed window by window.

All arithmetic is done in fp32 (fp64 where an input is fp64) and rounded once at the end; a `native` method on inputs of
the output's own 16-bit dtype does the same inside its kernel, and is two to three times faster.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from modelhub.formats.rounding import Findings, store
from modelhub.formats.source import TensorSource, torch_dtype
from modelhub.merge.registry import Method

if TYPE_CHECKING:
    import torch

#: Elements per window: temporaries of this size stay in the cache and in the allocator.
WINDOW = 128 * 1024


@dataclass(frozen=True)
class Leaf:
    """One tensor of one model."""

    source: TensorSource
    name: str

    @cached_property
    def dtypes(self) -> frozenset[str]:
        """The dtypes of all leaves below."""
        return frozenset({self.source.info(self.name).dtype})

    def window(self, start: int, count: int, dtype: torch.dtype) -> torch.Tensor:
        """Elements `start` to `start + count` of the flattened tensor, as `dtype`."""
        import torch

        raw = torch.empty(count, dtype=torch_dtype(self.source.info(self.name).dtype))
        self.source.read_into(self.name, start * raw.element_size(), raw.view(torch.uint8).numpy().data)
        return raw.to(dtype)


@dataclass(frozen=True)
class Apply:
    """A method applied to expressions."""

    method: Method
    parameters: Mapping[str, float]
    inputs: tuple[Expression, ...]

    @cached_property
    def dtypes(self) -> frozenset[str]:
        """The dtypes of all leaves below."""
        return frozenset().union(*(node.dtypes for node in self.inputs))

    def window(self, start: int, count: int, dtype: torch.dtype) -> torch.Tensor:
        """Elements `start` to `start + count` of the result, computed in `dtype`."""
        values = [node.window(start, count, dtype) for node in self.inputs]
        return self.method.function(*values, **self.parameters)

    @property
    def native(self) -> bool:
        """Whether the whole expression is one method that rounds once in its inputs' dtype."""
        return self.method.native and all(isinstance(node, Leaf) for node in self.inputs)


Expression = Leaf | Apply


def leaves(node: Expression) -> Iterator[Leaf]:
    """All leaves of an expression, from left to right."""
    if isinstance(node, Leaf):
        yield node
    else:
        for child in node.inputs:
            yield from leaves(child)


def working_dtype(node: Expression, output: str) -> torch.dtype:
    """The dtype to compute in so that the result, stored as `output`, has been rounded once."""
    if isinstance(node, Leaf) or (node.native and node.dtypes == {output} and output in ("F16", "BF16", "F32")):
        return torch_dtype(next(iter(node.dtypes)))
    return torch_dtype("F64" if "F64" in node.dtypes else "F32")


def fill(node: Expression, output: str, start: int, out: torch.Tensor) -> Findings:
    """Compute elements `start` onwards into the flat tensor `out` of dtype `output`; say what was not finite."""
    import torch

    dtype = working_dtype(node, output)
    found = Findings()
    with torch.inference_mode():
        for low in range(0, len(out), WINDOW):
            piece = out[low : low + WINDOW]
            value = node.window(start + low, len(piece), dtype)
            found += store(value, piece)
    return found
