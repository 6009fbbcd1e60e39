"""The history of the merge lab: what was previewed and saved, with recipe, request and a small picture, on disk."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelhub.errors import ModelhubError, file_error

if TYPE_CHECKING:
    from modelhub.tui.pictures.picture import Pixels

_FOLDER = "lab-history"
#: Entries that are kept, the newest; and pixels of the longer side of their pictures.
MOST, SIDE = 200, 256


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that was made in the lab. `what`: preview, grid, model or recipe; `file`: where it was saved."""

    id: str
    at: float
    what: str
    title: str
    recipe: str
    request: dict[str, Any] = field(default_factory=dict)
    file: str = ""
    carrier: str = ""


class History:
    """Entries in a folder, a small file each, so that whatever goes wrong with one costs that one."""

    def __init__(self, home: Path) -> None:
        self.folder = home / _FOLDER

    def entries(self) -> list[Entry]:
        """All that can be read, the newest first."""
        return [entry for entry in map(_read, self._files()) if entry is not None]

    def _files(self) -> list[Path]:
        try:
            return sorted(self.folder.glob("*.json"), reverse=True)
        except OSError:
            return []

    def picture(self, entry: Entry) -> Path | None:
        """The file of its picture, if it has one."""
        path = self.folder / f"{entry.id}.png"
        return path if path.is_file() else None

    def add(
        self,
        what: str,
        title: str,
        recipe: str,
        *,
        request: dict[str, Any] | None = None,
        file: str = "",
        carrier: str = "",
        pixels: Pixels | None = None,
    ) -> Entry:
        """Keep something; the oldest give way. Raises FileError."""
        now = time.time()
        entry = Entry(f"{time.time_ns():020}", now, what, title, recipe, request or {}, file, carrier)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if pixels is not None:
                _save(self.folder / f"{entry.id}.png", pixels)
            path = self.folder / f"{entry.id}.json"
            part = path.with_suffix(".part")
            part.write_text(json.dumps(asdict(entry)), encoding="utf-8")
            part.replace(path)
        except OSError as error:
            raise file_error(error, self.folder) from error
        for old in self._files()[MOST:]:
            self._remove(old.stem)
        return entry

    def delete(self, entry: Entry) -> None:
        """Forget an entry; what was saved of it stays."""
        self._remove(entry.id)

    def _remove(self, id: str) -> None:
        for ending in (".json", ".png"):
            with suppress(OSError):
                (self.folder / f"{id}{ending}").unlink()


def _save(path: Path, pixels: Pixels) -> None:
    from modelhub.formats.images import save_png
    from modelhub.tui.lab.shots import thumbnail

    with suppress(ModelhubError):  # an entry without a picture is still one
        save_png(path, thumbnail(pixels, SIDE))


def _read(path: Path) -> Entry | None:
    """The entry in a file; None for one that makes no sense."""
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        values = dict(_typed(table))
        return Entry(**{**values, "id": path.stem})
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return None


def _typed(table: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Values of the kinds that an entry has. Raises TypeError for others."""
    kinds: dict[str, type] = dict.fromkeys(("id", "what", "title", "recipe", "file", "carrier"), str)
    for name, kind in (kinds | {"at": float, "request": dict}).items():
        if type(table.get(name)) is not kind:
            raise TypeError(name)
        yield name, table[name]
