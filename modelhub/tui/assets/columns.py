"""The columns that a list of assets may have: what each shows, and the sort of the catalog behind it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from modelhub.catalog.asset import Asset
from modelhub.text import human_count, human_size

#: Kinds that are too long for a narrow column.
SHORT_KINDS = {
    "diffusion-model": "diffusion", "text-encoder": "text enc", "t2i-adapter": "t2i-adapt", "hypernetwork": "hypernet",
    "clip-vision": "clip-vis", "motion-module": "motion",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its heading, the sort of the catalog behind it, what it shows of an asset, and what it is.

    `width`: what it needs at least, `most`: what it is given at most. `falls`: the catalog puts the largest first.
    """

    name: str
    title: str
    sort: str
    width: int
    most: int
    text: Callable[[Asset, int], str]
    help: str
    right: bool = False
    falls: bool = False


def _kind(asset: Asset, width: int) -> str:
    return asset.kind if len(asset.kind) <= width else SHORT_KINDS.get(asset.kind, asset.kind)


def _day(seconds: float) -> str:
    """2026-01-31; nothing for what no calendar knows."""
    try:
        return time.strftime("%Y-%m-%d", time.localtime(seconds)) if seconds > 0 else ""
    except (ValueError, OverflowError, OSError):
        return ""


def _declared(name: str) -> Callable[[Asset, int], str]:
    """What a sidecar says, else a provider."""
    return lambda asset, _: str(asset.sidecar.get(name) or asset.provided.get(name) or "")


def _state(asset: Asset) -> str:
    return asset.problem_code or asset.problem or "" if asset.problem else "missing" if asset.missing else ""


_NAMED = (
    Column("name", "Name", "name", 22, 400, lambda asset, _: asset.name.removesuffix(".safetensors"), "file name"),
    Column("title", "Title", "title", 12, 40, lambda asset, _: asset.title or "", "what its maker calls it"),
    Column("folder", "Folder", "path", 12, 40, lambda asset, _: str(asset.path.parent), "where it lies"),
)
_IDENTITY = (
    Column("kind", "Kind", "kind", 10, 15, _kind, "checkpoint, lora, vae, …"),
    Column("arch", "Arch", "architecture", 7, 14, lambda asset, _: asset.architecture or "-", "sd1, sdxl, flux1, …"),
    Column("variant", "Variant", "variant", 7, 12, lambda asset, _: asset.variant or "", "inpaint, pix2pix, fill, …"),
    Column("prediction", "Pred", "prediction", 7, 10, lambda asset, _: asset.prediction or "", "epsilon, v, flow"),
    Column("dtype", "Dtype", "dtype", 5, 8, lambda asset, _: asset.dtype or "-", "precision: fp16, bf16, …"),
    Column("format", "Format", "format", 6, 11, lambda asset, _: asset.format, "safetensors, pickle, …"),
    Column("layout", "Layout", "layout", 6, 10, lambda asset, _: asset.layout or "", "key naming"),
    Column(
        "params", "Params", "params", 7, 8, lambda asset, _: human_count(asset.parameters), "parameters", True, True
    ),
)
_YOURS = (
    Column("rating", "Stars", "rating", 5, 5, lambda asset, _: "★" * asset.rating, "yours", falls=True),
    Column("tags", "Tags", "tags", 6, 32, lambda asset, _: " ".join(asset.tags), "yours"),
    Column("notes", "Notes", "notes", 10, 40, lambda asset, _: asset.notes, "yours"),
)
_TOLD = (
    Column("trigger", "Trigger", "trigger", 8, 32, lambda asset, _: ", ".join(asset.trigger_words), "trigger words"),
    Column("base", "Base", "base", 7, 16, _declared("base_model"), "base model, as a page or sidecar says"),
    Column("creator", "Creator", "creator", 7, 16, _declared("creator"), "who made it, as a page or sidecar says"),
)
_FILE = (
    Column(
        "size", "Size", "size", 7, 8, lambda asset, _: human_size(asset.size), "of the file", right=True, falls=True
    ),
    Column("added", "Added", "added", 10, 10, lambda asset, _: _day(asset.added), "to the catalog", falls=True),
    Column(
        "modified", "Modified", "modified", 10, 10, lambda asset, _: _day(asset.stat.modified / 1e9), "on disk",
        falls=True,
    ),
    Column("sha256", "SHA256", "sha256", 10, 10, lambda asset, _: (asset.sha256 or "")[:10], "its first digits"),
    Column("state", "State", "problem", 7, 16, lambda asset, _: _state(asset), "missing, or why it cannot be read"),
    Column("id", "Id", "id", 5, 8, lambda asset, _: f"#{asset.id}", "number in the catalog", right=True),
)  # fmt: skip
#: All of them, by name.
COLUMNS = {column.name: column for column in (*_NAMED, *_IDENTITY, *_YOURS, *_TOLD, *_FILE)}
#: What is shown until the user chooses.
USUAL = ("name", "kind", "arch", "size", "rating", "tags", "dtype")

_GAP = 2
#: What the name gets before other columns get more than they need at least.
_ROOMY = 34


def chosen(names: Iterable[object]) -> tuple[Column, ...]:
    """The columns of these names, in their order; unknown ones are left out, and the name is always there."""
    found = [COLUMNS[name] for name in dict.fromkeys(names) if isinstance(name, str) and name in COLUMNS]
    return tuple(found) if COLUMNS["name"] in found else (COLUMNS["name"], *found)


def measure(columns: Iterable[Column], assets: Iterable[Asset]) -> dict[str, int]:
    """Columns that the content of these assets needs, by name."""
    from modelhub.text import one_line, width

    assets = list(assets)
    return {
        column.name: max((width(one_line(column.text(asset, column.most))) for asset in assets), default=0)
        for column in columns
    }


def layout(width: int, columns: tuple[Column, ...], needs: dict[str, int]) -> list[tuple[Column, int]]:
    """The columns that fit into `width` and the width of each; with the gaps between them they fill it exactly.

    What does not fit is left out, the last first; the name keeps what it needs at least, and takes what is left.
    """
    name = COLUMNS["name"]
    room, shown = width - name.width, [name]
    for column in columns:
        if column is name:
            continue
        room -= column.width + _GAP
        if room < 0:
            break
        shown.append(column)
    return _spread(width, sorted(shown, key=columns.index), needs)


def _spread(width: int, shown: list[Column], needs: dict[str, int]) -> list[tuple[Column, int]]:
    """Room for what the contents need: first some for the name, then for the others in their order."""
    widths = {column.name: column.width for column in shown}
    spare = width - sum(widths.values()) - _GAP * (len(shown) - 1)
    for column in sorted(shown, key=lambda one: one.name != "name"):
        most = _ROOMY if column.name == "name" else column.most
        more = min(spare, max(0, min(needs.get(column.name, 0), most) - widths[column.name]))
        widths[column.name] += more
        spare -= more
    widths["name"] += spare
    return [(column, widths[column.name]) for column in shown]
