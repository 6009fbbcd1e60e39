"""Suiting: where and how a module of an adapter is baked into a checkpoint: its weight, its bias, a part of a layer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import prod

from modelhub.catalog.adapters import Module
from modelhub.lora.algorithms.applying import unsupported
from modelhub.lora.algorithms.registry import Change, algorithms
from modelhub.lora.fitting import Fate, fate
from modelhub.lora.layers import Layer, Layers
from modelhub.lora.network import ALPHA, SCALAR

#: Parts that are about nothing but the bias of a layer.
_BIASES = frozenset({"diff.diff_b", "norm.b", "extra.bias", "extra.a_bias"})
#: What every part of a module may be when it does not change the weight.
_BESIDE = _BIASES | {ALPHA, SCALAR}
#: Algorithms that scale what a layer puts out may do so to its bias; parts do not tell.
_SCALING = frozenset({"ia3", "oft"})
#: Those whose change can be made for fewer channels than the layer takes in.
_CUT = frozenset({"lora", "diff"})


@dataclass(frozen=True, slots=True)
class Suited:
    """A module on its layer: its fate, and what of the layer it changes if that is "ok".

    `reason` tells why a module that has a layer cannot be baked into it. `shape` is the weight's as the module knows
    it; with `columns` only so many columns of the weight are changed, and all others stay: the layer takes in more
    channels. `bias` may be set for a layer that has none.
    """

    fate: Fate
    reason: str = ""
    shape: tuple[int, ...] = ()
    weight: bool = True
    bias: bool = False
    columns: int = 0


def suited(module: Module, layers: Layers) -> Suited:
    """How a module fits."""
    found = fate(module, layers)
    layer = found.layer
    if layer is None:
        return Suited(found if found.state != "incomplete" else found._replace(layer=layers.find(module.place)))
    narrow = _narrow(module, layer) if found.state == "dim-mismatch" else None
    shape, names = narrow or layer.shape, set(module.parts)
    if narrow is None and found.state == "dim-mismatch":
        return Suited(found)
    reason = unsupported(module, shape)
    if reason:
        return Suited(found, reason)
    scales_bias = bool(layer.bias) and module.algorithm in _SCALING and _has_bias(module.algorithm)
    return Suited(
        found._replace(state="ok"),
        shape=shape,
        weight=not names <= _BESIDE,
        bias=bool(names & _BIASES) or scales_bias,
        columns=prod(narrow[1:]) if narrow else 0,
    )


@cache
def _has_bias(algorithm: str) -> bool:
    """Whether an algorithm does anything to biases."""
    return algorithms()[algorithm].bias is not Change.bias


def _narrow(module: Module, layer: Layer) -> tuple[int, ...] | None:
    """The shape of an input convolution as a module knows it that was made for fewer channels; None if that is not it.

    A model for inpainting has those of the mask and of the picture behind the usual four, which a LoRA of an ordinary
    model changes: AUTOMATIC1111 and its kin fill the others up with zeros, too.
    """
    size, shape = module.size, layer.shape
    is_input = module.place.input and len(shape) == 4 and not layer.turned
    fits = size.out_size == shape[0] and size.in_size is not None and 0 < size.in_size < shape[1]
    if not is_input or not fits or module.algorithm not in _CUT or module.kind.dora or _kernel(module) != shape[2:]:
        return None
    assert size.in_size is not None
    return (shape[0], size.in_size, *shape[2:])


def _kernel(module: Module) -> tuple[int, ...]:
    """The kernel of a convolution's module, if its parts have it."""
    parts = module.parts
    return next((parts[name][2:] for name in ("lora.mid", "lora.a", "diff.diff") if len(parts.get(name, ())) == 4), ())
