"""GGUF files: a strict header reader that no malformed file can hurt, and lazy reads of the stored bytes.

After the public specification, versions 2 and 3, little-endian. Shapes come in the order of torch, outermost first;
ggml counts the other way round. Tensors that ComfyUI's converter flattened have their true shape back.
"""

from __future__ import annotations

from math import prod
from pathlib import Path
from struct import Struct
from typing import NamedTuple

from modelhub.errors import CorruptFileError, NotAModelError
from modelhub.formats.gguf_cursor import BROKEN, Cursor
from modelhub.formats.handle import Handle
from modelhub.formats.header import BLOCKS, Header, nbytes
from modelhub.formats.safetensors import sniff_hint
from modelhub.formats.source import Place, TensorSource

_MAX_TENSORS, _MAX_PAIRS, _MAX_RANK = 100_000, 200_000, 8
#: Bytes of a key or a tensor's name, of a text that is kept, and of the padding between tensors.
_MAX_NAME, _MAX_TEXT, _MAX_ALIGNMENT = 65_535, 4_000, 1 << 20
_TOO_LARGE = 2**63
_ORIGINAL_SHAPE = "comfy.gguf.orig_shape."

#: Number of a ggml type to the name of its dtype; the numbers left out are of types that ggml gave up.
TYPES: dict[int, str] = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0", 9: "Q8_1", 10: "Q2_K", 11: "Q3_K",
    12: "Q4_K", 13: "Q5_K", 14: "Q6_K", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S",
    20: "IQ4_NL", 21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64",
    29: "IQ1_M", 30: "BF16", 34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4", 40: "NVFP4", 41: "Q1_0", 42: "Q2_0",
}  # fmt: skip

#: Number of a value type to its layout, of the whole numbers and of the fractions.
_WHOLE = {number: Struct(f"<{code}") for number, code in zip((0, 1, 2, 3, 4, 5, 10, 11), "BbHhIiQq", strict=True)}
_FRACTIONS = {6: (Struct("<f"), ".7g"), 12: (Struct("<d"), ".16g")}
_BOOL, _TEXT, _ARRAY = 7, 8, 9
#: Of a tensor by its rank: the sizes, the type, and where it begins.
_INFOS = [Struct(f"<{rank}QIQ") for rank in range(_MAX_RANK + 1)]
_SIZES = {_BOOL: 1, 6: 4, 12: 8, **{number: layout.size for number, layout in _WHOLE.items()}}


class GgufFile(TensorSource):
    """A GGUF file as a source: the stored bytes of any tensor, blocks as they are, from any thread.

    Dtypes of blocks go by ggml's names ("Q4_K"). Metadata holds numbers and short texts under their own keys, and
    `gguf.version`, `gguf.arrays` and `gguf.long_texts`: how many of these were left out. Raises CorruptFileError for a
    malformed file, NotAModelError for another kind of file, version or byte order, FileError when it cannot be read.
    """

    def __init__(self, path: str | Path) -> None:
        self._file = Handle(path)
        self.path = self._file.path
        try:
            self.header, self._places = _read(Cursor(self._file))
        except BaseException:
            self.close()
            raise

    def read_into(self, name: str, offset: int, buffer: memoryview) -> None:
        """Positioned read; raises CorruptFileError when the file has become shorter than its header says."""
        self.within(name, offset, len(buffer))
        self._file.fill(self._places[name] + offset, buffer)

    def place(self, name: str) -> Place:
        """Where the header says that it is."""
        self.info(name)
        return Place(self._file.descriptor, self._places[name])

    def close(self) -> None:
        """Close the file; closing twice is fine."""
        self._file.close()


def read_gguf_header(path: str | Path) -> Header:
    """The header of a GGUF file; no tensor byte is read. Raises what GgufFile raises."""
    with GgufFile(path) as file:
        return file.header


def header_of(file: Handle) -> Header:
    """The header of a GGUF file that is open, or far away: only its `fill` is used. Raises what GgufFile raises."""
    return _read(Cursor(file))[0]


class _Said(NamedTuple):
    """What the key-value pairs say: texts by key, the shapes of flattened tensors by name, and what was left out."""

    texts: dict[str, str]
    shapes: dict[str, tuple[int, ...]]
    arrays: list[str]
    long_texts: list[str]

    @property
    def metadata(self) -> dict[str, str]:
        return {**self.texts, "gguf.arrays": str(len(self.arrays)), "gguf.long_texts": str(len(self.long_texts))}


class _Stored(NamedTuple):
    """One tensor; `begin` counts from the data area."""

    begin: int
    size: int
    name: str
    dtype: str
    shape: tuple[int, ...]


def _read(cursor: Cursor) -> tuple[Header, dict[str, int]]:
    """The header, and where in the file each tensor begins."""
    version = _version(cursor)
    tensors, pairs = cursor.u64(), cursor.u64()
    if tensors > _MAX_TENSORS or pairs > _MAX_PAIRS:
        raise cursor.fault(f"claims {tensors} tensors and {pairs} key-value pairs, more than any model has")
    said = _pairs(cursor, pairs)
    stored = _infos(cursor, tensors, said.shapes)
    start = _in_order(cursor, stored, _alignment(cursor, said.texts))
    header = Header.of(
        ((info.name, info.dtype, info.shape) for info in stored), {**said.metadata, "gguf.version": str(version)}
    )
    return header, {info.name: start + info.begin for info in stored}


