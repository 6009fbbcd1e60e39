"""Trash in the interface: what is asked before, and what is said after."""

from __future__ import annotations

from collections.abc import Sequence

from modelhub.catalog.asset import Asset
from modelhub.catalog.store import Catalog
from modelhub.jobs import Job
from modelhub.organize.trash import trash
from modelhub.text import human_size, one_line, plural
from modelhub.tui.screens.dialogs import ConfirmDialog

_NAMED = 8


def trash_question(assets: Sequence[Asset]) -> ConfirmDialog:
    """Names and sizes of what is to go."""
    lines = [f"{one_line(asset.name)}  {human_size(asset.size)}" for asset in assets[:_NAMED]]
    if len(assets) > _NAMED:
        lines.append(f"and {plural(len(assets) - _NAMED, 'more', 'more')}")
    total = f", {human_size(sum(asset.size for asset in assets))} in all" if len(assets) > 1 else ""
    what = plural(len(assets), "asset")
    text = "\n".join([*lines, "", f"{what}{total}, with sidecars and links. u brings them back."])
    return ConfirmDialog("Move to the trash", text, f"Move {what}")


def to_trash(catalog: Catalog, assets: Sequence[Asset], job: Job) -> str:
    """Move assets to the trash; what was done, in words."""
    report = trash(catalog, assets, job)
    name = one_line(assets[0].name) if len(assets) == 1 else plural(len(assets), "asset")
    return f"Moved {name} to the trash: {plural(len(report.files), 'file')}, {human_size(report.freed)}. u undoes it."
