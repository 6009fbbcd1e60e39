"""Prompt editing: which text a prompt is at which call of the denoiser, counted as A1111 counts.

With a sampler of two calls a step, such as Heun, whole numbers count calls too: [a:b:10] changes after 10 of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from modelhub.errors import UsageError
from modelhub.preview.prompts.grammar import Edit, Parts, Turns, parse
from modelhub.preview.prompts.places import marked


class Stage(NamedTuple):
    """A text, and the last of A1111's steps (0, 1, …: a call of the denoiser each) that it is for."""

    last: int
    text: str


def stages(prompt: str, total: int, first_pass: int | None = None) -> tuple[Stage, ...]:
    """The texts that a prompt is, one after another, in a pass of `total` calls of the denoiser.

    `first_pass` is how many calls the first pass of a hires fix had: then numbers count from its start, and fractions
    are 1.0 at its end. Raises UsageError for a number of calls that is negative or beyond all numbers, and for too many
    open brackets.
    """
    parts = parse(prompt).parts
    clock = _Clock(prompt, total, first_pass)
    ends = sorted({total}.union(*set(clock.ends(parts))))
    return tuple(Stage(end, "".join(clock.at(end, parts))) for end in ends)


class _Clock(NamedTuple):
    """Tells when edits of a prompt happen."""

    prompt: str
    total: int
    first_pass: int | None

    def when(self, edit: Edit) -> int:
        """The last step before an edit; below 1 where it has happened before the first."""
        value, start = float(edit.when), 0 if self.first_pass is None else self.first_pass
        if value < 0 or value == float("inf"):
            where = marked(self.prompt, edit.place, edit.place + len(edit.when))
            raise UsageError(
                f"The prompt cannot change at {edit.when[:20]}: {where}",
                "Write [before:after:0.4] for a part of the steps, or [before:after:8] for a step.",
            )
        if "." in edit.when:
            value = (value - (0 if self.first_pass is None else 1.0)) * self.total
        else:
            value -= start
        return min(self.total, int(value))

    def ends(self, parts: Parts) -> Iterator[range]:
        """The steps after which something changes; many changes have the same ones."""
        for part in parts:
            if isinstance(part, Turns):
                yield range(1, self.total + 1)
                for option in part.options:
                    yield from self.ends(option)
            elif isinstance(part, Edit):
                when = self.when(part)
                yield range(max(1, when), when + 1)
                yield from self.ends(part.before)
                yield from self.ends(part.after)

    def at(self, step: int, parts: Parts) -> Iterator[str]:
        """The text of a step, in pieces."""
        for part in parts:
            if isinstance(part, str):
                yield part
            elif isinstance(part, Turns):
                yield from self.at(step, part.options[(step - 1) % len(part.options)])
            else:
                yield from self.at(step, part.before if step <= self.when(part) else part.after)
