"""What the user says of assets, with a way back: tags, stars, notes, and what a file is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from modelhub.catalog import journal
from modelhub.catalog.asset import Asset
from modelhub.catalog.store import Catalog
from modelhub.errors import NotFoundError
from modelhub.organize.entries import names
from modelhub.text import one_line, shorten


def tag(catalog: Catalog, ids: Iterable[int], add: Iterable[str] = (), remove: Iterable[str] = ()) -> int | None:
    """Add and remove tags, as one entry of the journal; None if nothing changed. Raises UsageError."""
    add, remove = list(add), list(remove)
    said = " ".join([*(f"+{word.strip()}" for word in add), *(f"-{word.strip()}" for word in remove)])
    return _say(
        catalog, "tag", f"Tagged {{}}: {said}", ids, lambda numbers: catalog.tag(numbers, add, remove), _tags_of
    )


def rate(catalog: Catalog, ids: Iterable[int], rating: int) -> int | None:
    """Give stars to assets, as one entry of the journal; None if nothing changed. Raises UsageError, NotFoundError."""

    def change(numbers: Sequence[int]) -> None:
        for number in numbers:
            catalog.rate(number, rating)

    return _say(catalog, "rate", f"Rated {{}}: {rating}", ids, change, lambda asset: asset.rating)


def note(catalog: Catalog, number: int, text: str) -> int | None:
    """Write a note, as an entry of the journal; None if nothing changed. Raises UsageError, NotFoundError."""
    return notes(catalog, [number], text)


def notes(catalog: Catalog, ids: Iterable[int], text: str) -> int | None:
    """Write the same note on several, as one entry; None if nothing changed. Raises UsageError, NotFoundError."""

    def change(numbers: Sequence[int]) -> None:
        for number in numbers:
            catalog.note(number, text)

    return _say(catalog, "note", "Noted on {}", ids, change, lambda asset: asset.notes)


def override(catalog: Catalog, ids: Iterable[int], said: Mapping[str, str]) -> int | None:
    """Say what files are ("" takes a word back), as one entry; None if nothing changed. Raises UsageError."""
    words = ", ".join(f"{name} {word or 'auto'}" for name, word in said.items())
    return _say(
        catalog,
        "set",
        f"Set {{}}: {words}",
        ids,
        lambda numbers: catalog.override(numbers, said),
        lambda asset: dict(asset.said),
    )


def _tags_of(asset: Asset) -> list[str]:
    return asset.tags


def _say(
    catalog: Catalog,
    action: str,
    summary: str,
    ids: Iterable[int],
    change: Callable[[Sequence[int]], None],
    value: Callable[[Asset], Any],
) -> int | None:
    """Make a change and write down what changed on which asset: id, time it was added, value before and after.

    An id may come to name another asset after its row is gone; the time tells them apart.
    """
    numbers = list(dict.fromkeys(ids))
    with catalog.atomic():
        before = catalog.assets(numbers)
        if len(before) < len(numbers):
            lost = min(set(numbers) - {asset.id for asset in before})
            raise NotFoundError(f"There is no asset #{lost}.", "List them with `modelhub ls`.")
        change(numbers)
        after = catalog.assets(numbers)
        changed = [(a, value(a), value(b)) for a, b in zip(before, after, strict=True) if value(a) != value(b)]
        if not changed:
            return None
        who = names([asset.name for asset, _, _ in changed])
        details = {"assets": [[asset.id, asset.added, old, new] for asset, old, new in changed]}
        return journal.write(catalog, action, shorten(one_line(summary.replace("{}", who)), 300), details)
