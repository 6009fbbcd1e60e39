"""The form of the convert place: what is to be done with the files, with its options, and where the results go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Button, Checkbox, Input, Label, Select, Static

from modelhub.catalog.asset import Asset
from modelhub.convert.asking import TASKS, Field, fields, task_of
from modelhub.convert.one import Wish
from modelhub.errors import UsageError
from modelhub.settings import user_path
from modelhub.text import brief
from modelhub.tui.widgets.field import TextField
from modelhub.tui.widgets.ticks import TickBox

#: What a field is called where its name is not what people say.
_LABELS = {
    "dtype": "precision", "vae_dtype": "VAE's", "max_output": "at most", "ema": "EMA", "drop": "leave out",
    "only": "keep only", "keep_names": "keep prefix", "donor": "donor", "nan": "NaN",
}  # fmt: skip
_DO = {
    "convert": "Write safetensors of pickles, shards, folders and GGUF, bit for bit at 'keep'.",
    "prune": "Leave out what no picture needs: EMA weights, training leftovers, components.",
    "repair": "Write a mended copy: position_ids, NaN, missing tensors, names of old programs.",
}
_COMMON = {
    "to": "the folder that results go to; beside each original unless named",
    "hash": "also make the SHA256 of the results, and of what is converted",
    "force": "replace files that stand where results are to go",
    "trash": "move originals to the trash once their results are proven equal; u brings them back",
}
_NONE = "none…"


class ConvertForm(VerticalScroll, can_focus=False):
    """A task, its options as fields, and what all tasks are asked; it knows no catalog and no jobs."""

    class Changed(Message):
        """Something else is asked for."""

    class PickDonor(Message):
        """The user wants to choose the model that tensors are taken from."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._donor: Path | None = None

    def compose(self) -> ComposeResult:
        """The task, its fields, the folder and the boxes."""
        with Horizontal(classes="convert-line"):
            yield Label("do", classes="convert-label")
            yield Select([(name, name) for name in TASKS], value="convert", allow_blank=False, compact=True, id="task")
            yield Label("to", classes="convert-label -next")
            yield TextField(placeholder="beside each original", compact=True, select_on_focus=False, id="to")
        with Widget(id="convert-fields"):
            for task in TASKS:
                yield from (self._cell(task, field) for field in fields(task))
            yield _box("hash", "SHA256")
            yield _box("force", "replace files")
            yield _box("trash", "originals to trash")
        yield Static(_DO["convert"], markup=False, id="convert-help")

    def _cell(self, task: str, field: Field) -> Widget:
        """The field of an option, seen while its task is chosen."""
        name = f"{task}-{field.name}"
        label = _LABELS.get(field.name, field.name)
        if field.kind == "flag":
            return TickBox(label, bool(field.default), compact=True, id=name, classes=f"convert-cell of-{task}")
        named = Label(label, classes="convert-label")
        return Horizontal(named, _made(field, name), classes=f"convert-cell of-{task}")

    def on_mount(self) -> None:
        """Show the fields of the first task."""
        self._arrange()

    @property
    def what(self) -> str:
        """What is to be done."""
        return str(self.query_one("#task", Select).value)

    @property
    def to(self) -> Path | None:
        """The folder for results. Raises UsageError for one that is not there."""
        text = self.query_one("#to", Input).value.strip()
        if not text:
            return None
        path = user_path(text)
        if not path.is_dir():
            raise UsageError(f"{path} is not a folder.", "Name one that is there, or leave the field empty.")
        return path.absolute()

    @property
    def wish(self) -> Wish:
        """What is asked for. Raises UsageError for what cannot be."""
        values = {field.name: self._value(field) for field in fields(self.what)}
        return Wish(task_of(self.what, values), force=self._is_on("force"), hashes=self._is_on("hash"),
                    trash=self._is_on("trash"))  # fmt: skip

    def _is_on(self, name: str) -> bool:
        return self.query_one(f"#{name}", Checkbox).value

    def _value(self, field: Field) -> Any:
        if field.kind == "model":
            return self._donor
        return self._control(self.what, field).value

    def _control(self, task: str, field: Field) -> Select[str] | Checkbox | Input:
        found: Select[str] | Checkbox | Input = self.query_one(f"#{task}-{field.name}")  # type: ignore[assignment]
        return found

    # -- what changes --------------------------------------------------------------------------------------------------

    @on(Select.Changed)
    @on(Checkbox.Changed)
    @on(Input.Changed)
    def _changed(self, event: Message) -> None:
        event.stop()
        self._arrange()
        self.post_message(self.Changed())

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        event.stop()
        if self._donor is None:
            self.post_message(self.PickDonor())
        else:
            self.take_donor(None)

    def take_donor(self, asset: Asset | Path | None) -> None:
        """The model that tensors are taken from; None for none."""
        self._donor = asset.path if isinstance(asset, Asset) else asset
        name = f"{brief(self._donor.name, 24)} ×" if self._donor is not None else _NONE
        self.query_one("#repair-donor", Button).label = name
        self.post_message(self.Changed())

    def _arrange(self) -> None:
        """Show the fields of the task."""
        for task in TASKS:
            for cell in self.query(f".of-{task}"):
                cell.display = task == self.what
        self._help(self.app.focused)

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Say what the field does."""
        self._help(event.widget)

    def _help(self, widget: Widget | None) -> None:
        name = (widget.id or "") if widget is not None else ""
        said = {f"{self.what}-{field.name}": field.help for field in fields(self.what)} | _COMMON
        text = said.get(name, "")
        self.query_one("#convert-help", Static).update(f"{text[:1].upper()}{text[1:]}." if text else _DO[self.what])

    # -- remembering ---------------------------------------------------------------------------------------------------

    def values(self) -> dict[str, Any]:
        """What stands in the fields that are worth to be kept; what throws originals away is asked for each time."""
        kept = {name: control.value for name, control in self._kept()}
        return {"task": self.what, "to": self.query_one("#to", Input).value, **kept}

    def put(self, values: Mapping[str, Any]) -> None:
        """Fill the fields; what makes no sense is left out."""
        if values.get("task") in TASKS:
            self.query_one("#task", Select).value = values["task"]
        if isinstance(values.get("to"), str):
            self.query_one("#to", Input).value = values["to"]
        for name, control in self._kept():
            value = values.get(name)
            if isinstance(control, Select):
                allowed = {choice for _, choice in control._options}
                if value in allowed:
                    control.value = str(value)
            elif isinstance(value, type(control.value)):
                control.value = value

    def _kept(self) -> Iterator[tuple[str, Select[str] | Checkbox | Input]]:
        for task in TASKS:
            for field in fields(task):
                if field.kind != "model":
                    yield f"{task}-{field.name}", self._control(task, field)


def _made(field: Field, name: str) -> Widget:
    if field.kind == "choice":
        choices = [(word, word) for word in field.choices]
        return Select(choices, value=field.default, allow_blank=False, compact=True, id=name)
    if field.kind == "model":
        return Button(_NONE, compact=True, id=name)
    placeholder = "4 × its size" if field.kind == "size" else "vae, te1"
    return TextField(placeholder=placeholder, compact=True, select_on_focus=False, id=name)


def _box(name: str, label: str) -> Checkbox:
    return TickBox(label, compact=True, id=name, classes="convert-cell")
