"""What the detail pane says of an asset: sections of facts, every text made safe to show."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from modelhub.catalog.architectures import architecture
from modelhub.catalog.asset import PRECISIONS, Asset
from modelhub.catalog.provided import TITLES
from modelhub.errors import BadRecipeError, UnknownModelError
from modelhub.text import human_count, human_size, one_line, plural, printable
from modelhub.tui.detail import values
from modelhub.tui.detail.fact import Fact as Fact
from modelhub.tui.detail.fact import Section as Section
from modelhub.tui.detail.kin_facts import kin_sections, parent_facts

if TYPE_CHECKING:
    from modelhub.tui.detail.kin import Kin

CONFIDENCE = {
    "header": ("proved by names and shapes", "good"),
    "structure": ("by structure; widths are unusual", "warn"),
    "metadata": ("metadata says so", "warn"),
    "name": ("guessed from the file name", "warn"),
    "none": ("not recognised", "bad"),
}


#: What to show of the files beside a model, and as what.
_SIDECAR = {
    "version": "version", "base_model": "declared base", "creator": "creator", "licence": "licence", "tags": "tags",
    "negative_words": "negative", "weight": "weight",
}  # fmt: skip
#: Characters of a description that are shown: as many as are kept of one.
_DESCRIPTION = 4_000
#: Models and steps of a recipe that are shown.
_PARENTS = 12
#: Facts that have a place of their own.
_ELSEWHERE = ("training", "lineage", "declared_base")


def sections(asset: Asset, kin: Kin | None = None) -> Iterator[Section]:
    """The sections that have something to say, the most important first; `kin` are those that the catalog tells."""
    all_sections = (
        Section("", tuple(_head(asset)), labelled=False),
        Section("Identity", tuple(_identity(asset))),
        Section("Yours", tuple(_yours(asset))),
        Section(
            "Trigger words",
            tuple(_triggers(asset.trigger_words)),
            labelled=False,
        ),
        *(kin_sections(kin) if kin else ()),
        Section("Beside it", tuple(_sidecar(asset.sidecar))),
        Section(*_provided(asset)),
        Section("Merged from", tuple(_merge(asset.recipe or "", kin))),
        Section("Components", tuple(_components(asset))),
        Section("Evidence", tuple(_evidence(asset)), labelled=False),
        Section(*_training(asset.facts.get("training"))),
        Section("Adapter", tuple(Fact(name, text) for name, text in values.adapter(asset.adapter or {}).items())),
        Section("Facts", tuple(_pairs(asset.facts, leave=_ELSEWHERE))),
        Section("Hashes", tuple(Fact(name, value, "muted", cut=True) for name, value in asset.hashes.items() if value)),
    )
    return (section for section in all_sections if section.facts)


def _head(asset: Asset) -> Iterator[Fact]:
    yield Fact("", one_line(asset.name), "title", copy=asset.path.stem)
    yield Fact("", one_line(str(asset.path.parent)), "path", copy=str(asset.path))
    for link in asset.links:
        yield Fact("", f"also at {one_line(link)}", "path", copy=link)
    if asset.missing:
        yield Fact("", "✗ The file is gone; its row stays until a scan finds it again.", "bad")
    if asset.problem:
        yield Fact("", f"✗ {printable(asset.problem)}", "bad")
    for conflict in asset.conflicts:
        yield Fact("", f"! {one_line(conflict)}", "warn")


def _identity(asset: Asset) -> Iterator[Fact]:
    yield Fact("kind", asset.kind + _against(asset, "kind"), "good" if asset.kind != "unknown" else "warn")
    if asset.architecture:
        title = _title(asset.architecture)
        yield Fact("arch", f"{asset.architecture}  {title}".rstrip() + _against(asset, "architecture"))
    says, look = CONFIDENCE.get(asset.confidence, (asset.confidence, "warn"))
    yield Fact("confidence", says, look)
    found = (
        ("variant", (asset.variant or "") + _against(asset, "variant")), ("title", asset.title),
        ("lineage", asset.facts.get("lineage")), ("prediction", asset.prediction), ("format", asset.format),
        ("layout", asset.layout), ("dtypes", dtype_words(asset.dtypes)),
        ("parameters", human_count(asset.parameters) if asset.parameters else None), ("size", human_size(asset.size)),
        ("source", asset.source), ("id", f"#{asset.id}"),
    )  # fmt: skip
    yield from (Fact(label, one_line(text)) for label, text in found if text)


def _against(asset: Asset, name: str) -> str:
    """That the user set it, and what the bytes say."""
    return f", set by you; the file says {asset.found.get(name) or 'unknown'}" if name in asset.said else ""


def _title(architecture_id: str) -> str:
    """The title of an architecture, if it is still in the shipped knowledge."""
    try:
        return f"· {architecture(architecture_id).title}"
    except UnknownModelError:
        return ""


def dtype_words(dtypes: dict[str, int]) -> str:
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
        yield Fact("notes", printable(asset.notes), copy=asset.notes)


def _triggers(words: Sequence[str]) -> Iterator[Fact]:
    """All of them in one fact, to be copied together."""
    if words:
        yield Fact("", one_line(", ".join(words)), copy=", ".join(words))


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


def _training(told: object) -> tuple[str, tuple[Fact, ...]]:
    """What the metadata tells: of a training, or just of the file."""
    told = told if isinstance(told, dict) else {}
    return "Training" if "trainer" in told else "Metadata", tuple(_pairs(told))


def _sidecar(sidecar: dict[str, Any]) -> Iterator[Fact]:
    """What the files beside it say, and which files these are."""
    yield from _pairs({shown: sidecar[name] for name, shown in _SIDECAR.items() if name in sidecar})
    if text := str(sidecar.get("description") or "").strip():
        yield Fact("description", printable(text[:_DESCRIPTION] + "…" * (len(text) > _DESCRIPTION)))
    if files := dict.fromkeys((sidecar.get("origin") or {}).values()):
        yield Fact("from", one_line(", ".join(files)), "muted")


def _provided(asset: Asset) -> tuple[str, tuple[Fact, ...]]:
    """What a provider says that no file beside it does, below the provider's name."""
    said = asset.provided
    title = f"On {TITLES.get(said.get('provider', ''), 'the web')}"
    if not said:
        return title, (Fact("looked up", "never", "muted"),) * asset.never_look_up
    more = {name: value for name, value in said.items() if name not in asset.sidecar}
    shown = _pairs({shown: more[name] for name, shown in _SIDECAR.items() if name in more})
    text = printable(str(more.get("description") or "").strip())
    about = (Fact("description", text[:_DESCRIPTION] + "…" * (len(text) > _DESCRIPTION)),) * bool(text)
    return title, (*_asked(said), *shown, *about)


