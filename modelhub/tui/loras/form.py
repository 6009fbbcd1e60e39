"""The picture that the LoRA place asks for: prompts, sampler, steps, size, guidance and seed, in three lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Checkbox, Input, Label, Select, Static

from modelhub.preview.sampling.names import SAMPLER_NAMES
from modelhub.text import one_line
from modelhub.tui.lab.cooking import SUITED
from modelhub.tui.lab.offers import OfferSelect
from modelhub.tui.loras.request import CFG, read_request
from modelhub.tui.typed_values import PROMPT
from modelhub.tui.widgets.field import TextField
from modelhub.tui.widgets.ticks import TickBox

if TYPE_CHECKING:
    from modelhub.preview.request import Request
    from modelhub.settings import Settings

FIELDS = ("prompt", "negative", "steps", "size", "cfg", "seed")
_HINTS = {"prompt": PROMPT, "negative": "nothing", "size": "auto", "cfg": f"{CFG:g}", "seed": "1"}
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
        """The prompts above the rest."""
        with Horizontal(classes="lora-line"):
            yield Label("prompt")
            yield self._input("prompt")
        with Horizontal(classes="lora-line"):
            yield Label("negative")
            yield self._input("negative")
            yield Label("sampler")
            samplers = [("as suits the model", SUITED), *((name, name) for name in SAMPLER_NAMES)]
            yield OfferSelect(samplers, id="lora-sampler")
        with Horizontal(classes="lora-line"):
            for name in FIELDS[2:]:
                yield Label(name)
                yield self._input(name)
            yield TickBox("live", self._remembered.get("live") is True, compact=True, id="lora-live")
            yield Static(id="lora-words", markup=False)

    def on_mount(self) -> None:
        """The sampler that was chosen."""
        self.sampler.put(self._remembered.get("sampler"))

    def _input(self, name: str) -> Input:
        hint = _HINTS.get(name, str(self._steps))
        kept = self._remembered.get(name)
        text = kept[:_LONGEST] if isinstance(kept, str) else self._first.get(name, "")
        return TextField(one_line(text), placeholder=hint, compact=True, select_on_focus=False, id=f"lora-{name}")

    def field(self, name: str) -> Input:
        """The field of that name."""
        return self.query_one(f"#lora-{name}", Input)

    @property
    def sampler(self) -> OfferSelect:
        """The samplers."""
        return self.query_one(OfferSelect)

    @property
    def live(self) -> bool:
        """Whether a change is rendered at once."""
        return self.query_one(Checkbox).value

    @live.setter
    def live(self, on: bool) -> None:
        self.query_one(Checkbox).value = on

    def request(self) -> Request:
        """What is to be rendered. Raises UsageError."""
        return read_request(self._texts(), self._steps)

    def _texts(self) -> dict[str, str]:
        return {name: self.field(name).value for name in FIELDS} | {"sampler": self.sampler.chosen}

    def remember(self) -> dict[str, Any]:
        """The texts as they stand."""
        return {**self._texts(), "live": self.live}

    def offer(self, words: list[str]) -> None:
        """Say which trigger words the prompt lacks."""
        line = self.query_one("#lora-words", Static)
        line.update(Content.assemble(("t ", "bold $accent"), ", ".join(words)) if words else "")
        line.tooltip = Content(f"t puts into the prompt: {', '.join(words)}") if words else None

    @on(Input.Changed)
    @on(Select.Changed)
    @on(Checkbox.Changed)
    def _changed(self, message: Message) -> None:
        message.stop()
        self.post_message(self.Changed())

    @on(Input.Submitted)
    def _submitted(self, message: Input.Submitted) -> None:
        message.stop()
        self.post_message(self.Submitted())
