"""What a batch of conversions will do and did, in words: for the log, the notice at the end, the question before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from modelhub.text import human_size, one_line, plural

if TYPE_CHECKING:
    from modelhub.convert.items import Item
    from modelhub.convert.one import Wish

#: What sentences call by its name on the command line, and what it is called in the form.
_IN_THE_FORM = (
    ("with `modelhub convert --salvage`", "with salvage ticked"), ("`modelhub convert --salvage`", "salvage"),
    ("--force would replace", "'replace files' would replace"), ("--from REF", "donor"),
    ("--nan zero", "NaN: zero"), ("--strict", "strict"), ("--vae-dtype", "VAE's precision"), ("--dtype", "precision"),
    ("--ema keep", "EMA: keep"), ("--ema drop", "EMA: drop"), ("--ema", "EMA"), ("--max-output", "'at most'"),
    ("--only", "keep only"), ("--drop", "leave out"), ("`modelhub prune`", "prune"), ("`modelhub convert`", "convert"),
    ("`modelhub repair`", "repair"), ("--to", "'to'"),
)  # fmt: skip

#: Status to what became of a file.
DONE = {
    "converted": "written", "already": "already there", "idle": "fine as it is", "skipped": "skipped",
    "failed": "failed", "planned": "to be written",
}  # fmt: skip


def outcome_words(item: Item) -> str:
    """One line of the log: the name, what became of it, and why."""
    name = one_line(item.source.name)
    if item.status == "converted":
        return f"{name}: written as {one_line(item.goal.name)}, {sizes(item.before, item.size)}, read back and equal."
    return f"{name}: {DONE[item.status]}. {item.message}".strip()


def sizes(before: int, after: int) -> str:
    """`2.13 GB → 1.07 GB (-50%)`."""
    percent = round(100 * (after - before) / before) if before else 0
    return f"{human_size(before)} → {human_size(after)}" + (f" ({percent:+,}%)" if percent else "")


def result_words(items: Sequence[Item]) -> str:
    """What came of a batch, in a sentence or two."""
    made = [item for item in items if item.status == "converted"]
    rest = [(sum(item.status == status for item in items), word) for status, word in DONE.items()]
    counts = [f"{plural(count, 'file')} {word}" for count, word in rest if count]
    text = f"{', '.join(counts) or 'Nothing to do'}."
    if made:
        text += f" {sizes(sum(item.before for item in made), sum(item.size for item in made))}."
    if trashed := sum(item.trashed is not None for item in items):
        text += f" {plural(trashed, 'original')} in the trash; u brings them back."
    return text


def question(items: Sequence[Item], left: int, wish: Wish, free: int | None) -> str:
    """What is asked before a job begins; `left` files of the list are left out."""
    planned = [item for item in items if item.status == "planned"]
    lines = []
    if planned:
        what = one_line(planned[0].goal.name) if len(planned) == 1 else plural(len(planned), "file")
        lines.append(f"{what}: {sizes(sum(item.before for item in planned), sum(item.size for item in planned))}")
    if stand := len(items) - len(planned):
        lines.append(f"{plural(stand, 'result')} that stand already, compared with the originals number by number.")
    if free is not None:
        lines.append(f"{human_size(free)} are free there.")
    if wish.force and (there := sum(item.goal.exists() for item in planned)):
        lines.append(f"{plural(there, 'file')} of that name would be replaced.")
    if left:
        lines.append(f"{plural(left, 'file')} of the list left out; the report says why.")
    lines.append(_fate_words(items, wish))
    return "\n".join(lines)


def _fate_words(items: Sequence[Item], wish: Wish) -> str:
    if not wish.trash:
        return "The originals stay as they are."
    going = [item for item in items if not item.stays]
    stay = f" {plural(len(items) - len(going), 'other')} stay." if len(going) < len(items) else ""
    size = human_size(sum(item.before for item in going))
    return f"{plural(len(going), 'original')} ({size}) to the trash, once proven equal; u brings them back.{stay}"


def sum_words(items: Sequence[Item | None], free: int | None) -> str:
    """One line about a whole list: how many files, their sizes now and then, what is left out, and what is free."""
    known = [item for item in items if item is not None]
    made = [item for item in known if item.status in ("planned", "converted")]
    parts = [plural(len(items), "file")]
    if made:
        parts.append(sizes(sum(item.before for item in made), sum(item.size for item in made)))
    counts = ((status, sum(item.status == status for item in known)) for status in DONE)
    parts += [f"{count:,} {DONE[status]}" for status, count in counts if count]
    if len(known) < len(items):
        parts.append(f"looking at {len(items) - len(known):,}…")
    if free is not None:
        parts.append(f"{human_size(free)} free")
    return " · ".join(parts) if items else "No files."


def in_the_form(text: str) -> str:
    """A sentence of an operation, with what the form calls its options."""
    for option, words in _IN_THE_FORM:
        text = text.replace(option, words)
    return text
