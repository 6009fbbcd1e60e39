"""What a converted file takes over from the asset that it was made of, and whether that one may go."""

from __future__ import annotations

from pathlib import Path

from modelhub.catalog.asset import Asset
from modelhub.catalog.store import Catalog
from modelhub.convert.conversion import Conversion
from modelhub.convert.precision import OVERFLOWED
from modelhub.formats.sidecars.files import sidecars_of, stem_of


def hand_over(catalog: Catalog, old: Asset, new: int) -> None:
    """Give the asset `new` the tags, stars, notes and corrections of `old`; what it has itself stays."""
    with catalog.atomic():
        own = catalog.get(new)
        catalog.tag([new], add=old.tags)
        if old.rating and not own.rating:
            catalog.rate(new, old.rating)
        notes = "\n".join(dict.fromkeys(text for text in (own.notes, old.notes) if text))
        if notes != own.notes:
            catalog.note(new, notes)
        missing = {name: word for name, word in old.said.items() if name not in own.said}
        if missing:
            catalog.override([new], missing)


def why_stays(conversion: Conversion, path: Path, goal: Path, *, wished: bool = False) -> str:
    """Why the original has to stay though it was converted, as a sentence; "" when nothing of it would be missed.

    A salvaged file may go, dangerous as it is; one that holds weights, or a form, that the result lacks may not, unless
    it was `wished` that these are left out.
    """
    if path.is_dir():
        return "It is a folder, with configs that one file does not hold."
    if conversion.losses:
        return conversion.losses[0]
    if any(OVERFLOWED in warning for warning in conversion.afterwards()):
        return "Some of its numbers did not fit the precision."
    dropped = [one.what for one in conversion.parts if one.action == "drop"]
    if not wished and any(not what.startswith("token numbers") for what in dropped):
        return "Some of its tensors are not in the result."
    if sidecars_of(path) and (goal.parent, stem_of(goal)) != (path.parent, stem_of(path)):
        return "The files beside it belong to its name and place, and would go with it."
    return ""
