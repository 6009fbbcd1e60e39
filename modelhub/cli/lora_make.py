"""lora extract, resize and merge: new LoRAs, of the difference of two models, of one with more ranks, of several."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelhub.catalog.weighing.key_rules import component_of
from modelhub.cli.lora_make_words import made_json, made_lines, planned_json, planned_lines
from modelhub.cli.options import REF_HELP, command, path_word
from modelhub.errors import UsageError
from modelhub.formats.cast import PRECISIONS
from modelhub.text import is_utf8

if TYPE_CHECKING:
    from modelhub.catalog.opener import Parent
    from modelhub.cli.context import Context
    from modelhub.cli.options import Commands
    from modelhub.lora.making.combining import Combining
    from modelhub.lora.making.ranks import Ranks
    from modelhub.lora.making.report import Report

_RULES = """\
The rank of a layer is --rank at most, and less where less is asked for:
  --energy 0.95           as many as hold 95 % of its sum of squares
  --by sv_fro=0.97        97 % of its Frobenius norm (kohya's rules)
  --by sv_cumulative=0.9  90 % of the sum of its singular values
  --by sv_ratio=20        all values of more than a 20th of the first"""
_RANK = 32


def add(commands: Commands) -> None:
    """Add the commands of this group."""
    _add_extract(commands)
    _add_resize(commands)
    _add_merge(commands)


def _add_extract(commands: Commands) -> None:
    parser = command(
        commands,
        "extract",
        _extract,
        "Extract what was tuned in a model as a LoRA: its difference from the model that it was made from.",
        "modelhub lora extract my-tune dreamshaper_8 -o my-tune-lora.safetensors --rank 32",
        reads=False,
    )
    parser.description = f"{parser.description}\n\n{_RULES}"
    parser.add_argument("tuned", metavar="TUNED", help=f"the tuned model, {REF_HELP}")
    parser.add_argument("base", metavar="BASE", help="the model that it was made from")
    _add_goal(parser)
    _add_ranks(parser, f"the largest rank, e.g. --rank 16 (default: {_RANK})")
    parser.add_argument(
        "--dtype", choices=tuple(PRECISIONS), default="fp16", help="store in this precision (default: fp16)"
    )
    parser.add_argument(
        "--names",
        choices=("kohya", "peft"),
        default="kohya",
        help="how modules are named, e.g. --names peft (default: kohya)",
    )
    parser.add_argument(
        "--only",
        metavar="PART,…",
        type=_components,
        default=(),
        help="only these components (unet, te, te1, te2, t5), e.g. --only unet (default: all that both have)",
    )
    parser.add_argument(
        "--min-diff",
        metavar="X",
        type=_amount,
        default=0.0,
        help="leave out layers of which no number differs by more than X, e.g. --min-diff 0.001 (default: 0)",
    )
    parser.add_argument(
        "--full",
        action="store_true",
        help="put the differences of norms and biases beside, which this program, ComfyUI and LyCORIS add",
    )
    parser.add_argument(
        "--exact",
        action="store_true",
        help="decompose every layer whole, which takes many times longer; else the first singular values are found by "
        "random projection, within a percent of the least error",
    )


def _add_resize(commands: Commands) -> None:
    parser = command(
        commands,
        "resize",
        _resize,
        "Give a LoRA fewer ranks, and lose as little as that allows.",
        "modelhub lora resize my-style -o my-style-8.safetensors --rank 8",
        reads=False,
    )
    parser.description = f"{parser.description}\n\n{_RULES}"
    parser.add_argument("lora", metavar="LORA", help=f"the LoRA, {REF_HELP}")
    _add_goal(parser)
    _add_ranks(parser, "the largest rank, e.g. --rank 8 (default: with --energy or --by any, else it must be given)")
    parser.add_argument(
        "--dtype", choices=tuple(PRECISIONS), help="store new factors in this precision (default: as they are)"
    )
    parser.add_argument(
        "--convert", action="store_true", help="make LoRA of LoHa, LoKr and whole differences, too (default: they stay)"
    )


def _add_merge(commands: Commands) -> None:
    parser = command(
        commands,
        "merge",
        _merge,
        "Merge LoRAs into one that does what they do together.",
        "modelhub lora merge my-style:0.8 detail:0.5 -o both.safetensors",
        reads=False,
    )
    parser.description = (
        f"{parser.description}\n\nExact: factors stand side by side, ranks add up, unless --rank asks for fewer.\n"
        f"Weights may differ by component and block: my-style:0.8,te=0.5,IN04-IN08=0.\n\n{_RULES}"
    )
    parser.add_argument("loras", metavar="LORA:WEIGHT", nargs="+", help="a LoRA and its weight, e.g. my-style:0.8")
    _add_goal(parser)
    _add_ranks(parser, "the largest rank of what comes out, e.g. --rank 32 (default: as many as go in)")
    parser.add_argument(
        "--dtype", choices=tuple(PRECISIONS), help="store in this precision (default: the widest of them)"
    )
    parser.add_argument(
        "--names", choices=("kohya", "peft"), help="how modules are named, e.g. --names peft (default: as in the first)"
    )


def _add_goal(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o", "--output", metavar="OUT", type=path_word, required=True, help="the file to write, e.g. small.safetensors"
    )
    parser.add_argument("--hash", action="store_true", help="also make the SHA256 of the result")
    parser.add_argument("--force", action="store_true", help="replace OUT if it exists")
    parser.add_argument(
        "--name", metavar="TEXT", default="", help='a title for the result, e.g. --name "my style, small"'
    )


def _add_ranks(parser: argparse.ArgumentParser, help: str) -> None:
    group = parser.add_argument_group("ranks")
    group.add_argument("--rank", metavar="N", type=int, help=help)
    group.add_argument(
        "--conv-rank",
        metavar="N",
        type=int,
        help="the largest of kernels that are larger than 1 x 1 (default: as --rank)",
    )
    either = group.add_mutually_exclusive_group()
    either.add_argument(
        "--energy",
        metavar="SHARE",
        type=lambda text: ("energy", _number(text)),
        dest="rule",
        help="see above, e.g. --energy 0.95",
    )
    either.add_argument("--by", metavar="RULE=N", type=_rule, dest="rule", help="see above, e.g. --by sv_ratio=20")


def _components(text: str) -> tuple[str, ...]:
    words = [component_of(word) for word in text.replace(",", " ").split()]
    if not words or not all(words) or "vae" in words:
        raise argparse.ArgumentTypeError(f"'{text}' names no components; these are unet, te, te1, te2, t5")
    return tuple(dict.fromkeys(words))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number") from None


def _amount(text: str) -> float:
    found = _number(text)
    if not 0 <= found < float("inf"):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number from 0 on")
    return found


def _rule(text: str) -> tuple[str, float]:
    name, sign, number = text.partition("=")
    if not sign:
        raise argparse.ArgumentTypeError(f"'{text}' is not such as sv_ratio=20")
    return name.strip(), _number(number)


def _ranks(args: argparse.Namespace, default: int | None) -> Ranks | None:
    """The ranks that are asked for; None where nothing is."""
    from modelhub.lora.making.ranks import Ranks

    rule, share = args.rule or ("", 0.0)
    found = Ranks.asked(args.rank, args.conv_rank, rule, share, default)
    if found is None and args.conv_rank is not None:
        raise UsageError("--conv-rank goes with --rank.", "Give both, e.g. --rank 16 --conv-rank 8.")
    return found


def _extract(context: Context) -> int:
    from modelhub.lora.making.extract import Wish, extract, plan_extract

    args = context.args
    ranks = _ranks(args, _RANK)
    assert ranks is not None  # there is a default
    wish = Wish(ranks, PRECISIONS[args.dtype], args.names, args.only, args.min_diff, args.full, args.exact)
    return _run(context, [args.tuned, args.base], lambda parents: plan_extract(parents[0], parents[1], wish), extract)


def _resize(context: Context) -> int:
    from modelhub.lora.making.resize import resize
    from modelhub.lora.making.resizing import Wish, plan_resize

    args = context.args
    ranks = _ranks(args, None)
    if ranks is None:
        raise UsageError("It is not said how small the LoRA shall become.", "Give --rank 8, or --energy 0.95.")
    wish = Wish(ranks, PRECISIONS[args.dtype] if args.dtype else None, args.convert)
    return _run(context, [args.lora], lambda parents: plan_resize(parents[0], wish), resize)


def _merge(context: Context) -> int:
    from modelhub.lora.baking.words import read_lora
    from modelhub.lora.making.combine import combine
    from modelhub.lora.making.combining import Ingredient, Wish, plan_combine

    args = context.args
    refs, weights = zip(*map(read_lora, args.loras), strict=True)
    wish = Wish(_ranks(args, None), PRECISIONS[args.dtype] if args.dtype else None, args.names)

    def plan(parents: list[Parent]) -> Combining:
        return plan_combine([Ingredient(*one) for one in zip(parents, weights, strict=True)], wish)

    return _run(context, refs, plan, combine)


def _run(
    context: Context, refs: Sequence[str], plan: Callable[[list[Parent]], Any], make: Callable[..., Report]
) -> int:
    """Open, plan, and make what was planned; or say what would be made."""
    from modelhub.catalog.opener import Opener
    from modelhub.catalog.store import Catalog
    from modelhub.lora.making.workbench import check_goal
    from modelhub.scan.adding import add_written

    args = context.args
    if not is_utf8(str(args.output.absolute())):  # bytes of the shell that the catalog cannot hold
        raise UsageError(f"{args.output} is not a name in UTF-8.", "Choose another name.")
    with Catalog.open() as catalog, Opener(catalog, job=context.job) as opener:
        planned = plan([opener(ref) for ref in refs])
        check_goal(args.output, planned.stats, force=args.force)
        if args.dry_run:
            context.answer(planned_json(planned), lambda: planned_lines(planned, args.output))
            return 0
        goal = Path(args.output)
        report = make(planned, goal, title=args.name, force=args.force, hashes=args.hash, job=context.job)
        number = add_written(catalog, report.written)
    context.answer(made_json(report, number), lambda: made_lines(report, number))
    return 0
