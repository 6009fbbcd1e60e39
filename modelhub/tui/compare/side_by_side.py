"""Side by side: what is known of two or three assets in rows, one value for each, and which rows differ."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from modelhub.catalog.asset import Asset
from modelhub.formats.header import Header, TensorInfo
from modelhub.organize.compare import prefixes
from modelhub.organize.headers import HeaderComparison, Key, compare_headers
from modelhub.text import human_count, human_size, one_line, plural
from modelhub.tui.detail import values
from modelhub.tui.detail.facts import dtype_words

#: Tensors of one section that are shown by name, and characters of a value.
_NAMED, _LONGEST = 300, 2_000


class SideRow(NamedTuple):
    """A label, and a value for each asset, "" where one has none; `is_known`: where that means that there is none."""

    label: str
    values: tuple[str, ...]
    is_known: bool = True

    @property
    def differs(self) -> bool:
        """Whether the values are not all the same; a hash that was never made is no difference."""
        return len(set(self.values) if self.is_known else set(self.values) - {""}) > 1


class SideSection(NamedTuple):
    """A title and rows."""

    title: str
    rows: tuple[SideRow, ...]


def catalog_sections(assets: Sequence[Asset]) -> list[SideSection]:
    """What the catalog tells of them."""
    return [
        _section("Identity", [_identity(asset) for asset in assets]),
        _section("Yours", [_yours(asset) for asset in assets]),
        _section("Components", [_components(asset) for asset in assets]),
        _section("Adapter", [values.adapter(asset.adapter or {}) for asset in assets]),
        _section("Training", [_training(asset) for asset in assets]),
        _hashes(assets),
    ]


def _section(title: str, tables: Sequence[Mapping[str, str]]) -> SideSection:
    names = dict.fromkeys(name for table in tables for name in table)
    rows = (SideRow(name, tuple(table.get(name, "") for table in tables)) for name in names)
    return SideSection(title, tuple(row for row in rows if any(row.values)))


def _hashes(assets: Sequence[Asset]) -> SideSection:
    found = _section("Hashes", [{name: text or "" for name, text in asset.hashes.items()} for asset in assets])
    return SideSection(found.title, tuple(row._replace(is_known=False) for row in found.rows))


def _identity(asset: Asset) -> dict[str, str]:
    return {
        "folder": one_line(str(asset.path.parent)),
        "kind": asset.kind,
        "architecture": asset.architecture or "",
        "variant": asset.variant or "",
        "title": one_line(asset.title or ""),
        "lineage": one_line(str(asset.facts.get("lineage") or "")),
        "prediction": asset.prediction or "",
        "format": asset.format,
        "layout": asset.layout or "",
        "dtypes": dtype_words(asset.dtypes),
        "parameters": human_count(asset.parameters) if asset.parameters else "",
        "size": f"{human_size(asset.size)} ({asset.size:,} bytes)",
        "fingerprint": asset.fingerprint or "",
        "source": one_line(asset.source or ""),
        "trigger words": one_line(", ".join(asset.trigger_words)),
    }


def _yours(asset: Asset) -> dict[str, str]:
    return {"stars": "★" * asset.rating, "tags": " ".join(asset.tags), "notes": one_line(asset.notes)}


def _components(asset: Asset) -> dict[str, str]:
    return {
        one_line(str(part.get("role", ""))): one_line(
            f"{part.get('architecture') or ''}  {human_count(part.get('parameters'))} in "
            f"{plural(part.get('tensors') or 0, 'tensor')}"
        ).strip()
        for part in asset.components
    }


def _training(asset: Asset) -> dict[str, str]:
    told = asset.facts.get("training")
    return values.pairs(told) if isinstance(told, dict) else {}


# -- headers -----------------------------------------------------------------------------------------------------------


def header_sections(assets: Sequence[Asset], headers: Sequence[Header]) -> list[SideSection]:
    """What their headers tell: tensors, and the text of their metadata."""
    found = compare_headers(headers, [prefixes(asset) for asset in assets])
    tables = [{one_line(key): one_line(text)[:_LONGEST] for key, text in header.metadata.items()} for header in headers]
    return [
        SideSection("Tensors", tuple(_counts(found))),
        SideSection("Other shapes", tuple(_some(found.shapes))),
        SideSection("Only in some", tuple(_some(found.lacking))),
        _section("Metadata", tables),
    ]


def _counts(found: HeaderComparison) -> Iterator[SideRow]:
    models = range(len(found.counts))
    yield SideRow("tensors", tuple(f"{count:,}" for count in found.counts))
    yield SideRow("in common", (f"{found.common:,}",) * len(found.counts))
    yield SideRow("only here", tuple(_roles(found.only(number)) for number in models))
    if found.shapes:
        yield SideRow("other shapes", (f"{len(found.shapes):,}",) * len(found.counts))
    for dtypes, count in found.dtypes.items():
        yield SideRow(f"{count:,} stored as", dtypes)


def _roles(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {one_line(role or 'other')}" for role, count in counts.items()) or "0"


def _some(tensors: Mapping[Key, Sequence[TensorInfo | None]]) -> Iterator[SideRow]:
    for (role, name), infos in islice(tensors.items(), _NAMED):
        yield SideRow(one_line(f"{role}: {name}" if role else name), tuple(map(_tensor, infos)))
    if len(tensors) > _NAMED:
        yield SideRow(f"and {len(tensors) - _NAMED:,} more", ("",) * len(next(iter(tensors.values()))))


def _tensor(info: TensorInfo | None) -> str:
    return "" if info is None else f"{info.dtype} {list(info.shape)}"


def differing(sections: Iterable[SideSection]) -> list[SideSection]:
    """Only the rows that differ, and the sections that have any."""
    left = (SideSection(one.title, tuple(row for row in one.rows if row.differs)) for one in sections)
    return [section for section in left if section.rows]
