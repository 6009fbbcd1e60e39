"""One setting of a merge method as a field: a slider, a line to type into, a choice, or a box to tick."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widget import Widget
from textual.widgets import Checkbox, Input, Label, Select

from modelhub.catalog.weighing.weights import Weight
from modelhub.merge.recipes.asking import read_value, shown_value
from modelhub.merge.registry import Parameter, Value
from modelhub.tui.widgets.field import TextField
from modelhub.tui.widgets.slider import Slider
from modelhub.tui.widgets.ticks import TickBox


class ParameterField(Horizontal):
    """The field of a parameter that is no `number`, or whose number differs from tensor to tensor."""

    def __init__(self, parameter: Parameter, value: Value | Weight) -> None:
        super().__init__(classes="field")
        self.parameter, self._value = parameter, value
        self.tooltip = parameter.help

    def compose(self) -> ComposeResult:
        """The name, and what it is set with."""
        name, kind = self.parameter.name, self.parameter.kind
        yield Label(name)
        if kind == "flag":
            yield TickBox(self.parameter.help, bool(self._value), compact=True)
        elif kind == "choice":
            choices = [(word, word) for word in self.parameter.choices]
            yield Select(choices, value=str(self._value), allow_blank=False, compact=True)
        else:
            text = "" if self._value == () else shown_value(self._value)
            yield TextField(text, placeholder=shown_value(self.parameter.default), compact=True, select_on_focus=False)

    @property
    def text(self) -> str:
        """What it is set to, as `read_value` takes it, or whatever was typed; "" for the default."""
        if self.children and self.parameter.kind not in ("flag", "choice"):
            return self.query_one(Input).value.strip()
        return "" if self.value == () else shown_value(self.value)

    @property
    def value(self) -> Value | Weight:
        """What it is set to. Raises UsageError for what cannot be."""
        if not self.children:  # not composed yet
            return self._value
        if self.parameter.kind == "flag":
            return self.query_one(Checkbox).value
        if self.parameter.kind == "choice":
            return str(self.query_one(Select).value)
        text = self.query_one(Input).value.strip()
        return read_value(self.parameter, text) if text else self.parameter.default


def parameter_field(parameter: Parameter, value: Value | Weight | None = None) -> Widget:
    """A slider for a number, else a field of its own."""
    value = parameter.default if value is None else value
    if parameter.kind == "number" and isinstance(value, int | float):
        return Slider(parameter.name, float(value), parameter.low, parameter.high, parameter.help)
    return ParameterField(parameter, value)
