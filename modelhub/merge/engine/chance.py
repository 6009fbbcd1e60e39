"""Random numbers by place: they depend on the seed, the tensor and the element, not on who asks for them when."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

#: Elements that share one seed of torch's generator.
_GRAIN = 1 << 14


@dataclass(frozen=True, slots=True)
class Drawn:
    """The `Chance` of one window: the elements from `start` on of the tensor `name`, in `shape`."""

    seed: int
    name: str
    start: int
    shape: tuple[int, ...]

    def uniform(self, stream: int = 0) -> torch.Tensor:
        """Numbers in [0, 1), fp32, in the window's shape; other numbers for each `stream`."""
        import torch

        count = 1
        for size in self.shape:
            count *= size
        out = torch.empty(count)
        generator = torch.Generator()
        done = 0
        while done < count:
            grain, within = divmod(self.start + done, _GRAIN)
            generator.manual_seed(self._seed(stream, grain))
            take = min(_GRAIN - within, count - done)
            if take == _GRAIN:
                torch.rand(_GRAIN, generator=generator, out=out[done : done + take])
            else:
                out[done : done + take] = torch.rand(_GRAIN, generator=generator)[within : within + take]
            done += take
        return out.view(self.shape)

    def _seed(self, stream: int, grain: int) -> int:
        text = f"{self.seed}\n{stream}\n{grain}\n{self.name}"
        return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()) >> 1
