"""A VAE layer by layer over strips of the picture: the same result, and only one strip of one layer at work.

Tiles that are decoded alone have colours of their own, for normalisation and attention look at the whole picture. Here
each layer sees all of it: its input is kept whole, in the host's memory if need be, its statistics are summed over the
strips that made it, and a convolution gets the rows beyond its strip from there. So there are no seams to hide.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from modelhub.preview.networks.layers import GroupNorm, Layer, like
from modelhub.preview.networks.vae import Decoder, Encoder, Vae
from modelhub.preview.networks.vae_blocks import Level, VaeBlock

_GROUPS = 32
#: Bytes of a strip's tensors, all together.
STRIP = 256 << 20


class Rows(NamedTuple):
    """The input rows that an output strip is made from, and how many rows too many that makes above it."""

    begin: int
    end: int
    extra: int


def _same(begin: int, end: int, height: int) -> Rows:
    """For a 3x3 convolution: a row more on each side, where there is one."""
    low = max(0, begin - 1)
    return Rows(low, min(height, end + 1), begin - low)


def _twice(begin: int, end: int, height: int) -> Rows:
    """For a doubling and a 3x3 convolution."""
    low = max(0, begin // 2 - 1)
    return Rows(low, min(height, -(-end // 2) + 1), begin - 2 * low)


def _half(begin: int, end: int, height: int) -> Rows:
    """For a 3x3 convolution of stride 2 that is padded below."""
    return Rows(2 * begin, min(height, 2 * end + 1), 0)


class Map:
    """A feature map [N, C, H, W] that is filled strip by strip, with its mean and variance per group of channels."""

    def __init__(self, pixels: Tensor) -> None:
        self.pixels = pixels
        groups = (len(pixels), _GROUPS) if pixels.shape[1] % _GROUPS == 0 else None
        self._mean = self._spread = torch.zeros(groups, dtype=torch.float64) if groups else None
        self._count = 0

    @classmethod
    def of(cls, whole: Tensor, home: torch.device) -> Map:
        """A map that is there already, kept on `home`."""
        found = cls(torch.empty_like(whole, device=home))
        found.put(0, whole)
        return found

    def put(self, row: int, strip: Tensor) -> None:
        """Take the rows from `row` on."""
        self.pixels[:, :, row : row + strip.shape[2]] = strip
        if self._mean is None or self._spread is None:
            return
        groups = strip.float().reshape(len(strip), _GROUPS, -1)
        spread, mean = (x.cpu().double() for x in torch.var_mean(groups, dim=2, correction=0))  # mps has no doubles
        new, total = groups.shape[2], self._count + groups.shape[2]
        apart = mean - self._mean  # Chan et al. 1979: two parts' means and squared distances become those of the whole
        self._spread = self._spread + spread * new + apart**2 * (self._count * new / total)
        self._mean, self._count = self._mean + apart * (new / total), total

    def normalised(self, norm: GroupNorm, piece: Tensor) -> Tensor:
        """What `norm` makes of some rows, as part of the whole."""
        assert self._mean is not None and self._spread is not None
        scale = (self._spread / self._count + norm.eps).rsqrt()
        channels = piece.shape[1] // _GROUPS
        factor, shift = (
            x.float().to(piece.device).repeat_interleave(channels, 1)[:, :, None, None]
            for x in (scale, -self._mean * scale)
        )
        weight, bias = (like(x, factor)[:, None, None] for x in (norm.weight, norm.bias))
        return (piece.float() * (factor * weight) + (shift * weight + bias)).to(piece.dtype)


class _Work:
    """Layers over strips: `device` computes, maps are kept on `home`, and a strip takes about `size` bytes."""

    def __init__(self, device: torch.device, home: torch.device, size: int) -> None:
        self._device, self._home, self._size = device, home, size

    def over(
        self,
        make: Callable[..., Tensor],
        sources: tuple[Map, ...],
        channels: int,
        reach: Callable[[int, int, int], Rows] = _same,
    ) -> Map:
        """`make` of the rows of each source, strip by strip; `reach` says which rows a strip is made from."""
        first = sources[0].pixels
        count, _, height, width = first.shape
        if reach is not _same:
            height, width = (2 * height, 2 * width) if reach is _twice else (height // 2, width // 2)
        found = Map(torch.empty((count, channels, height, width), dtype=first.dtype, device=self._home))
        widest = max(channels, *(source.pixels.shape[1] for source in sources))
        step = max(2, self._size // (8 * count * widest * max(width, first.shape[3]) * first.itemsize) // 2 * 2)
        for row in range(0, height, step):
            end = min(height, row + step)
            rows = reach(row, end, first.shape[2])
            pieces = [source.pixels[:, :, rows.begin : rows.end].to(self._device) for source in sources]
            found.put(row, make(*pieces)[:, :, rows.extra : rows.extra + end - row])
        return found

    def block(self, block: VaeBlock, x: Map) -> Map:
        """A residual block."""
        straight = block.conv_shortcut or block.nin_shortcut
        inner = self.over(
            lambda piece: block.conv1(F.silu(x.normalised(block.norm1, piece))), (x,), block.conv1.outputs
        )
        return self.over(
            lambda piece, old: (
                block.conv2(F.silu(inner.normalised(block.norm2, piece))) + (straight(old) if straight else old)
            ),
            (inner, x),
            block.outputs,
        )

    def level(self, level: Level, x: Map) -> Map:
        """The blocks of one resolution, and what goes to the next."""
        looks = dict(level.attn.named_children())
        for name, block in level.block.named_children():
            assert isinstance(block, VaeBlock)
            x = self.block(block, x)
            x = Map.of(looks[name](x.pixels.to(self._device)), self._home) if name in looks else x
        if level.upsample is not None:
            x = self.over(level.upsample, (x,), level.upsample.conv.outputs, _twice)
        return (
            x if level.downsample is None else self.over(level.downsample, (x,), level.downsample.conv.outputs, _half)
        )

    def levels(self, levels: Layer, x: Map) -> Map:
        """All resolutions."""
        for level in levels.children():
            assert isinstance(level, Level)
            x = self.level(level, x)
        return x

    def last(self, half: Decoder | Encoder, x: Map) -> Tensor:
        """The last norm and convolution."""
        made = self.over(
            lambda piece: half.conv_out(F.silu(x.normalised(half.norm_out, piece))), (x,), half.conv_out.outputs
        )
        return made.pixels.to(self._device)


def decode_in_strips(vae: Vae, z: Tensor, *, home: torch.device | None = None, size: int = STRIP) -> Tensor:
    """What `vae.decode` says of z [N, C, h, w], but for rounding; maps are kept on `home`, by default the host.

    A strip takes about `size` bytes where z is. The middle, at the size of the latents, is done whole.
    """
    decoder = vae.decoder
    if decoder is None:
        return vae.decode(z)  # which says that it cannot
    home = home or torch.device("cpu")
    work, h = _Work(z.device, home, size), z.to(vae.dtype)
    h = h if vae.post_quant_conv is None else vae.post_quant_conv(h)
    middle = Map.of(decoder.mid(decoder.conv_in(h)), home)
    return work.last(decoder, work.levels(decoder.up, middle)).to(z.dtype)


def encode_in_strips(
    vae: Vae, x: Tensor, *, home: torch.device | None = None, size: int = STRIP
) -> tuple[Tensor, Tensor]:
    """What `vae.encode` says of x [N, 3, H, W], but for rounding; see `decode_in_strips`."""
    encoder = vae.encoder
    if encoder is None:
        return vae.encode(x)
    home = home or torch.device("cpu")
    work = _Work(x.device, home, size)
    first = work.over(encoder.conv_in, (Map.of(x.to(vae.dtype), home),), encoder.conv_in.outputs)
    small = work.levels(encoder.down, first).pixels.to(x.device)
    middle = Map.of(encoder.mid(small), home)
    h = work.last(encoder, middle)
    moments = h if vae.quant_conv is None else vae.quant_conv(h)
    mean, logvar = moments.to(x.dtype).chunk(2, dim=1)
    return mean, logvar.clamp(-30.0, 20.0)
