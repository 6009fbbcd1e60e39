"""Targets: what the key map of its base tells of a module's layer, without a model at hand."""

from __future__ import annotations

from math import isqrt

from modelhub.catalog.adapter_shapes import is_kernel
from modelhub.catalog.adapters import Adapter, Module
from modelhub.catalog.bases import find_base, targets


def kernel_of(adapter: Adapter, module: Module) -> tuple[int, ...] | None:
    """The kernel of a module's layer, whose parts do not tell it: () of a linear one; None if it is not known."""
    base, in_size = find_base(adapter).architecture, module.size.in_size
    target = next(iter(targets(base, module)), None) if base else None
    if target is None or not in_size:
        return None
    if target.rank != 4:
        return ()
    if not is_kernel(in_size, target.in_size):
        return None
    side = isqrt(in_size // target.in_size)
    return side, side
