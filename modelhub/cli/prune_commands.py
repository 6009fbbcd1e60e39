"""prune, repair: a smaller or a mended copy of a model; the original stays as it is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelhub.cli.context import Context
from modelhub.cli.conversion_words import Outcome
from modelhub.cli.options import REF_HELP, add_goal, add_precisions, command
from modelhub.cli.table import wrapped
from modelhub.errors import UsageError
from modelhub.text import one_line

if TYPE_CHECKING:
    import argparse

    from modelhub.catalog.asset import Asset
    from modelhub.cli.options import Commands
    from modelhub.convert.converting import Model
    from modelhub.convert.one import Library
    from modelhub.convert.prune.pruning import Pruning
    from modelhub.convert.repair.donor import Donor
    from modelhub.convert.repair.repairing import Repair
    from modelhub.formats.source import TensorSource

_WITH_DONOR = "not mended: name a model that has them with --from REF"
_UNMENDED = {
    "missing": _WITH_DONOR,
    "misshapen": _WITH_DONOR,
    "not-finite": "not mended: name the original with --from REF, or set them to 0 with --nan zero",
}


def add(commands: Commands) -> None:
    """Add the commands of this group."""
    parser = command(
        commands,
        "prune",
        _prune,
        "Write a copy without what no picture needs: EMA weights, training leftovers, components that are not wanted.",
        "modelhub prune model.ckpt --dtype fp16",
        reads=False,
    )
    _add_files(parser, "NAME.pruned.safetensors")
    _add_choices(parser)
    parser = command(
        commands,
        "repair",
        _repair,
        "Look for damage (position_ids, NaN, missing tensors, old names), and write a copy with what can be mended.",
        "modelhub repair model --from original",
        reads=False,
    )
    _add_files(parser, "NAME.repaired.safetensors")
    parser.add_argument(
        "--from", dest="donor", metavar="REF", help="take missing and damaged tensors from this model, e.g. --from sd15"
    )
    parser.add_argument(
        "--nan", choices=("report", "zero"), default="report", help="set numbers that are none to 0, e.g. --nan zero"
    )


def _add_files(parser: argparse.ArgumentParser, name: str) -> None:
    parser.add_argument("source", metavar="SRC", help=REF_HELP)
    add_goal(parser, name)
    parser.add_argument("--hash", action="store_true", help="also make the SHA256 of the result")
    parser.add_argument("--force", action="store_true", help="replace a file that exists")


def _add_choices(parser: argparse.ArgumentParser) -> None:
    add_precisions(parser)
    parser.add_argument(
        "--ema",
        choices=("drop", "keep", "use"),
        default="drop",
        help="EMA weights: leave them out (default), keep them, or use them in place of the others, e.g. --ema use",
    )
    for name, what in (("drop", "leave this component out"), ("only", "keep this component only")):
        parser.add_argument(
            f"--{name}",
            metavar="PART",
            action="append",
            default=[],
            help=f"{what}: denoiser, vae, text_encoder, te1, te2, t5; may be repeated, e.g. --{name} vae",
        )
    parser.add_argument(
        "--strict", action="store_true", help="leave out noise schedules and tensors that no rule knows, too"
    )
    parser.add_argument(
        "--keep-names", action="store_true", help="a single component keeps the prefix that it had in the checkpoint"
    )


@dataclass(frozen=True)
class _Opened:
    """A model of `size` bytes, its asset, and the library if there is one."""

    model: Model
    size: int
    asset: Asset | None
    library: Library | None


@contextmanager
def _opened(context: Context, refs: Sequence[str]) -> Iterator[_Opened]:
    """What the first of `refs` names."""
    from modelhub.cli.convert_library import find_source, library_of
    from modelhub.convert.converting import Options, open_model
    from modelhub.formats.opening import stat_of

    with library_of(refs, context.job) as library:
        path, asset = find_source(library, refs[0])
        with open_model(path, Options()) as model:
            yield _Opened(model, stat_of(path).size, asset, library)


def _deliver(
    context: Context, source: _Opened, outcome: Outcome, first: Iterable[str] = (), *, same: bool = True, **more: Any
) -> None:
    """Carry a conversion out, or with --dry-run only show it, and answer, in JSON with what `more` adds.

    `same`: the result is the same model, which takes over what the user said of the source.
    """
    from modelhub.convert.conversion import carry_out, check_goal

    args, conversion, goal = context.args, outcome.conversion, outcome.goal
    if goal is not None and args.dry_run:
        check_goal(conversion, goal, force=args.force)
    elif goal is not None:
        outcome.report = carry_out(conversion, goal, force=args.force, hashes=args.hash, job=context.job)
        if source.library is not None:
            outcome.id = source.library.keep(outcome.report, source.asset if same else None)
    context.answer({**outcome.as_dict(), **more}, lambda: outcome.lines(first))


def _prune(context: Context) -> int:
    from modelhub.convert.goals import result_path
    from modelhub.convert.prune.pruning import Pruning, prune

    args = context.args
    wish = Pruning(
        dtype=args.dtype,
        vae_dtype=args.vae_dtype,
        ema=args.ema,
        drop=_words(args.drop),
        only=_words(args.only),
        strict=args.strict,
        keep_names=args.keep_names,
    )
    with _opened(context, [args.source]) as opened:
        model = opened.model
        conversion = prune(model.source, model.identity, wish, model.stats)
        conversion.findings += _findings(model.source)
        outcome = Outcome(conversion, model.path, opened.size, None)
        same = not conversion.changes and {*conversion.view.header.tensors} == {*model.source.header.tensors}
        if same and args.goal is None:
            conversion.warnings.clear()  # they are about a file that is not written
            _deliver(context, opened, outcome, ["nothing to prune"])
            return 0
        outcome.goal = result_path(model.path, args.goal, _tail(wish))
        _deliver(context, opened, outcome, same=not wish.only and not wish.drop)
    return 0


def _findings(source: TensorSource) -> list[str]:
    """What is worth knowing of a pickle."""
    from modelhub.formats.pickles.file import PickleFile

    return list(source.findings) if isinstance(source, PickleFile) else []


def _words(given: list[str]) -> tuple[str, ...]:
    """Names of components, one option each or several with commas."""
    words = [word.strip() for text in given for word in text.split(",")]
    if not all(words):
        raise UsageError("A component without a name was asked for.", "Name one, e.g. --only vae.")
    return tuple(dict.fromkeys(words))


def _tail(wish: Pruning) -> str:
    """The end of the name of a result that was not named: `-vae`, or `.pruned`."""
    only = "-".join(re.sub(r"\W", "", word.lower().replace("-", "_")) for word in wish.only)
    return f"-{only}" if only else ".pruned"


def _repair(context: Context) -> int:
    from modelhub.convert.goals import result_path
    from modelhub.convert.repair.repairing import repair

    args = context.args
    refs = [args.source, *([args.donor] if args.donor is not None else [])]
    with _opened(context, refs) as opened, _donor(opened, args.donor) as donor:
        model = opened.model
        found = repair(
            model.source, model.identity, donor=donor, zero=args.nan == "zero", stats=model.stats, job=context.job
        )
        found.conversion.findings += _findings(model.source)
        first = [*_health_lines(found)]
        goal = result_path(model.path, args.goal, ".repaired") if found.mends else None
        if goal is None:
            first.insert(0, "nothing to repair" if found.healthy else "nothing was written: none of it can be mended")
        _deliver(context, opened, Outcome(found.conversion, model.path, opened.size, goal), first, **found.as_dict())
    return 0


@contextmanager
def _donor(model: _Opened, ref: str | None) -> Iterator[Donor | None]:
    """The model that tensors are taken from."""
    from modelhub.cli.convert_library import find_source
    from modelhub.convert.converting import Options, open_model
    from modelhub.convert.repair.donor import Donor

    if ref is None:
        yield None
        return
    path, _ = find_source(model.library, ref)
    with open_model(path, Options()) as found:
        yield Donor(found.source, path.stem, found.stats)


def _health_lines(found: Repair) -> Iterator[str]:
    """What is damaged, and what became of it; then what is only worth knowing."""
    for problem in found.problems:
        outcome = problem.mended or _UNMENDED.get(problem.code, "cannot be mended")
        yield from wrapped(one_line(f"damaged: {problem.sentence}"), 2)
        yield from wrapped(f"  {'mended: ' if problem.mended else ''}{one_line(outcome)}", 2)
    for note in found.notes:
        yield from wrapped(one_line(f"note: {note}"), 2)
