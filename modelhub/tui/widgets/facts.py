"""What the detail pane says of an asset: sections of facts, every text made safe to show."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from modelhub.catalog.architectures import architecture
from modelhub.catalog.asset import PRECISIONS, Asset
from modelhub.errors import UnknownModelError
from modelhub.text import human_count, human_size, one_line, plural, printable

CONFIDENCE = {
    "header": ("proved by names and shapes", "good"),
    "structure": ("by structure; widths are unusual", "warn"),
    "metadata": ("metadata says so", "warn"),
    "name": ("guessed from the file name", "warn"),
    "none": ("not recognised", "bad"),
}


#: What to show of the files beside a model.
_SIDECAR = ("version", "base_model", "creator", "licence", "tags", "negative_words", "weight", "description")


@dataclass(frozen=True, slots=True)
class Fact:
    """A label and a text; `look` is how it is drawn, `cut` keeps it on one line."""

    label: str
    text: str
    look: str = "value"
    cut: bool = False
    indent: int = 0


@dataclass(frozen=True, slots=True)
class Section:
    """A title and facts; without labels they are lines of text."""

    title: str
    facts: tuple[Fact, ...]
    labelled: bool = True


def sections(asset: Asset) -> Iterator[Section]:
    """The sections that have something to say, the most important first."""
    all_sections = (
        Section("", tuple(_head(asset)), labelled=False),
        Section("Identity", tuple(_identity(asset))),
        Section("Yours", tuple(_yours(asset))),
        Section(
            "Trigger words",
            (Fact("", one_line(", ".join(asset.trigger_words))),) * bool(asset.trigger_words),
            labelled=False,
        ),
        Section("Beside it", tuple(_pairs({name: asset.sidecar[name] for name in _SIDECAR if name in asset.sidecar}))),
        Section("Components", tuple(_components(asset))),
        Section("Evidence", tuple(_evidence(asset)), labelled=False),
        Section("Adapter", tuple(_pairs(asset.adapter or {}))),
        Section("Facts", tuple(_pairs(asset.facts))),
        Section("Hashes", tuple(Fact(name, value, "muted", cut=True) for name, value in asset.hashes.items() if value)),
    )
    return (section for section in all_sections if section.facts)


def _head(asset: Asset) -> Iterator[Fact]:
    yield Fact("", one_line(asset.name), "title")
    yield Fact("", one_line(str(asset.path.parent)), "path")
    for link in asset.links:
        yield Fact("", f"also at {one_line(link)}", "path")
    if asset.missing:
        yield Fact("", "✗ The file is gone; its row stays until a scan finds it again.", "bad")
    if asset.problem:
        yield Fact("", f"✗ {printable(asset.problem)}", "bad")
    for conflict in asset.conflicts:
        yield Fact("", f"! {one_line(conflict)}", "warn")


def _identity(asset: Asset) -> Iterator[Fact]:
    yield Fact("kind", asset.kind, "good" if asset.kind != "unknown" else "warn")
    if asset.architecture:
        yield Fact("arch", f"{asset.architecture}  {_title(asset.architecture)}".rstrip())
    says, look = CONFIDENCE.get(asset.confidence, (asset.confidence, "warn"))
    yield Fact("confidence", says, look)
    found = (
        ("variant", asset.variant), ("title", asset.title), ("prediction", asset.prediction), ("format", asset.format),
        ("layout", asset.layout), ("dtypes", _dtypes(asset.dtypes)),
        ("parameters", human_count(asset.parameters) if asset.parameters else None), ("size", human_size(asset.size)),
        ("source", asset.source), ("merge", "carries its recipe" if asset.recipe else None), ("id", f"#{asset.id}"),
    )  # fmt: skip
    yield from (Fact(label, one_line(text)) for label, text in found if text)


def _title(architecture_id: str) -> str:
    """The title of an architecture, if it is still in the shipped knowledge."""
    try:
        return f"· {architecture(architecture_id).title}"
    except UnknownModelError:
        return ""


def _dtypes(dtypes: dict[str, int]) -> str:
    """`fp16`, `fp16 98 %, fp32 2 %`, `fp16, traces of i64`: by number of elements."""
    whole = sum(dtypes.values()) or 1
    shares = {PRECISIONS.get(name, name.lower()): count / whole for name, count in dtypes.items()}
    ordered = sorted(shares, key=lambda name: -shares[name])
    many = [name for name in ordered if shares[name] >= 0.005]
    few = ", ".join(name for name in ordered if shares[name] < 0.005)
    text = many[0] if len(many) == 1 else ", ".join(f"{name} {shares[name]:.0%}" for name in many)
    return f"{text}, traces of {few}" if few else text


def _yours(asset: Asset) -> Iterator[Fact]:
    yield Fact("stars", "★" * asset.rating + "☆" * (5 - asset.rating), "star" if asset.rating else "muted")
    yield Fact("tags", " ".join(f"#{one_line(tag)}" for tag in asset.tags) or "none", "tag" if asset.tags else "muted")
    if asset.notes:
        yield Fact("notes", printable(asset.notes))
    for name, word in asset.said.items():
        yield Fact(name, f"{word}, set by you; the file says {asset.found.get(name) or 'unknown'}")


def _components(asset: Asset) -> Iterator[Fact]:
    for part in asset.components:
        words = (
            part.get("architecture"),
            f"{human_count(part.get('parameters'))} in {plural(part.get('tensors') or 0, 'tensor')}",
        )
        yield Fact(
            one_line(str(part.get("role", ""))).replace("text_encoder", "text enc."),
            one_line("  ".join(word for word in words if word)),
        )


def _pairs(table: dict[str, Any]) -> Iterator[Fact]:
    for name, value in table.items():
        yield Fact(one_line(str(name)).replace("_", " "), one_line(_short(value)))


def _short(value: Any) -> str:
    """A value of a fact in few words."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_short(inner)}" for name, inner in value.items())
    if isinstance(value, str) or not isinstance(value, Iterable):
        return f"{value:g}" if isinstance(value, float) else str(value)
    return (" × " if all(type(inner) is int for inner in value) else ", ").join(map(_short, value))


def _evidence(asset: Asset) -> Iterator[Fact]:
    """Each rule once, and below it the tensors that it looked at."""
    for rule, reasons in groupby(asset.evidence, key=lambda reason: reason.get("rule", "")):
        if rule == asset.problem:
            continue
        yield Fact("", f"▪ {one_line(rule)}", "rule")
        for reason in reasons:
            tensor, found = one_line(reason.get("tensor", "")), one_line(reason.get("found", ""))
            if tensor:
                yield Fact("", tensor, "muted", indent=2)
            if found:
                yield Fact("", found, indent=2)
