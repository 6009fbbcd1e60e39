"""Targets: which layers the modules of an adapter change, by the key map of its base, without a model at hand."""

from __future__ import annotations

from math import isqrt

from modelhub.catalog.adapters import Adapter, Module
from modelhub.catalog.bases import find_base, targets
from modelhub.catalog.keymaps import Target


def target_of(adapter: Adapter, module: Module, architecture: str | None = None) -> Target | None:
    """What a module changes in an architecture, by default that of its adapter; None if that is not known."""
    known = architecture or find_base(adapter).architecture
    return next(iter(targets(known, module)), None) if known else None


def kernel_of(adapter: Adapter, module: Module) -> tuple[int, ...] | None:
    """The kernel of a module's layer, whose parts do not tell it: () of a linear one; None if it is not known."""
    target = target_of(adapter, module)
    in_size = module.size.in_size
    if target is None or not in_size:
        return None
    if target.rank != 4:
        return ()
    times, rest = divmod(in_size, target.in_size)
    side = isqrt(times)
    return (side, side) if not rest and side * side == times else None
