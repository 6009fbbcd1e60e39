"""A module at work: the change it makes of its layer, in which steps, and beforehand whether it can make one at all."""

from __future__ import annotations

from dataclasses import replace

from modelhub.catalog.adapters import Module
from modelhub.catalog.match import Shape
from modelhub.errors import IncompatibleError
from modelhub.lora.algorithms.dora import Decomposed, axis
from modelhub.lora.algorithms.fits import Shapes, Unfit, count, own
from modelhub.lora.algorithms.registry import Change, Given, Rows, algorithms
from modelhub.text import brief

#: Parts that go with any algorithm.
_COMMON = frozenset({"alpha", "scalar", "dora", "magnitude", "reshape", "bias", "a_bias", "diff_b"})


def change_of(algorithm: str, given: Given, weight: Rows) -> Change:
    """What a module of this algorithm adds to its layer, with its norms if it is a DoRA.

    Raises IncompatibleError where `unsupported` tells a reason, CorruptFileError for an alpha that is no number.
    """
    reason = _reason(algorithm, {name: tuple(part.shape) for name, part in given.parts.items()}, given.shape)
    if reason:
        raise IncompatibleError(
            f"{brief(given.name) or 'A module'} cannot be baked in: it {reason}.",
            "`modelhub lora check` tells which modules fit a checkpoint.",
        )
    found = algorithms()[algorithm](_alike(given), weight)
    return Decomposed(found) if {"dora", "magnitude"} & set(given.parts) else found


def _alike(given: Given) -> Given:
    """With all parts of one type: fp64 if any of them is, fp32 otherwise."""
    import torch

    is_double = any(part.dtype == torch.float64 for part in given.parts.values())
    dtype = torch.float64 if is_double else torch.float32
    return replace(given, parts={name: part.to(dtype) for name, part in given.parts.items()})


def step_of(module: Module, shape: Shape) -> int:
    """Rows of a layer of this shape that the module changes together: see `Change.step`."""
    return algorithms()[module.algorithm].step(own(module.algorithm, module.parts), shape)


def unsupported(module: Module, shape: Shape) -> str:
    """Why a module cannot be baked into a layer of this shape, by shapes alone: "makes 320 x 768, the layer is …".

    The words follow the module's name in a sentence. Empty for one that can be.
    """
    return _reason(module.algorithm, own(module.algorithm, module.parts), shape)


def _reason(algorithm: str, shapes: Shapes, shape: Shape) -> str:
    try:
        _fit(algorithm, shapes, shape)
    except Unfit as unfit:
        return str(unfit)
    return ""


def _fit(algorithm: str, shapes: Shapes, shape: Shape) -> None:
    found = algorithms()[algorithm]
    if not shape:
        raise Unfit("changes a layer that is a single number")
    for name in sorted(set(shapes) - found.known - _COMMON):
        raise Unfit(f"has a part {name}, whose meaning is not known")
    try:
        found.fit(shapes, shape)
    except Unfit as unfit:
        if "reshape" in shapes:
            raise Unfit(f"changes the shape of its layer, which is {list(shape)}") from unfit
        raise
    for name in ("alpha", "scalar"):
        count(shapes, name, 1)
    count(shapes, "diff_b", shape[0])
    if {"dora", "magnitude"} & set(shapes):
        _fit_norms(found, shapes, shape)


def _fit_norms(found: type[Change], shapes: Shapes, shape: Shape) -> None:
    if not found.decomposes:
        raise Unfit("has norms of DoRA, which this algorithm does not go with")
    axis(shapes, shape)
