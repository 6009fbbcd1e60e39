"""lora check: whether LoRAs, embeddings and other companions fit a checkpoint, from headers alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelhub.cli.context import Bold, Context
from modelhub.cli.lora_matrix import add_options, check_many, is_asked_for
from modelhub.cli.lora_sides import side
from modelhub.cli.options import REF_HELP, command
from modelhub.errors import IncompatibleError, UsageError

if TYPE_CHECKING:
    from modelhub.catalog.asset import Asset
    from modelhub.catalog.opener import Opener
    from modelhub.catalog.store import Catalog
    from modelhub.cli.options import Commands
    from modelhub.lora.checking.answer import Answer
    from modelhub.lora.checking.models import Model

#: What the command exits with when something does not fit.
_INCOMPATIBLE = 4
#: Kinds that a LoRA can be checked against; what is unknown is answered for, too.
_MODELS = ("checkpoint", "diffusion-model", "text-encoder", "unknown")


def add(commands: Commands) -> None:
    """Add the command."""
    parser = command(
        commands,
        "check",
        _check,
        "Say whether a LoRA fits a checkpoint, with reasons, from headers alone; embeddings, VAEs, ControlNets and "
        "other companions, too. Exit code 4 when it does not.",
        "modelhub lora check my-style.safetensors dreamshaper_8",
    )
    parser.add_argument(
        "words",
        metavar="REF",
        nargs="*",
        help=f"a LoRA, or several, and the checkpoint last, e.g. my-style dreamshaper_8; each is {REF_HELP}. "
        "A LoRA alone is checked against all models of the library",
    )
    add_options(parser)


def _check(context: Context) -> int:
    words: list[str] = context.args.words
    if is_asked_for(context.args, words):
        return check_many(context, words)
    if not words:
        raise UsageError("Nothing to check.", "Name a LoRA and a checkpoint: modelhub lora check LORA CHECKPOINT.")
    from modelhub.catalog.opener import Opener
    from modelhub.catalog.store import Catalog

    with Catalog.open() as catalog, Opener(catalog) as opener:
        answers = _Checks(catalog, opener, words[-1]).answers(words[:-1])
    if len(answers) == 1:
        context.answer(_plain(*answers[0]), lambda: _lines(answers[0][2]))
    else:
        context.answer([_plain(*one) for one in answers], lambda: _table(answers))
    return _INCOMPATIBLE if any(answer.verdict == "incompatible" for _, _, answer in answers) else 0


_Found = tuple[Path, Path, "Answer"]


@dataclass
class _Checks:
    """Checks against the one model that `ref` names."""

    catalog: Catalog
    opener: Opener
    ref: str

    def answers(self, refs: Sequence[str]) -> list[_Found]:
        """The answer for each of `refs`, in their order. Raises UsageError for what is no pair, and as opening does."""
        from modelhub.lora.checking.models import read_model

        others = [side(self.catalog, ref) for ref in refs]
        model = side(self.catalog, self.ref)
        for one in others:
            _refuse(one, model)
        read = read_model(self.opener(str(model.path))) if any(one.kind == "lora" for one in others) else None
        return [(one.path, model.path, self._answer(one, model, read)) for one in others]

    def _answer(self, one: Asset, asset: Asset, model: Model | None) -> Answer:
        from modelhub.catalog.adapters import read_adapter
        from modelhub.formats.opening import read_any_header
        from modelhub.lora.checking.fit import fit
        from modelhub.lora.checking.judging import judge
        from modelhub.lora.checking.known import Known
        from modelhub.lora.checking.library import Library
        from modelhub.lora.checking.others import check_other

        known = Known.of_asset(one, Library(self.catalog).trained_on(one))
        if model is None or one.kind != "lora":
            return check_other(known, Known.of_asset(asset), one.sha256)
        adapter = read_adapter(read_any_header(one.path)[1].shapes)
        if adapter is None:
            raise IncompatibleError(f"{one.path} is no LoRA, nor one of its kin.", "`modelhub identify` tells more.")
        return judge(fit(adapter, model.layers, sized=model.sized), known, Known.of_asset(asset))


def _refuse(one: Asset, model: Asset) -> None:
    """Raise UsageError for two that are no pair, and say so where they are the wrong way round."""
    models = [kind for kind in _MODELS if kind != "unknown"]
    if one.kind in models and model.kind not in models:
        hint = f"The checkpoint comes last: modelhub lora check '{model.path}' '{one.path}'"
        raise UsageError(f"{one.path} is a {one.kind}, {model.path} of kind {model.kind}.", hint)
    if model.kind not in _MODELS:
        hint = "Name a checkpoint last: modelhub lora check LORA CHECKPOINT."
        raise UsageError(f"{model.path} is of kind {model.kind}, no checkpoint.", hint)
    if one.kind in ("checkpoint", "diffusion-model"):
        raise UsageError(
            f"{one.path} is a {one.kind}, no LoRA.", "`modelhub merge` and `modelhub explain` compare models."
        )


def _plain(lora: Path, model: Path, answer: Answer) -> dict[str, Any]:
    return {**answer.as_dict(), "lora": str(lora), "checkpoint": str(model)}


def _lines(answer: Answer) -> Iterator[str]:
    """One answer in full."""
    from modelhub.cli.table import facts
    from modelhub.lora.checking.words import answer_rows

    yield Bold(answer.headline)
    yield from facts([*answer_rows(answer)])


def _table(answers: Sequence[_Found]) -> Iterator[str]:
    """A line for each of several."""
    from modelhub.cli.lora_words import verdict_signs, verdict_words, why
    from modelhub.cli.table import table

    signs = verdict_signs()
    rows = ((signs[one.verdict], verdict_words(one), one.lora, why(one)) for _, _, one in answers)
    lines = table(("", "VERDICT", "LORA", "WHY"), rows, names=2)
    yield Bold(next(lines))
    yield from lines
