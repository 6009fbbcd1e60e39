"""Small random models under the names of latent diffusion's files, written down without the networks under test."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import torch

Shapes = dict[str, tuple[int, ...]]
#: Transformer blocks after each residual block of a level: one number for all of them, or one for each.
Depth = int | tuple[int, ...]


@dataclass(frozen=True)
class SmallUNet:
    """A U-Net to write down: channels of the first level, their multiples, transformer depth per level (0: none)."""

    channels: int = 32
    mult: tuple[int, ...] = (1, 2)
    depths: tuple[Depth, ...] = (1, 0)
    blocks: int = 2
    mid: int | None = 1
    """Depth of the middle's transformer; 0 for a single residual block, None for no middle."""
    linear: bool = False
    context: int = 24
    vector: int = 0
    inputs: int = 4
    ups: tuple[Depth, ...] = ()
    """The depths of the upper half, from its beginning on, where they are not those of the lower half in reverse."""

    def down(self, level: int) -> tuple[int, ...]:
        """The depth of each block of a level."""
        return _each(self.depths[level], self.blocks)

    def up(self, level: int) -> tuple[int, ...]:
        """The same, on the way up."""
        ups = self.ups or self.depths[::-1]
        return _each(ups[len(self.mult) - 1 - level], self.blocks + 1)

    def shapes(self) -> Shapes:
        """Names below `model.diffusion_model.`."""
        return _UNetWriter(self).write()


def _each(depth: Depth, count: int) -> tuple[int, ...]:
    return (depth,) * count if isinstance(depth, int) else depth


class _UNetWriter:
    def __init__(self, config: SmallUNet) -> None:
        self.c, self.out, self.time = config, {}, 4 * config.channels

    def add(self, name: str, *shape: int, bias: bool = True) -> None:
        self.out[f"{name}.weight"] = shape
        if bias:
            self.out[f"{name}.bias"] = shape[:1]

    def write(self) -> Shapes:
        c, first = self.c, self.c.channels
        for name, inputs in [("time_embed", first)] + ([("label_emb.0", c.vector)] if c.vector else []):
            self.add(f"{name}.0", self.time, inputs)
            self.add(f"{name}.2", self.time, self.time)
        self.add("input_blocks.0.0", first, c.inputs, 3, 3)
        now, number, skips = first, 1, [first]
        for level, mult in enumerate(c.mult):
            for depth in c.down(level):
                now = self.pair(f"input_blocks.{number}", now, mult * first, depth)
                skips, number = [*skips, now], number + 1
            if level < len(c.mult) - 1:
                self.add(f"input_blocks.{number}.0.op", now, now, 3, 3)
                skips, number = [*skips, now], number + 1
        if c.mid is not None:
            now = self.pair("middle_block", now, now, c.mid)
            if c.mid:
                self.res("middle_block.2", now, now)
        self.up(now, skips)
        self.add("out.0", first)
        self.add("out.2", 4, first, 3, 3)
        return self.out

    def up(self, now: int, skips: list[int]) -> None:
        number = 0
        for level in reversed(range(len(self.c.mult))):
            for place, depth in enumerate(self.c.up(level)):
                name = f"output_blocks.{number}"
                now = self.pair(name, now + skips.pop(), self.c.mult[level] * self.c.channels, depth)
                if level and place == self.c.blocks:
                    self.add(f"{name}.{2 if depth else 1}.conv", now, now, 3, 3)
                number += 1

    def pair(self, name: str, inputs: int, outputs: int, depth: int) -> int:
        self.res(f"{name}.0", inputs, outputs)
        if depth:
            self.transformer(f"{name}.1", outputs, depth)
        return outputs

    def res(self, name: str, inputs: int, outputs: int) -> None:
        self.add(f"{name}.in_layers.0", inputs)
        self.add(f"{name}.in_layers.2", outputs, inputs, 3, 3)
        self.add(f"{name}.emb_layers.1", outputs, self.time)
        self.add(f"{name}.out_layers.0", outputs)
        self.add(f"{name}.out_layers.3", outputs, outputs, 3, 3)
        if inputs != outputs:
            self.add(f"{name}.skip_connection", outputs, inputs, 1, 1)

    def transformer(self, name: str, width: int, depth: int) -> None:
        kernel = () if self.c.linear else (1, 1)
        self.add(f"{name}.norm", width)
        self.add(f"{name}.proj_in", width, width, *kernel)
        self.add(f"{name}.proj_out", width, width, *kernel)
        for block in (f"{name}.transformer_blocks.{n}" for n in range(depth)):
            for attention, source in (("attn1", width), ("attn2", self.c.context)):
                self.add(f"{block}.{attention}.to_q", width, width, bias=False)
                self.add(f"{block}.{attention}.to_k", width, source, bias=False)
                self.add(f"{block}.{attention}.to_v", width, source, bias=False)
                self.add(f"{block}.{attention}.to_out.0", width, width)
            self.add(f"{block}.ff.net.0.proj", 8 * width, width)
            self.add(f"{block}.ff.net.2", width, 4 * width)
            for norm in ("norm1", "norm2", "norm3"):
                self.add(f"{block}.{norm}", width)


