"""Numbers stored in another float dtype: rounded once, to the nearest, ties to even; what does not fit is counted."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
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
#: The tie between 448, the largest number of E4M3, and the next one, if there were one.
_E4M3_MOST = 464.0


def store(value: torch.Tensor, out: torch.Tensor) -> Findings:
    """Put `value` into `out`, of the same shape and perhaps another dtype, rounding once; say what is not finite.

    What is too large for `out` becomes infinite, in fp8 of the kind E4M3 NaN, for that has no infinity.
    """
    import torch

    is_double_rounded = value.dtype == torch.float64 and out.element_size() < 4
    out.copy_(_rounded_to_odd(value) if is_double_rounded else value)
    if out.dtype == torch.float8_e4m3fn:
        _mark_overflow(value, out)
    return _CLEAN if is_finite(out) else count_not_finite(value, out)


def _mark_overflow(value: torch.Tensor, out: torch.Tensor) -> None:
    """NaN for what rounds to more than 448: some versions of torch store that as 448, and infinity, too."""
    import torch

    if value.numel() and not float(value.abs().amax()) <= _E4M3_MOST:
        out.view(torch.uint8)[~(value.abs() <= _E4M3_MOST)] = 0x7F


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


def is_finite(stored: torch.Tensor) -> bool:
    """Whether no element is NaN or infinite.

    One such element makes the sum another, and adding up is the fastest way to look at all; a sum that is too large for
    the dtype says nothing. The least and the greatest do: they are NaN if anything is.
    """
    import torch

    if not stored.numel():
        return True
    if stored.element_size() == 1:  # torch cannot compare fp8, whose bits without the sign are in order
        most = 0x7F if stored.dtype == torch.float8_e4m3fn else 0x7C
        return int((stored.view(torch.uint8) & 0x7F).amax()) < most
    if isfinite(stored.sum()):
        return True
    low, high = stored.aminmax()
    return isfinite(low) and isfinite(high)


def count_not_finite(value: torch.Tensor, stored: torch.Tensor) -> Findings:
    """Count the NaN and infinite elements of `stored`, and those of them that were finite in `value`."""
    import torch

    bad = ~torch.isfinite(stored.double() if stored.element_size() > 1 else stored.float())
    return Findings(int(bad.sum()), int((bad & torch.isfinite(value)).sum()))
