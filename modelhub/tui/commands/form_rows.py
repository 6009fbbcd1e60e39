"""The form of a command: a row for each field, groups that unfold, and what is wrong said below the field."""

from __future__ import annotations

from dataclasses import dataclass

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Button, Checkbox, Collapsible, Input, Select, Static

from modelhub.text import one_line, printable
from modelhub.tui.commands.form import CommandForm, Control, FormField, FormGroup, Values
from modelhub.tui.commands.suggestions import AssetSuggester, CompletingInput, PathSuggester
from modelhub.tui.library import Library
from modelhub.tui.widgets.ticks import TickBox

#: Groups with more fields than this are folded, until they are asked for or hold something.
_FEW = 9
_ASSETS = ("assets", "loras", "models", "files")


class FieldRow(Vertical):
    """A field: its name and its control, its help below, and what is wrong with it."""

    @dataclass
    class Changed(Message):
        """The field holds something else."""

        key: str
        value: str | bool

    @dataclass
    class Pick(Message):
        """An asset is to be chosen for this field."""

        row: FieldRow

    def __init__(self, field: FormField, value: str | bool, library: Library) -> None:
        super().__init__()
        self.field, self._value, self._library = field, value, library

    def compose(self) -> ComposeResult:
        """The name, the control, the help."""
        with Horizontal(classes="line"):
            yield Static(self.field.label, markup=False, classes="name")
            yield self._control()
            if self.field.about in _ASSETS:
                yield Button("Pick", compact=True, classes="pick")
        yield Static(printable(self.field.help), markup=False, classes="hint")
        yield Static(markup=False, classes="trouble")

    def _control(self) -> Widget:
        field, value = self.field, self._value
        if field.control is Control.FLAG:
            return TickBox("", bool(value), compact=True)
        if field.control is Control.CHOICE:
            prompt = field.default or ("choose" if field.required else "not said")
            known = str(value) if value in field.choices else Select.NULL
            return Select([(one, one) for one in field.choices], value=known, prompt=prompt, compact=True)
        placeholder = f"{field.default}" if field.default else "several, separated by spaces" if field.many else ""
        suggester = self._suggester()
        return CompletingInput(
            one_line(str(value or "")),
            placeholder=placeholder,
            suggester=suggester,
            compact=True,
            select_on_focus=False,
        )

    def _suggester(self) -> AssetSuggester | PathSuggester | None:
        about = self.field.about
        if about in ("assets", "loras", "models"):
            return AssetSuggester(self._library)
        return PathSuggester(folders=about == "folders") if about else None

    def say(self, trouble: str) -> None:
        """What is wrong, or "" for nothing."""
        line = self.query_one(".trouble", Static)
        line.display = bool(trouble)
        line.update(trouble)

    def put(self, text: str) -> None:
        """Another text in the field; where there may be several, one more."""
        entry = self.query_one(Input)
        entry.value = f"{entry.value.rstrip()} {text}".strip() if self.field.many else text
        entry.focus()
        entry.action_end()

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self.post_message(self.Changed(self.field.key, event.value))

    @on(Checkbox.Changed)
    def _ticked(self, event: Checkbox.Changed) -> None:
        event.stop()
        self.post_message(self.Changed(self.field.key, event.value))

    @on(Select.Changed)
    def _chosen(self, event: Select.Changed) -> None:
        event.stop()
        self.post_message(self.Changed(self.field.key, "" if event.value is Select.NULL else str(event.value)))

    @on(Button.Pressed)
    def _pick(self, event: Button.Pressed) -> None:
        event.stop()
        self.post_message(self.Pick(self))


class FormBody(VerticalScroll, can_focus=False):
    """All fields of a command. `values` is what they hold; groups of many fields are made when they are unfolded."""

    class Ready(Message):
        """The fields are there."""

    class Changed(Message):
        """The form holds something else."""

    def __init__(self, form: CommandForm, values: Values, library: Library) -> None:
        super().__init__()
        self.form, self._library = form, library
        self.values: dict[str, str | bool] = dict(values)
        #: Keys that the user was in: only these are told what they lack.
        self._touched: set[str] = set()

    def compose(self) -> ComposeResult:
        """What the command does, then its groups."""
        yield Static(printable(self.form.help), markup=False, classes="about")
        if self.form.example:
            yield Static(f"e.g.  {printable(self.form.example)}", markup=False, classes="example")
        for number, group in enumerate(self.form.groups):
            if len(group.fields) <= _FEW or number == 0:
                yield from self._rows(group)
            else:
                yield self._folded(group)

    def on_mount(self) -> None:
        """Say so, once the fields are laid out."""
        self.call_after_refresh(self.post_message, self.Ready())

    def _rows(self, group: FormGroup) -> list[FieldRow]:
        return [FieldRow(field, self.values.get(field.key) or "", self._library) for field in group.fields]

    def _folded(self, group: FormGroup) -> Collapsible:
        given = any(self.values.get(field.key) for field in group.fields)
        title = f"{group.title[:1].upper()}{group.title[1:]} ({len(group.fields)})"
        rows = self._rows(group) if given else []
        return Collapsible(*rows, title=title.replace("[", r"\["), collapsed=not given, name=group.title)

    @on(Collapsible.Expanded)
    def _unfold(self, event: Collapsible.Expanded) -> None:
        if event.collapsible.query(FieldRow):
            return
        group = next(one for one in self.form.groups if one.title == event.collapsible.name)
        event.collapsible.query_one(Collapsible.Contents).mount(*self._rows(group))

    @on(FieldRow.Changed)
    def _changed(self, event: FieldRow.Changed) -> None:
        event.stop()
        if (self.values.get(event.key) or "") != (event.value or ""):
            self.values[event.key] = event.value
            self._touched.add(event.key)
            self.post_message(self.Changed())

    def tell(self, problems: dict[str, str], *, all_of_them: bool = False) -> None:
        """Say what is wrong below the fields that were changed, or below all."""
        for row in self.query(FieldRow):
            shown = all_of_them or row.field.key in self._touched
            row.say(problems.get(row.field.key, "") if shown else "")

    def row(self, key: str) -> FieldRow | None:
        """The row of a field, if it is unfolded."""
        return next((row for row in self.query(FieldRow) if row.field.key == key), None)
