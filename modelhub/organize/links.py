"""Symbolic links that point at an asset follow it when it moves."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from modelhub.catalog.asset import Asset
from modelhub.errors import file_error


@dataclass(frozen=True, slots=True)
class Relink:
    """A symbolic link, what it says, and what it is to say."""

    link: Path
    before: str
    after: str

    def back(self) -> Relink:
        """The way back."""
        return Relink(self.link, self.after, self.before)

    def plain(self) -> list[str]:
        """As the journal keeps it."""
        return [str(self.link), self.before, self.after]


def pointing_at(asset: Asset, new: Path) -> Iterator[Relink]:
    """The links in the catalog that point at an asset's path by name, and what each is to say when it is at `new`."""
    for path in map(Path, asset.links):
        if not path.is_symlink():
            continue
        before = str(path.readlink())
        folder = path.parent.resolve()
        if os.path.normpath(folder / before) not in (str(asset.path), os.path.realpath(asset.path)):
            continue
        relative = not os.path.isabs(before)  # noqa: PTH117
        yield Relink(path, before, os.path.relpath(new, folder) if relative else str(new))


def relink(one: Relink) -> None:
    """Have a link point elsewhere, in one step; one that says something else by now stays. Raises FileError."""
    if not one.link.is_symlink() or str(one.link.readlink()) != one.before:
        return
    part = one.link.with_name(f".{secrets.token_hex(8)}.part")
    try:
        part.symlink_to(one.after)
        part.replace(one.link)
    except OSError as error:
        raise file_error(error, one.link) from error
    finally:
        part.unlink(missing_ok=True)
