"""The few layers all networks are made of: sizes from the file, and on the meta device until they are loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, overload

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from modelhub.errors import IncompatibleError
from modelhub.preview.networks.tree import Tree

if TYPE_CHECKING:
    from modelhub.preview.networks.storage import MappedFile

_GROUPS = 32


class Layer(nn.Module):
    """A module that returns one tensor.

    Weights may be stored in another dtype than the network `computes` in: each layer casts its own when it is used.
    `files` are those that weights stand in, mapped.
    """

    computes: torch.dtype | None = None
    files: tuple[MappedFile, ...] = ()

    if TYPE_CHECKING:
        __call__: Callable[..., Tensor]

    @property
    def dtype(self) -> torch.dtype:
        """What a network computes in: as it was loaded for, else as its weights are stored."""
        return self.computes or next(self.parameters()).dtype

    def check(self) -> None:
        """Raise CorruptFileError if a file that weights stand in was changed, before what is left of it is used."""
        for file in self.files:
            file.check()

    def checked(self, *series: nn.Module) -> Iterator[nn.Module]:
        """The children of each of a network's `series` of blocks, to be called one by one; a `check` before each."""
        for blocks in series:
            for block in blocks.children():
                self.check()
                yield block

    def hold(self, tree: Tree, name: str, *pattern: int | None) -> tuple[int, ...]:
        """Take the tensor `name` of `tree` as a parameter, without memory for it yet; returns its shape."""
        shape = tree.need(name, *pattern)
        held = shape if shape == tree[name].shape else ()  # what is missing may be too large to stand for
        self.register_parameter(name, nn.Parameter(torch.empty(held, device="meta"), requires_grad=False))
        return shape


class Parts(Layer):
    """A container whose children keep the names they have in the file, such as the 0 and 2 of `in_layers`."""

    def __init__(self, parts: Mapping[str, Layer]) -> None:
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x: Tensor) -> Tensor:
        """The children one after another."""
        for part in self.children():
            x = part(x)
        return x


def nest(outer: nn.Module, path: str, module: nn.Module) -> None:
    """Put `module` at the dotted `path` below `outer`, with containers that only give names on the way."""
    *names, last = path.split(".")
    for name in names:
        if name not in outer._modules:
            outer.add_module(name, Parts({}))
        outer = outer.get_submodule(name)
    outer.add_module(last, module)


class Linear(Layer):
    """x [..., inputs] -> [..., outputs]. A weight of a 1x1 convolution [outputs, inputs, 1, 1] serves as well."""

    weight: Tensor
    bias: Tensor | None

    def __init__(self, tree: Tree, inputs: int | None = None, outputs: int | None = None, *, bias: bool = True) -> None:
        super().__init__()
        tail = (1, 1) if len(tree["weight"].shape or ()) == 4 else ()
        self.outputs, self.inputs = self.hold(tree, "weight", outputs, inputs, *tail)[:2]
        if bias:
            self.hold(tree, "bias", self.outputs)
        else:
            self.bias = None

    def forward(self, x: Tensor) -> Tensor:
        """x W^T + b."""
        return F.linear(x, like(self.weight, x).flatten(1), like(self.bias, x))


class Conv(Layer):
    """x [N, inputs, H, W] -> [N, outputs, H', W'], a `size` x `size` kernel, padded so that stride 1 keeps H and W."""

    weight: Tensor
    bias: Tensor
    #: Another way to the same result, for the device at hand; see `packing`.
    convolve: Callable[[Conv, Tensor], Tensor] | None = None

    def __init__(
        self, tree: Tree, inputs: int | None = None, outputs: int | None = None, *, size: int = 3, stride: int = 1
    ) -> None:
        super().__init__()
        self.outputs, self.inputs = self.hold(tree, "weight", outputs, inputs, size, size)[:2]
        self.hold(tree, "bias", self.outputs)
        self.stride, self.padding = stride, size // 2

    def forward(self, x: Tensor) -> Tensor:
        """The convolution."""
        return self.plain(x) if self.convolve is None else self.convolve(self, x)

    def plain(self, x: Tensor) -> Tensor:
        """The convolution, as torch has it."""
        return F.conv2d(x, like(self.weight, x), like(self.bias, x), self.stride, self.padding)