def vae_shapes(
    *, channels: int = 32, mult: tuple[int, ...] = (1, 2), blocks: int = 1, latents: int = 4,
    quant: bool = True, kernel: tuple[int, ...] = (1, 1),
) -> Shapes:  # fmt: skip
    """Names below `first_stage_model.`; `kernel` () makes the attention's weights matrices."""
    out: Shapes = {}

    def add(name: str, *shape: int) -> None:
        out.update({f"{name}.weight": shape, f"{name}.bias": shape[:1]})

    def res(name: str, inputs: int, outputs: int) -> int:
        add(f"{name}.norm1", inputs)
        add(f"{name}.conv1", outputs, inputs, 3, 3)
        add(f"{name}.norm2", outputs)
        add(f"{name}.conv2", outputs, outputs, 3, 3)
        if inputs != outputs:
            add(f"{name}.nin_shortcut", outputs, inputs, 1, 1)
        return outputs

    widths = [m * channels for m in mult]
    for half, inputs, outputs in (("encoder", 3, 2 * latents), ("decoder", latents, 3)):
        for name in ("block_1", "block_2"):
            res(f"{half}.mid.{name}", widths[-1], widths[-1])
        add(f"{half}.mid.attn_1.norm", widths[-1])
        for name in ("q", "k", "v", "proj_out"):
            add(f"{half}.mid.attn_1.{name}", widths[-1], widths[-1], *kernel)
        first, last = (widths[0], widths[-1]) if half == "encoder" else (widths[-1], widths[0])
        add(f"{half}.conv_in", first, inputs, 3, 3)
        add(f"{half}.norm_out", last)
        add(f"{half}.conv_out", outputs, last, 3, 3)
    now = widths[0]
    for level, width in enumerate(widths):
        for n in range(blocks):
            now = res(f"encoder.down.{level}.block.{n}", now, width)
        if level < len(widths) - 1:
            add(f"encoder.down.{level}.downsample.conv", width, width, 3, 3)
    for level, width in reversed(list(enumerate(widths))):
        for n in range(blocks + 1):
            now = res(f"decoder.up.{level}.block.{n}", now, width)
        if level:
            add(f"decoder.up.{level}.upsample.conv", width, width, 3, 3)
    if quant:
        add("quant_conv", 2 * latents, 2 * latents, 1, 1)
        add("post_quant_conv", latents, latents, 1, 1)
    return out


def random_tensors(shapes: Shapes, seed: int = 0) -> dict[str, torch.Tensor]:
    """Weights that keep signals at their size, norms near 1, in float32."""
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for name, shape in shapes.items():
        values = torch.randn(shape, generator=generator)
        fan_in = max(1, values[0].numel())
        is_norm = len(shape) == 1 and name.endswith("weight")
        found[name] = 1 + 0.1 * values if is_norm else values * (0.1 if len(shape) == 1 else fan_in**-0.5)
    return found


def one_of_each(names: Iterable[str]) -> list[str]:
    """The first of all names that differ only in their numbers."""
    return list({without_numbers(name): name for name in reversed(list(names))}.values())


def without_numbers(name: str) -> str:
    """A name with `#` for each number."""
    return re.sub(r"\d+", "#", name)
