"""Completion of what is typed into a field: paths from the disk, assets from the catalog, both found in a thread."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.suggester import Suggester

from modelhub.errors import ModelhubError
from modelhub.settings import user_path
from modelhub.text import is_utf8, one_line
from modelhub.tui.library import Library, term
from modelhub.tui.widgets.field import TextField

#: Entries of a folder that are looked at.
_MOST = 5000


class PathSuggester(Suggester):
    """The rest of a path; of folders alone, if `folders`."""

    def __init__(self, *, folders: bool = False) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._folders = folders

    async def get_suggestion(self, value: str) -> str | None:
        """The first path that goes on from `value`."""
        return await asyncio.to_thread(complete_path, value, folders=self._folders)


def complete_path(typed: str, *, folders: bool = False) -> str | None:
    """The first path, in the order of the alphabet, that begins with what was typed; a folder ends with `/`."""
    head, name = os.path.split(typed)
    if not typed or (not name and not head):
        return None
    found = sorted(one for one in _entries(user_path(head or "."), folders) if one.startswith(name))
    hidden = name.startswith(".")
    found = [one for one in found if hidden or not one.startswith(".")]
    return typed[: len(typed) - len(name)] + found[0] if found and name != found[0] else None


def _entries(folder: Path, folders: bool) -> list[str]:
    names: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                is_folder = entry.is_dir()
                if (is_folder or not folders) and is_utf8(entry.name) and one_line(entry.name) == entry.name:
                    names.append(f"{entry.name}/" if is_folder else entry.name)
                if len(names) >= _MOST:
                    break
    except (OSError, ValueError):
        return []
    return names


class AssetSuggester(Suggester):
    """The name of an asset that goes on from the last word that was typed."""

    def __init__(self, library: Library) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._library = library

    async def get_suggestion(self, value: str) -> str | None:
        """The first asset whose name begins with the last word of `value`."""
        return await asyncio.to_thread(self._complete, value)

    def _complete(self, typed: str) -> str | None:
        word = typed.rpartition(" ")[2]
        name = asset_named(self._library, word)
        return None if name is None else typed[: len(typed) - len(word)] + name


def asset_named(library: Library, begin: str, query: str = "", *, apart: str = " ") -> str | None:
    """The stem of the first asset that a query finds and that begins so; none with the characters that set words apart.

    Of less than two letters there is none.
    """
    if len(begin) < 2 or not begin.isprintable() or begin[0] in "#'\"":
        return None
    try:
        with library.open() as catalog:
            found = catalog.assets(catalog.ids(f"{term('name', begin)} {query}")[:50])
    except ModelhubError:
        return None
    stems = (one.path.stem for one in found if one.path.stem.isprintable() and not {*apart} & {*one.path.stem})
    return next((stem for stem in stems if stem.startswith(begin)), None)


class CompletingInput(TextField):
    """A field whose completion, shown behind the cursor, is taken with tab as well as with the right arrow."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "complete", "Take the completion, or go on", show=False, id="field.complete"),
    ]

    def action_complete(self) -> None:
        """Take it, or go to the next field."""
        if self._suggestion and self.cursor_at_end and self._suggestion != self.value:
            self.action_cursor_right()
        else:
            self.screen.focus_next()
