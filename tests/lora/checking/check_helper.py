"""Checks in tests: headers of real layouts, whole or changed, against each other; no tensor data anywhere."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from adapters_helper import Shapes
from diffusers_helper import MODELS
from diffusers_helper import shapes as diffusers_shapes
from layouts_helper import Layout, header, layout, of_shapes

from modelhub.catalog.adapters import read_adapter
from modelhub.catalog.identify import identify
from modelhub.catalog.identity import Identity
from modelhub.formats.header import Header
from modelhub.lora.checking.answer import Answer
from modelhub.lora.checking.fit import Fit, fit
from modelhub.lora.checking.judging import judge
from modelhub.lora.checking.known import Known
from modelhub.lora.layers import Layers

DENOISER = "model.diffusion_model."


#: What is known of the layouts that many tests use, by their ids; `whole` and `released` keep them in memory.
_SHARED: dict[int, dict[str, Identity]] = {}
_LAYERS: dict[int, Layers] = {}


def _shared(one: Header) -> Header:
    _SHARED[id(one)] = {}
    return one


def fit_of(lora: Header, model: Header) -> Fit:
    adapter = read_adapter(lora.shapes)
    assert adapter is not None
    return fit(adapter, layers_of(model))


def layers_of(model: Header) -> Layers:
    if id(model) not in _SHARED:
        return Layers(model, identify(model))
    if id(model) not in _LAYERS:
        _LAYERS[id(model)] = Layers(model, identified(model))
    return _LAYERS[id(model)]


def identified(one: Header, name: str = "") -> Identity:
    known = _SHARED.get(id(one), {})
    if name not in known:
        known[name] = identify(one, name=name)
    return known[name]


def check(
    lora: Header, model: Header, *, lora_name: str = "l.safetensors", name: str = "m.safetensors", trained_on: str = ""
) -> Answer:
    """The answer for two headers under these names."""
    mine, theirs = identified(lora, lora_name), identified(model, name)
    met = fit_of(lora, model)
    return judge(met, Known.of_identity(mine, lora_name, trained_on), Known.of_identity(theirs, name))


def ids(answer: Answer) -> set[str]:
    """The rules that gave reasons."""
    return {one.id for one in answer.reasons}


@cache
def whole(name: str) -> Header:
    """A layout of tests/data/layouts."""
    return _shared(header(layout(name)))


@cache
def released(wanted: str) -> Header:
    """A released model as diffusers builds it, by `architecture` or `architecture/variant`."""
    architecture, _, variant = wanted.partition("/")
    models = (one for one in MODELS if one.kind == "diffusion-model" and one.confidence == "header")
    one = next(one for one in models if (one.architecture, one.variant) == (architecture, variant or None))
    return _shared(of_shapes(diffusers_shapes(one.cls, one.config)))


def having(name: str, pattern: str) -> Header:
    """Of an adapter's layout, the tensors whose names have the pattern."""
    return header({tensor: entry for tensor, entry in layout(name).items() if re.search(pattern, tensor)})


def lacking(tensors: Layout, pattern: str) -> Header:
    """A model without the tensors whose names have the pattern."""
    return header({name: entry for name, entry in tensors.items() if not re.search(pattern, name)})


def low_rank(sizes: Mapping[str, tuple[int, int]], *, rank: int = 4) -> Header:
    """A LoRA with PEFT's endings for modules of [out, in]."""
    shapes: Shapes = {}
    for module, (out_size, in_size) in sizes.items():
        shapes |= {f"{module}.lora_A.weight": (rank, in_size), f"{module}.lora_B.weight": (out_size, rank)}
    return of_shapes(shapes)


def joined(*headers: Header) -> Header:
    """All tensors of several headers."""
    return of_shapes({name: shape for one in headers for name, shape in one.shapes.items()})
