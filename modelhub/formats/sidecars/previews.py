"""The picture to show for a model, where several tools left theirs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

#: A1111's order, which is StabilityMatrix' too as far as that goes; then SwarmUI's small pictures.
_ENDINGS = (
    ".png", ".preview.png", ".jpg", ".preview.jpg", ".jpeg", ".preview.jpeg", ".webp", ".preview.webp",
    ".thumb.jpg", ".thumb.png", ".gif", ".preview.gif",
)  # fmt: skip
_GALLERY = re.compile(r"\.example\.(\d{1,6})\.(?:png|jpe?g|webp)")


def preview_of(stem: str, files: Iterable[Path]) -> Path | None:
    """The preview among the sidecars of a model; the first picture of its gallery where there is no other."""
    return next(iter(pictures_of(stem, files)), None)


def pictures_of(stem: str, files: Iterable[Path]) -> list[Path]:
    """All pictures among the sidecars of a model, the preview first, then the others and the gallery in its order."""
    ranked = [(rank, one) for one in files if (rank := _rank(one.name[len(stem) :].lower())) is not None]
    return [one for _, one in sorted(ranked)]


def is_picture(path: Path) -> bool:
    """Whether the name is that of a picture, of the kinds that previews and galleries come in."""
    return path.suffix.lower() in (".png", ".jpg", ".jpeg", ".webp", ".gif")


def _rank(ending: str) -> int | None:
    if ending in _ENDINGS:
        return _ENDINGS.index(ending)
    gallery = _GALLERY.fullmatch(ending)
    return len(_ENDINGS) + int(gallery[1]) if gallery else None
