"""lora check --all, lora check LORA, lora check --for CHECKPOINT: many pairs of the library at once."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from modelhub.cli.context import Bold, Context
from modelhub.cli.identity_words import architecture_words
from modelhub.cli.lora_sides import side
from modelhub.cli.lora_words import verdict_signs, verdict_words, why
from modelhub.cli.streams import columns, live
from modelhub.cli.table import table, wrapped
from modelhub.text import one_line, pad, plural, width

if TYPE_CHECKING:
    from modelhub.catalog.asset import Asset
    from modelhub.catalog.store import Catalog
    from modelhub.lora.checking.matrix import Pair

#: Columns of a matrix that names of LoRAs take at most.
_NAME = 36
#: Verdicts of what does not fit.
_NOT = ("incompatible", "unknown")
_EMPTY = "Nothing to check: the catalog has no {}. Index a folder with `modelhub scan FOLDER`."


def add_options(parser: argparse.ArgumentParser) -> None:
    """--all and --for."""
    parser.add_argument(
        "--all",
        action="store_true",
        help="every LoRA of the library, or those that a query finds, against every model of it, e.g. --all tag:anime",
    )
    parser.add_argument(
        "--for",
        dest="model",
        metavar="CHECKPOINT",
        help="all LoRAs of the library, or those that a query finds, that fit this one, e.g. --for dreamshaper_8",
    )


def is_asked_for(args: argparse.Namespace, words: Sequence[str]) -> bool:
    """Whether many pairs are meant: by an option, or by a LoRA alone."""
    return bool(args.all or args.model) or len(words) == 1


def check_many(context: Context, words: Sequence[str]) -> int:
    """`words` are a query with --all or --for, else the one LoRA that is checked against all models."""
    from modelhub.catalog.store import Catalog
    from modelhub.errors import UsageError

    if context.args.all and context.args.model:
        raise UsageError("--all and --for are two questions.", "Give one of them.")
    with Catalog.open() as catalog:
        if context.args.all:
            return _check_all(context, catalog, words)
        return _check_for(context, catalog, words) if context.args.model else _check_one(context, catalog, words[0])


def _check_all(context: Context, catalog: Catalog, words: Sequence[str]) -> int:
    from modelhub.cli.catalog_commands import query_text
    from modelhub.lora.checking.matrix import Matrix, find_loras, find_models

    ids, models = find_loras(catalog, query_text(words)), find_models(catalog)
    pairs = Matrix(catalog, context.job).pairs(catalog.pages(ids), models) if models else iter(())
    if context.json:
        context.answer_each(map(_plain, pairs), lambda: ())
        return 0
    rows = _rows(pairs, len(models))
    context.answer(None, lambda: _matrix(rows, models) if rows else ())
    if not rows:
        context.say(_none(catalog, models))
    return 0


def _none(catalog: Catalog, models: Sequence[Asset]) -> str:
    if not models:
        return _EMPTY.format("checkpoint")
    return "No LoRA fits the query." if catalog.count("kind:lora") else _EMPTY.format("LoRA")


def _check_for(context: Context, catalog: Catalog, words: Sequence[str]) -> int:
    """What fits one model, the best first."""
    from modelhub.cli.catalog_commands import query_text
    from modelhub.lora.checking.matrix import Matrix, best_first, find_loras

    model = side(catalog, context.args.model)
    _check_model(model)
    ids = find_loras(catalog, query_text(words))
    pairs = best_first(Matrix(catalog, context.job).pairs(catalog.pages(ids), [model]))
    fitting = [pair for pair in pairs if pair.answer.verdict not in _NOT]
    context.answer([_whole(pair) for pair in pairs], lambda: _listed(fitting, "LORA") if fitting else ())
    if not pairs:
        context.say(_none(catalog, [model]))
    elif len(fitting) < len(pairs):
        word = "LoRA" if all(pair.lora.kind == "lora" for pair in pairs) else "file"
        context.say(f"{plural(len(pairs) - len(fitting), word)} more, not shown: incompatible, or unknown.")
    return 0


def _check_one(context: Context, catalog: Catalog, ref: str) -> int:
    """One LoRA against all models, the best first."""
    from modelhub.lora.checking.matrix import Matrix, best_first, find_models

    lora = side(catalog, ref)
    _check_lora(lora)
    models = find_models(catalog)
    pairs = best_first(Matrix(catalog, context.job).pairs([lora], models))
    context.answer([_whole(pair) for pair in pairs], lambda: _listed(pairs, "CHECKPOINT") if pairs else ())
    if not pairs:
        context.say(_EMPTY.format("checkpoint"))
    return 0


def _check_lora(asset: Asset) -> None:
    from modelhub.errors import UsageError
    from modelhub.lora.checking.matrix import CHECKED, MODELS

    if asset.kind in MODELS:
        hint = f"For the LoRAs that fit it: modelhub lora check --for '{one_line(asset.path.stem)}'"
        raise UsageError(f"{asset.path} is a {asset.kind}, no LoRA.", hint)
    if asset.kind not in CHECKED:
        raise UsageError(f"{asset.path} is of kind {asset.kind}: there is nothing to check.", "Name a LoRA.")


def _check_model(asset: Asset) -> None:
    from modelhub.errors import UsageError
    from modelhub.lora.checking.matrix import MODELS

    if asset.kind not in MODELS:
        raise UsageError(f"{asset.path} is of kind {asset.kind}, no checkpoint.", "Name a checkpoint after --for.")


def _plain(pair: Pair) -> dict[str, Any]:
    """A pair in the JSON of a matrix: short, for there may be a million."""
    return {
        "lora": str(pair.lora.path),
        "checkpoint": str(pair.model.path),
        "verdict": pair.answer.verdict,
        "reasons": [reason.id for reason in pair.answer.reasons],
    }


def _whole(pair: Pair) -> dict[str, Any]:
    return {**pair.answer.as_dict(), "lora": str(pair.lora.path), "checkpoint": str(pair.model.path)}


def _listed(pairs: Iterable[Pair], head: str) -> Iterator[str]:
    """A table with a line for each pair; `head` says which side is listed."""
    signs = verdict_signs()
    rows = (
        (signs[pair.answer.verdict], verdict_words(pair.answer), one.name, architecture_words(one), why(pair.answer))
        for pair in pairs
        for one in (pair.lora if head == "LORA" else pair.model,)
    )
    lines = table(("", "VERDICT", head, "ARCH", "WHY"), rows, names=2)
    yield Bold(next(lines))
    yield from lines


class _Row(NamedTuple):
    """A line of the matrix: the name of a LoRA, and a digit for each verdict."""

    name: str
    verdicts: bytes


def _rows(pairs: Iterator[Pair], count: int) -> list[_Row]:
    """The matrix, a byte for each pair."""
    from modelhub.lora.checking.answer import rank

    rows: list[_Row] = []
    found = bytearray()
    for pair in pairs:
        found.append(rank(pair.answer.verdict))
        if len(found) == count:
            rows.append(_Row(one_line(pair.lora.name), bytes(found)))
            found.clear()
    return rows


def _matrix(rows: Sequence[_Row], models: Sequence[Asset]) -> Iterator[str]:
    """A line for each LoRA and a column for each model, in blocks as wide as the terminal; then what signs mean."""
    from modelhub.lora.checking.answer import VERDICTS, WORDS

    names = min(max(width(row.name) for row in rows), _NAME)
    field = len(str(len(models))) + 1
    fits = max(1, (columns(sys.stdout) - names) // field) if live(sys.stdout) else len(models)
    for start in range(0, len(models), fits):
        yield from _block(rows, models[start : start + fits], start, names, field)
        yield ""
    signs, counts = verdict_signs(), Counter(rank for row in rows for rank in row.verdicts)
    total = ", ".join(f"{signs[word]} {counts[at]:,} {WORDS[word]}" for at, word in enumerate(VERDICTS) if counts[at])
    yield from wrapped(f"{plural(sum(counts.values()), 'pair')}: {total}", 2)


def _block(rows: Sequence[_Row], models: Sequence[Asset], start: int, names: int, field: int) -> Iterator[str]:
    """Some columns of the matrix; their numbers stand above them, and what the numbers mean before."""
    from modelhub.lora.checking.answer import VERDICTS

    for at, model in enumerate(models, start + 1):
        yield from wrapped(
            f"{at:>{field}}  {one_line(model.name)}  {architecture_words(model)}", field + 2, whole=False
        )
    numbers = "".join(f"{at:>{field}}" for at in range(start + 1, start + 1 + len(models)))
    yield Bold(" " * names + numbers)
    cells = [" " * (field - 1) + verdict_signs()[verdict] for verdict in VERDICTS]
    for row in rows:
        shown = row.name.removesuffix(".safetensors") if width(row.name) > names else row.name
        yield pad(shown, names) + "".join(cells[rank] for rank in row.verdicts[start : start + len(models)])
