"""Texts in pictures: the text chunks of PNG, EXIF in any format and comments of JPEG, in whatever encoding."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from modelhub.formats.images import BROKEN, exif_of, opened

if TYPE_CHECKING:
    from PIL.Image import Exif
    from PIL.Image import Image as Picture

#: Names under which the texts of EXIF are told; those of PNG have the keyword of their chunk.
USER_COMMENT, DESCRIPTION, MAKE, MODEL, SOFTWARE = "UserComment", "ImageDescription", "Make", "Model", "Software"
MAKER_NOTE = "MakerNote"

_EXIF_BLOCK, _USER_COMMENT, _MAKER_NOTE = 0x8769, 0x9286, 0x927C
_PLAIN_TAGS = {0x010E: DESCRIPTION, 0x010F: MAKE, 0x0110: MODEL, 0x0131: SOFTWARE}
#: Windows' own tags, in UTF-16 with the low byte first.
_WINDOWS_TAGS = {0x9C9B: "XPTitle", 0x9C9C: "XPComment", 0x9C9E: "XPKeywords", 0x9C9F: "XPSubject"}
_CODE = 8
#: Characters of one text that are kept; the longest workflows have a tenth.
_LONGEST = 20_000_000


class Texts(NamedTuple):
    """The texts of a picture: those of a PNG's text chunks by keyword, those of EXIF and comments by their names."""

    chunks: dict[str, str]
    tags: dict[str, str]


def read_texts(path: str | Path) -> dict[str, str]:
    """All texts of a PNG, JPEG, WebP or AVIF file, by the keyword of their chunk or the name of their EXIF tag.

    Raises CorruptFileError for a broken, oversized or foreign file, FileError when it cannot be read.
    """
    with opened(path, _formats()) as image:
        if image.format == "PNG":
            image.load()  # a text chunk may also follow the pixels
        found = texts_of(image)
    return {**found.tags, **found.chunks}


def _formats() -> tuple[str, ...]:
    """AVIF came with Pillow 11.3."""
    return ("PNG", "JPEG", "WEBP", *(("AVIF",) if find_spec("PIL.AvifImagePlugin") else ()))


def texts_of(image: Picture) -> Texts:
    """The same of an opened picture, of a PNG an unpacked one."""
    return Texts(*({name: text[:_LONGEST] for name, text in found if text} for found in (_chunks(image), _tags(image))))


def _chunks(image: Picture) -> Iterator[tuple[str, str]]:
    from PIL.PngImagePlugin import iTXt

    if image.format == "PNG":
        for name, value in image.info.items():
            if isinstance(name, str) and isinstance(value, str):
                yield name, str(value) if isinstance(value, iTXt) else _repaired(value)


def _tags(image: Picture) -> Iterator[tuple[str, str]]:
    if image.format == "JPEG" and isinstance(comment := image.info.get("comment"), bytes):
        yield "Comment", _decoded(comment)
    yield from _exif(exif_of(image))


def _repaired(text: str) -> str:
    """UTF-8 that was written into a chunk for Latin-1, as some programs do."""
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def _exif(exif: Exif) -> Iterator[tuple[str, str]]:
    block = _block(exif)
    comment = block.get(_USER_COMMENT, exif.get(_USER_COMMENT))
    if comment is not None:
        yield USER_COMMENT, user_comment(comment) if isinstance(comment, bytes) else str(comment).strip("\0")
    if isinstance(note := block.get(_MAKER_NOTE), bytes | str):
        yield MAKER_NOTE, note if isinstance(note, str) else _decoded(note)
    for tag, name in _PLAIN_TAGS.items():
        if isinstance(value := exif.get(tag), bytes | str):
            yield name, _decoded(value) if isinstance(value, bytes) else _repaired(value).strip("\0")
    for tag, name in _WINDOWS_TAGS.items():
        if data := _bytes(exif.get(tag)):
            yield name, data.decode("utf-16-le", "replace").strip("\0")


def _block(exif: Exif) -> Mapping[int, Any]:
    """The tags that stand in a table of their own; none where it is broken."""
    try:
        return exif.get_ifd(_EXIF_BLOCK) if exif else {}
    except BROKEN:
        return {}


def _bytes(value: Any) -> bytes:
    """A value of EXIF that is a row of bytes, however it was read."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, tuple) and all(isinstance(one, int) and 0 <= one < 256 for one in value):
        return bytes(value)
    return b""


def user_comment(data: bytes) -> str:
    """The text of a UserComment: eight bytes that name its encoding, then the text (Exif 2.32, section 4.6.5).

    The byte order of UNICODE is that of the writer, who may or may not say it; programs that leave the eight bytes out
    write UTF-8.
    """
    code, body = data[:_CODE].rstrip(b"\0 ").upper(), data[_CODE:]
    if code == b"UNICODE":
        return _utf16(body)
    if code == b"JIS":
        return _tried(body, "iso2022_jp", "utf-8", "shift_jis")
    return _decoded(body if code in (b"ASCII", b"") else data)


def _utf16(data: bytes) -> str:
    """UTF-16 of unknown byte order: the zero bytes of its Latin letters stand first or last in each pair."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data[: len(data) // 2 * 2].decode("utf-16", "replace").strip("\0")
    if _is_utf8_instead(data):
        return _decoded(data)
    data = data[: len(data) // 2 * 2]  # one byte more is the end of a text in C
    first, last = data[0::2].count(0), data[1::2].count(0)
    return data.decode("utf-16-be" if first >= last else "utf-16-le", "replace").strip("\0")


def _is_utf8_instead(data: bytes) -> bool:
    """Whether a text that claims to be UTF-16 is none: without the zero byte that any Latin letter has there."""
    try:
        return b"\0" not in data and bool(data.decode("utf-8"))
    except UnicodeError:
        return False


def _decoded(data: bytes) -> str:
    """Bytes of which nobody said the encoding; text with zero bytes in between is UTF-16."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    if data.strip(b"\0").count(0) > len(data) // 4 or data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return _utf16(data)
    return _tried(data, "utf-8", "latin-1")


def _tried(data: bytes, *encodings: str) -> str:
    data = data.strip(b"\0")
    for encoding in encodings:
        try:
            return data.decode(encoding)
        except UnicodeError:
            continue
    return data.decode("utf-8", "replace")
