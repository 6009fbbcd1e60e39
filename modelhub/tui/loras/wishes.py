"""What the dialogs of the LoRA place ask for when something is made: their fields, and what is typed there in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from modelhub.errors import UsageError
from modelhub.lora.making.ranks import RULES, Ranks
from modelhub.settings import user_path
from modelhub.text import brief, shorten
from modelhub.tui.lab.recipes import free_name

Values = Mapping[str, str]
Choices = tuple[tuple[str, str], ...]

#: What is not asked for.
NONE = ""
PRECISION: Choices = (("fp16", "F16"), ("bf16", "BF16"), ("fp32", "F32"))
NAMES: Choices = (("kohya: A1111, Forge, ComfyUI", "kohya"), ("peft: diffusers", "peft"))
_RULES: Choices = (
    ("the rank above", NONE),
    ("share of the energy", "energy"),
    ("share of the norm (sv_fro)", "sv_fro"),
    ("share of the sum (sv_cumulative)", "sv_cumulative"),
    ("ratio to the first (sv_ratio)", "sv_ratio"),
)
ON = "yes"


@dataclass(frozen=True, slots=True)
class Field:
    """A line of a dialog: text, one of `choices`, or a box to tick (`tick` is what stands beside it)."""

    name: str
    label: str
    value: str = ""
    choices: Choices = ()
    tick: str = ""
    hint: str = ""


def goal_field(path: Path) -> Field:
    """The file to write."""
    return Field("file", "file", str(free_name(path)))


def title_field() -> Field:
    """What the file calls itself."""
    return Field("title", "title", hint="as the file")


def rank_fields(rank: str, hint: str = "") -> tuple[Field, ...]:
    """How large a LoRA becomes."""
    return (
        Field("rank", "rank", rank, hint=hint or "as many as the rule needs"),
        Field("conv", "rank of conv.", hint="as the rank"),
        Field("rule", "as few as", choices=_RULES),
        Field("share", "its number", hint="0.95; a ratio is 20"),
    )


def ranks(values: Values, default: int | None = None) -> Ranks | None:
    """The ranks that are asked for; None where nothing is said. Raises UsageError."""
    rule = values.get("rule", NONE)
    share = _share(values.get("share", ""), rule) if rule in RULES else 0.0
    most, conv = whole(values, "rank"), whole(values, "conv")
    found = Ranks.asked(most, conv, rule if rule in RULES else "", share, default)
    if found is None and conv is not None:
        raise UsageError("A rank for convolutions alone says nothing of all else.", "Give a rank, too.")
    return found


def _share(text: str, rule: str) -> float:
    try:
        return float(text.replace(",", "."))
    except ValueError:
        example = "20" if rule == "sv_ratio" else "0.95"
        raise UsageError(f"'{brief(text)}' is no number for this rule.", f"Write one such as {example}.") from None


def whole(values: Values, name: str) -> int | None:
    """A whole number, None where the field is empty. Raises UsageError."""
    text = values.get(name, "").strip()
    if not text:
        return None
    if not text.isdecimal() or len(text) > 9:
        raise UsageError(f"The rank '{brief(text)}' is no whole number.", "Write one such as 16.")
    return int(text)


def amount(values: Values, name: str) -> float:
    """A number from 0 on, 0 where the field is empty. Raises UsageError."""
    text = values.get(name, "").strip() or "0"
    try:
        found = float(text.replace(",", "."))
    except ValueError:
        found = -1.0
    if not 0 <= found < float("inf"):
        raise UsageError(f"'{brief(text)}' is no number from 0 on.", "Write one such as 0.001.")
    return found


def goal(values: Values) -> Path:
    """The file that is asked for, which ends in .safetensors. Raises UsageError."""
    text = values.get("file", "").strip()
    if not text:
        raise UsageError("The file has no name.", "Write where the result is to go.")
    path = user_path(text).absolute()
    return path if path.suffix in (".safetensors", ".sft") else path.with_name(f"{path.name}.safetensors")


def file_words(*parts: str) -> str:
    """Words for the name of a file."""
    words = "-".join(shorten(part, 40).replace("…", "_") for part in parts if part)
    return "".join(char if char.isprintable() and char not in '/\\:*?"<>|' else "_" for char in words)
