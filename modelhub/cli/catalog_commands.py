"""scan, ls, show, tags: look at the library."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from modelhub.cli.context import Bold, Context
from modelhub.cli.identity_words import architecture_words, say_what_it_is
from modelhub.cli.options import REF_HELP, command, number_from_1
from modelhub.cli.table import table
from modelhub.text import human_size, one_line, plural

if TYPE_CHECKING:
    from modelhub.catalog.asset import Asset
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
    parser.add_argument("--limit", type=number_from_1(), metavar="N", help="at most N assets, e.g. --limit 20")

    parser = command(
        commands, "show", _show, "Show everything known of an asset, and why.", "modelhub show sd_xl_base_1.0"
    )
    parser.add_argument("ref", metavar="REF", help=REF_HELP)

    command(commands, "tags", _tags, "List all tags with the number of their assets.", "modelhub tags")


def _scan(context: Context) -> int:
    from modelhub.catalog.store import Catalog
    from modelhub.errors import CancelledError, UsageError
    from modelhub.scan.elsewhere import with_elsewhere
    from modelhub.scan.run import scan
    from modelhub.settings import load_settings

    settings = load_settings()
    with Catalog.open() as catalog:
        if not context.args.folders and not catalog.roots():
            raise UsageError("No folder is remembered yet.", "Name one: `modelhub scan ~/models`.")
        mode = context.args.hash or settings.hash
        folders = with_elsewhere(context.args.folders, context.job)
        try:
            report = scan(catalog, folders, hashes=mode, workers=settings.workers, job=context.job)
        except CancelledError:
            hint = "The next scan goes on there."
            raise CancelledError("Stopped; what was indexed and hashed is kept.", hint) from None
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
        yield f"{plural(report.unhashed, 'file')} not hashed; `modelhub scan --hash fast` does it, and can be stopped"
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
    lines = table(head, rows, right=(5,), names=1)
    yield Bold(next(lines))
    yield from lines


def _show(context: Context) -> int:
    from modelhub.catalog.reading import CatalogReader
    from modelhub.catalog.refs import resolve
    from modelhub.cli.asset_words import asset_lines

    with CatalogReader.open() as catalog:
        asset = resolve(catalog, context.args.ref)
        base, parents = catalog.trained_on(asset), catalog.parents(asset.id)
    context.answer(asset.as_dict(), lambda: asset_lines(asset, base, parents))
    if asset.kind == "unknown" and asset.fingerprint:
        context.say(say_what_it_is(f"'#{asset.id}'"))
    return 0


def _tags(context: Context) -> int:
    from modelhub.catalog.reading import CatalogReader

    with CatalogReader.open() as catalog:
        tags = catalog.tags()
    context.answer(tags, lambda: (f"{count:6,}  {one_line(tag)}" for tag, count in tags.items()))
    return 0
