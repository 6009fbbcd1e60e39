"""Pictures: one small, still picture of a model, checked, and kept by the SHA256 of the model's file."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from modelhub.errors import file_error
from modelhub.fetch.net.bodies import whole
from modelhub.fetch.net.trouble import failures, trouble_of
from modelhub.fetch.offer import Picture
from modelhub.formats.images import load_thumbnail, save_thumbnail
from modelhub.jobs import QUIET, Job

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from modelhub.fetch.net.client import Net

#: Pixels of the longer side of what is kept.
SIDE = 512
#: Bytes of what is asked for.
_MOST = 20_000_000
#: Civitai's bits for what may be looked at anywhere: PG and PG-13.
_SAFE = 1 | 2
_MOVING = (".mp4", ".webm", ".mov", ".gif", ".m4v")
#: The part of a picture's address at Civitai that says how large it is wanted.
_WIDTH = re.compile(r"/(?:original=true|(?:[a-z]+=[^/,]*,)*width=\d+(?:,[a-z]+=[^/,]*)*)/")


def chosen_picture(pictures: Iterable[Picture], wanted: str, provider: str) -> str | None:
    """The address of the picture to keep: `wanted` is safe, all or none; of Civitai's, one no larger than needed."""
    if wanted == "none":
        return None
    found = next((one for one in pictures if _is_still(one.url) and (wanted == "all" or _is_safe(one))), None)
    if found is None:
        return None
    return _WIDTH.sub(f"/width={SIDE}/", found.url, count=1) if provider == "civitai" else found.url


def kept_picture(home: Path, sha256: str, url: str, net: Net, job: Job = QUIET) -> Path:
    """Fetch a picture and keep it in `home`, as JPEG of at most 512 pixels a side; returns its path.

    Raises ProviderError, CorruptFileError for what is no picture, FileError.
    """
    folder = home / "cache" / "previews"
    goal = folder / f"{sha256}.jpg"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".", suffix=".part") as file:
            file.write(_read(url, net, job))
            file.flush()
            return save_thumbnail(file.name, goal, SIDE)
    except OSError as error:
        raise file_error(error, goal) from error


def seen_picture(home: Path, url: str, net: Net, side: int, job: Job = QUIET) -> NDArray[np.uint8]:
    """Fetch a picture to be looked at once, as pixels [H, W, 3] of at most `side` a side; nothing of it is kept.

    Raises ProviderError, CorruptFileError for what is no picture, FileError.
    """
    folder = home / "cache" / "previews"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".", suffix=".part") as file:
            file.write(_read(url, net, job))
            file.flush()
            return load_thumbnail(file.name, side)
    except OSError as error:
        raise file_error(error, folder) from error


def _read(url: str, net: Net, job: Job) -> bytes:
    """The bytes at `url`, asked for with no token: pictures are there for everybody."""
    with net.open(url, provider="web", job=job, signed=False) as response:
        try:
            return whole(response, _MOST).data
        except failures() as error:
            raise trouble_of(error, url).error from None


def _is_still(url: str) -> bool:
    return url.startswith(("http://", "https://")) and not url.partition("?")[0].lower().endswith(_MOVING)


def _is_safe(picture: Picture) -> bool:
    return picture.level > 0 and not picture.level & ~_SAFE
