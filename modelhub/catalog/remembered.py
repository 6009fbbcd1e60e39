"""The folders that are scanned: what lies below each, whose folder it is, and whether it is there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelhub.catalog.layouts import recognise

if TYPE_CHECKING:
    from modelhub.catalog.reading import CatalogReader


@dataclass(frozen=True, slots=True)
class RememberedFolder:
    """A folder with the number and size of its assets; `layout` and `title` name the program whose folder it is."""

    path: Path
    assets: int
    size: int
    layout: str | None
    title: str | None
    there: bool

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "path": str(self.path),
            "assets": self.assets,
            "size": self.size,
            "layout": self.layout,
            "title": self.title,
            "there": self.there,
        }


def remembered_folders(catalog: CatalogReader) -> list[RememberedFolder]:
    """All of them; looks at the disk, which may be slow."""
    return [_folder(catalog, root) for root in catalog.roots()]


def _folder(catalog: CatalogReader, root: Path) -> RememberedFolder:
    there = root.is_dir()
    layout = recognise(root) if there else None
    count, size = catalog.below(root)
    if layout is None:
        return RememberedFolder(root, count, size, None, None, there)
    return RememberedFolder(root, count, size, layout.id, layout.title, there)
