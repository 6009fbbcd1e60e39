"""scan, ls, show, tags: look at the library."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelhub.catalog.asset import Asset
from modelhub.cli.context import Bold, Context
from modelhub.cli.options import REF_HELP, command
from modelhub.cli.table import facts, table, wrapped
from modelhub.text import human_count, human_size, one_line, plural, shorten

if TYPE_CHECKING:
    from modelhub.cli.options import Commands
    from modelhub.scan.report import ScanReport


def add(commands: Commands) -> None:
    """Add the commands of this group."""
    parser = command(
        commands, "scan", _scan, "Index folders of models, and remember them.", "modelhub scan ~/models --hash fast"
    )
    parser.add_argument(
        "folders",
        metavar="DIR",
        nargs="*",
        type=Path,
        help="a folder; none: the remembered ones, e.g. ~/ComfyUI/models",
    )
    parser.add_argument(
        "--hash",
        choices=("none", "fast", "full"),
        help="what to hash after indexing: nothing, fast = SHA256 and BLAKE3, full = all (default: settings.toml, else "
        "none), e.g. --hash fast",
    )

    parser = command(
        commands,
        "ls",
        _ls,
        "List assets, all or those that a query finds.",
        'modelhub ls kind:lora arch:sdxl -tag:nsfw "two words"',
    )
    parser.add_argument(
        "query", metavar="QUERY", nargs="*", help="words and field:value conditions, e.g. size:>2GB rating:>=4 (a OR b)"
    )
    parser.add_argument(
        "--sort",
        metavar="FIELD",
        default="name",
        help="name (default), size, added, rating, kind, arch, modified, params, dtype, …, e.g. --sort size",
    )
    parser.add_argument("--reverse", action="store_true", help="turn the order round, e.g. --sort size --reverse")
    parser.add_argument("--limit", type=_limit, metavar="N", help="at most N assets, e.g. --limit 20")

    parser = command(
        commands, "show", _show, "Show everything known of an asset, and why.", "modelhub show sd_xl_base_1.0"
    )
    parser.add_argument("ref", metavar="REF", help=REF_HELP)

    command(commands, "tags", _tags, "List all tags with the number of their assets.", "modelhub tags")


def _limit(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number from 1 on")
    return int(text)


def _scan(context: Context) -> int:
    from modelhub.catalog.store import Catalog
    from modelhub.errors import UsageError
    from modelhub.scan.elsewhere import with_elsewhere
    from modelhub.scan.run import scan
    from modelhub.settings import load_settings

    settings = load_settings()
    with Catalog.open() as catalog:
        if not context.args.folders and not catalog.roots():
            raise UsageError("No folder is remembered yet.", "Name one: `modelhub scan ~/models`.")
        mode = context.args.hash or settings.hash
        folders = with_elsewhere(context.args.folders, context.job)
        report = scan(catalog, folders, hashes=mode, workers=settings.workers, job=context.job)
    context.answer(report.as_dict(), lambda: _scan_lines(report))
    return 0


def _scan_lines(report: ScanReport) -> Iterator[str]:
    counted = [
        (report.added, "added"),
        (report.updated, "updated"),
        (report.moved, "moved"),
        (report.missing, "missing"),
        (report.unchanged, "unchanged"),
        (report.hashed, "hashed"),
        (report.links, "links to the same contents"),
    ]
    words = ", ".join(f"{count:,} {word}" for count, word in counted if count)
    yield f"{plural(report.files, 'file')} in {report.seconds:.2f} s{': ' + words if words else ''}"
    if report.unhashed and report.added:
        yield f"{plural(report.unhashed, 'file')} not hashed; `modelhub scan --hash fast` does it, in several goes"
    if report.problems:
        yield f"{plural(len(report.problems), 'problem')}; `modelhub ls problem:yes` lists the files"


def _ls(context: Context) -> int:
    from modelhub.catalog.reading import CatalogReader

    args = context.args
    with CatalogReader.open() as catalog:
        ids = catalog.ids(query_text(args.query), args.sort, reverse=args.reverse)[: args.limit]
        assets = catalog.pages(ids)
        context.answer_each((asset.as_dict() for asset in assets), lambda: asset_rows(assets) if ids else ())
        if not ids:
            empty = "The catalog is empty. Index a folder with `modelhub scan FOLDER`."
            context.say("No asset fits." if catalog.count() else empty)
    return 0


def query_text(words: Iterable[str]) -> str:
    """The query that the words of a shell's command line make."""
    return " ".join(map(_word, words))


def _word(word: str) -> str:
    """A shell word with a space in it was quoted by the user: one phrase, unless it is a query itself."""
    plain = " " in word and not any(mark in word for mark in ':"()') and " OR " not in word and not word.startswith("-")
    return f'"{word}"' if plain else word


def asset_rows(assets: Iterable[Asset]) -> Iterator[str]:
    """The table of `ls`; ✗ marks files that are gone or broken, ~ architectures by structure only."""
    head = ("ID", "NAME", "KIND", "ARCH", "DTYPE", "SIZE", "★", "TAGS")
    rows = (
        (
            f"#{a.id}",
            ("✗ " if a.missing or a.problem else "") + a.name,
            a.kind,
            architecture_words(a),
            a.dtype or "-",
            human_size(a.size),
            str(a.rating or ""),
            " ".join(a.tags),
        )
        for a in assets
    )
    lines = table(head, rows, right=(5,))
    yield Bold(next(lines))
    yield from lines


