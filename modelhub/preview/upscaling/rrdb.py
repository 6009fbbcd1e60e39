"""RRDBNet, the network of ESRGAN and of all that followed it, under whichever of its names a file has it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from modelhub.preview.networks.layers import Conv, Layer, Parts, like
from modelhub.preview.networks.tree import Shape, Tree
from modelhub.preview.upscaling.folding import folded, folding
from modelhub.preview.upscaling.network import Network, laid_out

_SLOPE, _RESIDUAL = 0.2, 0.2
_MOST_DOUBLINGS = 6


@dataclass(frozen=True, slots=True)
class _Names:
    """What a file calls the parts: `blocks` and `ups` in order, `after` the blocks, the convolutions of a block."""

    first: str
    blocks: tuple[str, ...]
    after: str
    ups: tuple[str, ...]
    high: str
    last: str
    dense: str
    inner: str = ""


class RRDBNet(Network):
    """Residual dense blocks at the size of the input, then a convolution for each doubling.

    Names of ESRGAN's first code (`model.1.sub.0.RDB1.conv1.0`), of its second and BSRGAN (`RRDB_trunk.0.RDB1.conv1`)
    and of Real-ESRGAN (`body.0.rdb1.conv1`); every width, depth and doubling is read off the shapes. What is built for
    less than four times folds its input into channels first (`fold` 2 or 4). Wang et al. 2018, arXiv:1809.00219;
    2021, arXiv:2107.10833. Raises IncompatibleError when the shapes make no such network.
    """

    def __init__(self, shapes: Mapping[str, Shape]) -> None:
        super().__init__()
        tree = Tree.of(shapes)
        self._names = names = _old_names(tree["model"]) if "model.0" in tree else _new_names(tree)
        first = Conv(tree[names.first])
        width = first.outputs
        layers: dict[str, Layer] = {names.first: first}
        layers |= {name: Block(tree[name], width, names.dense, names.inner) for name in names.blocks}
        layers |= {name: Conv(tree[name], width, width) for name in (names.after, *names.ups, names.high)}
        layers[names.last] = last = Conv(tree[names.last], width)
        self.channels = last.outputs
        self.fold = folding(tree[names.first], first.inputs, last.outputs)
        if 2 ** len(names.ups) < self.fold:
            tree[names.first].fault(f"folds {self.fold} by {self.fold} pixels, and nothing unfolds them")
        self.scale = 2 ** len(names.ups) // self.fold
        tree.settle("upscaler")
        for name, layer in layers.items():
            _hang(self, name, layer)

    def forward(self, x: Tensor) -> Tensor:
        """The enlarged picture; edges are mirrored up to a multiple of `fold`, and cut off again."""
        height, width = x.shape[-2:]
        x = self._enlarge(laid_out(folded(x, self.fold)))
        return x[..., : height * self.scale, : width * self.scale]

    def _enlarge(self, x: Tensor) -> Tensor:
        names = self._names
        x = start = self._part(names.first)(x)
        for name in names.blocks:
            x = self._part(name)(x)
        x = start + self._part(names.after)(x)
        for name in names.ups:
            x = _leaky(self._part(name)(F.interpolate(x, scale_factor=2.0, mode="nearest")))
        return self._part(names.last)(_leaky(self._part(names.high)(x)))

    def _part(self, name: str) -> Layer:
        found = self.get_submodule(name)
        assert isinstance(found, Layer)
        return found


class Block(Layer):
    """Three dense blocks around a shortcut."""

    def __init__(self, tree: Tree, width: int, dense: str, inner: str) -> None:
        super().__init__()
        self._names = [f"{dense}{number}" for number in (1, 2, 3)]
        for name in self._names:
            self.add_module(name, Dense(tree[name], width, inner))

    def forward(self, x: Tensor) -> Tensor:
        """[N, width, H, W] -> the same shape."""
        inside = x
        for part in self.children():
            inside = part(inside)
        return inside * _RESIDUAL + x


class Dense(Layer):
    """Five convolutions, each of which sees all before it; ESRGAN+ adds two shortcuts inside.

    The second result gets a 1 x 1 convolution of the input, the fourth the second (Rakotonirina and Rasoanaivo 2020,
    arXiv:2001.08073).
    """

    def __init__(self, tree: Tree, width: int, inner: str) -> None:
        super().__init__()
        self._inner = inner
        growth = 1
        for number in range(1, 6):
            part = tree[f"conv{number}{inner}"]
            taken = width + (number - 1) * growth
            conv = Conv(part, taken, None if number == 1 else width if number == 5 else growth)
            growth = conv.outputs if number == 1 else growth
            _hang(self, f"conv{number}{inner}", conv)
        self.conv1x1 = Pointwise(tree["conv1x1"], width, growth) if "conv1x1" in tree else None

    def forward(self, x: Tensor) -> Tensor:
        """[N, width, H, W] -> the same shape."""
        x1 = self._grow(1, x)
        x2 = self._grow(2, x, x1)
        x2 = x2 if self.conv1x1 is None else x2 + self.conv1x1(x)
        x3 = self._grow(3, x, x1, x2)
        x4 = self._grow(4, x, x1, x2, x3)
        x4 = x4 if self.conv1x1 is None else x4 + x2
        return self._conv(5, x, x1, x2, x3, x4) * _RESIDUAL + x

    def _grow(self, number: int, *seen: Tensor) -> Tensor:
        return _leaky(self._conv(number, *seen))

    def _conv(self, number: int, *seen: Tensor) -> Tensor:
        found: Tensor = self.get_submodule(f"conv{number}{self._inner}")(torch.cat(seen, 1))
        return found


class Pointwise(Layer):
    """A convolution of single pixels without a bias."""

    weight: Tensor

    def __init__(self, tree: Tree, inputs: int, outputs: int) -> None:
        super().__init__()
        self.hold(tree, "weight", outputs, inputs, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] -> [N, outputs, H, W]."""
        return F.conv2d(x, like(self.weight, x))


