"""The picture that the LoRA place asks for: prompt, steps, size, guidance and seed, in two lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Checkbox, Input, Label, Static

from modelhub.text import one_line
from modelhub.tui.loras.request import CFG, read_request
from modelhub.tui.typed_values import PROMPT

if TYPE_CHECKING:
    from modelhub.preview.request import Request
    from modelhub.settings import Settings

FIELDS = ("prompt", "steps", "size", "cfg", "seed")
_HINTS = {"size": "auto", "cfg": f"{CFG:g}", "seed": "1"}
_LONGEST = 20_000


class LoraForm(Vertical):
    """The fields of a request, the switch of live previews, and the trigger words that the prompt lacks."""

    class Changed(Message):
        """Another request, or live previews are wanted now, or no more."""

    class Submitted(Message):
        """Enter in a field: render it."""

    def __init__(self, settings: Settings, remembered: dict[str, Any], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._first = {"prompt": settings.preview_prompt, "steps": str(settings.preview_steps), "seed": "1"}
        self._steps, self._remembered = settings.preview_steps, remembered

    def compose(self) -> ComposeResult:
        """The prompt above the rest."""
        with Horizontal(classes="lora-line"):
            yield Label("prompt")
            yield self._input("prompt", PROMPT)
        with Horizontal(classes="lora-line"):
            for name in FIELDS[1:]:
                yield Label(name)
                yield self._input(name, _HINTS.get(name, str(self._steps)))
            yield Checkbox("live", self._remembered.get("live") is True, compact=True, id="lora-live")
            yield Static(id="lora-words", markup=False)

    def _input(self, name: str, hint: str) -> Input:
        kept = self._remembered.get(name)
        text = kept[:_LONGEST] if isinstance(kept, str) else self._first.get(name, "")
        return Input(one_line(text), placeholder=hint, compact=True, select_on_focus=False, id=f"lora-{name}")

    def field(self, name: str) -> Input:
        """The field of that name."""
        return self.query_one(f"#lora-{name}", Input)

    @property
    def live(self) -> bool:
        """Whether a change is rendered at once."""
        return self.query_one(Checkbox).value

    @live.setter
    def live(self, on: bool) -> None:
        self.query_one(Checkbox).value = on

    def request(self) -> Request:
        """What is to be rendered. Raises UsageError."""
        return read_request({name: self.field(name).value for name in FIELDS}, self._steps)

    def remember(self) -> dict[str, Any]:
        """The texts as they stand."""
        return {**{name: self.field(name).value for name in FIELDS}, "live": self.live}

    def offer(self, words: list[str]) -> None:
        """Say which trigger words the prompt lacks."""
        line = self.query_one("#lora-words", Static)
        line.update(Content.assemble(("t ", "bold $accent"), ", ".join(words)) if words else "")
        line.tooltip = Content(f"t puts into the prompt: {', '.join(words)}") if words else None

    @on(Input.Changed)
    @on(Checkbox.Changed)
    def _changed(self, message: Message) -> None:
        message.stop()
        self.post_message(self.Changed())

    @on(Input.Submitted)
    def _submitted(self, message: Input.Submitted) -> None:
        message.stop()
        self.post_message(self.Submitted())
