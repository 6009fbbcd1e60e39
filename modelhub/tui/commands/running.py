"""A command of a form that runs as a process of its own: asked about where that is wise, its output followed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, cast

from textual.widgets import ContentSwitcher

from modelhub.tui.commands.care import agreed, asks_for_secret, care
from modelhub.tui.commands.form import CommandForm, line_of, problems, words_of
from modelhub.tui.commands.form_rows import FormBody
from modelhub.tui.commands.history import History
from modelhub.tui.commands.output_list import OutputList
from modelhub.tui.commands.run import Output, run_command
from modelhub.tui.jobs.record import JobRecord, State
from modelhub.tui.library import Library
from modelhub.tui.screens.dialogs import confirm
from modelhub.tui.screens.place import Place

#: Seconds between two looks at what was printed.
_LOOK = 0.1
#: Columns of the page that no line has: borders and the scroll bar.
_BORDERS = 3


class RunningScreen(Place):
    """A place with the `form` of a command that was chosen, and a page for output. One command runs at a time."""

    def __init__(self, library: Library) -> None:
        super().__init__(library)
        self._record: JobRecord | None = None
        self.form: FormBody | None = None

    def on_mount(self) -> None:
        """What was run before is remembered."""
        self.history = History(self.hub.memory)
        self._timer = self.set_interval(_LOOK, self.output.look, pause=True)

    @property
    def output(self) -> OutputList:
        """What was printed."""
        return self.query_one(OutputList)

    @property
    def pages(self) -> ContentSwitcher:
        """The form or the output."""
        return self.query_one("#command-pages", ContentSwitcher)

    def action_run(self) -> None:
        """Ask where that is wise, then run."""
        self._try({})

    def action_dry_run(self) -> None:
        """The same, with --dry-run."""
        form = self.form
        if form is not None and form.form.has("--dry-run"):
            self._try({"--dry-run": True})
        else:
            self.notify("This command changes nothing: just run it.", markup=False, timeout=3)

    def _try(self, more: dict[str, str | bool]) -> None:
        form = self.form
        if form is None:
            self.notify("Choose a command first.", markup=False, timeout=3)
            return
        values = {**form.values, **more}
        found = problems(form.form, values)
        form.tell(found, all_of_them=True)
        if found:
            key, why = next(iter(found.items()))
            self.notify(f"{key}: {why}", severity="warning", markup=False)
        elif self._record is not None and self._record.is_open:
            self.notify("One command at a time: escape stops the one that runs.", severity="warning", markup=False)
        elif asks_for_secret(form.form, values):
            self._to_tokens()
        elif question := care(form.form, values):
            self._ask(form.form, values, question)
        else:
            self._run(words_of(form.form, values))

    def _to_tokens(self) -> None:
        self.notify("Tokens are kept in the settings, where they are not shown.", markup=False)
        self.hub.go("settings")
        self.app.call_later(lambda: cast(Any, self.hub.place("settings")).show_section("tokens"))

    def _ask(self, form: CommandForm, values: dict[str, str | bool], question: str) -> None:
        line = line_of(words_of(form, values))
        more = f"\n\n{line}" + ("\n\nDry run (^t) says what it would do." if form.has("--dry-run") else "")
        run = partial(self._run, words_of(form, agreed(form, values)))
        confirm(self, f"Run {form.name}", f"{question}{more}", "Run it", run)

    def _run(self, words: Sequence[str]) -> None:
        output, line, folder = Output(), line_of(words), self.library.folder
        columns = max(20, self.pages.size.width - _BORDERS)
        output.add("end", f"$ {line}")
        self.history.add(line)
        self.pages.current = "command-output"
        self.output.follow(output)
        self.output.focus()
        self._timer.resume()
        self._record = self.jobs.start(
            f"modelhub {words[0]}",
            lambda job: run_command(words, folder, columns, output, job),
            place=self.scope,
            then=lambda ended: output.add("end", f"— done, exit code 0, {ended.seconds:.1f} s —"),
            over=lambda record: self._over(output, record),
        )

    def _over(self, output: Output, record: JobRecord) -> None:
        if record.state is State.STOPPED:
            output.add("end", "— stopped, exit code 130 —")
        elif record.error is not None:
            output.add("end", f"— it failed. {record.error.hint} —")
        self.library.changed()
        if self.is_mounted:
            self._timer.pause()
            self.output.look()

    def stop_command(self) -> bool:
        """Ask the command to stop; says whether one runs."""
        if self._record is None or not self._record.is_open:
            return False
        self.stop(self._record)
        return True
