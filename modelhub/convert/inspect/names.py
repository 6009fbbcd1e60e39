"""Findings about tensors, from the header alone: names, shapes and dtypes that other programs stumble over."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from modelhub.catalog.belonging import Belonging, groups
from modelhub.convert.inspect.report import Finding
from modelhub.formats.header import FLOAT_DTYPES, Header
from modelhub.text import few, human_size, plural

#: A name that leaves the folder it is written to, once somebody makes a file of each tensor.
_PATH = re.compile(r"(?:\A|[/\\])\.\.(?:[/\\]|\Z)|\A[/\\~]|\A[A-Za-z]:[/\\]")
#: The longest names of real models have some 150 characters.
_LONG_NAME = 500
#: Dtypes that torch has only since some version.
_SINCE = {
    "F8_E4M3": "2.1", "F8_E5M2": "2.1", "F8_E4M3FNUZ": "2.2", "F8_E5M2FNUZ": "2.2", "U16": "2.3", "U32": "2.3",
    "U64": "2.3", "F8_E8M0": "2.7", "F4": "2.8",
}  # fmt: skip
#: How markers begin that tell how to sample.
_PREDICTION = ("v_pred", "ztsnr", "edm_")
_WITHOUT_TORCH = ("F6_E2M3", "F6_E3M2")


def name_findings(header: Header) -> Iterator[Finding]:
    """Names that no honest file needs."""
    names = header.columns.names
    joined = "".join(names)
    if not joined.isprintable():
        yield from _strange([name for name in names if not name.isprintable()])
    if any(mark in joined for mark in ("..", "/", "\\", "~", ":")):
        yield from _paths([name for name in names if _PATH.search(name)])
    yield from _lengths([name for name in names if not name or len(name) > _LONG_NAME])


def _strange(found: Sequence[str]) -> Iterator[Finding]:
    if found:
        what = plural(len(found), "tensor name has", "tensor names have")
        yield Finding(
            "suspicious", "strange-names", f"{what} control characters or marks that hide text: {few(found)}.",
            "They can disturb a terminal or a log; modelhub shows them as escapes.", tuple(found),
        )  # fmt: skip


def _paths(found: Sequence[str]) -> Iterator[Finding]:
    if found:
        what = plural(len(found), "tensor name looks", "tensor names look")
        yield Finding(
            "suspicious", "path-names", f"{what} like the path of a file: {few(found)}.",
            "A program that writes a file for each tensor could be led out of its folder; do not unpack it so.",
            tuple(found),
        )  # fmt: skip


def _lengths(found: Sequence[str]) -> Iterator[Finding]:
    if found:
        yield Finding(
            "problem", "name-lengths", f"{plural(len(found), 'name')} of no characters or of very many: {few(found)}.",
            "Programs that expect the names of a known model will not find these.", tuple(found),
        )  # fmt: skip


def tensor_findings(header: Header, where: Belonging) -> Iterator[Finding]:
    """Tensors that stand beside the components, or are not what their name says."""
    yield from _position_ids(header)
    yield from _beside(header, where)
    yield from _markers(header, where.group("marker"))


def _position_ids(header: Header) -> Iterator[Finding]:
    columns = header.columns
    kinds = zip(columns.names, columns.dtypes, strict=True)
    found = [name for name, dtype in kinds if dtype in FLOAT_DTYPES and name.endswith("position_ids")]
    if found:
        yield Finding(
            "problem", "position-ids", f"Positions of tokens are stored as fractions: {few(found)}.",
            "Some programs cut them off to wrong whole numbers; `modelhub repair` writes them as they should be.",
            tuple(found),
        )  # fmt: skip


def _beside(header: Header, where: Belonging) -> Iterator[Finding]:
    for which, code, what, why in (
        ("ema", "ema", "EMA weights", "They are a second copy of the denoiser, which few programs use."),
        ("training", "training-leftovers", "Leftovers of a training", "No program needs them to make pictures."),
    ):
        if names := where.group(which):
            size = sum(header.tensors[name].nbytes for name in names)
            yield Finding(
                "note", code, f"{what} are in it: {plural(len(names), 'tensor')}, {human_size(size)}.",
                f"{why} `modelhub prune` leaves them out.", tuple(names),
            )  # fmt: skip


def _markers(header: Header, names: Sequence[str]) -> Iterator[Finding]:
    """Markers that are known, and tensors that are empty without being one."""
    shapes = header.shapes
    known = [name for name in names if not _is_unknown_marker(name)]
    unknown = [name for name in names if _is_unknown_marker(name) and 0 in shapes[name]]
    if prediction := [name for name in known if name.startswith(_PREDICTION)]:
        yield Finding(
            "note", "prediction-markers", f"Markers of its prediction are in it: {few(prediction)}.",
            "Programs tell by them how to sample; a tool that drops them makes the model render noise.",
            tuple(prediction),
        )  # fmt: skip
    if unknown:
        yield Finding(
            "note", "empty-tensors", f"{plural(len(unknown), 'tensor')} without elements: {few(unknown)}.",
            "They hold nothing; a few programs refuse them.", tuple(unknown),
        )  # fmt: skip


def _is_unknown_marker(name: str) -> bool:
    return not any(group.fits.match(name) for group in groups() if group.id == "marker")


def dtype_findings(header: Header) -> Iterator[Finding]:
    """Dtypes that older programs cannot read; only of files in which they are stored as such."""
    present = dict.fromkeys(header.columns.dtypes)
    for since in dict.fromkeys(_SINCE.values()):
        if dtypes := [dtype for dtype in present if _SINCE.get(dtype) == since]:
            yield Finding(
                "note", "new-dtypes", f"{' and '.join(dtypes)} can be read with torch {since} or newer only.",
                "Older programs need a copy in fp16: `modelhub convert --dtype fp16`.",
            )  # fmt: skip
    if dtypes := [dtype for dtype in present if dtype in _WITHOUT_TORCH]:
        yield Finding(
            "problem", "new-dtypes", f"torch has no dtype for {' and '.join(dtypes)}.", "Few programs read it."
        )
    if "F64" in present:
        yield Finding(
            "note", "double-precision", "Some tensors are in double precision, F64.",
            "No program gains from it; `modelhub prune --dtype fp16` makes them a quarter of the size.",
        )  # fmt: skip
