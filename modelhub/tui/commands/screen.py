"""Commands: any command of the command line, its options as fields, run as a process of its own."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Button, ContentSwitcher, Input, Static

from modelhub.catalog.asset import Asset
from modelhub.errors import ModelhubError
from modelhub.text import one_line, shorten
from modelhub.tui.actions import bindings
from modelhub.tui.assets.pick import PickDialog
from modelhub.tui.commands.care import prefilled
from modelhub.tui.commands.command_list import CommandInput, CommandList
from modelhub.tui.commands.form import CommandForm, all_forms, form_of, line_of, problems, words_of
from modelhub.tui.commands.form_rows import FieldRow, FormBody
from modelhub.tui.commands.output_list import OutputList
from modelhub.tui.commands.rows import command_rows, line_rows
from modelhub.tui.commands.running import RunningScreen
from modelhub.tui.library import Library
from modelhub.tui.widgets.line_list import LineList
from modelhub.tui.work import WorkerJob, background

if TYPE_CHECKING:
    from modelhub.tui.app import ModelhubApp

MODE = "running"
#: Marked assets that are filled in at most.
_MOST_MARKED = 200
_WANTED = {
    "loras": ("kind:lora", "Choose a LoRA"),
    "models": ("(kind:checkpoint OR kind:diffusion-model)", "Choose a model"),
}


def open_commands(app: ModelhubApp, name: str = "") -> None:
    """To the commands; `name` opens the form of one."""
    if app.here == MODE:
        cast(CommandsScreen, app.screen_stack[0]).open(name, "")
        return
    if MODE not in app._modes:
        app.add_mode(MODE, partial(CommandsScreen, app.library))
    before = app.here
    app.switch_mode(MODE)
    app.call_later(lambda: cast(CommandsScreen, app.place(MODE)).open(name, before))


class CommandsScreen(RunningScreen):
    """Commands at the left, the form of one at the right, and the line it stands for below."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(MODE)]
    AUTO_FOCUS = "#command-filter"
    scope: ClassVar[str] = MODE

    @dataclass
    class Known(Message):
        """The commands that there are."""

        forms: Sequence[CommandForm]

    def __init__(self, library: Library) -> None:
        super().__init__(library)
        self.forms: Sequence[CommandForm] = ()
        self._before, self._wanted = "browse", ""
        self._old = False

    def body(self) -> ComposeResult:
        """Two columns."""
        with Horizontal(id="commands"):
            with Vertical(id="command-side"):
                yield CommandInput(placeholder="type a command", compact=True, id="command-filter")
                yield CommandList(id="command-list")
            with Vertical(id="command-main"):
                with ContentSwitcher(initial="command-form", id="command-pages"):
                    with Vertical(id="command-form"):
                        yield Static(
                            "Choose a command at the left: type to find it, enter opens its form.\n\n"
                            "A whole command line can be typed or pasted, too.",
                            markup=False,
                            id="command-nothing",
                        )
                    yield OutputList(id="command-output")
                yield Static(markup=False, id="command-line")
                with Horizontal(classes="buttons", id="command-buttons"):
                    yield Button("Run", variant="primary", compact=True, id="run")
                    yield Button("Dry run", compact=True, id="dry")
                    yield Button("Output", compact=True, id="see")
                    yield Button("Copy line", compact=True, id="copy")

    def on_mount(self) -> None:
        """Read the commands, in a thread."""
        self._show_line()
        self._read_forms()

    @background("forms")
    def _read_forms(self, job: WorkerJob) -> None:
        if self.hub.parser is not None:
            job.post(self.Known(all_forms(self.hub.parser)))

    @on(Known)
    def _known(self, message: Known) -> None:
        self.forms = message.forms
        self._list()
        if self._wanted:
            self.open(self._wanted, "")

    # -- parts -----------------------------------------------------------------------------------------------------

    @property
    def filter(self) -> Input:
        """Where a command is typed."""
        return self.query_one("#command-filter", Input)

    @property
    def list(self) -> CommandList:
        """The commands."""
        return self.query_one(CommandList)

    # -- choosing --------------------------------------------------------------------------------------------------

    def open(self, name: str, before: str) -> None:
        """Show the form of a command, or the list; `before` is the place to go back to."""
        self._before = before or self._before
        self._wanted = "" if self.forms else name
        form = next((one for one in self.forms if one.name == name), None)
        if form is not None:
            self._fill(form, prefilled(form, self._marked()))
        elif not name:
            self.remove_class("-chosen")
            self.filter.focus()

    def _marked(self) -> Sequence[Asset]:
        """What is marked in the library, or under the cursor there."""
        browse = self.hub.place("browse")
        ids = getattr(getattr(browse, "assets", None), "targets", [])
        try:
            return self.library.page(ids) if len(ids) <= _MOST_MARKED else ()
        except ModelhubError:  # the library tells why its catalog cannot be read
            return ()

    def _list(self) -> None:
        typed = self.filter.value
        self.list.show(line_rows(self.history.lines, typed) if self._old else command_rows(self.forms, typed))

    @on(Input.Changed, "#command-filter")
    def _typed(self) -> None:
        self._list()

    @on(Input.Submitted, "#command-filter")
    def _entered(self, event: Input.Submitted) -> None:
        """A whole line opens its form, filled; else the command under the cursor is opened."""
        if self._old or not self._take_line(event.value):
            self._choose()

    @on(LineList.Chosen, "#command-list")
    def _choose(self) -> None:
        row = self.list.current
        if row is None:
            self.app.bell()
        elif self._old:
            self._take_line(row.label)
        else:
            self.open(row.label, "")

    def _take_line(self, line: str) -> bool:
        """Open the form of a command line; whether it was one: the name of a command alone is a search."""
        try:
            words = shlex.split(line)
        except ValueError:
            return False
        found = form_of(self.forms, words)
        if found is None or not (found.values or words[0] == "modelhub"):
            return False
        self._fill(found.form, found.values)
        if found.rest:
            says = f"No field takes this, and it was left out: {shorten(one_line(shlex.join(found.rest)), 200)}"
            self.notify(says, severity="warning", markup=False)
        return True

    def _fill(self, form: CommandForm, values: dict[str, Any]) -> None:
        self.pages.current = "command-form"
        self.add_class("-chosen")
        self.query_one("#command-nothing").display = False
        if self.form is not None:
            self.form.remove()
        body = self.form = FormBody(form, values, self.library)
        place = self.query_one("#command-form")
        place.border_title = form.name
        place.mount(body)
        self.query_one("#dry", Button).display = form.has("--dry-run")

    @on(FormBody.Ready)
    def _begin(self) -> None:
        """Into the first field that is empty and needed, else the first."""
        form = self.form
        rows = [*form.query(FieldRow)] if form is not None else []
        if form is None or not rows:  # another command was chosen meanwhile
            return
        lacking = problems(form.form, form.values)
        row = next((one for one in rows if one.field.key in lacking), rows[0])
        for control in row.query("Input, Select, Checkbox"):
            control.focus()
        self._show_line()

    # -- the line --------------------------------------------------------------------------------------------------

    @on(FormBody.Changed)
    def _changed(self) -> None:
        self._show_line()

    def _show_line(self) -> None:
        form = self.form
        self.query_one("#command-buttons").display = form is not None
        line = self.query_one("#command-line", Static)
        line.display = form is not None
        if form is not None:
            found = problems(form.form, form.values)
            form.tell(found)
            line.set_class(bool(found), "-bad")
            line.update(f"$ {self._line(form)}")

    def _line(self, form: FormBody) -> str:
        try:
            return line_of(words_of(form.form, form.values))
        except ValueError:
            return "a quote is open"

    @on(FieldRow.Pick)
    def _pick(self, event: FieldRow.Pick) -> None:
        base, title = _WANTED.get(event.row.field.about, ("", "Choose an asset"))

        def picked(asset: Asset | None) -> None:
            if asset is not None:
                event.row.put(str(asset.path) if event.row.field.about == "files" else f"#{asset.id}")

        empty = "Nothing of that kind is catalogued."
        self.app.push_screen(PickDialog(self.library, title, base, empty), picked)

    # -- keys ------------------------------------------------------------------------------------------------------

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        names = {"run": "run", "dry": "dry_run", "see": "output", "copy": "copy"}
        if event.button.id in names:
            getattr(self, f"action_{names[event.button.id]}")()

    def action_output(self) -> None:
        """The output, or the form again."""
        shown = self.pages.current == "command-output"
        self.pages.current = "command-form" if shown else "command-output"
        self.add_class("-chosen")
        if shown:
            self._begin()
        else:
            self.output.focus()

    def action_history(self) -> None:
        """Lines that were run before, or the commands again."""
        self._old = not self._old and bool(self.history.lines)
        if not self.history.lines:
            self.notify("No command was run yet.", markup=False, timeout=3)
        self.remove_class("-chosen")
        self.filter.value = ""
        self.filter.placeholder = "type to find a line" if self._old else "type a command"
        self._list()
        self.filter.focus()

    def action_copy(self) -> None:
        """The line, or what was printed."""
        form, shown = self.form, self.pages.current == "command-output"
        text = self.output.text if shown else self._line(form) if form is not None else ""
        if text:
            self.app.copy_to_clipboard(text)
        what = "output" if shown else "command line"
        self.notify(f"Copied the {what}." if text else f"There is no {what} to copy.", markup=False, timeout=2)

    def action_filter(self) -> None:
        """Type a command."""
        self.remove_class("-chosen")
        self.filter.focus()

    def action_back(self) -> None:
        """Out of whatever is the innermost thing."""
        if self.pages.current == "command-output" and self.stop_command():
            return
        if self.pages.current == "command-output" and self.form is not None:
            self.action_output()
        elif self._old:
            self.action_history()
        elif self.focused not in (self.filter, self.list):
            self.action_filter()
        elif self.filter.value:
            self.filter.value = ""
        else:
            self.hub.go(self._before)
