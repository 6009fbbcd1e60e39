"""What can be asked of each task: its options as fields, read from their declarations, and values that a user typed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from dataclasses import fields as declared
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from modelhub.convert.converting import Options
from modelhub.convert.precision import CHOICES
from modelhub.convert.prune.pruning import Pruning
from modelhub.convert.tasks import Mending, Task
from modelhub.errors import UsageError
from modelhub.text import one_line

Kind = Literal["choice", "flag", "words", "size", "model"]
#: The tasks by the names of their commands.
TASKS: Mapping[str, type[Options] | type[Pruning] | type[Mending]] = {
    "convert": Options, "prune": Pruning, "repair": Mending,
}  # fmt: skip
_HELP = {
    "dtype": "the precision of the weights",
    "vae_dtype": "the precision of the VAE",
    "salvage": "take the tensors out of a dangerous or damaged pickle, too",
    "max_output": "how much a pickle may unpack to, e.g. 20GB; four times its size unless named",
    "ema": "EMA weights: leave them out, keep them, or use them in place of the others",
    "drop": "components to leave out: denoiser, vae, text_encoder, te1, te2, t5",
    "only": "the only components to keep: denoiser, vae, text_encoder, te1, te2, t5",
    "strict": "leave out noise schedules and tensors that no rule knows, too",
    "keep_names": "a single component keeps the prefix that it had in the checkpoint",
    "donor": "the model that missing and damaged tensors are taken from",
    "nan": "numbers that are none: only report them, or set them to 0",
}
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


@dataclass(frozen=True, slots=True)
class Field:
    """One option: its `kind`, what it does, its default, and the `choices` of one that has them."""

    name: str
    kind: Kind
    help: str
    default: Any
    choices: tuple[str, ...] = ()


def fields(task: str) -> tuple[Field, ...]:
    """The options of a task, in the order in which it declares them."""
    made = TASKS[task]
    hints = get_type_hints(made)
    return tuple(_field(one.name, hints[one.name], one.default) for one in declared(made))


def _field(name: str, hint: Any, default: Any) -> Field:
    kind, choices = _kind(name, hint)
    return Field(name, kind, _HELP[name], default, choices)


def _kind(name: str, hint: Any) -> tuple[Kind, tuple[str, ...]]:
    if name.endswith("dtype"):
        return "choice", CHOICES
    if get_origin(hint) is Literal:
        return "choice", get_args(hint)
    if hint is bool:
        return "flag", ()
    if get_origin(hint) is UnionType:
        return ("size" if int in get_args(hint) else "model"), ()
    return "words", ()


def task_of(name: str, values: Mapping[str, Any]) -> Task:
    """The task with these values; words and sizes may be as they were typed. Raises UsageError."""
    return TASKS[name](**{one.name: _read(one, values.get(one.name, one.default)) for one in fields(name)})


def _read(field: Field, value: Any) -> Any:
    if field.kind == "words" and isinstance(value, str):
        return component_words([value]) if value.strip() else ()
    if field.kind == "size" and isinstance(value, str):
        return read_size(value) if value.strip() else None
    return value


def component_words(given: Iterable[str]) -> tuple[str, ...]:
    """Names of components, one each or several with commas. Raises UsageError for one without a name."""
    words = [word.strip() for text in given for word in text.split(",")]
    if not all(words):
        raise UsageError("A component without a name was asked for.", "Name one, such as vae.")
    return tuple(dict.fromkeys(words))


def read_size(text: str) -> int:
    """Bytes of 20GB, 1.5 g, 300. Raises UsageError."""
    found = re.fullmatch(r"(\d{1,18}(?:\.\d{1,18})?)\s*([kmgt]?)b?", text.strip().lower())
    if found is None:
        raise UsageError(f"'{one_line(text)}' is not a size such as 20GB.", "Write a number with kB, MB, GB or TB.")
    return int(float(found[1]) * _UNITS[found[2]])
