"""Which tensors of a file are scales of fp8 weights, which are marks about them, and which are not understood."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from modelhub.errors import IncompatibleError
from modelhub.formats.header import FLOAT_DTYPES, Header
from modelhub.formats.packed.scaled import FP8
from modelhub.formats.source import TensorSource
from modelhub.text import brief

_ORIGINAL = "Look for the fp16 or bf16 original of the model."
#: Last words of the names of scales, with the dtypes of weights that they can be for; ComfyUI's old name is for any.
_SCALES = {"scale_weight": FLOAT_DTYPES, "weight_scale": FP8, "scale": FP8}
_INPUTS = ("scale_input", "input_scale")
_MARK, _LAYER = "scaled_fp8", "comfy_quant"
_MAX_LAYER = 4096
#: In the last word of a name beside an fp8 weight: that its numbers alone are not the weight.
_MEANING = ("scal", "zero", "svd")


def scales_of(header: Header) -> dict[str, str]:
    """Each weight that has a scale, with the name of that. Raises IncompatibleError for scales that fit nothing."""
    found: dict[str, str] = {}
    for name, weight, word in _beside(header):
        dtype = header.tensors[weight].dtype if weight in header.tensors else None
        if dtype in _SCALES.get(word, ()):
            if weight in found:
                raise _unclear(weight, f"it has two scales, {found[weight]!r} and {name!r}")
            found[weight] = name
        elif word == "scale_weight":
            raise _unclear(weight, f"there is a scale {name!r} for it, and it is {dtype or 'missing'}")
        elif dtype in FP8 and word not in _INPUTS:
            raise _unclear(weight, f"what {name!r} means is not known")
    return found


def _beside(header: Header) -> Iterator[tuple[str, str, str]]:
    """Tensors that may change what a weight means: the name, the weight beside it, and the last word of the name."""
    for name in header.tensors:
        module, dot, word = name.rpartition(".")
        if word != _MARK and any(one in word for one in _MEANING):
            yield name, f"{module}{dot}weight", word


def stale_marks(source: TensorSource, scales: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Marks that say weights are packed, and scales of inputs.

    Reads the few bytes that ComfyUI keeps of each layer. Raises IncompatibleError where they tell of another packing
    than fp8 with a scale.
    """
    marks, inputs = [], []
    for name, info in source.header.tensors.items():
        module, dot, word = name.rpartition(".")
        if word in _INPUTS and f"{module}{dot}weight" in source.header.tensors:
            inputs.append(name)
        elif word == _MARK:
            marks.append(name)
        elif word == _LAYER:
            _check_layer(_format(source, name) if info.nbytes <= _MAX_LAYER else "", f"{module}{dot}weight", scales)
            marks.append(name)
    return marks, inputs


def _format(source: TensorSource, name: str) -> str:
    try:
        said = json.loads(source.read_bytes(name))
    except (ValueError, RecursionError):
        return ""
    return str(said.get("format", "")) if isinstance(said, dict) else ""


def _check_layer(form: str, weight: str, scales: Mapping[str, str]) -> None:
    if not form.startswith("float8_"):
        raise _unclear(weight, f"it is packed as {brief(form, 40) or 'nobody says what'}")
    if weight not in scales:
        raise _unclear(weight, f"it is packed as {brief(form, 40)}, and has no scale")


def unscaled(header: Header, scales: Mapping[str, str]) -> list[str]:
    """Weights in fp8, of two dimensions or more, that have no scale."""
    tensors = header.tensors.items()
    return [name for name, info in tensors if info.dtype in FP8 and len(info.shape) > 1 and name not in scales]


def _unclear(weight: str, why: str) -> IncompatibleError:
    return IncompatibleError(f"The weight {brief(weight, 120)!r} cannot be unpacked: {why}.", _ORIGINAL)
