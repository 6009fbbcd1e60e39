"""Pictures with all that belongs to them: colours upright and in 8 bits, transparency, texts, a colour profile."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from modelhub.formats.images import PARAMETERS, check_png, eight_bits, opened, orientation, upright
from modelhub.formats.picture_texts import USER_COMMENT, Texts, texts_of
from modelhub.formats.writer import replacing, write_all

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif"})

_ALPHA_MODES = frozenset({"RGBA", "LA", "PA", "La", "RGBa"})
#: The text chunk that says how the file was made up, which is not so any more.
_XMP = "XML:com.adobe.xmp"
#: Where a colour profile says what it is for.
_PROFILE_SPACE = slice(16, 20)


@dataclass(frozen=True, eq=False)
class WholeImage:
    """Pixels [H, W, 3], `alpha` [H, W] (255 is opaque) of a picture that can be transparent, texts by their names.

    `profile` is an ICC profile for RGB.
    """

    pixels: npt.NDArray[np.uint8]
    alpha: npt.NDArray[np.uint8] | None = None
    texts: Mapping[str, str] = field(default_factory=dict)
    profile: bytes | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.pixels.shape[1], self.pixels.shape[0]


def load_whole(path: str | Path) -> WholeImage:
    """A PNG, JPEG, WebP or GIF file (of a moving picture the first frame), turned as its EXIF says.

    The infotext of any of them is under `parameters`. Raises CorruptFileError for a broken, oversized or foreign file,
    FileError when it cannot be read.
    """
    with opened(path, FORMATS) as image:
        image.load()
        profile, texts = image.info.get("icc_profile"), texts_of(image)
        pixels, alpha = _channels(upright(eight_bits(image), orientation(image)))
    is_rgb = isinstance(profile, bytes) and profile[_PROFILE_SPACE] == b"RGB "
    return WholeImage(pixels, alpha, _kept(texts), profile if is_rgb else None)


def _channels(image: Picture) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8] | None]:
    """Colours and transparency, whatever the mode."""
    if image.mode in _ALPHA_MODES or "transparency" in image.info:
        all_four = np.array(image.convert("RGBA"), dtype=np.uint8)
        return np.ascontiguousarray(all_four[..., :3]), np.ascontiguousarray(all_four[..., 3])
    return np.array(image.convert("RGB"), dtype=np.uint8), None


def _kept(texts: Texts) -> dict[str, str]:
    """The text chunks of a PNG file, and the infotext, wherever it is: EXIF and comments are of another format."""
    comment = texts.tags.get(USER_COMMENT)
    infotext = {PARAMETERS: comment} if comment and PARAMETERS not in texts.chunks else {}
    return {name: text for name, text in texts.chunks.items() if name != _XMP} | infotext


def save_whole(path: str | Path, image: WholeImage, *, force: bool = False) -> Path:
    """Write a PNG file with all that `image` has; the whole file or none.

    Raises FileExistsAlreadyError without `force`, UsageError for a name that does not end in .png, FileError when the
    disk refuses.
    """
    goal = Path(path)
    check_png(goal, force=force)
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    for name, text in image.texts.items():
        text = text.encode("utf-8", "replace").decode("utf-8")
        info.add_text(name, text) if text.isascii() else info.add_itxt(name, text)
    pixels = image.pixels if image.alpha is None else np.dstack([image.pixels, image.alpha])
    packed = io.BytesIO()
    Image.fromarray(pixels).save(packed, "PNG", pnginfo=info, icc_profile=image.profile)
    with replacing(goal, force=force) as file:
        write_all(file, packed.getbuffer())
    return goal
