"""prune, repair: a smaller or a mended copy of a model; the original stays as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from modelhub.cli.context import Context
from modelhub.cli.conversion_words import Outcome
from modelhub.cli.options import REF_HELP, add_goal, add_precisions, command
from modelhub.cli.table import wrapped
from modelhub.text import one_line

if TYPE_CHECKING:
    import argparse

    from modelhub.catalog.asset import Asset
    from modelhub.cli.options import Commands
    from modelhub.convert.one import Library
    from modelhub.convert.repair.repairing import Repair
    from modelhub.convert.tasks import Plan, Task


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


def _carried(context: Context, refs: Sequence[str], make: Callable[[Library | None], Task]) -> int:
    """Plan the task that `make` gives for what the first of `refs` names, carry it out, and answer."""
    from modelhub.cli.convert_library import find_source, library_of
    from modelhub.convert.tasks import goal_for, planned
    from modelhub.formats.opening import stat_of

    with library_of(refs, context.job) as library:
        path, asset = find_source(library, refs[0])
        task = make(library)
        with planned(path, task, job=context.job) as plan:
            outcome = Outcome(plan.conversion, path, stat_of(path).size, None)
            if not plan.idle or (plan.repair is None and context.args.goal is not None):  # a copy that was asked for
                outcome.goal = goal_for(path, context.args.goal, task)
                _write(context, outcome, library, asset if plan.same else None)
            elif plan.repair is None:
                plan.conversion.warnings.clear()  # they are about a file that is not written
            more = plan.repair.as_dict() if plan.repair else {}
            context.answer({**outcome.as_dict(), **more}, lambda: outcome.lines(_first_lines(plan, outcome)))
    return 0


def _write(context: Context, outcome: Outcome, library: Library | None, asset: Asset | None) -> None:
    """Write the goal and catalog it, or with --dry-run see whether it could be written.

    `asset` is the one whose tags and notes the result takes over.
    """
    from modelhub.convert.conversion import carry_out, check_goal

    args, goal = context.args, cast(Path, outcome.goal)
    if args.dry_run:
        check_goal(outcome.conversion, goal, force=args.force)
        return
    outcome.report = carry_out(outcome.conversion, goal, force=args.force, hashes=args.hash, job=context.job)
    if library is not None:
        outcome.id = library.keep(outcome.report, asset)


def _first_lines(plan: Plan, outcome: Outcome) -> Iterator[str]:
    """Why nothing is written, if so, and what is damaged."""
    if outcome.goal is None:
        yield plan.idle[:1].lower() + plan.idle[1:].rstrip(".")
    if plan.repair is not None:
        yield from _health_lines(plan.repair)


def _prune(context: Context) -> int:
    from modelhub.convert.asking import component_words
    from modelhub.convert.prune.pruning import Pruning

    args = context.args
    wish = Pruning(
        dtype=args.dtype,
        vae_dtype=args.vae_dtype,
        ema=args.ema,
        drop=component_words(args.drop),
        only=component_words(args.only),
        strict=args.strict,
        keep_names=args.keep_names,
    )
    return _carried(context, [args.source], lambda _: wish)


def _repair(context: Context) -> int:
    from modelhub.cli.convert_library import find_source
    from modelhub.convert.tasks import Mending

    args = context.args
    donors = [args.donor] if args.donor is not None else []

    def task(library: Library | None) -> Task:
        return Mending(next((find_source(library, ref)[0] for ref in donors), None), args.nan)

    return _carried(context, [args.source, *donors], task)


def _health_lines(found: Repair) -> Iterator[str]:
    """What is damaged, and what became of it; then what is only worth knowing."""
    for problem in found.problems:
        yield from wrapped(one_line(f"damaged: {problem.sentence}"), 2)
        yield from wrapped(f"  {one_line(problem.outcome)}", 2)
    for note in found.notes:
        yield from wrapped(one_line(f"note: {note}"), 2)
