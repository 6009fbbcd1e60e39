"""find: search Civitai and Hugging Face, with what of the answer is here already."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from modelhub.catalog.kinds import KINDS
from modelhub.catalog.provided import TITLES
from modelhub.cli.context import Bold, Context
from modelhub.cli.options import command, number_from_1
from modelhub.cli.table import table, wrapped
from modelhub.errors import UsageError
from modelhub.fetch.search.hits import SORTS
from modelhub.text import human_count, human_size, one_line

if TYPE_CHECKING:
    from modelhub.cli.options import Commands
    from modelhub.fetch.search.finding import Hit
    from modelhub.fetch.search.hits import Search


def add(commands: Commands) -> None:
    """Add the command."""
    help = "Search Civitai and Hugging Face; `get` takes the addresses."
    parser = command(commands, "find", _find, help, 'modelhub find "water color" --kind lora --base Pony')
    parser.add_argument("text", metavar="TEXT", nargs="*", help='what to look for, e.g. "water color"')
    parser.add_argument("--on", choices=tuple(TITLES), help="only there, e.g. --on civitai")
    parser.add_argument("--kind", metavar="K", help="lora, checkpoint, vae, controlnet, …, e.g. --kind lora")
    parser.add_argument("--arch", metavar="A", help="what it is for, e.g. --arch sdxl")
    parser.add_argument("--base", metavar="B", help="a base model in Civitai's words, e.g. --base Pony")
    parser.add_argument("--creator", metavar="NAME", help="a user or organization, e.g. --creator stabilityai")
    parser.add_argument("--tag", metavar="T", help="a tag of the provider, e.g. --tag style")
    parser.add_argument(
        "--sort", choices=tuple(SORTS), default="relevance", help="the order of each provider, e.g. --sort downloads"
    )
    parser.add_argument(
        "--limit", type=number_from_1(1000), default=20, metavar="N", help="at most N of each, e.g. --limit 50"
    )
    parser.add_argument("--nsfw", action="store_true", help="also what is marked as not safe for work")


def _find(context: Context) -> int:
    from modelhub.catalog.store import Catalog
    from modelhub.fetch.net import Net
    from modelhub.fetch.search.finding import find

    wanted, providers = _wanted(context)
    with Catalog.open() as catalog, Net() as net:
        report = find(catalog, wanted, net, context.job, providers=providers)
    context.answer(report.as_dict(), lambda: _lines(report.hits))
    if not report.hits:
        context.say("Nothing was found. Fewer words find more; --nsfw may, too.")
    for provider, error in report.failed.items():
        context.say(f"{TITLES[provider]} did not answer: {error.message} {error.hint}")
    return 0


def _wanted(context: Context) -> tuple[Search, Sequence[str]]:
    """What is looked for, and where. Raises UsageError for words that nothing can be found by."""
    from modelhub.catalog.architectures import architectures
    from modelhub.fetch.search.finding import PROVIDERS
    from modelhub.fetch.search.hits import Search
    from modelhub.fetch.search.wanting import known

    args = context.args
    text = " ".join(args.text).strip()
    if not any((text, args.kind, args.arch, args.base, args.creator, args.tag)):
        raise UsageError("Say what to look for.", 'For instance: modelhub find "water color" --kind lora')
    if args.base and args.on == "huggingface":
        raise UsageError("--base is a word of Civitai; Hugging Face has none.", "Use --arch there.")
    providers = [args.on] if args.on else ["civitai"] if args.base else PROVIDERS
    if args.base and not args.on:
        context.say("Only Civitai is asked: Hugging Face knows no --base.")
    wanted = Search(
        text,
        kind=args.kind and known(args.kind, KINDS, "kind"),
        architecture=args.arch and known(args.arch, [one.id for one in architectures()], "architecture"),
        base_model=args.base,
        creator=args.creator,
        tag=args.tag,
        sort=SORTS[args.sort],
        limit=args.limit,
        adult=args.nsfw,
    )
    return wanted, providers


def _lines(hits: Sequence[Hit]) -> Iterator[str]:
    """A table with the address first, which is what `get` wants; ✓ marks what is here."""
    if not hits:
        return
    head = ("ADDRESS", "TITLE", "KIND", "BASE", "DOWNLOADS", "SIZE", "HERE")
    lines = table(head, [_row(one) for one in hits], right=(4, 5))
    yield Bold(next(lines))
    yield from lines
    troubled = [one.found for one in hits if one.found.trouble]
    for found in troubled:
        yield from wrapped(f"{one_line(found.address)}: {one_line(found.trouble or '')}", 2)


def _row(hit: Hit) -> tuple[str, ...]:
    found = hit.found
    here = f"✓ #{hit.owned}" if hit.owned else f"other version #{hit.other}" if hit.other else ""
    title = f"{found.title}  {found.version}".strip() + ("  (cannot be had)" if found.trouble else "")
    base = found.base_model or found.architecture or "-"
    sizes = (human_count(found.downloads), human_size(found.size))
    return found.address, title, found.kind or "-", base, *sizes, here
