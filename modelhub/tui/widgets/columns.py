"""The columns of the list of assets, and which of them fit into a width."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from modelhub.catalog.asset import Asset
from modelhub.text import human_size

#: Kinds that are too long for a narrow column.
SHORT_KINDS = {
    "diffusion-model": "diffusion", "text-encoder": "text enc", "t2i-adapter": "t2i-adapt", "hypernetwork": "hypernet",
    "clip-vision": "clip-vis", "motion-module": "motion",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its heading, the sort of the catalog behind it ("" for none), and what it shows of an asset.

    `falls`: the catalog puts the largest first.
    """

    name: str
    title: str
    sort: str
    width: int
    text: Callable[[Asset, int], str]
    right: bool = False
    falls: bool = False


def _kind(asset: Asset, width: int) -> str:
    return asset.kind if len(asset.kind) <= width else SHORT_KINDS.get(asset.kind, asset.kind)


COLUMNS = (
    Column("name", "Name", "name", 22, lambda asset, _: asset.name.removesuffix(".safetensors")),
    Column("kind", "Kind", "kind", 10, _kind),
    Column("arch", "Arch", "architecture", 7, lambda asset, _: asset.architecture or "-"),
    Column("dtype", "Dtype", "dtype", 5, lambda asset, _: asset.dtype or "-"),
    Column("size", "Size", "size", 8, lambda asset, _: human_size(asset.size), right=True, falls=True),
    Column("rating", "Stars", "rating", 5, lambda asset, _: "★" * asset.rating, falls=True),
    Column("tags", "Tags", "", 10, lambda asset, _: " ".join(asset.tags)),
)
_FIRST = ("kind", "arch", "size", "rating", "tags", "dtype")
_GAP = 2
_ROOMY = 34


def layout(width: int) -> list[tuple[Column, int]]:
    """The columns that fit into `width` and the width of each; with the gaps between them they fill it exactly.

    The name keeps 22 columns and takes what is left; where there is plenty, kinds and tags get more.
    """
    widths = {"name": width}
    by_name = {column.name: column for column in COLUMNS}
    for name in _FIRST:
        rest = widths["name"] - by_name[name].width - _GAP
        if rest < by_name["name"].width:
            break
        widths |= {name: by_name[name].width, "name": rest}
    _spread(widths)
    return [(column, widths[column.name]) for column in COLUMNS if column.name in widths]


def _spread(widths: dict[str, int]) -> None:
    """Give room that the name does not need to kind, architecture and tags."""
    for name, most in (("kind", 15), ("arch", 12), ("tags", 32)):
        spare = widths["name"] - _ROOMY
        if name in widths and spare > 0:
            more = min(most - widths[name], spare)
            widths[name] += more
            widths["name"] -= more