def architecture_words(asset: Asset) -> str:
    """The architecture with its variant; `~` says that only the structure fits."""
    if asset.architecture is None:
        return "-"
    return (
        asset.architecture
        + (f" {asset.variant}" if asset.variant else "")
        + (" ~" if asset.confidence == "structure" else "")
    )


def _show(context: Context) -> int:
    from modelhub.catalog.reading import CatalogReader
    from modelhub.catalog.refs import resolve

    with CatalogReader.open() as catalog:
        asset = resolve(catalog, context.args.ref)
    context.answer(asset.as_dict(), lambda: _asset_lines(asset))
    return 0


def _asset_lines(asset: Asset) -> Iterator[str]:
    yield Bold(one_line(asset.title or asset.name))
    yield from facts(_asset_facts(asset))
    for conflict in asset.conflicts:
        yield from wrapped(f"contradiction: {one_line(conflict)}", 2)
    if asset.problem:
        yield from wrapped(f"problem: {one_line(asset.problem)}", 2)
    yield from evidence_lines(asset.evidence)


def _asset_facts(asset: Asset) -> list[tuple[str, str]]:
    """Names and values; only notes may have several lines."""
    pairs = [
        ("id", f"#{asset.id}"),
        ("path", str(asset.path) + (" (missing)" if asset.missing else "")),
        ("also at", "  ".join(asset.links)),
        ("size", f"{human_size(asset.size)} ({asset.size:,} bytes)"),
        ("kind", asset.kind),
        ("architecture", architecture_words(asset)),
        ("set by you", override_words(asset)),
        ("format", asset.format),
        ("layout", asset.layout or ""),
        ("prediction", asset.prediction or ""),
        ("dtypes", counted_words(asset.dtypes)),
        ("parameters", human_count(asset.parameters) if asset.parameters else ""),
        ("components", ", ".join(f"{p['role']} ({human_count(p['parameters'])})" for p in asset.components)),
        ("adapter", fact_words(asset.adapter)),
        ("trigger words", ", ".join(asset.trigger_words)),
        ("facts", fact_words(asset.facts)),
        ("tags", " ".join(asset.tags)),
        ("rating", "★" * asset.rating),
        ("source", asset.source or ""),
        *sidecar_facts(asset.sidecar),
        ("confidence", asset.confidence),
        *((name, value or "") for name, value in asset.hashes.items()),
        ("verified", time.strftime("%Y-%m-%d %H:%M", time.localtime(asset.verified)) if asset.verified else ""),
        ("fingerprint", asset.fingerprint or ""),
    ]
    return [*((name, one_line(value)) for name, value in pairs), ("notes", asset.notes)]


def override_words(asset: Asset) -> str:
    """What the user set against the bytes, with what these say."""
    return ", ".join(
        f"{name} {word} (the file says {asset.found.get(name) or 'unknown'})" for name, word in asset.said.items()
    )


#: What to show of a sidecar, and as what.
_SIDECAR = {
    "version": "version", "base_model": "declared base", "creator": "creator", "licence": "licence",
    "tags": "sidecar tags", "negative_words": "negative words", "weight": "preferred weight", "preview": "preview",
    "description": "description",
}  # fmt: skip


def sidecar_facts(sidecar: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What the files beside a model say of it."""
    for name, shown in _SIDECAR.items():
        if name in sidecar:
            yield shown, shorten(_value_words(sidecar[name]).replace("\n", " "), 300)


def counted_words(counts: dict[str, int]) -> str:
    """Dtypes with the number of their elements: `F16 11.8M, I64 77`."""
    return ", ".join(f"{name} {human_count(count)}" for name, count in counts.items())


def fact_words(facts: Mapping[str, Any] | None) -> str:
    """Facts as `name value` pairs; those that say nothing are left out."""
    said = {name: _value_words(value) for name, value in (facts or {}).items() if value not in (0, False)}
    return ", ".join(f"{name.replace('_', ' ')} {words}" for name, words in said.items() if words)


def _value_words(value: Any) -> str:
    if value is None or value is True:
        return "yes" if value else ""
    if isinstance(value, dict):
        return " + ".join(f"{name} ({count})" for name, count in value.items() if count)
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))
    return str(value)


def evidence_lines(evidence: list[dict[str, str]]) -> Iterator[str]:
    """Why: a line per rule that fired, with the tensor and what was found there."""
    if evidence:
        yield "why:"
    for item in evidence:
        what = "  ".join(one_line(part) for part in (item["tensor"], item["found"]) if part)
        yield from wrapped(f"  {one_line(item['rule'])}{': ' + what if what else ''}", 4, whole=False)


def _tags(context: Context) -> int:
    from modelhub.catalog.reading import CatalogReader

    with CatalogReader.open() as catalog:
        tags = catalog.tags()
    context.answer(tags, lambda: (f"{count:6,}  {one_line(tag)}" for tag, count in tags.items()))
    return 0
