"""The U-Net of SD1, SD2, SDXL and its refiner, and of everything pruned, distilled or widened from them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from modelhub.preview.networks.blocks import Downsample, ResBlock, Silu, Upsample
from modelhub.preview.networks.layers import Conv, GroupNorm, Layer, Linear, Parts, expect
from modelhub.preview.networks.positions import sinusoids
from modelhub.preview.networks.transformer import Transformer
from modelhub.preview.networks.tree import Shape, Tree


class UNet(Layer):
    """A denoiser built from the shapes below `model.diffusion_model.` (Rombach et al. 2022, arXiv:2112.10752).

    `in_channels`, `out_channels`, `context_width` and `vector_width` say what it takes and gives; a width of 0 means
    that it takes none. Raises IncompatibleError when the shapes make no U-Net.
    """

    def __init__(self, shapes: Mapping[str, Shape]) -> None:
        super().__init__()
        tree = Tree.of(shapes)
        self.context_width = _context_width(shapes)
        self.time_embed = Embedder(tree["time_embed"])
        self.label_emb = (
            Parts({"0": Embedder(tree["label_emb.0"], self.time_embed.outputs)}) if "label_emb" in tree else None
        )
        self.vector_width = tree["label_emb.0"].need("0.weight", None, None)[1] if self.label_emb else 0
        self._build(tree, self.time_embed.outputs)
        tree.settle("U-Net")

    def _build(self, tree: Tree, embedding: int) -> None:
        self.in_channels = channels = tree.need("input_blocks.0.0.weight", None, None, 3, 3)[1]
        inputs, outputs, skips = {}, {}, []
        for name, part in tree["input_blocks"].series().items():
            inputs[name] = chain = Chain(part, channels, embedding, self.context_width)
            channels = chain.outputs
            skips.append(channels)
        middle = Chain(tree["middle_block"], channels, embedding, self.context_width)
        channels = middle.outputs
        for name, part in tree["output_blocks"].series().items():
            channels += skips.pop() if skips else 0
            outputs[name] = chain = Chain(part, channels, embedding, self.context_width)
            channels = chain.outputs
        if len(inputs) != len(outputs):
            tree["output_blocks"].fault(f"has {len(outputs)} blocks, and input_blocks {len(inputs)}")
        # in the order in which they compute, for that is how blocks are streamed
        self.input_blocks, self.middle_block, self.output_blocks = Parts(inputs), middle, Parts(outputs)
        last = Conv(tree["out.2"], channels)
        self.out = Parts({"0": GroupNorm(tree["out.0"], channels, 1e-5), "1": Silu(), "2": last})
        self.out_channels = last.outputs

    def forward(self, x: Tensor, timesteps: Tensor, context: Tensor, y: Tensor | None = None) -> Tensor:
        """Predict noise (or velocity) from x [N, C, H, W], timesteps [N] (may be fractional), context [N, T, width].

        `y` [N, vector_width] is what SDXL adds to the time embedding; a U-Net without it ignores `y`. Inputs are cast
        to the network's dtype, the result [N, out_channels, H, W] back to that of `x`. Raises IncompatibleError when
        an input has the wrong width.
        """
        self.check()
        expect("This U-Net", "latents", x.shape[1], self.in_channels)
        expect("This U-Net", "prompt vectors", context.shape[-1], self.context_width or context.shape[-1])
        if self.vector_width:
            expect("This U-Net", "a size vector", 0 if y is None else y.shape[-1], self.vector_width)
        context, h, skips = context.to(self.dtype), x.to(self.dtype), []
        embedding = self._embed(timesteps, y)
        for block in self.checked(self.input_blocks):
            h = block(h, embedding, context, h.shape[-2:])
            skips.append(h)
        self.check()
        h = self.middle_block(h, embedding, context, h.shape[-2:])
        for block in self.checked(self.output_blocks):
            h = torch.cat((h, skips.pop()), dim=1)
            h = block(h, embedding, context, skips[-1].shape[-2:] if skips else x.shape[-2:])
        return self.out(h).to(x.dtype)

    def _embed(self, timesteps: Tensor, y: Tensor | None) -> Tensor:
        embedding = self.time_embed(sinusoids(timesteps, self.time_embed.inputs).to(self.dtype))
        if self.label_emb is None or y is None:
            return embedding
        return embedding + self.label_emb(y.to(self.dtype))


class Chain(Layer):
    """One of the numbered blocks of a U-Net: what it contains follows from the names found in it."""

    def __init__(self, tree: Tree, channels: int, embedding: int, context: int) -> None:
        super().__init__()
        for name, part in tree.numbered().items():
            layer = _layer(part, channels, embedding, context)
            self.add_module(name, layer)
            channels = layer.outputs
        self.outputs = channels

    def forward(self, h: Tensor, embedding: Tensor, context: Tensor, size: tuple[int, int]) -> Tensor:
        """h [N, C, H, W] -> [N, outputs, ...]; `size` is the height and width that an upsampling goes to."""
        for layer in self.children():
            if isinstance(layer, ResBlock):
                h = layer(h, embedding)
            elif isinstance(layer, Transformer):
                h = layer(h, context)
            elif isinstance(layer, Upsample):
                h = layer(h, size)
            else:
                h = layer(h)
        return h


def _layer(
    tree: Tree, channels: int, embedding: int, context: int
) -> ResBlock | Transformer | Downsample | Upsample | Conv:
    if "in_layers" in tree:
        return ResBlock(tree, channels, embedding)
    if "transformer_blocks" in tree:
        return Transformer(tree, channels, context)
    if "op" in tree:
        return Downsample(tree, channels)
    if "conv" in tree:
        return Upsample(tree, channels)
    return Conv(tree, channels)


class Embedder(Parts):
    """Two projections that make an embedding [N, outputs] of numbers [N, inputs]."""

    def __init__(self, tree: Tree, outputs: int | None = None) -> None:
        first = Linear(tree["0"])
        second = Linear(tree["2"], first.outputs, outputs)
        super().__init__({"0": first, "1": Silu(), "2": second})
        self.inputs, self.outputs = first.inputs, second.outputs


def _context_width(shapes: Mapping[str, Shape]) -> int:
    """The width of the prompt vectors, which every cross-attention shares; 0 where there is none."""
    widths = (shape[1] for name, shape in shapes.items() if name.endswith("attn2.to_k.weight") and len(shape) in (2, 4))
    return next(widths, 0)
