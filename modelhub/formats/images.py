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
from typing import IO, TYPE_CHECKING

from modelhub.errors import CorruptFileError, UsageError, file_error
from modelhub.formats.handle import open_regular
from modelhub.formats.writer import check_place, replacing, write_all

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL.Image import Exif
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
_ORIENTATION = 0x0112
#: What Pillow ends in where a file is not what it says.
BROKEN = (SyntaxError, ValueError, EOFError, zlib.error, struct.error, OverflowError, KeyError, IndexError)


def save_png(path: str | Path, pixels: npt.NDArray[np.uint8], text: str | None = None, *, force: bool = False) -> Path:
    """Write pixels [H, W, 3] to a PNG file, with `text` in its `parameters` chunk; the whole file or none.

    Raises FileExistsAlreadyError without `force`, UsageError for a name that does not end in .png, FileError when the
    disk refuses.
    """
    goal = Path(path)
    check_png(goal, force=force)
    packed = png_bytes(pixels, text)
    with replacing(goal, force=force) as file:
        write_all(file, packed)
    return goal


def png_bytes(pixels: npt.NDArray[np.uint8], text: str | None = None) -> memoryview:
    """The PNG file of pixels [H, W, 3], with `text` in its `parameters` chunk.

    The chunk is tEXt where Latin-1 can hold the text so that nobody takes it for UTF-8, else iTXt.
    """
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    if text is not None:
        _add_text(info, text.encode("utf-8", "replace").decode("utf-8"))
    packed = io.BytesIO()
    Image.fromarray(pixels).convert("RGB").save(packed, "PNG", pnginfo=info)
    return packed.getbuffer()


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


def load_thumbnail(path: str | Path, side: int) -> npt.NDArray[np.uint8]:
    """The pixels [H, W, 3] of a picture, of a GIF its first, made smaller so that neither H nor W is above `side`.

    It is turned as its EXIF says. Raises CorruptFileError for a broken, oversized or foreign file, FileError when it
    cannot be read.
    """
    import numpy as np

    with _small(path, side) as small:
        return np.array(small, dtype=np.uint8)


def save_thumbnail(path: str | Path, goal: str | Path, side: int) -> Path:
    """Save a picture as JPEG, of a GIF or another that moves the first frame, made smaller if a side is above `side`.

    Nothing but its pixels is taken over: no metadata, nothing behind its end. What is at `goal` is replaced. Raises as
    `load_thumbnail` does.
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
    """A picture in RGB, upright, made smaller if a side is above `side`."""
    with opened(path, (*_FORMATS, "GIF")) as image:
        image.draft("RGB", (side, side))
        _check_size(image, str(path), _MAX_THUMBNAIL)
        image.load()  # the EXIF of a PNG may follow the pixels
        shallow = eight_bits(image)
        small = shallow if shallow.mode == "RGB" else shallow.convert("RGB")
        small.thumbnail((side, side))
        yield upright(small, orientation(image))


def eight_bits(image: Picture) -> Picture:
    """A picture whose 16 bits of grey are rounded to 8, which Pillow would cut off; any other one as it is."""
    if not image.mode.startswith("I"):
        return image
    import numpy as np
    from PIL import Image

    deep = np.asarray(image).clip(0, 65535).astype(np.uint32)
    return Image.fromarray(((deep + 128) // 257).astype(np.uint8))


def orientation(image: Picture) -> int:
    """Where row 0 and column 0 of a picture are, 1 to 8, as its EXIF says (Exif 2.32, section 4.6.4).

    1, above and on the left, where that says nothing of use.
    """
    found = exif_of(image).get(_ORIENTATION)
    return found if type(found) is int and 1 <= found <= 8 else 1


def exif_of(image: Picture) -> Exif:
    """The EXIF of an opened picture; an empty one where it is broken, which is no reason not to show the picture."""
    from PIL.Image import Exif

    try:
        return image.getexif()
    except BROKEN:
        return Exif()


def upright(image: Picture, place: int) -> Picture:
    """A picture turned and mirrored so that row 0 and column 0, which are at `place`, are above and on the left."""
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT, 3: Transpose.ROTATE_180, 4: Transpose.FLIP_TOP_BOTTOM, 5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270, 7: Transpose.TRANSVERSE, 8: Transpose.ROTATE_90,
    }  # fmt: skip
    return image.transpose(turns[place]) if place in turns else image


@contextmanager
def opened(path: str | Path, formats: tuple[str, ...] = _FORMATS) -> Iterator[Picture]:
    """A picture, opened and not yet unpacked; what goes wrong with it inside is an error of ours.

    Raises as `load_thumbnail` does.
    """
    from PIL import Image, UnidentifiedImageError

    shown = str(path)
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
    except (Image.DecompressionBombError, *BROKEN) as error:
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
