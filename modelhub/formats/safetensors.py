"""safetensors files: a strict header reader that no malformed file can hurt, and lazy reads by position.

Stricter than the `safetensors` library where files lie: duplicate keys, leading white space, keys it does not know.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Hashable
from math import prod
from pathlib import Path
from typing import Any

from modelhub.errors import CorruptFileError, NotAModelError, file_error
from modelhub.formats.handle import Handle, open_regular
from modelhub.formats.header import DTYPE_BITS, Header, TensorInfo, nbytes
from modelhub.formats.quick import quick_header
from modelhub.formats.source import Place, TensorSource
from modelhub.formats.stat import FileStat

#: Real headers are below 3 MB; with the counts below this keeps the memory of any parse under 200 MB.
MAX_HEADER = 16_000_000
#: What 100,000 tensors of rank 4 need, and a tenth more for metadata. Wide characters cost more: half of it for those.
_MAX_TENSORS = 100_000
_MAX_COUNTS = {b"{": 110_000, b"[": 220_000, b":": 450_000, b",": 900_000, b'"': 1_100_000}
_MAX_RANK = 64
_TOO_LARGE = 2**63

_BROKEN = "The file is damaged or not what its name says; download or copy it again."


def read_header(path: str | Path) -> Header:
    """The header of a safetensors file, tensors in the order of their data. Reads no tensor byte.

    Raises CorruptFileError for a malformed header, NotAModelError for another kind of file, FileError when it cannot be
    read.
    """
    descriptor = open_regular(path)
    try:
        return _read(descriptor, str(path))
    except OSError as error:
        raise file_error(error, path) from error
    finally:
        os.close(descriptor)


def _read(descriptor: int, path: str) -> Header:
    size = os.fstat(descriptor).st_size
    front = os.pread(descriptor, 9, 0)
    _check_front(front, size, path)
    length = int.from_bytes(front[:8], "little")
    text = os.pread(descriptor, length, 8)
    if len(text) < length:
        raise CorruptFileError(f"{path} ended while its header was read.", _BROKEN)
    return parse_header(text, size - 8 - length, path)


def _check_front(front: bytes, size: int, path: str) -> None:
    if size == 0:
        raise CorruptFileError(f"{path} is empty.", _BROKEN)
    if size < 10:
        raise CorruptFileError(f"{path} has {size} bytes, too few for a safetensors header.", _BROKEN)
    length = int.from_bytes(front[:8], "little")
    if front[8:9] != b"{":
        what = sniff_word(front)
        why = f"it is {what}" if what else "no header begins at byte 8"
        raise NotAModelError(f"{path} is not a safetensors file: {why}.", sniff_hint(front))
    if length > size - 8:
        raise CorruptFileError(
            f"{path} is cut short: its header says {length} bytes, and {size - 8} follow.", "Download or copy it again."
        )
    if length > MAX_HEADER:
        raise CorruptFileError(f"{path} claims a header of {length} bytes; {MAX_HEADER} are allowed.", _BROKEN)


def sniff_hint(front: bytes) -> str:
    """What a file that begins with `front` is, if its first bytes say so, as the hint of an error."""
    for magic, what in _MAGIC:
        if front.startswith(magic):
            return f"By its first bytes it is {what}."
    return "Its first bytes are no model format that modelhub knows."


def sniff_word(front: bytes) -> str:
    """What a file that begins with `front` is, in a few words for the message of an error; empty if unknown."""
    found = next((what for magic, what in _MAGIC if front.startswith(magic)), "")
    return found.partition(",")[0].partition(":")[0]


_MAGIC = (
    (b"PK\x03\x04", "a zip archive, perhaps a torch checkpoint (.ckpt, .pt)"),
    (b"\x80\x02", "a Python pickle, perhaps a torch checkpoint (.ckpt, .pt)"),
    (b"\x80\x04", "a Python pickle, perhaps a torch checkpoint (.ckpt, .pt)"),
    (b"GGUF", "a GGUF file"),
    (b"version", "a Git LFS pointer: the model itself was not downloaded"),
    (b"<!DOCTY", "a web page, perhaps a login page saved in place of the model"),
    (b"<!docty", "a web page, perhaps a login page saved in place of the model"),
    (b"<html", "a web page, perhaps a login page saved in place of the model"),
    (b"\x00" * 8, "a run of zeros: an unfinished download"),
)


def parse_header(text: bytes, data_size: int, path: str = "the header") -> Header:
    """Check and parse the JSON of a header in front of `data_size` bytes of data. Raises CorruptFileError."""
    if not text.startswith(b"{"):
        raise CorruptFileError(f"{path} has a header that is not a JSON object.", _BROKEN)
    quick = quick_header(text, data_size)
    return Header(*quick, 8 + len(text)) if quick else _careful(text, data_size, path)


def _careful(text: bytes, data_size: int, path: str) -> Header:
    """The header row by row: says what is wrong, and takes what is right in an unusual way."""
    wide = not text.isascii() or b"\\u" in text
    for mark, most in _MAX_COUNTS.items():
        if text.count(mark) > (most // 2 if wide else most):
            raise CorruptFileError(f"{path} has a header of more than {_MAX_TENSORS} tensors' worth of JSON.", _BROKEN)
    table = _json(text, path)
    metadata = _metadata(table.pop("__metadata__", None), path)
    tensors = {name: _tensor(name, entry, path) for name, entry in table.items()}
    if wide:
        _check_characters([*tensors, *metadata, *metadata.values()], path)
    return Header(_in_order(tensors, data_size, path), metadata, 8 + len(text))


def _json(text: bytes, path: str) -> dict[str, Any]:
    try:
        table: dict[str, Any] = json.loads(
            text.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_int=_integer if b"-0" in text else None,
        )
    except (ValueError, RecursionError) as error:
        reason = str(error) if not isinstance(error, RecursionError) else "nested too deeply"
        raise CorruptFileError(f"{path} has a header that is not valid JSON: {reason[:200]}.", _BROKEN) from None
    return table


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise ValueError(f"the key {twice[:100]!r} stands twice")
    return found


def _integer(text: str) -> int | float:
    """JSON's -0 is a fraction to the safetensors library, and so to us."""
    return int(text) if text != "-0" else -0.0


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