class Table(Layer):
    """Rows of vectors: `weight` [rows, width]."""

    weight: Tensor

    def __init__(self, tree: Tree, width: int | None = None) -> None:
        super().__init__()
        self.rows, self.width = self.hold(tree, "weight", None, width)

    def forward(self, ids: Tensor) -> Tensor:
        """ids [...] int64 -> their rows, float32 [..., width]. Raises IncompatibleError for one that is not there."""
        if ids.numel() and not 0 <= int(ids.min()) <= int(ids.max()) < self.rows:
            raise IncompatibleError(
                f"The prompt has token {int(ids.max())}, and this text encoder knows {self.rows} tokens.",
                "The file has a vocabulary of its own; use another text encoder.",
            )
        if self.weight.itemsize > 1:
            return F.embedding(ids, self.weight).float()
        bytes_ = F.embedding(ids, self.weight.view(torch.uint8))  # CUDA in older torch takes no rows of 8-bit floats
        return bytes_.view(self.weight.dtype).float()


class GroupNorm(Layer):
    """Normalise 32 groups of channels (Wu and He 2018, arXiv:1803.08494)."""

    weight: Tensor
    bias: Tensor

    def __init__(self, tree: Tree, channels: int, eps: float) -> None:
        super().__init__()
        self.hold(tree, "weight", channels)
        self.hold(tree, "bias", channels)
        self.eps = eps
        if channels % _GROUPS:
            tree.fault(f"has {channels} channels, no multiple of {_GROUPS}")

    def forward(self, x: Tensor) -> Tensor:
        """x [N, channels, ...] -> the same shape."""
        return torch.group_norm(x, _GROUPS, like(self.weight, x), like(self.bias, x), self.eps)


class LayerNorm(Layer):
    """Normalise the last axis (Ba et al. 2016, arXiv:1607.06450)."""

    weight: Tensor
    bias: Tensor

    def __init__(self, tree: Tree, width: int) -> None:
        super().__init__()
        self.hold(tree, "weight", width)
        self.hold(tree, "bias", width)

    def forward(self, x: Tensor) -> Tensor:
        """x [..., width] -> the same shape."""
        return F.layer_norm(x, self.weight.shape, like(self.weight, x), like(self.bias, x), 1e-5)


@overload
def like(weight: Tensor, x: Tensor) -> Tensor: ...
@overload
def like(weight: Tensor | None, x: Tensor) -> Tensor | None: ...
def like(weight: Tensor | None, x: Tensor) -> Tensor | None:
    """`weight` in the dtype of `x`: itself, at no cost, where it is stored in that."""
    return weight if weight is None or weight.dtype is x.dtype else weight.to(x.dtype)


def finite(x: Tensor) -> Tensor:
    """x, held within what float16 can say where that is its dtype; some of what Flux and T5 add up grows beyond it."""
    most = torch.finfo(torch.float16).max
    return x.clamp(-most, most) if x.dtype == torch.float16 else x


def count_heads(tree: Tree, width: int, heads: int) -> int:
    """`heads` if they share `width` channels evenly, else a fault of `tree`."""
    if width % heads:
        tree.fault(f"has {width} channels, which {heads} attention heads cannot share evenly")
    return heads


def expect(network: str, what: str, width: int, wanted: int) -> None:
    """Raise IncompatibleError if the input `what` of a network does not have the width `wanted`."""
    if width != wanted:
        raise IncompatibleError(
            f"{network} takes {what} of width {wanted}, and was given width {width}.",
            "Its text encoder or VAE belongs to another architecture; `modelhub identify` shows all three.",
        )
