"""Fields in few words: a select whose options follow the rest of a form, labelled lines, and numbers typed in them."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Input, Label, Select

from modelhub.tui.widgets.field import TextField

#: What is shown, and what it stands for.
Offer = tuple[str, str]


class OfferSelect(Select[str]):
    """A compact select that always has a value."""

    def __init__(self, offers: Sequence[Offer], *, id: str) -> None:
        super().__init__(_plain(offers), allow_blank=False, compact=True, id=id)
        self._offered = list(offers)

    def offer(self, offers: Sequence[Offer]) -> None:
        """Other options, and the chosen one again if it is still among them."""
        if self._offered == list(offers):
            return
        value, self._offered = self.value, list(offers)
        with self.prevent(Select.Changed):
            self.set_options(_plain(offers))
            self.value = value if value in self.offered else self._offered[0][1]

    @property
    def offered(self) -> list[str]:
        """What may be chosen."""
        return [value for _, value in self._offered]

    @property
    def label(self) -> str:
        """What is shown of the chosen one."""
        return next((label for label, value in self._offered if value == self.value), "")

    @property
    def chosen(self) -> str:
        """What is chosen."""
        return str(self.value)

    def put(self, value: object) -> None:
        """Choose it, if it may be chosen."""
        if value in self.offered:
            self.value = str(value)


def _plain(offers: Sequence[Offer]) -> list[tuple[Text, str]]:
    """File names are among them: no markup."""
    return [(Text(label), value) for label, value in offers]


def field(label: str, *widgets: Input | Select[str], id: str | None = None) -> Horizontal:
    """A line: what it is, and what it is set with."""
    return Horizontal(Label(label), *widgets, classes="field", id=id)


def number_fields(*fields: tuple[str, str, str]) -> ComposeResult:
    """Fields for short numbers, side by side: the id, which is the label too, the value, and what stands for none."""
    with Horizontal(classes="field"):
        for at, (name, value, hint) in enumerate(fields):
            yield Label(name, classes="next" if at else "")
            yield TextField(value, placeholder=hint, compact=True, id=name, classes="number")