def _version(cursor: Cursor) -> int:
    front = cursor.take(min(8, cursor.size))
    if front and not front.startswith(b"GGUF"):
        raise NotAModelError(f"{cursor.path} is not a GGUF file.", sniff_hint(front))
    if len(front) < 8:
        raise cursor.fault(f"has {len(front)} bytes, too few for a GGUF header")
    version = int.from_bytes(front[4:], "little")
    if version in (2, 3):
        return version
    what = "big-endian" if version and version % 2**16 == 0 else f"of version {version}; versions 2 and 3 are read"
    raise NotAModelError(f"{cursor.path} is a GGUF file, but {what}.", "Look for a newer file of this model.")


def _pairs(cursor: Cursor, count: int) -> _Said:
    said = _Said({}, {}, [], [])
    seen: set[str] = set()
    for _ in range(count):
        key = cursor.text("a key", _MAX_NAME)
        if key in seen:
            raise cursor.fault(f"has the key {key[:100]!r} twice")
        seen.add(key)
        _value(cursor, key, said)
    return said


def _value(cursor: Cursor, key: str, said: _Said) -> None:
    kind = cursor.u32()
    if kind == _ARRAY:
        _array(cursor, key, said)
    elif kind == _TEXT:
        _text(cursor, key, said)
    elif kind in _WHOLE:
        said.texts[key] = str(cursor.number(_WHOLE[kind]))
    elif kind in _FRACTIONS:
        layout, digits = _FRACTIONS[kind]
        said.texts[key] = format(cursor.number(layout), digits)
    elif kind == _BOOL:
        said.texts[key] = _truth(cursor, key)
    else:
        raise cursor.fault(f"has a value of the unknown type {kind} for {key[:100]!r}")


def _truth(cursor: Cursor, key: str) -> str:
    value = cursor.take(1)
    if value not in (b"\0", b"\1"):
        raise cursor.fault(f"has {value[0]} for {key[:100]!r}, which must be true or false")
    return "true" if value == b"\1" else "false"


def _text(cursor: Cursor, key: str, said: _Said) -> None:
    length = cursor.u64()
    if length <= _MAX_TEXT:
        said.texts[key] = cursor.decode(length, "a value")
    else:
        said.long_texts.append(key)
        cursor.skip(length)


def _array(cursor: Cursor, key: str, said: _Said) -> None:
    kind, count = cursor.u32(), cursor.u64()
    if key.startswith(_ORIGINAL_SHAPE) and kind in _WHOLE and count <= _MAX_RANK:
        shape = tuple(int(cursor.number(_WHOLE[kind])) for _ in range(count))
        said.shapes[key.removeprefix(_ORIGINAL_SHAPE)] = shape
        return
    said.arrays.append(key)
    if kind == _TEXT:
        cursor.skip_texts(count)
    elif kind in _SIZES:
        cursor.skip(count * _SIZES[kind])
    else:
        raise cursor.fault(f"has a list of the unknown type {kind} for {key[:100]!r}")


def _alignment(cursor: Cursor, texts: dict[str, str]) -> int:
    text = texts.get("general.alignment", "32")
    if not text.isdecimal() or not 0 < int(text) <= _MAX_ALIGNMENT or int(text).bit_count() != 1:
        raise cursor.fault(f"has the impossible alignment {text[:40]!r}")
    return int(text)


def _infos(cursor: Cursor, count: int, shapes: dict[str, tuple[int, ...]]) -> list[_Stored]:
    """Every tensor in the order of the data."""
    found: dict[str, _Stored] = {}
    for _ in range(count):
        name = cursor.text("the name of a tensor", _MAX_NAME)
        if name in found or name == "__metadata__":
            raise cursor.fault(f"has the tensor {name[:200]!r} twice, or it may not be called so")
        found[name] = _info(cursor, name, shapes.get(name))
    return sorted(found.values(), key=lambda info: info[:2])


def _info(cursor: Cursor, name: str, original: tuple[int, ...] | None) -> _Stored:
    rank = cursor.u32()
    if rank > _MAX_RANK:
        raise cursor.fault(f"has {rank} dimensions for tensor {name[:200]!r}")
    *sizes, kind, begin = cursor.numbers(_INFOS[rank])
    dtype = TYPES.get(kind)
    if dtype is None:
        raise cursor.fault(f"has the unknown type {kind} for tensor {name[:200]!r}")
    shape = tuple(reversed(sizes)) if original is None else original
    if prod(size or 1 for size in sizes) >= _TOO_LARGE or (sizes[0] if sizes else 1) % BLOCKS.get(dtype, (1, 1))[0]:
        raise cursor.fault(f"has the impossible shape {sizes} of {dtype} for tensor {name[:200]!r}")
    if prod(shape) != prod(sizes) or any(not 0 <= size < _TOO_LARGE for size in shape):
        raise cursor.fault(f"says that tensor {name[:200]!r} of shape {sizes} was of shape {list(shape)}")
    return _Stored(begin, nbytes(dtype, sizes), name, dtype, shape)


def _in_order(cursor: Cursor, stored: list[_Stored], alignment: int) -> int:
    """Where the data area begins. The tensors must cover it exactly, but for the padding after each."""
    start = _aligned(cursor.position, alignment)
    end = place = 0
    for begin, size, name, *_ in stored:
        if begin != place:
            what = "overlaps the one before it" if begin < place else "leaves a gap before it"
            raise cursor.fault(f"has a tensor {name[:200]!r} which {what} (byte {begin}, expected {place})")
        end = begin + size
        place = _aligned(end, alignment)
    there = cursor.size - start
    if end > max(there, 0):
        raise CorruptFileError(
            f"{cursor.path} is cut short: its tensors need {end} bytes, and {max(there, 0)} are there.", BROKEN
        )
    if there > place:
        raise cursor.fault(f"has {there - place} bytes after its last tensor, which no tensor covers")
    return start


def _aligned(position: int, alignment: int) -> int:
    return -(-position // alignment) * alignment
