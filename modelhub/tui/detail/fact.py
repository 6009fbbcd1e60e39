"""A fact: a label and a text that stand in a section, to be read, to be copied, or to lead somewhere."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fact:
    """A label and a text; `look` is how it is drawn, `cut` keeps it on one line.

    `goes` is the asset that it leads to, `copy` what is copied of it, where that is not its text.
    """

    label: str
    text: str
    look: str = "value"
    cut: bool = False
    indent: int = 0
    goes: int = 0
    copy: str = ""

    @property
    def can_take(self) -> bool:
        """Whether there is anything to do with it: to follow it, or to copy it."""
        return bool(self.goes or self.copy or self.label)


@dataclass(frozen=True, slots=True)
class Section:
    """A title and facts; without labels they are lines of text."""

    title: str
    facts: tuple[Fact, ...]
    labelled: bool = True