def _asked(said: dict[str, Any]) -> Iterator[Fact]:
    """When the provider was asked, and how it knows the file."""
    if gone := said.get("gone"):
        yield Fact("gone", f"not there any more since {_day(gone)}", "warn")
    if said.get("matched_by") == "autov3":
        yield Fact("known by", "its weights; only the header differs", "muted")
    yield Fact("asked", _day(said.get("at", 0)) + (": it is not known" if said.get("not_found") else ""), "muted")


def _day(at: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(at))


def _pairs(table: dict[str, Any], *, leave: Iterable[str] = ()) -> Iterator[Fact]:
    shown = {name: value for name, value in table.items() if name not in leave}
    return (Fact(name, text) for name, text in values.pairs(shown).items())


def _merge(recipe: str, kin: Kin | None = None) -> Iterator[Fact]:
    """The models of a merge by their letters, and what was done with them; of a foreign recipe only who they are."""
    if not recipe:
        yield from parent_facts(kin.parents if kin else ())
        return
    # not needed by most, and not before the first paint
    from modelhub.merge.recipes.recipe import parse_recipe
    from modelhub.merge.recipes.telling import lora_line, model_names, output_lines, step_line

    try:
        read = parse_recipe(recipe)
    except BadRecipeError as error:
        yield Fact("recipe", f"cannot be read: {printable(error.message)}", "warn")
        return
    names = model_names(read)
    goes = {parent.name: parent.number for parent in kin.parents} if kin else {}
    for key, name in list(names.items())[:_PARENTS]:
        yield Fact(one_line(key), name, "link" if goes.get(name) else "value", goes=goes.get(name, 0))
    if len(names) > _PARENTS:
        yield Fact("", f"and {plural(len(names) - _PARENTS, 'more model')}", "muted")
    for step in read.steps[:_PARENTS]:
        yield Fact(one_line(step.name) or "result", step_line(step))
    yield from (Fact("LoRA", lora_line(lora)) for lora in read.loras[:_PARENTS])
    if rest := ", ".join(output_lines(read)):
        yield Fact("", rest, "muted")


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