def _leaky(x: Tensor) -> Tensor:
    """x where it is positive, 0.2 x elsewhere; in place, for `x` is a fresh result."""
    return F.leaky_relu(x, _SLOPE, inplace=True)


def _hang(root: nn.Module, name: str, layer: Layer) -> None:
    """Add `layer` under a dotted name, below containers that are made where they are not there."""
    *path, leaf = name.split(".")
    for part in path:
        if part not in dict(root.named_children()):
            root.add_module(part, Parts({}))
        root = root.get_submodule(part)
    root.add_module(leaf, layer)


def _old_names(tree: Tree) -> _Names:
    """One long sequence: 0, the blocks in 1, a convolution each third number for each doubling, and two at the end."""
    end = list(tree.numbered())[-1]
    last = int(end) if len(end) <= 2 else 0
    doublings, rest = divmod(last - 4, 3)
    if rest or doublings not in range(_MOST_DOUBLINGS + 1):
        tree.fault(f"ends with {end[:20]}, which no number of doublings leads to")
        doublings = 0
    *blocks, after = tree["1.sub"].series() or ("0",)
    return _Names(
        first="model.0",
        blocks=tuple(f"model.1.sub.{name}" for name in blocks),
        after=f"model.1.sub.{after}",
        ups=tuple(f"model.{3 * number}" for number in range(1, doublings + 1)),
        high=f"model.{last - 2}",
        last=f"model.{last}",
        dense="RDB",
        inner=".0",
    )


def _new_names(tree: Tree) -> _Names:
    """Words for the parts; the two codes that have them differ in the words alone."""
    trunk = "RRDB_trunk" if "RRDB_trunk" in tree else "body"
    return _Names(
        first="conv_first",
        blocks=tuple(f"{trunk}.{name}" for name in tree[trunk].series()),
        after="trunk_conv" if "trunk_conv" in tree else "conv_body",
        ups=tuple(_ups(tree)),
        high="HRconv" if "HRconv" in tree else "conv_hr",
        last="conv_last",
        dense="RDB" if f"{trunk}.0.RDB1" in tree else "rdb",
    )


def _ups(tree: Tree) -> Iterator[str]:
    word = "upconv" if "upconv1" in tree else "conv_up"
    number = 1
    while f"{word}{number}" in tree and number <= _MOST_DOUBLINGS:
        yield f"{word}{number}"
        number += 1
