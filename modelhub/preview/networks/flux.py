"""The Flux transformer: one sequence of text and image tokens, in blocks of two streams and then of one."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from modelhub.errors import IncompatibleError
from modelhub.preview.networks.flux_blocks import DoubleBlock, Embedder, Final, Heads, SingleBlock
from modelhub.preview.networks.layers import Layer, Linear, Parts, expect
from modelhub.preview.networks.positions import rotations, sinusoids
from modelhub.preview.networks.tree import Shape, Tree

#: Sigmas and guidance are embedded at the scale that timesteps have elsewhere.
_SCALE = 1000.0


class Flux(Layer):
    """A denoiser built from the shapes below `model.diffusion_model.`, in the layout of Black Forest Labs.

    Dev, schnell, Fill, Depth and Canny, and whatever has other numbers of blocks or other widths. `in_channels` and
    `out_channels` are those of latents (Fill takes 96: latents, masked picture and mask), `context_width` is the width
    of T5's vectors, `vector_width` that of the pooled CLIP vector, and `guided` says whether it wants a guidance
    number. Raises IncompatibleError when the shapes make no Flux.
    """

    def __init__(self, shapes: Mapping[str, Shape]) -> None:
        super().__init__()
        tree = Tree.of(shapes)
        self.img_in = Linear(tree["img_in"])
        width = self.img_in.outputs
        self.txt_in = Linear(tree["txt_in"], None, width)
        self.time_in, self.vector_in = Embedder(tree["time_in"], width), Embedder(tree["vector_in"], width)
        self.guidance_in = Embedder(tree["guidance_in"], width) if "guidance_in" in tree else None
        doubles = tree["double_blocks"].series() or {"0": tree["double_blocks.0"]}
        singles = tree["single_blocks"].series() or {"0": tree["single_blocks.0"]}
        self.double_blocks = Parts({name: DoubleBlock(part, width) for name, part in doubles.items()})
        self.single_blocks = Parts({name: SingleBlock(part, width) for name, part in singles.items()})
        self.final_layer = Final(tree["final_layer"], width)
        self.head_width = self._head_width(tree)
        self.in_channels = _quarter(tree["img_in"], self.img_in.inputs)
        self.out_channels = _quarter(tree["final_layer.linear"], self.final_layer.outputs)
        self.context_width, self.vector_width = self.txt_in.inputs, self.vector_in.inputs
        self.guided = self.guidance_in is not None
        tree.settle("Flux transformer")

    def _head_width(self, tree: Tree) -> int:
        """The width that all heads have."""
        heads = {name: part for name, part in self.named_modules() if isinstance(part, Heads)}
        width = next(iter(heads.values())).width
        for name, part in heads.items():
            if part.width != width:
                tree[name].fault(f"has heads of {part.width} channels, and other blocks of {width}")
        return width

    def forward(
        self, x: Tensor, sigmas: Tensor, context: Tensor, pooled: Tensor, guidance: Tensor | None = None
    ) -> Tensor:
        """Predict noise minus clean latents in x [N, C, h, w] with noise of levels sigmas [N], 0 to 1.

        context [N, T, context_width], pooled [N, vector_width], guidance [N] where `guided`, else ignored. An odd h or
        w is filled up with the latents of the other edge, as ComfyUI and Forge do, and cut off again. Inputs are cast
        to the network's dtype, the result [N, out_channels, h, w] back to that of `x`; positions, sigmas and guidance
        are embedded in float32. Raises IncompatibleError when an input has the wrong width.
        """
        self._check(x, context, pooled, guidance)
        h, w = x.shape[-2:]
        padded = F.pad(x, (0, w % 2, 0, h % 2), mode="circular")
        rows, columns, texts = padded.shape[-2] // 2, padded.shape[-1] // 2, context.shape[1]
        self.check()
        conditions = self._conditions(sigmas, pooled, guidance)
        rotation = rotations(self.head_width, texts, rows, columns, x.device)
        tokens = torch.cat((self.txt_in(context.to(self.dtype)), self.img_in(pack(padded.to(self.dtype)))), dim=1)
        for block in self.checked(self.double_blocks, self.single_blocks):
            tokens = block(tokens, conditions, rotation, texts)
        return unpack(self.final_layer(tokens[:, texts:], conditions), rows, columns)[..., :h, :w].to(x.dtype)

    def _check(self, x: Tensor, context: Tensor, pooled: Tensor, guidance: Tensor | None) -> None:
        name = "This Flux transformer"
        expect(name, "latents", x.shape[1], self.in_channels)
        expect(name, "prompt vectors", context.shape[-1], self.context_width)
        expect(name, "a pooled vector", pooled.shape[-1], self.vector_width)
        if self.guided and guidance is None:
            raise IncompatibleError(f"{name} wants a guidance number, and was given none.", "3.5 is the usual one.")

    def _conditions(self, sigmas: Tensor, pooled: Tensor, guidance: Tensor | None) -> Tensor:
        found = self.time_in(sinusoids(_SCALE * sigmas.float(), self.time_in.inputs).to(self.dtype))
        if self.guidance_in is not None and guidance is not None:
            strength = sinusoids(_SCALE * guidance.float(), self.guidance_in.inputs)
            found = found + self.guidance_in(strength.to(self.dtype))
        return found + self.vector_in(pooled.to(self.dtype))


def pack(x: Tensor) -> Tensor:
    """Latents [N, C, 2h, 2w] -> tokens [N, h w, 4 C]: squares of 2 by 2, each with its channels outermost."""
    return F.pixel_unshuffle(x, 2).flatten(2).transpose(1, 2)


def unpack(tokens: Tensor, rows: int, columns: int) -> Tensor:
    """Tokens [N, rows columns, 4 C] -> latents [N, C, 2 rows, 2 columns], the reverse of `pack`."""
    return F.pixel_shuffle(tokens.transpose(1, 2).unflatten(2, (rows, columns)), 2)


def _quarter(tree: Tree, width: int) -> int:
    """The channels of latents of which squares of 2 by 2 make tokens of `width`."""
    if width % 4:
        tree.fault(f"has {width} channels, no multiple of 4")
    return width // 4
