"""Tensors as pickles describe them: checked with whole numbers, and proven to lie within their storage."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from modelhub.formats.header import DTYPE_BITS
from modelhub.formats.pickles.archive import Archive
from modelhub.formats.pickles.encoded import raw_span
from modelhub.formats.pickles.span import Data
from modelhub.formats.pickles.storages import DTYPES, Kind, Storage, whole
from modelhub.formats.pickles.survey import args_of, quoted
from modelhub.formats.pickles.values import GlobalName, Made, Persistent, Table, Value, pairs_of

MAX_RANK = 64
_MAX_BITS = 2**63
_NESTED = 8
_MAX_NOTES = 64
#: Notes on a tensor whose numbers are not the ones that are stored.
_TURNED = ("conj", "neg", b"conj", b"neg")

_PARAMETERS = (
    "torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state", "torch.nn.parameter.Parameter",
    "torch.nn.parameter.Buffer", "torch.nn.Parameter",
)  # fmt: skip
_ARRAYS = ("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct")
_BUFFERS = ("numpy.core.numeric._frombuffer", "numpy._core.numeric._frombuffer")
_FROM_NUMPY = "torch._utils._rebuild_device_tensor_from_numpy"
_TYPED = ("torch._tensor._rebuild_from_type_v2", "torch._tensor._rebuild_from_type", "torch.tensor._rebuild_from_type")
_REBUILD = "torch._utils._rebuild_"

#: numpy's codes of element types.
_NUMPY = {
    "f8": Kind("F64", 8), "f4": Kind("F32", 4), "f2": Kind("F16", 2), "i8": Kind("I64", 8), "i4": Kind("I32", 4),
    "i2": Kind("I16", 2), "i1": Kind("I8", 1), "u8": Kind("U64", 8), "u4": Kind("U32", 4), "u2": Kind("U16", 2),
    "u1": Kind("U8", 1), "b1": Kind("BOOL", 1), "c8": Kind("C64", 8),
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A tensor: element [i, j, …] stands at byte `begin + (i * strides[0] + j * strides[1] + …) * width` of `data`.

    `swap` is the length of the runs of bytes that stand in reverse order, 1 for none.
    """

    data: Data
    begin: int
    kind: Kind
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    swap: int = 1

    @property
    def nbytes(self) -> int:
        """Bytes that the tensor has when it is written out."""
        return prod(self.shape) * self.kind.width

    @property
    def reach(self) -> int:
        """Bytes from its first element to the end of its last."""
        steps = ((size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True))
        return (sum(steps) + 1) * self.kind.width if prod(self.shape) else 0

    @property
    def is_plain(self) -> bool:
        """Whether its bytes stand as they will be written."""
        if self.swap > 1:
            return False
        expected = 1
        for size, stride in zip(reversed(self.shape), reversed(self.strides), strict=True):
            if size != 1 and stride != expected:
                return not prod(self.shape)
            expected *= size
        return True


class CannotHoldError(Exception):
    """A tensor of a kind that no safetensors file can hold; its text says which."""


def is_tensor(value: Value, archive: Archive) -> bool:
    """Whether a value of the pickle is, or should be, a tensor."""
    if type(value) is Made:
        path = value.path
        return path.startswith(_REBUILD) or path in _PARAMETERS or path in _TYPED or path in _ARRAYS + _BUFFERS
    return type(value) is Persistent and bool(archive.tensors)


def view_of(value: Value, archive: Archive) -> View:
    """The tensor that a value stands for. Raises CannotHoldError, and CorruptFileError for one that cannot be."""
    for _ in range(_NESTED):
        if type(value) is Persistent:
            return _outside(value, archive)
        args, path = args_of(value), value.path if type(value) is Made else ""
        if path in _PARAMETERS:
            value = args[0] if args else _first_state(value)
        elif path in _TYPED and len(args) >= 3:
            value = Made(args[0], args[2])
        elif path == _FROM_NUMPY and args:
            return _as(_array(args[0], archive), args)
        elif path in _ARRAYS + _BUFFERS:
            return _array(value, archive)
        else:
            return _rebuilt(path, args, archive)
    raise CannotHoldError("wrapped too often")


def _first_state(value: Made) -> Value:
    state = value.states[0] if value.states else None
    return state[0] if type(state) in (tuple, list) and state else state


def _outside(value: Persistent, archive: Archive) -> View:
    pid = value.pid.decode("latin-1") if type(value.pid) is bytes else value.pid
    is_number = type(pid) is str and pid.isascii() and pid.isdecimal() and len(pid) < 24
    if not is_number or int(pid) not in archive.tensors:
        raise archive.survey.broken("refers to a tensor that it does not hold")
    storage, (offset, shape, strides) = archive.tensors[int(pid)]
    return _placed(storage, storage.kind, (offset, shape, strides), archive)


