"""An inspection in words: the verdict, the format, what stands beside the weights, values of metadata."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from modelhub.convert.inspect.report import Inspection
from modelhub.text import brief, human_size, one_line, shorten

#: Characters of a value.
_VALUE = 120
#: Metadata that is told as something else.
_TOLD = ("pickle.root", "pickle.container", "gguf.version", "diffusers.class", "diffusers.left_out")
_KINDS = {
    "zip": "pickle in a zip archive of torch", "torchscript": "TorchScript, a pickle and code in a zip archive",
    "legacy": "pickle as torch wrote it before 1.6", "tar": "pickle in a tar archive, as torch wrote it until 2016",
    "plain": "bare pickle",
}  # fmt: skip
_ORDERS = {"name": "by name", "dtype, name": "by dtype and name", "writer": "in an order of its own"}
_DANGEROUS = "it would run code in programs that load it (nothing of it was run)"
_SUSPICIOUS = "nothing in it is known to run code, but it needs a second look"


def verdict_words(seen: Inspection) -> str:
    """What its verdict means."""
    return {"dangerous": _DANGEROUS, "suspicious": _SUSPICIOUS, "safe": _safe(seen)}[seen.verdict]


def _safe(seen: Inspection) -> str:
    return "every name in it is known, and none runs code" if seen.globals else "nothing in it can run code"


def format_words(seen: Inspection) -> str:
    """How the tensors are stored."""
    return ", ".join(_format(seen))


def _format(seen: Inspection) -> Iterator[str]:
    said = seen.container
    kind = said["kind"]
    if kind == "shards":
        yield f"{seen.format} in {said['shards']} files"
    elif kind == "diffusers":
        yield f"diffusers folder: {said['class']}"
        yield from [f"left out: {said['left_out']}"] if said["left_out"] else ()
    elif kind == "gguf":
        yield f"GGUF {said['version']}"
        counts = ", ".join(f"{name} ({count:,})" for name, count in said["types"].items())
        yield from [f"tensors in {counts}"] if counts else ()
    elif kind == "safetensors":
        yield "safetensors"
        yield f"header of {said['header_bytes']:,} bytes" + (
            f", {said['padding']} of padding" if said["padding"] else ""
        )
        yield f"tensors {_ORDERS[said['order']]}"
    else:
        yield from _pickle(said)


def _pickle(said: dict[str, Any]) -> Iterator[str]:
    yield _KINDS.get(said["kind"], "pickle")
    yield from [f"protocol {said['protocol']}"] if said["protocol"] is not None else ()
    yield from [f"root folder {shorten(said['root'], 60)}"] if said["root"] else ()
    yield from [f"weights under {said['wrapper']}"] if said["wrapper"] else ()


def members_words(seen: Inspection) -> str:
    """What an archive holds beside weights."""
    said = seen.container
    members = said.get("members", ())
    root = f"{said.get('root')}/"
    named = [(one["name"].removeprefix(root), human_size(one["size"])) for one in members[:5]]
    shown = ", ".join(f"{brief(name, 60)} ({size})" for name, size in named)
    return f"also {shown}" + (f" and {len(members) - 5} more" if len(members) > 5 else "") if members else ""


def metadata_said(seen: Inspection) -> list[tuple[str, str]]:
    """The metadata that is not told as something else."""
    told = {*_TOLD, *(f"diffusers.{one['name']}" for one in seen.container.get("components", ()))}
    return [(key, text) for key, text in seen.header.metadata.items() if key not in told]


def short_value(text: str) -> str:
    """A value on one line, a long one with its length in place of most of it."""
    if not text:
        return '""'
    shown = one_line(text[:_VALUE])
    return shown if len(text) <= _VALUE else f"{shown}… ({len(text):,} characters)"


def shape_words(shape: Sequence[int]) -> str:
    """320×4×3×3."""
    return "×".join(map(str, shape)) or "scalar"