def _metadata(value: Any, path: str) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
        raise CorruptFileError(f"{path} has metadata that is not a table of texts.", _BROKEN)
    return value


def _check_characters(texts: list[str], path: str) -> None:
    """Refuse halves of surrogate pairs, which JSON can spell and UTF-8 cannot."""
    for text in texts:
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise CorruptFileError(f"{path} has a text with half a character: {error.reason}.", _BROKEN) from None


def _tensor(name: str, entry: Any, path: str) -> TensorInfo:
    """One entry of the table, checked. The common case is decided in a few comparisons: there are thousands of them."""
    if type(entry) is dict and len(entry) == 3:
        values: list[Any] = [entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")]
        dtype, shape, offsets = values
        bits = DTYPE_BITS.get(dtype) if type(dtype) is str else None
        if bits and _whole(shape) and _whole(offsets) and len(offsets) == 2 and len(shape) <= _MAX_RANK:
            count = prod(shape)
            if bits * count == 8 * (offsets[1] - offsets[0]) and (count or _possible(shape, bits)):
                return TensorInfo(dtype, tuple(shape), offsets[0])
    raise CorruptFileError(f"{path}: tensor {name[:200]!r} {_fault(entry)}.", _BROKEN)


def _fault(entry: Any) -> str:
    """What is wrong with an entry that is."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        return "lacks one of dtype, shape and data_offsets, or has more than these"
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPE_BITS:
        return f"has the unknown dtype {str(dtype)[:40]!r}"
    if not _whole(shape) or len(shape) > _MAX_RANK or not _possible(shape, DTYPE_BITS[dtype]):
        return f"has the impossible shape {str(shape)[:80]}"
    if not _whole(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        return f"has the impossible offsets {str(offsets)[:80]}"
    return f"needs {nbytes(dtype, shape)} bytes for {dtype} {shape}, and its offsets span {offsets[1] - offsets[0]}"


def _whole(value: Any) -> bool:
    """Whether `value` is a list of non-negative 64-bit integers; True and 1.0 are not integers here."""
    if type(value) is not list:
        return False
    for item in value:  # noqa: SIM110 (a generator would double the time of every header)
        if type(item) is not int or not 0 <= item < _TOO_LARGE:
            return False
    return True


def _possible(shape: list[int], bits: int) -> bool:
    """Whether a tensor of `shape` can exist: sizes that no product overflows in any order, and no half bytes."""
    return prod(size or 1 for size in shape) * bits < _TOO_LARGE and prod(shape) * bits % 8 == 0


def _in_order(tensors: dict[str, TensorInfo], data_size: int, path: str) -> dict[str, TensorInfo]:
    """The tensors in the order of their data, which must cover the data area exactly."""
    placed = sorted((info.begin, info.nbytes, at, name) for at, (name, info) in enumerate(tensors.items()))
    end = 0
    for begin, size, _, name in placed:
        if begin != end:
            what = "overlaps the one before it" if begin < end else "leaves a gap before it"
            raise CorruptFileError(f"{path}: tensor {name[:200]!r} {what} (byte {begin}, expected {end}).", _BROKEN)
        end += size
    if end > data_size:
        raise CorruptFileError(
            f"{path} is cut short: its tensors need {end} bytes, and {data_size} are there.",
            "Download or copy it again.",
        )
    if end < data_size:
        raise CorruptFileError(
            f"{path} has {data_size - end} bytes after its last tensor, which no tensor covers.", _BROKEN
        )
    return {name: tensors[name] for *_, name in placed}


class SafetensorsFile(TensorSource):
    """A safetensors file as a source: positioned reads of exactly the bytes asked for, from any thread."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file = Handle(self.path)
        try:
            self.header = _read(self._file.descriptor, str(self.path))
            self._stat = FileStat.of(os.fstat(self._file.descriptor))
        except OSError as error:
            self.close()
            raise file_error(error, self.path) from error
        except BaseException:
            self.close()
            raise

    def read_into(self, name: str, offset: int, buffer: memoryview) -> None:
        """Positioned read; raises CorruptFileError when the file has become shorter than its header says."""
        begin = self.within(name, offset, len(buffer)).begin
        self._file.fill(self.header.data_start + begin + offset, buffer)

    def place(self, name: str) -> Place:
        """Where the header says that it is."""
        return Place(self._file.descriptor, self.header.data_start + self.info(name).begin)

    def origin(self, name: str) -> Hashable:
        """The file, as it was when it was opened, and where in it."""
        return (self._stat, self.info(name).begin)

    def _head(self) -> bytes:
        buffer = bytearray(self.header.data_start)
        self._file.fill(0, memoryview(buffer))
        return bytes(buffer)

    def close(self) -> None:
        """Close the file; closing twice is fine."""
        self._file.close()
