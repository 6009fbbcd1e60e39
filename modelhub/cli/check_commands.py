"""verify, dupes: whether files are still what they were, and which are there more than once."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from modelhub.cli.catalog_commands import query_text
from modelhub.cli.context import Bold, Context
from modelhub.cli.options import REF_HELP, command
from modelhub.cli.table import wrapped
from modelhub.text import human_seconds, human_size, one_line, plural

if TYPE_CHECKING:
    from modelhub.catalog.asset import Asset
    from modelhub.catalog.store import Catalog
    from modelhub.cli.options import Commands
    from modelhub.organize.dupes import DupesReport, Group
    from modelhub.organize.verify import VerifyReport


def add(commands: Commands) -> None:
    """Add the commands of this group."""
    help = "Read files again and compare them with the hashes in the catalog, to find bit rot."
    parser = command(commands, "verify", _verify, help, "modelhub verify --stale 90")
    parser.add_argument("refs", metavar="REF", nargs="*", help=REF_HELP + "; none: all, longest not verified first")
    parser.add_argument("--query", metavar="QUERY", help="the assets that a search finds, e.g. --query kind:checkpoint")
    parser.add_argument(
        "--stale", type=_days, metavar="DAYS", default=0.0, help="only those not verified for so long, e.g. --stale 90"
    )

    help = "Find the same bytes twice, and the same weights in another format, precision or pruned; deletes nothing."
    parser = command(commands, "dupes", _dupes, help, "modelhub dupes kind:checkpoint")
    parser.add_argument("query", metavar="QUERY", nargs="*", help="look only among these, e.g. kind:lora arch:sdxl")
    parser.add_argument(
        "--exact", action="store_true", help="compare every number of the same weights, not 16 or more of each tensor"
    )


def _days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = math.nan
    if not 0 <= days < math.inf:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of days")
    return days


# -- verify ------------------------------------------------------------------------------------------------------------


def _verify(context: Context) -> int:
    from modelhub.catalog.store import Catalog
    from modelhub.organize.verify import verify

    with Catalog.open() as catalog:
        report = verify(catalog, _wanted(context, catalog), context.job)
    context.answer(report.as_dict(), lambda: _verify_lines(report))
    return 3 if report.counts["rot"] or report.counts["unreadable"] else 0


def _wanted(context: Context, catalog: Catalog) -> list[Asset]:
    """The assets named by REFs and found by the query, each once; all of them when there is neither."""
    from modelhub.catalog.refs import resolve
    from modelhub.organize.verify import stalest

    args = context.args
    named = {asset.id: asset for asset in (resolve(catalog, ref) for ref in args.refs)}
    if args.query is not None or not args.refs:
        named |= {asset.id: asset for asset in catalog.find(args.query or "")}
    return stalest(named.values(), args.stale)


def _verify_lines(report: VerifyReport) -> Iterator[str]:
    for verdict in report.verdicts:
        if verdict.status not in ("ok", "unhashed"):
            yield from wrapped(f"{verdict.status:10}  #{verdict.asset.id}  {one_line(verdict.message)}", 12)
        for note in verdict.notes:
            yield from wrapped(f"{'note':10}  #{verdict.asset.id}  {one_line(verdict.asset.name)}: {note}", 12)
    words = ", ".join(f"{count:,} {status}" for status, count in report.counts.items() if count)
    read = f"{human_size(report.bytes)} read in {human_seconds(report.seconds)}"
    yield Bold(f"{plural(len(report.verdicts), 'asset')}{': ' + words if words else ''}; {read}")
    if report.counts["unhashed"]:
        yield "unhashed: there was nothing to compare with; hashes were made now"


# -- dupes -------------------------------------------------------------------------------------------------------------


def _dupes(context: Context) -> int:
    from modelhub.catalog.store import Catalog
    from modelhub.organize.dupes import dupes

    with Catalog.open() as catalog:
        found = catalog.find(query_text(context.args.query))
        report = dupes(catalog, found, exact=context.args.exact, job=context.job)
    context.answer(report.as_dict(), lambda: _dupes_lines(report))
    return 0


def _dupes_lines(report: DupesReport) -> Iterator[str]:
    for group in report.groups:
        yield from _group_lines(group)
        yield ""
    for asset, reason in report.skipped:
        yield from wrapped(f"left out    #{asset.id}  {one_line(reason)}", 12)
    others = sum(len(group.others) for group in report.groups)
    if not others:
        yield Bold(f"no duplicates among {plural(report.assets, 'asset')}")
        return
    yield Bold(f"{plural(others, 'duplicate')} of {plural(report.assets, 'asset')}: {human_size(report.saves)} to save")
    end = "nothing was deleted; the rm lines move files to the trash, and `modelhub undo` brings them back"
    yield from wrapped(end, 0)


def _group_lines(group: Group) -> Iterator[str]:
    yield Bold(f"the same {group.same}, {human_size(group.saves)} to save")
    yield from wrapped(f"  keep  #{group.keep.id}  {_where(group.keep)}  ({group.why})", 8)
    for other in group.others:
        yield from wrapped(f"        #{other.asset.id}  {_where(other.asset)}", 8)
        loss = f"; only it has {other.loses}" if other.loses else ""
        proof = f" ({other.compared})" if other.compared else ""
        yield from wrapped(f"          {other.relation}{proof}{loss}", 10)
    yield "  modelhub rm " + " ".join(f"'#{other.asset.id}'" for other in group.others)


def _where(asset: Asset) -> str:
    return f"{human_size(asset.size)}  {one_line(str(asset.path))}"
