"""Packed weights made plain: blocks of GGUF, fp8 with scales and 4-bit tables become float32; what is about them goes.

What comes out is a view: nothing is computed before it is read, and memory does not grow with the model.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from modelhub.catalog.becoming import Part, part
from modelhub.catalog.identity import Identity
from modelhub.catalog.llama_names import has_llama_names, usual_names
from modelhub.catalog.unpacking_scaled import scales_of, stale_marks, unscaled
from modelhub.errors import IncompatibleError
from modelhub.formats.header import BLOCKS, Header
from modelhub.formats.leaving import kept
from modelhub.formats.packed.four_bit import FourBit
from modelhub.formats.packed.ggml import Blocks, check_blocks
from modelhub.formats.packed.scaled import Scaled
from modelhub.formats.packed.view import Unpacked, Unpacking
from modelhub.formats.source import TensorSource
from modelhub.formats.views import Renamed
from modelhub.text import brief, plural

#: Why a packed weight changes.
LOST = "become floats; lost precision stays lost"
#: What there is to say of it where a file is written.
GROWS = "Packed weights become plain floats: the file grows, its quality stays that of the packed."
_ORIGINAL = "Look for the fp16 or bf16 original of the model."
#: Packings, as `identify` names them, that come undone here; formats that begin with `float8_` do too.
_KNOWN = frozenset({"gguf", "fp8", "scaled-fp8", "mixed", "nf4", "fp4"})
#: Why others do not.
_WHY = {
    "svdquant": "each weight is a 4-bit tensor laid out for one program plus a product of two others",
    "nvfp4": "its scales lie in an order made for one kind of GPU",
    "mxfp8": "its scales lie in an order made for one kind of GPU",
    "int8": "several schemes share these names",
    "sdnq": "several schemes share these names",
}
#: Endings of names in files that `identify` does not call packed.
_FOREIGN = {
    ".SCB": "bitsandbytes int8",
    ".qweight": "GPTQ, AWQ or SVDQuant",
    ".weight_scale_inv": "fp8 in square blocks",
}
_FOUR_BIT = {f".quant_state.bitsandbytes__{kind}": kind for kind in ("nf4", "fp4")}
_BESIDE_FOUR_BIT = (".absmax", ".quant_map", ".nested_absmax", ".nested_quant_map")
#: Metadata that would say of plain weights what is no longer true.
_STALE = "_quantization_metadata"


@dataclass
class _Plan:
    """What becomes of a source: how tensors are unpacked, the parts, the warnings."""

    source: TensorSource
    unpackings: dict[str, Unpacking] = field(default_factory=dict)
    parts: list[Part] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def change(self, what: str, made: Mapping[str, Unpacking]) -> None:
        self.unpackings.update(made)
        if made:
            self.parts.append(part("change", what, LOST, made, self.source.header))

    def drop(self, what: str, reason: str, names: list[str]) -> None:
        if names:
            self.parts.append(part("drop", what, reason, names, self.source.header))


def unpacked(source: TensorSource, identity: Identity) -> tuple[TensorSource, list[Part], list[str]]:
    """`source` with its packed weights as F32 tensors, what became of them, and warnings.

    Parts name tensors of `source`; there is one only for what changes or goes. What is not packed stays: fp8 without
    scales is plain. A GGUF file loses what is true of GGUF only, a T5 encoder of llama.cpp gets its usual names. The
    source itself comes back where nothing of this applies. Closing the view closes the source.

    Raises IncompatibleError for packings that cannot be undone, CorruptFileError for 4-bit weights that contradict
    themselves, UsageError where GGUF blocks need the package gguf and it is missing.
    """
    _refuse(source.header, identity)
    plan = _Plan(source)
    _plan_blocks(plan)
    _plan_scaled(plan)
    _plan_four_bit(plan)
    if plan.unpackings:
        plan.warnings.append(GROWS)
    names = _names(plan)
    metadata = _metadata(plan)
    if not plan.parts and metadata == source.header.metadata:
        return source, [], plan.warnings
    dropped = {name for one in plan.parts if one.action == "drop" for name in one.names}
    view = Unpacked(source, plan.unpackings)
    result = Renamed(view, lambda name: None if name in dropped else names.get(name, name), metadata)
    return result, plan.parts, plan.warnings


def refuse_blocks(header: Header, what: str = "The model") -> None:
    """Raise IncompatibleError, which names `what`, for tensors in blocks: they have to be unpacked."""
    kinds = sorted({*header.columns.dtypes} & BLOCKS.keys())
    if kinds:
        raise IncompatibleError(
            f"{what} is stored in blocks ({', '.join(kinds)}), which no safetensors file can hold.",
            "Unpack them to plain numbers with --dtype fp16, or bf16.",
        )


def _refuse(header: Header, identity: Identity) -> None:
    """Raise IncompatibleError for what cannot be unpacked."""
    for kind in identity.facts.get("quantisation", ()):
        if kind not in _KNOWN and not kind.startswith("float8_"):
            raise _impossible(kind, _WHY.get(kind, "this format is not known here"))
    for name in header.tensors:
        ending = name[name.rfind(".") :]
        if ending in _FOREIGN:
            raise _impossible(_FOREIGN[ending], f"it has a tensor {brief(name, 80)!r}")


def _impossible(kind: str, why: str) -> IncompatibleError:
    return IncompatibleError(f"Weights packed as {kind} cannot be unpacked: {why}.", _ORIGINAL)


def _plan_blocks(plan: _Plan) -> None:
    kinds: dict[str, list[str]] = defaultdict(list)
    for name, info in plan.source.header.tensors.items():
        if info.dtype in BLOCKS:
            kinds[info.dtype].append(name)
    for kind, names in sorted(kinds.items(), key=lambda item: (-len(item[1]), item[0])):
        check_blocks(kind)
        plan.change(f"weights in blocks of {kind}", {name: Blocks(plan.source, name) for name in names})


def _plan_scaled(plan: _Plan) -> None:
    scales = scales_of(plan.source.header)
    made = {weight: Scaled(plan.source, weight, scale) for weight, scale in scales.items()}
    plan.change("weights with scales", made)
    plan.drop("scales of weights", "multiplied into the weights", list(scales.values()))
    marks, inputs = stale_marks(plan.source, scales)
    plan.drop("scales of inputs", "only arithmetic in fp8 needs them", inputs)
    plan.drop("marks of packed weights", "they would say what is no longer true", marks)
    bare = unscaled(plan.source.header, scales) if scales or marks else []
    if bare:
        first = brief(bare[0], 80)
        plan.warnings.append(f"{plural(len(bare), 'fp8 weight')} without a scale ({first!r} first): taken as they are.")


def _plan_four_bit(plan: _Plan) -> None:
    tensors = plan.source.header.tensors
    for ending, kind in _FOUR_BIT.items():
        marks = {name.removesuffix(ending): name for name in tensors if name.endswith(ending)}
        made = {weight: FourBit(plan.source, weight, mark) for weight, mark in marks.items()}
        plan.change(f"4-bit weights ({kind})", made)
        beside = (weight + end for weight in marks for end in (*_BESIDE_FOUR_BIT, ending))
        tables = [name for name in beside if name in tensors]
        plan.drop(f"tables of {kind}", "the weights are computed with them", tables)


def _names(plan: _Plan) -> dict[str, str]:
    """New names for the tensors of a T5 encoder of llama.cpp."""
    tensors = plan.source.header.tensors
    if not has_llama_names(tensors):
        return {}
    names = usual_names(tensors)
    if names:
        plan.parts.append(Part("change", "names of llama.cpp", "named as other programs know them", tuple(names)))
    else:
        plan.warnings.append("The tensors keep the names of llama.cpp, which programs for images may not know.")
    return names


def _metadata(plan: _Plan) -> dict[str, str]:
    """The metadata without what is true of GGUF or of packed weights only."""
    metadata = dict(plan.source.header.metadata)
    gguf = "gguf.version" in metadata
    if not gguf and not plan.parts:
        return metadata
    lists, texts = (_number(metadata.get(f"gguf.{what}", "")) for what in ("arrays", "long_texts"))
    if gguf and lists + texts:
        left = f"{plural(lists, 'list')} and {plural(texts, 'long text')}"
        plan.warnings.append(f"Of the metadata, {left} (such as a tokenizer) are not taken over.")
    return {"format": "pt", **{key: value for key, value in kept(metadata).items() if key != _STALE}}


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 10 else 0