def _rebuilt(path: str, args: tuple[Value, ...], archive: Archive) -> View:
    """A tensor by torch's three ways: (storage, first element, sizes, strides, …); the third has a dtype as well."""
    way = path.removeprefix(_REBUILD)
    least = {"tensor": 4, "tensor_v2": 6, "tensor_v3": 7}.get(way)
    if least is None:
        raise CannotHoldError(f"of the kind {quoted(way)}" if way else "of an unknown kind")
    if len(args) < least:
        raise archive.survey.broken("describes a tensor in a way that no torch has")
    storage = archive.storage(args[0])
    if storage is None:
        raise CannotHoldError("on a storage of an unknown kind")
    kind = _torch_kind(args[6]) if way == "tensor_v3" else storage.kind
    _check_notes(args[7:8] if way == "tensor_v3" else args[6:7])
    return _placed(storage, kind, args[1:4], archive)


def _torch_kind(value: Value) -> Kind:
    is_dtype = type(value) is GlobalName and value.module == "torch" and value.name in DTYPES
    if not is_dtype:
        raise CannotHoldError("of an unknown dtype")
    return DTYPES[value.name]


def _check_notes(notes: tuple[Value, ...]) -> None:
    """Refuse tensors whose numbers are to be conjugated or negated when they are read."""
    for note in notes:
        if type(note) is Table and len(note.pairs or ()) > _MAX_NOTES:
            raise CannotHoldError("described at too great length")
        if type(note) is Table and any(value is True and key in _TURNED for key, value in _plain_pairs(note)):
            raise CannotHoldError("stored as the conjugate or the negative of itself")


def _plain_pairs(note: Table) -> list[tuple[Value, Value]]:
    return [(key, value) for key, value in pairs_of(note) if type(key) in (str, bytes)]


def _numbers(value: Value) -> tuple[int, ...] | None:
    """Sizes or strides: a tuple, a list or a torch.Size of whole numbers."""
    if type(value) is Made and value.path == "torch.Size":
        value = args_of(value)[0] if args_of(value) else ()
    if type(value) not in (tuple, list) or len(value) > MAX_RANK or not all(map(whole, value)):
        return None
    return tuple(value)


def _placed(storage: Storage, kind: Kind, place: tuple[Value, ...], archive: Archive) -> View:
    """The view, after the proof that its last element lies within the storage and its size within reason."""
    offset, shape, strides = place[0], _numbers(place[1]), _numbers(place[2])
    if not whole(offset) or shape is None or strides is None or len(shape) != len(strides):
        raise archive.survey.broken("has a tensor with an impossible shape")
    if prod(size or 1 for size in shape) * 8 * kind.width >= _MAX_BITS:
        raise archive.survey.broken("has a tensor with an impossible shape")
    last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    if prod(shape) and (last + 1) * kind.width > storage.size:
        raise archive.survey.broken(f"has a tensor of shape {list(shape)[:8]} that reaches beyond its storage")
    if kind.dtype not in DTYPE_BITS:
        raise CannotHoldError(kind.dtype)
    begin = storage.begin + (offset * kind.width if prod(shape) else 0)
    swap = 1 if not storage.is_big else 4 if kind.dtype == "C64" else kind.width
    return View(storage.data, begin, kind, shape, strides, swap)


def _array(value: Value, archive: Archive) -> View:
    """A numpy array. Its state is (version, shape, dtype, whether columns come first, bytes); or by its buffer."""
    args = args_of(value)
    path = value.path if type(value) is Made else ""
    if path in _BUFFERS and len(args) >= 4:
        raw, dtype, shape, columns = args[0], args[1], args[2], args[3] in ("F", b"F")
    elif path in _ARRAYS and value.states and type(value.states[-1]) is tuple and len(value.states[-1]) == 5:
        _, shape, dtype, columns, raw = value.states[-1]
    else:
        raise CannotHoldError("no plain numpy array")
    span = raw_span(raw, archive.survey)
    kind, is_big = _numpy_kind(dtype)
    sizes = _numbers(shape)
    if span is None or sizes is None:
        raise CannotHoldError("no plain numpy array")
    storage = Storage(span, 0, span.size, kind, is_big)
    return _placed(storage, kind, (0, sizes, _strides(sizes, columns is True)), archive)


def _strides(shape: tuple[int, ...], columns_first: bool) -> tuple[int, ...]:
    found, step = [], 1
    for size in shape if columns_first else reversed(shape):
        found.append(step)
        step *= size
    return tuple(found if columns_first else reversed(found))


def _numpy_kind(dtype: Value) -> tuple[Kind, bool]:
    """Kind of a numpy.dtype(code, …) whose state is (version, byte order, …), and whether it is big-endian."""
    words = [word.decode("latin-1") if type(word) is bytes else word for word in args_of(dtype)[:1]]
    code = words[0].lstrip("<>=|") if words and type(words[0]) is str else ""
    if type(dtype) is not Made or dtype.path != "numpy.dtype" or code not in _NUMPY:
        raise CannotHoldError("a numpy array of something else than numbers")
    state = dtype.states[-1] if dtype.states else None
    order = state[1] if type(state) is tuple and len(state) > 1 else words[0][:1]
    return _NUMPY[code], type(order) in (str, bytes) and order in (">", b">")


def _as(view: View, args: tuple[Value, ...]) -> View:
    """An array whose torch dtype is given beside it."""
    kind = _torch_kind(args[1]) if len(args) > 1 else view.kind
    if kind.width != view.kind.width:
        raise CannotHoldError("of two dtypes at once")
    return View(view.data, view.begin, kind, view.shape, view.strides, view.swap)
