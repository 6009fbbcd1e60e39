"""Numbers stored in another float dtype: rounded once, to the nearest, ties to even; what does not fit is counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Findings:
    """Elements that came out as NaN or infinite, and those of them that were finite before they were stored."""

    not_finite: int = 0
    overflowed: int = 0

    def __add__(self, other: Findings) -> Findings:
        return Findings(self.not_finite + other.not_finite, self.overflowed + other.overflowed)


_CLEAN = Findings()


def store(value: torch.Tensor, out: torch.Tensor) -> Findings:
    """Put `value` into `out`, of the same shape and perhaps another dtype, rounding once; say what is not finite."""
    import torch

    is_double_rounded = value.dtype == torch.float64 and out.element_size() < 4
    out.copy_(_rounded_to_odd(value) if is_double_rounded else value)
    return _findings(value, out)


def _rounded_to_odd(value: torch.Tensor) -> torch.Tensor:
    """fp64 as fp32 that rounds on to 16 bits and fewer as the fp64 itself would.

    torch goes from fp64 to these through fp32, and rounds twice. Cut off, with the last bit set where anything was, the
    fp32 has on which side of a half the number lies, and can be mistaken for none.
    """
    import torch

    near = value.to(torch.float32)
    bits = near.view(torch.int32)
    bits -= (near.double().abs() > value.abs()).int()
    bits |= (bits.view(torch.float32).double() != value).int()
    return near


def _findings(value: torch.Tensor, stored: torch.Tensor) -> Findings:
    """One sum finds almost every clean block; only a suspicious one is counted element by element."""
    import torch

    total = float(stored.sum(dtype=torch.float32))
    if total - total == 0:
        return _CLEAN
    bad = ~torch.isfinite(stored.double())
    return Findings(int(bad.sum()), int((bad & torch.isfinite(value)).sum()))
