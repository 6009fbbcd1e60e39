"""Expressions over tensors: a tree of methods whose leaves are tensors of opened models, computed window by window.

A window is always computed as one of a grid that begins with the tensor, whoever asks for whatever part of it: vector
instructions and rows of matrices may round otherwise at the edges of a window, and nothing shall depend on what is read
when, by whom, or on the number of threads.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from threading import Lock, RLock
from typing import TYPE_CHECKING, Any

from modelhub.errors import ModelError
from modelhub.formats.source import TensorSource, torch_dtype
from modelhub.formats.threads import one_thread
from modelhub.jobs import QUIET, Job
from modelhub.merge.engine.chance import Drawn
from modelhub.merge.engine.scratch import SCRATCH
from modelhub.merge.registry import Method, Stretch, named_only
from modelhub.text import brief

if TYPE_CHECKING:
    import torch

#: Elements per window of a first pass, and of rows. Smaller ones would stay in a cache beside each other, but every
#: call of torch lets another thread take its turn, and that costs more.
WINDOW = 128 * 1024


class Node(ABC):
    """A tensor that can be had, stretch by stretch."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Its shape."""

    @property
    @abstractmethod
    def dtypes(self) -> frozenset[str]:
        """The dtypes of all leaves below, as the header names them."""

    @property
    @abstractmethod
    def children(self) -> tuple[Node, ...]:
        """What it is made of."""

    @abstractmethod
    def window(self, start: int, count: int, dtype: torch.dtype) -> torch.Tensor:
        """Elements `start` to `start + count` of the flattened tensor, computed in `dtype`, as a tensor of its own."""

    def lent(self, start: int, count: int, dtype: torch.dtype) -> torch.Tensor:
        """As `window`, but only to be looked at, and only until this thread's `SCRATCH` is restarted."""
        return self.window(start, count, dtype)

    @property
    def grid(self) -> int | None:
        """Elements that are computed together, from the tensor's first on, where it has windows of its own."""
        return None

    @property
    def origin(self) -> Hashable:
        """What it is made of: where two origins are equal, so are all elements."""
        return self

    def forget(self) -> None:  # noqa: B027 (most nodes keep nothing)
        """Let go of what is kept: it is not needed any more, or will be made again."""

    @property
    def numel(self) -> int:
        """Its number of elements."""
        return prod(self.shape)


@dataclass(frozen=True, eq=False)
class Leaf(Node):
    """One tensor of one model."""

    source: TensorSource
    name: str

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """As the header has it."""
        return self.source.info(self.name).shape

    @cached_property
    def dtypes(self) -> frozenset[str]:
        """Its dtype."""
        return frozenset({self.source.info(self.name).dtype})

    @property
    def children(self) -> tuple[Node, ...]:
        """Nothing."""
        return ()

    @property
    def origin(self) -> Hashable:
        """That of the tensor in its source."""
        return self.source.origin(self.name)

    @cached_property
    def stored(self) -> torch.dtype:
        """Its dtype as torch has it."""
        return torch_dtype(self.source.info(self.name).dtype)

    def window(self, start: int, count: int, dtype: torch.dtype) -> torch.Tensor:
        """Read it, and change its dtype, in pieces that are small beside the whole."""
        import torch

        out = torch.empty(count, dtype=dtype)
        if dtype == self.stored:
            self._read(start, count, out.view(torch.uint8).numpy().data)
            return out
        raw = torch.empty(min(count, WINDOW), dtype=self.stored)
        view = raw.view(torch.uint8).numpy().data
        for low in range(0, count, WINDOW):
            size = min(WINDOW, count - low)
            self._read(start + low, size, view)
            out[low : low + size].copy_(raw[:size])
        return out

    def lent(self, start: int, count: int, dtype: torch.dtype) -> torch.Tensor:
        """The same in buffers that the thread keeps."""
        slot, stored = SCRATCH.take(), self.stored
        raw = slot.tensor(stored, count)
        if count:
            size = stored.itemsize
            self.source.read_into(self.name, start * size, slot.bytes(count * size))
        return raw if dtype == stored else SCRATCH.take().tensor(dtype, count).copy_(raw)

    def _read(self, start: int, count: int, view: memoryview) -> None:
        size = self.stored.itemsize
        if count:
            self.source.read_into(self.name, start * size, view[: count * size])


