"""Storages: the runs of numbers that tensors are views of, as pickles refer to them, and where their bytes stand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from modelhub.formats.pickles.span import Data
from modelhub.formats.pickles.survey import Survey, quoted
from modelhub.formats.pickles.values import GlobalName, Value


class Kind(NamedTuple):
    """What a storage holds: the name of its dtype in safetensors, else in torch, and bytes per element."""

    dtype: str
    width: int


_KINDS = {
    "Float": Kind("F32", 4), "Half": Kind("F16", 2), "BFloat16": Kind("BF16", 2), "Double": Kind("F64", 8),
    "Long": Kind("I64", 8), "Int": Kind("I32", 4), "Short": Kind("I16", 2), "Char": Kind("I8", 1),
    "Byte": Kind("U8", 1), "Bool": Kind("BOOL", 1), "ComplexFloat": Kind("C64", 8), "Untyped": Kind("U8", 1),
    "_Untyped": Kind("U8", 1), "ComplexDouble": Kind("complex128", 16), "QInt8": Kind("qint8", 1),
    "QUInt8": Kind("quint8", 1), "QInt32": Kind("qint32", 4), "QUInt4x2": Kind("quint4x2", 1),
    "QUInt2x4": Kind("quint2x4", 1),
}  # fmt: skip

#: torch's names of dtypes, as the third way of writing tensors uses them.
DTYPES = {
    "float64": Kind("F64", 8), "float32": Kind("F32", 4), "float16": Kind("F16", 2), "bfloat16": Kind("BF16", 2),
    "int64": Kind("I64", 8), "int32": Kind("I32", 4), "int16": Kind("I16", 2), "int8": Kind("I8", 1),
    "uint64": Kind("U64", 8), "uint32": Kind("U32", 4), "uint16": Kind("U16", 2), "uint8": Kind("U8", 1),
    "bool": Kind("BOOL", 1), "complex64": Kind("C64", 8), "complex128": Kind("complex128", 16),
    "complex32": Kind("complex32", 4), "float8_e4m3fn": Kind("F8_E4M3", 1), "float8_e5m2": Kind("F8_E5M2", 1),
    "float8_e8m0fnu": Kind("F8_E8M0", 1), "float8_e4m3fnuz": Kind("F8_E4M3FNUZ", 1),
    "float8_e5m2fnuz": Kind("F8_E5M2FNUZ", 1), "float4_e2m1fn_x2": Kind("float4_e2m1fn_x2", 1),
}  # fmt: skip

_STORAGE_MODULES = ("torch", "torch.cuda", "torch.storage")
_MAX_COUNT = 2**63


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """What a persistent id says of a storage: kind, key in its container, elements; `view`: first element and count."""

    kind: Kind
    key: str
    numel: int
    view: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Storage:
    """Elements of one kind: `size` bytes from byte `begin` of `data` on; `is_big`: the most significant byte first."""

    data: Data
    begin: int
    size: int
    kind: Kind
    is_big: bool = False


def whole(value: Value, most: int = _MAX_COUNT) -> bool:
    """Whether `value` is an integer from 0 to `most`; True is none."""
    return type(value) is int and 0 <= value < most


def storage_kind(value: Value) -> Kind | None:
    """The kind of storage that a class of torch holds; None for every other class or value."""
    if type(value) is not GlobalName or value.module not in _STORAGE_MODULES or not value.name.endswith("Storage"):
        return None
    return _KINDS.get(value.name.removesuffix("Storage"))


def reference(pid: Value, survey: Survey) -> Reference | None:
    """A persistent id understood; None for one that names no storage, or one of a class that is not torch's.

    It is ('storage', class, key, location, elements) with an optional sixth (key, first element, elements) of a view.
    Raises CorruptFileError for an id that no torch has written.
    """
    if type(pid) is not tuple or not 5 <= len(pid) <= 6 or pid[0] not in ("storage", b"storage"):
        return None
    kind = storage_kind(pid[1])
    if kind is None:
        return None
    key = pid[2].decode("latin-1") if type(pid[2]) is bytes else pid[2]
    if type(key) is not str or not (key.isascii() and key.isdecimal()) or not whole(pid[4]):
        raise survey.broken(f"has a storage with the impossible key {quoted(key)} or size")
    return Reference(kind, key, pid[4], _view(pid[5] if len(pid) == 6 else None, pid[4], survey))


def _view(view: Value, numel: int, survey: Survey) -> tuple[int, int] | None:
    if view is None:
        return None
    if type(view) is not tuple or len(view) != 3 or not (whole(view[1]) and whole(view[2])):
        raise survey.broken("has a view of a storage that makes no sense")
    if view[1] + view[2] > numel:
        raise survey.broken("has a view that reaches beyond its storage")
    return view[1], view[2]
