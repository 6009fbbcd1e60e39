"""What a file is that is no model, by its first bytes: a web page, a pointer, a picture, an archive of others."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from modelhub.errors import CorruptFileError, FileError, NotAModelError, file_error
from modelhub.formats.handle import open_regular
from modelhub.formats.naming import is_model_name
from modelhub.text import brief, few, human_size

_FRONT = 4096
_AGAIN = "Download it again."
_LOGIN = "It was saved in place of the model, perhaps because a login was needed; download it again."

#: Where the mark of a format stands, the mark, and what it is.
_MARKS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG\r\n", "a PNG picture"), (0, b"\xff\xd8\xff", "a JPEG picture"), (0, b"GIF8", "a GIF picture"),
    (8, b"WEBP", "a WebP picture"), (4, b"ftyp", "a video or picture (MP4, AVIF)"), (0, b"%PDF", "a PDF document"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"), (0, b"Rar!\x1a\x07", "a RAR archive"), (0, b"\x1f\x8b", "gzip data"),
    (0, b"\xfd7zXZ\0", "xz data"), (0, b"BZh", "bzip2 data"), (0, b"\x28\xb5\x2f\xfd", "zstandard data"),
    (0, b"PK\x05\x06", "an empty zip archive"), (0, b"\x89HDF\r\n", "an HDF5 file, as Keras writes them"),
    (0, b"\x93NUMPY", "a NumPy array"), (0, b"SQLite format 3\0", "an SQLite database"), (4, b"TFL3", "a TFLite model"),
    (0, b"lmgg", "a GGML file of the time before GGUF"), (0, b"tjgg", "a GGML file of the time before GGUF"),
    (0, b"\x7fELF", "a program for Linux"), (0, b"MZ", "a program for Windows"),
    (0, b"\xcf\xfa\xed\xfe", "a program for macOS"),
)  # fmt: skip
_PACKED = ("archive", "data")
_PAGE = re.compile(rb"\s*(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body|\?xml)", re.IGNORECASE | re.DOTALL)
_JSON = re.compile(r'\{\s*["}]|\[\s*["{\[\d\]]')
_POINTER = re.compile(rb"version https://git-lfs\S*\n(?:.*\n)*?size (\d{1,18})\n")


def explain(path: Path, error: FileError, records: Sequence[str] = ()) -> FileError:
    """The error that says what a file is which is no model; `error` itself where that cannot be told.

    `records` are the members of a zip archive that is no torch checkpoint.
    """
    try:
        front = _front(path)
    except FileError:
        return error
    if not front:
        return CorruptFileError(f"{path} is empty.", "The download or copy was never begun; do it again.")
    what, hint = _zip(records) if records else _what(front)
    return NotAModelError(f"{path} is {what}, not a model.", hint) if what else error


def is_text(path: Path) -> bool:
    """Whether a file begins as text does that people or programs write. Raises FileError when it cannot be read."""
    return _text(_front(path)) != ("", "")


def _front(path: Path) -> bytes:
    try:
        with os.fdopen(open_regular(path), "rb", buffering=0) as file:
            return file.read(_FRONT) or b""
    except OSError as error:
        raise file_error(error, path) from error


def _zip(records: Sequence[str]) -> tuple[str, str]:
    models = [name for name in records if is_model_name(name) and not name.endswith(".pkl")]
    hint = f"Unpack it: {few(models)} may be a model." if models else "Unpack it and look at what is in it."
    return f"a zip archive with {few(records)} in it", hint


def _what(front: bytes) -> tuple[str, str]:
    """What it is in words, and what to do; "" for what cannot be told."""
    pointer = _POINTER.match(front)
    if pointer:
        size = human_size(int(pointer[1]))
        return "a Git LFS pointer", f"The model itself ({size}) was not downloaded: run `git lfs pull`, or download it."
    if not front.strip(b"\0"):
        return "a run of zeros", "The download was begun and never filled; do it again."
    if _PAGE.match(front):
        return "a web page", _LOGIN
    for at, mark, what in _MARKS:
        if front.startswith(mark, at):
            return what, "Unpack it and look at what is in it." if what.endswith(_PACKED) else _AGAIN
    return _text(front)


def _text(front: bytes) -> tuple[str, str]:
    """The same of text: JSON is what servers answer with."""
    try:
        text = front[: front.rfind(b"\n") + 1 or None].decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        return "", ""
    if _JSON.match(text):
        if '"weight_map"' in text:
            return "the index of a model in several files", "None of these is beside it: download them, too."
        return f"JSON text, {_first(text)}", "It may be the error of a server, saved in place of the model."
    if not text or any(char < " " and char not in "\t\r\n\f" for char in text):
        return "", ""
    return f"plain text, {_first(text)}", _AGAIN


def _first(text: str) -> str:
    return f"beginning with '{brief(text.splitlines()[0], 60)}'"
