"""What a file is, in words: components, adapters, facts of a training, and why. All of it comes from files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from modelhub.cli.table import wrapped
from modelhub.text import few, human_count, one_line, plural

if TYPE_CHECKING:
    from modelhub.catalog.asset import Asset
    from modelhub.catalog.parents import Ancestor

Pair = tuple[str, str]

#: Longer texts get a line of their own; numbers from here on are shown as 11.9B.
_LONG, _BIG = 48, 10_000
#: Ranks of an adapter that are named; many have another one for every layer.
_RANKS = 4


def architecture_words(asset: Asset) -> str:
    """The architecture with its variant; `~` says that only the structure fits."""
    if asset.architecture is None:
        return "-"
    return (
        asset.architecture
        + (f" {asset.variant}" if asset.variant else "")
        + (" ~" if asset.confidence == "structure" else "")
    )


def counted_words(counts: Mapping[str, int]) -> str:
    """Dtypes with the number of their elements: `F16 11.8M, I64 77`."""
    return ", ".join(f"{name} {human_count(count)}" for name, count in counts.items())


def component_words(components: Sequence[Mapping[str, Any]]) -> str:
    """`denoiser sd1 (859.5M), vae kl-f8-4ch (83.7M)`."""
    return ", ".join(
        " ".join(filter(None, (part["role"], part["architecture"], f"({human_count(part['parameters'])})")))
        for part in components
    )


def adapter_words(adapter: Mapping[str, Any] | None) -> str:
    """`lora of rank 8; 264 modules: attention 192, te1 72; with alpha`: what `catalog.adapter_facts` found."""
    return "; ".join(_adapter(adapter)) if adapter else ""


def _adapter(adapter: Mapping[str, Any]) -> Iterator[str]:
    yield " + ".join(adapter.get("algorithm", ())) + _ranks(adapter.get("rank", {}))
    yield f"{plural(adapter.get('modules', 0), 'module')}: {_counts(adapter.get('parts', {}))}"
    flags = [name for name in ("alpha", "conv", "dora") if adapter.get(name)]
    yield from [f"with {', '.join(flags)}"] if flags else ()
    if len(adapter.get("bases", ())) > 1:
        yield f"fits {' or '.join(adapter['bases'])}"
    for name, word in (("also", "also fits"), ("excluded", "not for"), ("embeddings", "with embeddings")):
        yield from [f"{word} {', '.join(adapter[name])}"] if adapter.get(name) else ()
    for name, channels in (adapter.get("input_channels") or {}).items():
        yield f"{name} takes {channels} channels"
    if adapter.get("incomplete"):
        yield f"{plural(adapter['incomplete'], 'module')} incomplete, as {adapter['incomplete_modules'][0]}"


def _ranks(ranks: Mapping[str, int]) -> str:
    if len(ranks) < 2:
        return "".join(f" of rank {rank}" for rank in ranks)
    few = dict(list(ranks.items())[:_RANKS])
    return f" of ranks {_counts(few)}" + (f" and {len(ranks) - _RANKS} others" if len(ranks) > _RANKS else "")


def _counts(counts: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} ({_value(count)})" for name, count in counts.items())


def fact_rows(facts: Mapping[str, Any], name: str = "facts") -> Iterator[Pair]:
    """Facts for `cli.table.facts`: short ones together under `name`; long texts and tables in rows of their own.

    What says nothing (0, no, empty) is left out.
    """
    said = {key.replace("_", " "): value for key, value in facts.items() if value not in (None, 0, False, "", [], {})}
    own = {key: value for key, value in said.items() if isinstance(value, dict) or len(_value(value)) > _LONG}
    short = (key if value is True else f"{key} {_value(value)}" for key, value in said.items() if key not in own)
    yield name, ", ".join(short)
    for key, value in own.items():
        row = f"{name} tags" if key == "tags" else key  # the user has tags, too
        if isinstance(value, dict) and not _is_counts(value):
            yield from fact_rows(value, row)
        else:
            yield row, _counts(value) if isinstance(value, dict) else _value(value)


def _is_counts(table: Mapping[str, Any]) -> bool:
    return all(type(count) is int for count in table.values()) and bool(table)


def _value(value: Any) -> str:
    if type(value) is int:
        return human_count(value) if value >= _BIG else str(value)
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def merged_row(parents: Sequence[Ancestor]) -> Pair:
    """The models that a merge was made of, for `cli.table.facts`: `deep, base; modelhub lineage tells how`."""
    names = [one.name or one.sha256[:10] for one in parents if one.depth == 1]
    return "merged from", f"{few(names)}; `modelhub lineage` tells how" if names else ""


def evidence_lines(evidence: Sequence[Mapping[str, str]]) -> Iterator[str]:
    """Why: a line per rule that fired, with the tensor and what was found there."""
    if evidence:
        yield "why:"
    for item in evidence:
        what = "  ".join(one_line(part) for part in (item["tensor"], item["found"]) if part)
        yield from wrapped(f"  {one_line(item['rule'])}{': ' + what if what else ''}", 4, whole=False)


def say_what_it_is(ref: str) -> str:
    """How the user can say what an unknown file is, named by `ref`."""
    return (
        f"not known? Say what it is: modelhub set {ref} --kind KIND --architecture NAME\n"
        "add --same-layout to say it of all files with this fingerprint"
    )
