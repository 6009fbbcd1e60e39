"""explain: which models a merge was made of, and with what weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from modelhub.cli.context import Bold, Context
from modelhub.cli.options import REF_HELP, command
from modelhub.cli.table import table, wrapped
from modelhub.text import one_line

if TYPE_CHECKING:
    from modelhub.catalog.opener import Opener
    from modelhub.catalog.store import Catalog
    from modelhub.cli.options import Commands
    from modelhub.merge.explain import Explanation, Row
    from modelhub.merge.inputs.model import Model

_LEVELS = ("component", "block", "tensor")


def add(commands: Commands) -> None:
    """Add the command of this group."""
    parser = command(
        commands,
        "explain",
        _explain,
        "Find out which models a merge was made of, and with what weights, by its numbers alone; 'not from these' is "
        "an answer.",
        "modelhub explain mix --from base --from pastel",
    )
    parser.add_argument("ref", metavar="REF", help=f"the merge: {REF_HELP}")
    parser.add_argument(
        "--from",
        dest="parents",
        metavar="REF",
        action="append",
        default=[],
        help="a model that it may be of, e.g. --from base --from pastel (default: the likeliest of the library)",
    )
    parser.add_argument(
        "--by",
        choices=_LEVELS,
        help="show the weights of each of these, e.g. --by tensor (default: block, if it is a merge of these and "
        "blocks differ)",
    )
    parser.add_argument(
        "--quick", action="store_true", help="read a sample of every tensor only, which takes a fraction of the time"
    )


#: Numbers of three digits and more need none behind the point.
_WHOLE = 100
#: Windows of each tensor that --quick reads.
_QUICK = 2


def _explain(context: Context) -> int:
    from modelhub.catalog.opener import Opener
    from modelhub.catalog.store import Catalog
    from modelhub.merge.explain import explain
    from modelhub.merge.inputs.model import Model

    args = context.args
    with Catalog.open() as catalog, Opener(catalog, job=context.job) as opener:
        merge = Model("the merge", opener(args.ref))
        parents = [Model(ref, opener(ref)) for ref in args.parents] or _found(context, merge, catalog, opener)
        found = explain(merge, parents, most=_QUICK if args.quick else None, job=context.job)
    context.answer(found.as_dict(args.by or "block"), lambda: _lines(found, args.by))
    return 0


def _found(context: Context, merge: Model, catalog: Catalog, opener: Opener) -> list[Model]:
    """The likeliest models of the library."""
    from modelhub.merge.explain import find_candidates

    found = find_candidates(merge, catalog, opener, context.job)
    context.say(one_line(f"likeliest: {', '.join(model.parent.name for model in found)}"))
    return found


def _lines(found: Explanation, by: str | None) -> Iterator[str]:
    first, *more = found.words
    yield Bold(one_line(f"{found.name}: {first}"))
    for one in found.parents:
        yield one_line(f"  {one.key}  {one.name}  {one.path}")
    for sentence in more:
        yield from wrapped(one_line(sentence), 2)
    yield ""
    level = by or ("block" if found.recipe and any(part.varies for part in found.parts.values()) else "component")
    yield from _table(found.rows(level), [one.key for one in found.parents])  # type: ignore[arg-type]
    if found.recipe is not None:
        yield from ("", *found.recipe.dumps().rstrip().split("\n"))


def _table(rows: list[Row], keys: list[str]) -> Iterator[str]:
    head = ("part", *keys, "unexplained", "rounding", "verdict")
    yield from table(head, (_cells(one, keys) for one in rows), right=range(1, len(keys) + 3))


def _cells(one: Row, keys: list[str]) -> tuple[str, ...]:
    part = one.tensor or " ".join(word for word in (one.component, one.block) if word)
    weights = (_weight(one.weights.get(key), one.errors.get(key)) for key in keys)
    apart = ": " + ", ".join(" or ".join(group) for group in one.apart) if one.verdict == "cannot tell" else ""
    return (part, *weights, f"{one.residual:.2%}", f"× {_times(one.rounding)}", one.verdict + apart)


def _times(number: float) -> str:
    return f"{number:,.0f}" if number >= _WHOLE else f"{number:.3g}"


def _weight(weight: float | None, error: float | None) -> str:
    """A weight with as many digits as are sure; `?` where it can be anything."""
    if weight is None:
        return "-"
    if weight == 0 and error == 0:
        return "0"
    if error is None or error > 1:
        return "?"
    digits = next((count for count in range(1, 5) if error >= 10.0**-count / 2), 5)
    return f"{weight:.{digits}f}"