@dataclass(eq=False)
class Survey:
    """What a method found in a first pass over all tensors, made when the first of them is computed."""

    members: list[tuple[str, Apply]] = field(default_factory=list)
    _found: list[Any] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def found(self) -> Any:
        """The result; the first who asks waits until every member was read."""
        with self._lock:
            if not self._found:
                method, parameters = self.members[0][1].method, self.members[0][1].parameters
                assert method.survey is not None
                each = ((name, member.windows()) for name, member in self.members)
                with one_thread():
                    self._found.append(method.survey(each, **named_only(method.survey, parameters)))
            return self._found[0]


@dataclass(eq=False)
class Apply(Node):
    """A method applied to nodes of one shape. `name` is the tensor's, by which random numbers are drawn.

    A first pass ends with CancelledError when `job` is cancelled: it may read all models to their ends.
    """

    method: Method
    parameters: Mapping[str, Any]
    inputs: tuple[Node, ...]
    name: str = ""
    survey: Survey | None = None
    job: Job = QUIET

    def __post_init__(self) -> None:
        self._lock = RLock()  # who computes the whole tensor measures it first
        self._stats: list[Any] = []
        self._whole: torch.Tensor | None = None

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """That of its inputs."""
        return self.inputs[0].shape

    @cached_property
    def dtypes(self) -> frozenset[str]:
        """The dtypes of all leaves below."""
        return frozenset().union(*(node.dtypes for node in self.inputs))

    @property
    def children(self) -> tuple[Node, ...]:
        """Its inputs."""
        return self.inputs

    @cached_property
    def origin(self) -> Hashable:
        """Method, parameters and the origins of its inputs; its own where a first pass looks at other tensors, too."""
        if self.survey is not None:
            return self
        given = tuple(sorted((name, repr(value)) for name, value in self.parameters.items()))
        return (self.method.name, given, self.name, tuple(node.origin for node in self.inputs))

    @property
    def native(self) -> bool:
        """Whether the whole expression is one method that rounds once in its inputs' dtype."""
        return self.method.native and all(isinstance(node, Leaf) for node in self.inputs)

    @cached_property
    def cell(self) -> int:
        """Elements of one window of its grid, by the method's scope: any, whole rows of the first dimension, all."""
        if self.method.scope == "tensor":
            return max(1, self.numel)
        return WINDOW if self.method.scope == "element" else max(1, WINDOW // self._row) * self._row

    @property
    def grid(self) -> int | None:
        """Whole rows, where the method sees these."""
        return self.cell if self.method.scope == "rows" else None

    def window(self, start: int, count: int, dtype: torch.dtype) -> torch.Tensor:
        """Compute the windows of the grid that have these elements."""
        import torch

        out = torch.empty(count, dtype=dtype)
        for low in range(start // self.cell * self.cell, start + count, self.cell):
            part = self._cell(low, dtype)
            first, last = max(low, start), min(low + len(part), start + count)
            out[first - start : last - start] = part[first - low : last - low]
        return out

    def lent(self, start: int, count: int, dtype: torch.dtype) -> torch.Tensor:
        """The same without a copy, where rows need not be cut; who asks has a grid of his own."""
        if self.method.scope == "tensor":
            return self._tensor(dtype)[start : start + count]
        if self.method.scope == "element" or (start % self.cell == 0 and count == min(self.cell, self.numel - start)):
            return self.compute(start, self._shaped(count), dtype, lent=True).reshape(-1)
        return self.window(start, count, dtype)

    def windows(self) -> _Windows:
        """Its inputs, window by window, as the method's scope has them, in fp32 (fp64 where an input is fp64)."""
        return _Windows(self)

    def compute(
        self, start: int, shape: tuple[int, ...], dtype: torch.dtype, *, lent: bool = False, out: Any = None
    ) -> torch.Tensor:
        """One window of the grid, in the shape that the method sees; into `out` if it is given and the method can."""
        count = prod(shape)
        if lent:
            values = [node.lent(start, count, dtype) for node in self.inputs]
        else:
            values = [node.window(start, count, dtype) for node in self.inputs]
        if len(shape) != 1:  # every call of torch lets another thread take its turn: none for nothing
            values = [value.view(shape) for value in values]
        given: dict[str, Any] = {}
        wants = self.method.wants
        if wants:
            if "stats" in wants:
                given["stats"] = self._measured()
            if "survey" in wants and self.survey is not None:
                given["survey"] = self.survey.found()
            if "at" in wants:
                given["at"] = Stretch(start, self.shape)
            if "chance" in wants:
                given["chance"] = Drawn(int(self.parameters["seed"]), self.name, start, shape)
            if "out" in wants and (lent or out is not None):
                given["out"] = out if out is not None else SCRATCH.take().tensor(dtype, count).view(shape)
        return self.method.function(*values, **self.parameters, **given)

    def _decomposed(self, dtype: torch.dtype) -> torch.Tensor:
        """The whole result; what has no decomposition, as numbers near the largest may have none, is named."""
        import torch

        try:
            return self.compute(0, self.shape, dtype)
        except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]
            raise ModelError(
                f"The method {self.method.name} finds no decomposition of the tensor {brief(self.name, 120)}.",
                "Look at it with `modelhub repair`, or keep the method from it with `--only`.",
            ) from error

    def forget(self) -> None:
        """Let go of a whole tensor: it is not needed any more, or will be computed again."""
        self._whole = None

    def _cell(self, low: int, dtype: torch.dtype) -> torch.Tensor:
        """The window of the grid that begins at `low`, flat; kept for a while, as neighbours need it, too."""
        if self.method.scope == "tensor":
            return self._tensor(dtype)
        found = SCRATCH.kept((self, low, dtype))
        if found is None:
            count = min(self.cell, self.numel - low)
            found = self.compute(low, self._shaped(count), dtype).reshape(-1)
            SCRATCH.keep((self, low, dtype), found)
        return found

    def _shaped(self, count: int) -> tuple[int, ...]:
        """The shape of `count` elements as the method sees them."""
        return (count,) if self.method.scope == "element" else (count // self._row, *self.shape[1:])

    @property
    def _row(self) -> int:
        """Elements of one row of the first dimension."""
        return max(1, prod(self.shape[1:]))

    def _measured(self) -> Any:
        """What the method's first pass over this tensor found; made once."""
        measure = self.method.measure
        assert measure is not None
        with self._lock:
            if not self._stats:
                with one_thread():
                    self._stats.append(measure(self.windows(), **named_only(measure, self.parameters)))
            return self._stats[0]

    def _tensor(self, dtype: torch.dtype) -> torch.Tensor:
        """The whole result, flat; made once, whoever asks, and kept until it is forgotten."""
        with self._lock:
            found = self._whole
            if found is None:
                with one_thread():
                    found = self._whole = self._decomposed(dtype).reshape(-1)
                for node in self.inputs:
                    forget(node)
            return found


@dataclass(frozen=True)
class _Windows:
    """The inputs of an application, window by window; `Windows` of the registry."""

    node: Apply
    most: int | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.node.shape

    def __iter__(self) -> Iterator[tuple[torch.Tensor, ...]]:
        node, dtype = self.node, precise(self.node)
        whole = node.method.scope == "tensor"
        taken = SCRATCH.taken  # what is in use by whoever measures first, on his way
        for low in self._starts():
            if node.job.cancelled:
                node.job.check()
            count = min(node.cell, node.numel - low)
            shape = node.shape if whole else node._shaped(count)
            SCRATCH.restart(taken)
            yield tuple(one.lent(low, count, dtype).view(shape) for one in node.inputs)

    def _starts(self) -> Iterable[int]:
        every = range(0, self.node.numel, self.node.cell)
        return every if self.most is None else [every[i * len(every) // self.most] for i in range(self.most)]

    def some(self, most: int) -> _Windows:
        return self if self.node.numel <= most * self.node.cell else _Windows(self.node, most)


def applied(node: Node) -> Iterator[Apply]:
    """All methods that are applied in an expression; one that several others take may come several times."""
    if isinstance(node, Apply):
        yield node
    for child in node.children:
        yield from applied(child)


def forget(node: Node) -> None:
    """Let go of the whole tensors that an expression keeps."""
    node.forget()
    for child in node.children:
        forget(child)


def precise(node: Node) -> torch.dtype:
    """The dtype in which nothing of what the leaves hold is lost, nor in sums of them: fp64 if any is, else fp32."""
    return torch_dtype("F64" if "F64" in node.dtypes else "F32")
