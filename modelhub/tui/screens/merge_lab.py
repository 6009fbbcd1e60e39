"""The merge lab: choose models and a method, see the unwritten merge between its parents, save it or its recipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Button, Footer, Input, Label, Select, Static

from modelhub.catalog.asset import Asset
from modelhub.errors import CancelledError, ModelhubError, UsageError
from modelhub.jobs import Event
from modelhub.merge.registry import Method, methods
from modelhub.preview.request import Request
from modelhub.settings import user_path
from modelhub.text import one_line
from modelhub.tui import kitchen
from modelhub.tui.actions import bindings
from modelhub.tui.kitchen import Part
from modelhub.tui.library import Library, term
from modelhub.tui.screens.dialogs import AskDialog, ErrorDialog
from modelhub.tui.screens.pick import PickDialog
from modelhub.tui.widgets.frame import Frame
from modelhub.tui.widgets.slider import Slider
from modelhub.tui.widgets.slot import Slot
from modelhub.tui.widgets.status import StatusLine
from modelhub.tui.work import Done, Failed, Progress, WorkerJob, background

if TYPE_CHECKING:
    from modelhub.merge.recipe import Recipe
    from modelhub.settings import Settings
    from modelhub.tui.widgets.picture import Pixels

_ORDER = {2: ("A", "merge", "B"), 3: ("A", "B", "C", "merge")}
_CFG = 7.0
_PROMPT = "a red circle on a blue background"


class MergeLab(Screen[bool]):
    """Gives whether a file was written."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("lab")]
    scope = "lab"

    @dataclass
    class Rendered(Message):
        """A picture is done, or cannot be: then `note` says why."""

        part: Part
        request: Request
        pixels: Pixels | None
        note: str = ""

    @dataclass
    class Written(Message):
        """A file is written; `model` tells a merge from a recipe."""

        path: Path
        model: bool
        warnings: Sequence[str] = ()

    def __init__(self, library: Library, settings: Settings, models: Sequence[Asset]) -> None:
        super().__init__()
        self.library, self.settings = library, settings
        self._given = models
        self._shown: dict[str, tuple[Part, Request]] = {}
        self._wrote = False

    def compose(self) -> ComposeResult:
        """The form over the pictures."""
        with Horizontal(id="form"):
            with Vertical(id="models"):
                yield from (Slot(letter, id=f"slot-{letter}") for letter in "ABC")
                with Horizontal(classes="field"):
                    yield Label("method")
                    choices = [(method.title, name) for name, method in methods().items()]
                    first = "add-difference" if len(self._given) == 3 else "weighted-sum"
                    yield Select(choices, value=first, allow_blank=False, compact=True, id="method")
                yield Static(id="formula", markup=False)
            with Vertical(id="settings"):
                yield Vertical(id="sliders")
                yield from self._compose_request()
        with Horizontal(id="frames"):
            yield from (Frame(id=f"frame-{letter}") for letter in ("A", "merge", "B", "C"))
        yield StatusLine(id="status")
        yield Footer(show_command_palette=False)

    def _compose_request(self) -> ComposeResult:
        with Horizontal(classes="field"):
            yield Label("prompt")
            yield Input(
                self.settings.preview_prompt, placeholder=_PROMPT, compact=True, select_on_focus=False, id="prompt"
            )
        with Horizontal(classes="field"):
            yield from _number_field("steps", str(self.settings.preview_steps), "10")
            yield from _number_field("size", "", "auto", next=True)
        with Horizontal(classes="field"):
            yield from _number_field("cfg", f"{_CFG:g}", f"{_CFG:g}")
            yield from _number_field("seed", "1", "1", next=True)
        with Horizontal(classes="buttons"):
            yield Button("Preview", variant="primary", compact=True, id="preview")
            yield Button("Save…", compact=True, id="save")
            yield Button("Recipe…", compact=True, id="recipe")

    def on_mount(self) -> None:
        """The models that were marked."""
        for letter, asset in zip("ABC", self._given, strict=False):
            self._slot(letter).asset = asset
        self.query_one(Slot).focus()

    # -- the form --------------------------------------------------------------------------------------------------

    @property
    def method(self) -> Method:
        """The chosen method."""
        return methods()[str(self.query_one("#method", Select).value)]

    @property
    def letters(self) -> str:
        """The slots that the method takes."""
        return "ABC"[: self.method.inputs]

    @property
    def parameters(self) -> dict[str, float]:
        """The numbers on the sliders."""
        return {slider.label: slider.value for slider in self.query(Slider)}

    def _slot(self, letter: str) -> Slot:
        return self.query_one(f"#slot-{letter}", Slot)

    def _frame(self, letter: str) -> Frame:
        return self.query_one(f"#frame-{letter}", Frame)

    def _text(self, name: str) -> str:
        return self.query_one(f"#{name}", Input).value.strip()

    @on(Select.Changed, "#method")
    async def _method_changed(self) -> None:
        """Other sliders, other slots, other frames."""
        method = self.method
        self.query_one("#formula", Static).update(method.formula)
        self._slot("C").display = method.inputs == 3
        sliders = self.query_one("#sliders", Vertical)
        await sliders.remove_children()
        await sliders.mount_all(Slider(p.name, p.default, p.low, p.high, p.help) for p in method.parameters)
        order = _ORDER[method.inputs]
        for frame in self.query(Frame):
            frame.display = (frame.id or "").removeprefix("frame-") in order
        frames = self.query_one("#frames", Horizontal)
        frames.sort_children(key=lambda frame: [*order, "C"].index((frame.id or "").removeprefix("frame-")))
        self._entitle()

    def _entitle(self) -> None:
        for letter in self.letters:
            asset = self._slot(letter).asset
            self._frame(letter).title = f"{letter} {asset.path.stem}" if asset else letter
        self._frame("merge").title = "merge"

    @on(Slot.Pick)
    def _pick(self, message: Slot.Pick) -> None:
        slot = message.slot
        others = [other.asset for other in self.query(Slot) if other is not slot and other.asset]
        base = "(kind:checkpoint OR kind:diffusion-model) format:safetensors missing:no"
        if others and others[0].architecture:
            base += f" {term('arch', others[0].architecture)}"

        def picked(asset: Asset | None) -> None:
            if asset is not None:
                slot.asset = asset
                self._entitle()

        self.app.push_screen(PickDialog(self.library, f"Model {slot.letter}", base), picked)

    def action_swap(self) -> None:
        """A for B."""
        a, b = self._slot("A"), self._slot("B")
        a.asset, b.asset = b.asset, a.asset
        self._entitle()

    @on(Button.Pressed)
    async def _pressed(self, message: Button.Pressed) -> None:
        message.stop()
        await self.run_action(message.button.id or "")

    def _models(self) -> list[Asset]:
        models = [self._slot(letter).asset for letter in self.letters]
        found = [model for model in models if model is not None]
        if len(found) < len(models):
            raise UsageError(
                f"{self.method.title} takes {len(models)} models, and {len(found)} are chosen.",
                "Press enter on an empty slot.",
            )
        return found

    def _request(self) -> Request:
        size = self._text("size").lower().replace("×", "x")
        width, height = (_number("size", part) for part in [*size.split("x"), size][:2]) if size else (None, None)
        return Request(
            self._text("prompt") or _PROMPT,
            steps=_number("number of steps", self._text("steps") or str(self.settings.preview_steps)),
            cfg=_decimal("CFG scale", self._text("cfg") or str(_CFG)),
            seed=_number("seed", self._text("seed") or "1"),
            width=width, height=height,
        )  # fmt: skip

    def _recipe(self) -> Recipe:
        return kitchen.merge_recipe(self._models(), self.method.name, self.parameters)

    def _explain(self, error: ModelhubError) -> None:
        self.app.push_screen(ErrorDialog(error))

    # -- preview ---------------------------------------------------------------------------------------------------

    def action_preview(self) -> None:
        """Render what is not shown yet."""
        try:
            request = self._request()
            wanted = kitchen.parts(self._models(), self.method.name, self.parameters)
        except ModelhubError as error:
            self._explain(error)
            return
        todo = [part for part in wanted if self._shown.get(part.letter) != (part, request)]
        for part in todo:
            self._shown.pop(part.letter, None)
            self._frame(part.letter).note = "waiting…"
            self._frame(part.letter).title = part.title if part.letter == "merge" else f"{part.letter} {part.title}"
        if todo:
            self.query_one(StatusLine).event = Event("preview", "preparing")
            self._cook(todo, request)

    @background("preview")
    def _cook(self, job: WorkerJob, todo: Sequence[Part], request: Request) -> None:
        for part in todo:
            try:
                picture = kitchen.render(self.library, part, request, self.settings.device, job.part(part.letter))
                job.post(self.Rendered(part, request, picture.pixels, " ".join(picture.warnings)))
            except CancelledError:
                raise
            except ModelhubError as error:
                job.post(self.Rendered(part, request, None, f"{error.message} {error.hint}"))

    @on(Progress)
    def _progress(self, message: Progress) -> None:
        event = message.event
        if event.level != "progress":
            return
        self.query_one(StatusLine).event = event
        if event.picture is not None and message.group in _ORDER[3]:
            self._frame(message.group).note = ""
            self._frame(message.group).show(event.picture)

    @on(Rendered)
    def _rendered(self, message: Rendered) -> None:
        frame = self._frame(message.part.letter)
        frame.note = message.note
        frame.show(message.pixels)
        if message.pixels is not None:
            self._shown[message.part.letter] = (message.part, message.request)

    @on(Done)
    def _done(self, message: Done) -> None:
        message.stop()
        running = any(worker.is_running for worker in self.workers if worker.node is self)
        if not (message.cancelled and running):
            self.query_one(StatusLine).event = None

    @on(Failed)
    def _failed(self) -> None:
        for frame in self.query(Frame):
            frame.note = "" if frame.note == "waiting…" else frame.note

    def action_back(self) -> None:
        """Stop what runs, else leave."""
        status = self.query_one(StatusLine)
        if status.event is None:
            self.dismiss(self._wrote)
            return
        self.workers.cancel_node(self)
        status.event = None
        for frame in self.query(Frame):
            frame.note = "stopped" if frame.note == "waiting…" else frame.note
        self.notify("Stopped; nothing half-written is left behind.", markup=False, timeout=3)

    # -- save ------------------------------------------------------------------------------------------------------

    def action_save(self) -> None:
        """Ask for a name and write the merge."""
        self._ask(
            "Save the merge", "A new safetensors file; it is catalogued when it is whole.", ".safetensors", self._save
        )

    def action_recipe(self) -> None:
        """Ask for a name and write the recipe."""
        self._ask(
            "Save the recipe",
            "A few lines of TOML, from which `modelhub merge` makes the file again.",
            ".toml",
            self._save_recipe,
        )

    def _ask(self, title: str, what: str, suffix: str, then: Any) -> None:
        try:
            recipe = self._recipe()
            path = kitchen.default_name(self._models(), self.method.name, self.parameters).with_suffix("")
        except ModelhubError as error:
            self._explain(error)
            return

        def named(text: str | None) -> None:
            if text:
                self.query_one(StatusLine).event = Event("save", "preparing")
                then(recipe, user_path(text).absolute())

        self.app.push_screen(AskDialog(title, what, f"{path}{suffix}"), named)

    @background("save")
    def _save(self, job: WorkerJob, recipe: Recipe, path: Path) -> None:
        report = kitchen.save(self.library, recipe, path, job)
        job.post(self.Written(path, True, report.warnings))

    @background("save")
    def _save_recipe(self, job: WorkerJob, recipe: Recipe, path: Path) -> None:
        planned = kitchen.save_recipe(self.library, recipe, path, job)
        job.post(self.Written(path, False, planned.report.warnings))

    @on(Written)
    def _written(self, message: Written) -> None:
        self._wrote = self._wrote or message.model
        text = "\n".join((one_line(message.path.name), *message.warnings))
        self.notify(
            text,
            title="Saved and catalogued" if message.model else "Saved",
            severity="warning" if message.warnings else "information",
            markup=False,
        )


def _number_field(name: str, value: str, hint: str, *, next: bool = False) -> ComposeResult:
    yield Label(name, classes="next" if next else "")
    yield Input(value, placeholder=hint, compact=True, id=name, classes="number")


def _decimal(what: str, text: str) -> float:
    try:
        return float(text.replace(",", "."))
    except ValueError:
        raise UsageError(f"The {what} is '{text}'.", "A number such as 7 or 3.5 is needed.") from None


def _number(what: str, text: str) -> int:
    if not text.strip().isdecimal():
        raise UsageError(f"The {what} is '{text}'.", "A whole number is needed; a size may also be 512x768.")
    return int(text)
