"""Pictures: PNG files with the text that says how they were made, and pictures of any origin read without trust."""

from __future__ import annotations

import io
import os
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from modelhub.errors import CorruptFileError, UsageError, file_error
from modelhub.formats.handle import open_regular
from modelhub.formats.writer import check_place, replacing, write_all

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL.Image import Image as Picture
    from PIL.PngImagePlugin import PngInfo

#: The name of the text chunk in which A1111 and others keep the infotext.
PARAMETERS = "parameters"
#: A small file can claim thousands of times as many; 2048 by 2048 four times as large has half of it.
MAX_PIXELS = 2**27
#: A picture that is only looked at may have so many: unpacked it takes 128 MB, and a copy as much.
_MAX_THUMBNAIL = 32_000_000
_MAX_BYTES = 100_000_000
_FORMATS = ("PNG", "JPEG", "WEBP")


def save_png(path: str | Path, pixels: npt.NDArray[np.uint8], text: str | None = None, *, force: bool = False) -> Path:
    """Write pixels [H, W, 3] to a PNG file, with `text` in its `parameters` chunk; the whole file or none.

    The chunk is tEXt where Latin-1 can hold the text so that nobody takes it for UTF-8, else iTXt. Raises
    FileExistsAlreadyError without `force`, UsageError for a name that does not end in .png, FileError when the disk
    refuses.
    """
    goal = Path(path)
    check_png(goal, force=force)
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    if text is not None:
        _add_text(info, text.encode("utf-8", "replace").decode("utf-8"))
    packed = io.BytesIO()
    Image.fromarray(pixels).convert("RGB").save(packed, "PNG", pnginfo=info)
    with replacing(goal, force=force) as file:
        write_all(file, packed.getbuffer())
    return goal


def _add_text(info: PngInfo, text: str) -> None:
    """Latin-1 letters that would be read as UTF-8, as others write it into such chunks, go where UTF-8 belongs."""
    try:
        text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        is_ambiguous = False
    else:
        is_ambiguous = not text.isascii()
    info.add_itxt(PARAMETERS, text) if is_ambiguous else info.add_text(PARAMETERS, text)


def check_png(goal: Path, *, force: bool = False) -> None:
    """Raise what saving a PNG file to `goal` would end in, as far as it can be told beforehand."""
    if goal.suffix.lower() != ".png":
        raise UsageError(f"{goal} is not a name for a PNG file.", "Let the name end in .png.")
    _check_goal(goal, force=force)


def _check_goal(goal: Path, *, force: bool) -> None:
    try:
        check_place(goal, force=force)
    except OSError as error:
        raise file_error(error, goal) from error


def read_parameters(path: str | Path) -> str | None:
    """The text of the `parameters` chunk of a PNG file; None if it has none or is another kind of picture.

    Raises CorruptFileError for a broken, oversized or foreign file, FileError when it cannot be read.
    """
    with opened(path) as image:
        if image.format == "PNG" and PARAMETERS not in image.info:
            image.load()  # a text chunk may also follow the pixels
        found = image.info.get(PARAMETERS)
        return str(found) if isinstance(found, str) else None


def load_pixels(path: str | Path) -> npt.NDArray[np.uint8]:
    """The pixels [H, W, 3] of a PNG, JPEG or WebP file; transparency is dropped. Raises as `read_parameters` does."""
    import numpy as np

    with opened(path) as image:
        return np.array(image.convert("RGB"), dtype=np.uint8)


def load_thumbnail(path: str | Path, side: int) -> npt.NDArray[np.uint8]:
    """The pixels [H, W, 3] of a picture, of a GIF its first, made smaller so that neither H nor W is above `side`.

    Raises as `read_parameters` does.
    """
    import numpy as np

    with _small(path, side) as small:
        return np.array(small, dtype=np.uint8)


def save_thumbnail(path: str | Path, goal: str | Path, side: int) -> Path:
    """Save a picture as JPEG, of a GIF or another that moves the first frame, made smaller if a side is above `side`.

    Nothing but its pixels is taken over: no metadata, nothing behind its end. What is at `goal` is replaced. Raises as
    `read_parameters` does.
    """
    packed = io.BytesIO()
    with _small(path, side) as small:
        small.info.clear()  # comments, EXIF and XMP would be written
        small.save(packed, "JPEG", quality=88)
    goal = Path(goal)
    _check_goal(goal, force=True)
    with replacing(goal, force=True) as file:
        write_all(file, packed.getbuffer())
    return goal


@contextmanager
def _small(path: str | Path, side: int) -> Iterator[Picture]:
    """A picture in RGB, made smaller if a side is above `side`."""
    with opened(path, (*_FORMATS, "GIF")) as image:
        image.draft("RGB", (side, side))
        _check_size(image, str(path), _MAX_THUMBNAIL)
        small = image if image.mode == "RGB" else image.convert("RGB")
        small.thumbnail((side, side))
        yield small


@contextmanager
def opened(path: str | Path, formats: tuple[str, ...] = _FORMATS) -> Iterator[Picture]:
    """A picture, opened and not yet unpacked; what goes wrong with it inside is an error of ours.

    Raises as `read_parameters` does.
    """
    from PIL import Image, UnidentifiedImageError

    shown = str(path)
    broken: tuple[Any, ...] = (
        SyntaxError,
        ValueError,
        EOFError,
        zlib.error,
        struct.error,
        OverflowError,
        KeyError,
        IndexError,
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with _file(path) as file, Image.open(file, formats=formats) as image:
                _check_size(image, shown)
                yield image
    except UnidentifiedImageError as error:
        raise CorruptFileError(
            f"{shown} is not a picture that can be read: it is no {_listed(formats)}, or its beginning is damaged.",
            "Download or copy it again, or convert it.",
        ) from error
    except (Image.DecompressionBombError, *broken) as error:
        raise CorruptFileError(
            f"{shown} is not a picture that can be read: {str(error).rstrip('.')}.", "Download or copy it again."
        ) from error
    except OSError as error:
        if error.errno is not None:
            raise file_error(error, path) from error
        raise CorruptFileError(f"{shown} is a damaged picture: {error}.", "Download or copy it again.") from error


def _listed(formats: tuple[str, ...]) -> str:
    return f"{', '.join(formats[:-1])} or {formats[-1]}"


def _file(path: str | Path) -> IO[bytes]:
    """A regular file of bounded size; a pipe would be waited for."""
    file = os.fdopen(open_regular(path), "rb")
    if (size := os.fstat(file.fileno()).st_size) > _MAX_BYTES:
        file.close()
        raise CorruptFileError(f"{path} has {size:,} bytes, more than a picture needs.", "Make it smaller.")
    return file


def _check_size(image: Picture, path: str, most: int = MAX_PIXELS) -> None:
    if image.width * image.height > most:
        raise CorruptFileError(
            f"{path} claims to be {image.width} by {image.height} pixels, more than modelhub unpacks.",
            "If it is genuine, scale it down first.",
        )
