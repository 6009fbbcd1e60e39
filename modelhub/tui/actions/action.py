"""An action: what a user can do, its keys, its words, and where it lives."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Action:
    """Something a user can do. `keys` are Textual key names joined by commas; `run` is the Textual action.

    `priority` runs it before the next key is looked at: what is typed right after belongs to what it opened.
    """

    scope: str
    name: str
    keys: str
    label: str
    help: str
    footer: bool = False
    run: str = ""
    priority: bool = False

    @property
    def id(self) -> str:
        """The name by which keys.toml knows the binding."""
        return f"{self.scope}.{self.name}"

    @property
    def call(self) -> str:
        """The action in Textual's words: `rate(3)`."""
        return self.run or self.name
