"""An oracle for upscalers: small random weights in every naming, and the networks written as plain formulas."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Rrdb:
    """An RRDBNet: `doublings` after the blocks, `fold` pixels of each side folded before them."""

    width: int = 8
    growth: int = 4
    blocks: int = 2
    doublings: int = 2
    fold: int = 1
    colours: int = 3
    plus: bool = False

    def weights(self, seed: int = 0) -> Weights:
        """Random weights by neutral names: first, b0.r1.c1, after, up1, high, last."""
        generator = torch.Generator().manual_seed(seed)
        found: Weights = {}

        def conv(name: str, inputs: int, outputs: int, size: int = 3, bias: bool = True) -> None:
            fan = inputs * size * size
            found[f"{name}.weight"] = torch.randn(outputs, inputs, size, size, generator=generator) * (1.5 / fan) ** 0.5
            if bias:
                found[f"{name}.bias"] = torch.randn(outputs, generator=generator) * 0.1

        conv("first", self.colours * self.fold**2, self.width)
        for block in range(self.blocks):
            for dense in (1, 2, 3):
                for number in range(1, 6):
                    taken = self.width + (number - 1) * self.growth
                    conv(f"b{block}.r{dense}.c{number}", taken, self.width if number == 5 else self.growth)
                if self.plus:
                    conv(f"b{block}.r{dense}.c1x1", self.width, self.growth, 1, bias=False)
        for name in ("after", *(f"up{number + 1}" for number in range(self.doublings)), "high"):
            conv(name, self.width, self.width)
        conv("last", self.width, self.colours)
        return found

    def old_names(self, weights: Weights) -> Weights:
        """As the first code of ESRGAN names them."""
        last = 4 + 3 * self.doublings
        top = {"first": "model.0", "after": f"model.1.sub.{self.blocks}", "high": f"model.{last - 2}"}
        top |= {"last": f"model.{last}", **{f"up{n}": f"model.{3 * n}" for n in range(1, self.doublings + 1)}}
        return _renamed(weights, top, "model.1.sub.{0}.RDB{1}.conv{2}.0", "model.1.sub.{0}.RDB{1}.conv{2}")

    def bsrgan_names(self, weights: Weights) -> Weights:
        """As the second code of ESRGAN and BSRGAN name them."""
        top = {"first": "conv_first", "after": "trunk_conv", "high": "HRconv", "last": "conv_last"}
        top |= {f"up{n}": f"upconv{n}" for n in range(1, self.doublings + 1)}
        return _renamed(weights, top, "RRDB_trunk.{0}.RDB{1}.conv{2}")

    def new_names(self, weights: Weights) -> Weights:
        """As Real-ESRGAN names them."""
        top = {"first": "conv_first", "after": "conv_body", "high": "conv_hr", "last": "conv_last"}
        top |= {f"up{n}": f"conv_up{n}" for n in range(1, self.doublings + 1)}
        return _renamed(weights, top, "body.{0}.rdb{1}.conv{2}")

    def enlarge(self, weights: Weights, x: Tensor) -> Tensor:
        """The network, written out: x [N, colours, H, W]."""

        def conv(name: str, x: Tensor) -> Tensor:
            weight = weights[f"{name}.weight"]
            return F.conv2d(x, weight, weights.get(f"{name}.bias"), padding=weight.shape[-1] // 2)

        def leaky(x: Tensor) -> Tensor:
            return torch.where(x > 0, x, 0.2 * x)

        def dense(name: str, x: Tensor) -> Tensor:
            found = [x]
            for number in (1, 2, 3, 4):
                y = leaky(conv(f"{name}.c{number}", torch.cat(found, 1)))
                if self.plus and number == 2:
                    y = y + conv(f"{name}.c1x1", x)
                if self.plus and number == 4:
                    y = y + found[2]
                found.append(y)
            return x + 0.2 * conv(f"{name}.c5", torch.cat(found, 1))

        height, width = x.shape[-2:]
        if self.fold > 1:
            x = F.pad(x, (0, -width % self.fold, 0, -height % self.fold), mode="reflect")
            rows, columns = (range(self.fold) for _ in range(2))
            parts = [x[:, :, row :: self.fold, column :: self.fold] for row in rows for column in columns]
            x = torch.stack(parts, 2).flatten(1, 2)
        x = start = conv("first", x)
        for block in range(self.blocks):
            inside = x
            for number in (1, 2, 3):
                inside = dense(f"b{block}.r{number}", inside)
            x = x + 0.2 * inside
        x = start + conv("after", x)
        for number in range(1, self.doublings + 1):
            x = leaky(conv(f"up{number}", x.repeat_interleave(2, -1).repeat_interleave(2, -2)))
        x = conv("last", leaky(conv("high", x)))
        scale = 2**self.doublings // self.fold
        return x[..., : height * scale, : width * scale]


def _renamed(weights: Weights, top: dict[str, str], inner: str, plus: str = "") -> Weights:
    found: Weights = {}
    for name, tensor in weights.items():
        module, leaf = name.rsplit(".", 1)
        if module not in top:
            block, dense, number = (part[1:] for part in module.split("."))
            module = (plus or inner if number == "1x1" else inner).format(block, dense, number)
        found[f"{top.get(module, module)}.{leaf}"] = tensor
    return found


def compact_weights(colours: int, width: int, layers: int, scale: int, seed: int = 0) -> Weights:
    """Random weights of an SRVGGNetCompact with `layers` convolutions between the first and the last."""
    generator = torch.Generator().manual_seed(seed)
    sizes = [colours, *[width] * (layers + 1), colours * scale**2]
    found: Weights = {}
    for at, (taken, given) in enumerate(pairwise(sizes)):
        found[f"body.{2 * at}.weight"] = torch.randn(given, taken, 3, 3, generator=generator) / (9 * taken) ** 0.5
        found[f"body.{2 * at}.bias"] = torch.randn(given, generator=generator) * 0.1
        if at <= layers:
            found[f"body.{2 * at + 1}.weight"] = torch.rand(given, generator=generator)
    return found


def compact_enlarge(weights: Weights, x: Tensor, scale: int) -> Tensor:
    """SRVGGNetCompact, written out: x [N, colours, H, W]."""
    y = x
    for at in range(len({name.split(".")[1] for name in weights})):
        weight = weights[f"body.{at}.weight"]
        if weight.ndim == 1:
            y = torch.where(y > 0, y, y * weight[:, None, None])
        else:
            y = F.conv2d(y, weight, weights[f"body.{at}.bias"], padding=1)
    number, colours, height, width = x.shape
    y = y.view(number, colours, scale, scale, height, width).permute(0, 1, 4, 2, 5, 3)
    larger = x.repeat_interleave(scale, -1).repeat_interleave(scale, -2)
    return y.reshape(number, colours, height * scale, width * scale) + larger
