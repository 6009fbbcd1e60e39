"""An upscaler: a network on its device, that makes any picture a whole number of times as large."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from modelhub.errors import IncompatibleError, UsageError
from modelhub.jobs import QUIET, Advance, Job
from modelhub.preview.upscaling.tiling import Pixels, Tiling, Values, enlarge_tiles
from modelhub.text import brief

#: Pixels of the largest picture that is made: 16,384 by 16,384.
LARGEST = 2**28
ORDERS = ("bgr", "rgb")


@dataclass(frozen=True)
class Upscaler:
    """What enlarges pictures `scale` times; `architecture` is the id of the catalog.

    `network` takes and gives [N, channels, H, W] of about 0..1 in `dtype`; with one channel, the colours of a picture
    go through it one by one. `order` is that in which it gets them: A1111 hands blue first to every upscaler, though
    they were trained on red first, and "bgr" gives the pictures that its users know. What folds squares of `fold`
    pixels gets tiles, and overlaps, so many times as large: it sees so much further, for the same memory. Tiles begin
    at multiples of `multiple`.
    """

    name: str
    architecture: str
    scale: int
    channels: int
    network: nn.Module
    enlarge: Callable[[Tensor], Tensor]
    device: torch.device
    dtype: torch.dtype = torch.float32
    fold: int = 1
    multiple: int = 1
    order: str = "bgr"
    tiling: Tiling = field(default_factory=Tiling)

    def __post_init__(self) -> None:
        if self.order not in ORDERS:
            raise UsageError(f"There is no order of colours '{self.order}'.", f"Choose one of: {', '.join(ORDERS)}.")

    def __call__(self, pixels: Pixels, job: Job = QUIET) -> Pixels:
        """Pixels [H, W, 3] -> [scale H, scale W, 3], clamped and rounded, tile by tile.

        Cancelling stops within a tile. Raises UsageError for a picture too large, IncompatibleError when the network
        returns what are no numbers.
        """
        height, width = pixels.shape[:2]
        check_size(width * self.scale, height * self.scale)
        tiling = self.tiling.times(self.fold)
        rows, columns = (tiling.spans(length, self.multiple) for length in (height, width))
        with (
            torch.inference_mode(),
            stoppable(self.network, job),
            job.phase("upscaling", len(rows) * len(columns), "tiles") as advance,
        ):
            return enlarge_tiles(pixels, rows, columns, self.scale, lambda tile: self._tile(tile, advance))

    def _tile(self, pixels: Pixels, advance: Advance) -> Values:
        """One tile [H, W, 3] as values [scale H, scale W, 3] of 0..1."""
        for file in getattr(self.network, "files", ()):
            file.check()  # weights may stand in a file that somebody cut short
        x = torch.from_numpy(np.ascontiguousarray(pixels)).to(self.device).permute(2, 0, 1).float() / 255
        x = x.flip(0) if self.order == "bgr" else x
        x = x[:, None] if self.channels == 1 else x[None]
        y = self._enlarged(x.to(self.dtype)).float()
        if not y.isfinite().all():
            raise IncompatibleError(
                f"The upscaler {brief(self.name)} returned values that are not numbers (NaN).",
                "Its weights are broken, or too large for half precision: try --device cpu, or another file.",
            )
        y = y.clamp(0, 1).reshape(3, *y.shape[-2:])
        y = y.flip(0) if self.order == "bgr" else y
        advance(1)
        return y.permute(1, 2, 0).contiguous().cpu().numpy()

    def _enlarged(self, x: Tensor) -> Tensor:
        try:
            return self.enlarge(x)
        except RuntimeError as error:
            if not isinstance(error, torch.OutOfMemoryError) and "out of memory" not in str(error):  # mps says it so
                raise
            raise UsageError(
                f"A tile of {x.shape[-1]} by {x.shape[-2]} pixels does not fit in the memory of {self.device}.",
                "Choose smaller tiles, e.g. --tile 96, or --device cpu.",
            ) from error


def check_channels(taken: int, name: str, given: int | None = None) -> None:
    """Raise IncompatibleError unless a network takes and gives pictures of one colour, or of three."""
    if taken not in (1, 3) or given not in (None, taken):
        raise IncompatibleError(
            f"{brief(name)} takes pictures of {taken} channels and gives {taken if given is None else given}.",
            "Only upscalers of grey pictures (1) and of colours (3) can be used.",
        )


def check_size(width: int, height: int) -> None:
    """Raise UsageError for a picture that is too large to be made."""
    if width * height > LARGEST:
        raise UsageError(
            f"A picture of {width} by {height} pixels is larger than modelhub makes.",
            f"Choose a smaller scale; {LARGEST:,} pixels are the most.",
        )


@contextmanager
def stoppable(network: nn.Module, job: Job) -> Iterator[None]:
    """Ask before every layer of `network` whether the job was cancelled: one tile may take a minute."""

    def check(*_: Any) -> None:
        job.check()

    handles = [layer.register_forward_pre_hook(check) for layer in network.modules()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
