"""A fold of a form: a title that enter or a click folds away what stands below it, with a word on what is set there."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.reactive import reactive
from textual.widget import Widget

from modelhub.text import shorten
from modelhub.tui.widgets.ink import ink


class FoldTitle(Widget, can_focus=True):
    """`▾ PICTURE`, or `▸ RESULT  fp16` while it is folded."""

    ALLOW_SELECT = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,space", "fold", "Fold", show=False, id="fold.toggle"),
        Binding("up,k", "app.focus_previous", "Up", show=False, id="fold.up"),
        Binding("down,j", "app.focus_next", "Down", show=False, id="fold.down"),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {"fold--title", "fold--hint"}

    folded: reactive[bool] = reactive(False)
    hint: reactive[str] = reactive("")

    def __init__(self, title: str) -> None:
        super().__init__()
        self._title = title

    def render(self) -> Text:
        """One line."""
        sign = "▸" if self.folded else "▾"
        text = Text.assemble((f"{sign} {self._title.upper()}", ink(self, "fold--title")), no_wrap=True, end="")
        hint = shorten(self.hint, max(0, self.size.width - text.cell_len - 2)) if self.folded else ""
        return text.append(f"  {hint}", ink(self, "fold--hint"))

    def action_fold(self) -> None:
        """Fold, or unfold."""
        self.folded = not self.folded

    def on_click(self) -> None:
        """Fold, or unfold."""
        self.action_fold()


class Fold(Vertical):
    """A title over its children, which are given inside of a `with`."""

    def __init__(self, title: str, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._title, self._inside = title, list[Widget]()

    def compose_add_child(self, widget: Widget) -> None:
        """What stands inside."""
        self._inside.append(widget)

    def compose(self) -> ComposeResult:
        """The title, and what is folded."""
        yield FoldTitle(self._title)
        yield Vertical(*self._inside, classes="inside")

    def on_mount(self) -> None:
        """Follow the title."""
        self.watch(self.title, "folded", self._show)

    def _show(self, folded: bool) -> None:
        self.set_class(folded, "-folded")

    @property
    def title(self) -> FoldTitle:
        """The line that folds it."""
        return self.query_one(FoldTitle)

    @property
    def folded(self) -> bool:
        """Whether only the title is shown."""
        return self.title.folded

    @folded.setter
    def folded(self, folded: bool) -> None:
        self.title.folded = folded
