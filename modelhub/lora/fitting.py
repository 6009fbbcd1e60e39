"""Whether one module of an adapter fits a checkpoint, and where: the same answer for a check and for baking."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from math import prod
from typing import Literal, NamedTuple

from modelhub.catalog.adapter_names import Place
from modelhub.catalog.adapter_shapes import parts_of
from modelhub.catalog.adapters import Module
from modelhub.catalog.match import Shape
from modelhub.lora.layers import Layer, Layers
from modelhub.lora.sizes import Claim, claim, differences
from modelhub.lora.vocabulary import is_known

#: What becomes of a module. "reshape" fits, and changes the shape of its layer. Only "ok" can be baked in.
State = Literal["ok", "reshape", "dim-mismatch", "missing-component", "missing-module", "unknown-name", "incomplete"]
#: States of modules that a program which loads adapters can apply.
APPLIED: frozenset[str] = frozenset({"ok", "reshape"})
#: Components of the names of text encoders, where the prefix leaves open which component a module is of.
_TEXT = ("te", "te1", "te2", "te3")


class Fate(NamedTuple):
    """What becomes of a module in a checkpoint.

    `say` tells of a mismatch what the module wants ("in 768") and "" otherwise; of an incomplete one, what is wrong.
    """

    state: State
    layer: Layer | None = None
    say: str = ""


class _Wanted(NamedTuple):
    """What a module wants of its layer: sizes of the weight and of the bias, the length of the norm of DoRA."""

    weight: Claim
    bias: int | None = None
    norm: int | None = None
    reshapes: bool = False


def fate(module: Module, layers: Layers, *, sized: bool = True) -> Fate:
    """The fate of a module, by names and shapes; by names alone where the sizes of layers are not known."""
    wanted = None if module.incomplete else _wanted(module.algorithm, module.flat_parts)
    if wanted is None:
        return Fate("incomplete", say="a part is missing" if module.incomplete else "its parts do not fit together")
    fates = [_compared(module, wanted, layer, sized) for layer in layers.candidates(module.place)]
    if not fates:
        return Fate(_absent(module.place, layers))
    return next((one for one in fates if one.state in APPLIED), fates[0])


@lru_cache(maxsize=4096)
def _wanted(algorithm: str, flat: tuple[str | Shape, ...]) -> _Wanted | None:
    """What the parts of a module want; None if they contradict each other. Many modules have the same parts."""
    parts = parts_of(flat)
    own = {name.partition(".")[2]: shape for name, shape in parts.items() if name.startswith(f"{algorithm}.")}
    weight = claim(algorithm, own)
    if weight is None:
        return None
    bias = parts.get("diff.diff_b", parts.get("norm.b"))
    norm = parts.get("extra.dora", parts.get("extra.magnitude"))
    # A control-LoRA of Flux has a bias for each of its products.
    reshapes = "extra.reshape" in parts or "extra.bias" in parts
    return _Wanted(weight, None if bias is None else prod(bias), None if norm is None else prod(norm), reshapes)


def _compared(module: Module, wanted: _Wanted, layer: Layer, sized: bool) -> Fate:
    if not sized:
        return Fate("ok", layer)
    if _only_bias(wanted) and not layer.bias:
        return Fate("missing-module", layer, "the layer has no bias")
    says = list(_differences(wanted, layer))
    if says and module.place.input and wanted.reshapes and _widens(wanted.weight, layer.shape):
        return Fate("reshape", layer, f"turns {layer.shape[1]} channels into {wanted.weight.inputs}")
    return Fate("dim-mismatch", layer, ", ".join(says)) if says else Fate("ok", layer)


def _only_bias(wanted: _Wanted) -> bool:
    return wanted.weight == Claim()


def _widens(wanted: Claim, shape: Shape) -> bool:
    """Whether an input layer gets more channels and stays what it is otherwise."""
    return len(shape) > 1 and wanted.outputs == shape[0] and (wanted.inputs or 0) > shape[1]


def _differences(wanted: _Wanted, layer: Layer) -> Iterator[str]:
    """What a module wants that its layer has not."""
    shape = layer.shape
    yield from differences(wanted.weight, shape)
    if wanted.norm is not None and wanted.norm not in shape[:2]:
        yield f"{wanted.norm} norms"
    bias = sum(one.count for one in layer.bias)
    if wanted.bias is not None and layer.bias and wanted.bias != bias:
        yield f"bias {wanted.bias}"


def _absent(place: Place, layers: Layers) -> State:
    """Why there is no layer: the checkpoint lacks the component, or the layer, or nobody knows the name."""
    if not layers.present(meant(place)):
        return "missing-component"
    return "missing-module" if is_known(place, layers) else "unknown-name"


def meant(place: Place) -> tuple[str, ...]:
    """The components that a module can mean: where its prefix tells none, its name tells denoisers from encoders."""
    if len(place.components) == 1 or place.components[0] != "denoiser":
        return place.components
    return _TEXT if place.group[1].startswith("te") else ("denoiser",)
