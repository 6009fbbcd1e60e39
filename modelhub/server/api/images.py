"""Pictures as they travel in JSON: base64 of PNG, JPEG or WebP files, with or without the head of a data address."""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from modelhub.errors import CorruptFileError
from modelhub.formats.images import png_bytes
from modelhub.formats.whole_images import WholeImage, load_whole
from modelhub.server.api.body import FieldError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_LARGEST = 48 << 20


def pack(pixels: npt.NDArray[np.uint8], infotext: str | None = None) -> str:
    """Pixels [H, W, 3] as base64 of a PNG file, with an infotext in it."""
    return b64encode(png_bytes(pixels, infotext)).decode("ascii")


def unpack(text: str, field: str) -> WholeImage:
    """The picture of a field. Raises FieldError for what is none."""
    with as_file(text, field) as path:
        return load_whole(path)


@contextmanager
def as_file(text: str, field: str) -> Iterator[Path]:
    """The picture of a field as a file, for as long as it is needed. Raises FieldError for what is none."""
    if text[:8].lower().startswith(("http:", "https:")):
        raise FieldError(field, "must be a picture in base64; addresses are not opened")
    data = text.partition(",")[2] if text.startswith("data:") else text
    if len(data) > _LARGEST * 4 // 3:
        raise FieldError(field, f"must be a picture of {_LARGEST >> 20} MB at most")
    try:
        raw = b64decode("".join(data.split()), validate=True)
    except (Base64Error, ValueError):
        raise FieldError(field, "must be a picture in base64") from None
    with TemporaryDirectory(prefix="modelhub-") as folder:
        path = Path(folder) / "picture"
        path.write_bytes(raw)
        try:
            yield path
        except CorruptFileError as error:
            raise FieldError(field, f"holds no picture: {error.message.removeprefix(str(path)).strip(' .')}") from error
