"""The LoRA place: a model, a stack of LoRAs with verdicts, and the picture without and with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message

from modelhub.catalog.asset import Asset
from modelhub.errors import ModelhubError
from modelhub.text import plural
from modelhub.tui.actions import bindings
from modelhub.tui.assets.pick import PickDialog
from modelhub.tui.lab.kitchen import Part
from modelhub.tui.lab.opening import find_assets
from modelhub.tui.lab.slot import Slot
from modelhub.tui.library import LORAS, Library
from modelhub.tui.loras import parts as lora_parts
from modelhub.tui.loras.dialogs import WordsDialog
from modelhub.tui.loras.doing import MODELS
from modelhub.tui.loras.entries import LoraEntries
from modelhub.tui.loras.entry import MOST, Entry, counted, plain, recalled
from modelhub.tui.loras.facts import EntryPane
from modelhub.tui.loras.form import LoraForm
from modelhub.tui.loras.frames import LoraFrames
from modelhub.tui.loras.parts import WITH
from modelhub.tui.loras.picking import LoraPickDialog
from modelhub.tui.loras.stack_list import StackList
from modelhub.tui.loras.words import FEW, lacking, trigger_words, with_words
from modelhub.tui.screens.dialogs import AskDialog
from modelhub.tui.work import WorkerJob, background

_EMPTY = "a  adds a LoRA that fits the model.\nIn the library, space marks LoRAs and a model, and l brings them here."
_NO_LORA = "There is no LoRA in the library yet.\nIn the library, a scans a folder that holds some."
_ASK_MODEL = "o chooses a model, a adds a LoRA; F5 renders it without and with them."
_ASK_LORA = "Add a LoRA with a: then this shows what it does."
_READY = "F5 renders it; v renders every change."
_ALL_MUTED = "All LoRAs of the stack are muted."


class LoraScreen(LoraEntries):
    """A model with a stack of LoRAs on it, of which nothing is written until it is asked for."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("lora")]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (34, "-tall")]  # noqa: RUF012 (Textual's declaration)
    AUTO_FOCUS = "#lora-stack"
    scope: ClassVar[str] = "lora"

    @dataclass
    class Recalled(Message):
        """What was remembered, as far as it is still in the catalog; `lost` is not."""

        model: Asset | None
        entries: Sequence[Entry]
        lost: int

    @dataclass
    class Known(Message):
        """Assets as the catalog has them now."""

        assets: Mapping[int, Asset]

    def __init__(self, library: Library) -> None:
        super().__init__(library)
        self._recalling = True
        self._brought: list[tuple[Sequence[Asset], Sequence[Asset]]] = []
        self._steps: tuple[float, ...] = lora_parts.STEPS

    def body(self) -> ComposeResult:
        """Model and stack beside the evidence, over the request and the pictures."""
        with Horizontal(id="lora-top"):
            with Vertical(id="lora-left"):
                yield Slot("model", id="lora-model")
                yield StackList(id="lora-stack")
            yield EntryPane(id="lora-evidence")
        yield LoraForm(self.settings, self.remembered, id="lora-form")
        yield LoraFrames(id="lora-frames")

    def on_mount(self) -> None:
        """Bring back what was remembered."""
        self.stack.empty = "looking for what was here…" if self.remembered else _EMPTY
        self.pictures.ask(WITH, _ASK_MODEL)
        self._recall(self.remembered)

    # -- memory --------------------------------------------------------------------------------------------------------

    def remember(self) -> dict[str, Any]:
        """The model, the stack, the fields."""
        if self._recalling:
            return self.remembered
        model = str(self.model.path) if self.model else ""
        steps = list(self._steps)
        return {"model": model, "stack": plain(self.stack.entries), "steps_row": steps, **self.form.remember()}

    @background("recalling")
    def _recall(self, job: WorkerJob, kept: dict[str, Any]) -> None:
        rows, path = recalled(kept.get("stack")), kept.get("model")
        wanted = [path for path in (path,) if isinstance(path, str) and path]
        try:
            found = find_assets(self.library, [*wanted, *(path for path, _ in rows)])
        except ModelhubError:  # a catalog that cannot be read is told of by the list of the library
            found = {}
        entries = [Entry(found[path], **fields) for path, fields in rows if path in found]
        model = found.get(wanted[0]) if wanted else None
        lost = len(rows) - len(entries) + (bool(wanted) and model is None)
        job.post(self.Recalled(model, entries, lost))

    @on(Recalled)
    def _take_back(self, message: Recalled) -> None:
        self._recalling = False
        self.stack.empty = _EMPTY
        self.slot.asset = message.model
        self.stack.put(message.entries)
        self._steps = _steps(self.remembered.get("steps_row"))
        self._judge()
        self._offer()
        if message.lost:
            self.notify(f"{plural(message.lost, 'file')} of the stack are not in the catalog any more.", markup=False)
        brought, self._brought = self._brought, []
        for models, loras in brought:
            self.take(models, loras)

    @on(events.ScreenResume)
    def _resumed(self) -> None:
        """What became of the files meanwhile, in other places or by other programs."""
        if not self._recalling:
            self._look_again([entry.asset.id for entry in self.stack.entries] + ([self.model.id] if self.model else []))

    @background("looking")
    def _look_again(self, job: WorkerJob, ids: Sequence[int]) -> None:
        with self.library.open() as catalog:
            job.post(self.Known({asset.id: asset for asset in catalog.assets(ids)}))

    @on(Known)
    def _known(self, message: Known) -> None:
        known = message.assets
        entries = tuple(replace(one, asset=known.get(one.asset.id, one.asset)) for one in self.stack.entries)
        model = known.get(self.model.id, self.model) if self.model else None
        if entries != self.stack.entries or model != self.model:
            self.slot.asset = model
            self.stack.put(entries)
            self._judge()

    # -- what stands here ----------------------------------------------------------------------------------------------

    def take(self, models: Sequence[Asset], loras: Sequence[Asset]) -> None:
        """The first of some models in place of the one here, and LoRAs that are not in the stack yet, below it."""
        if self._recalling:
            self._brought.append((models, loras))
            return
        here = {entry.asset.id for entry in self.stack.entries}
        new = [Entry(lora) for lora in loras if lora.id not in here]
        room = max(0, MOST - self.stack.count)
        if models:
            self.slot.asset = models[0]
        self._add(new[:room])
        self._judge()
        if len(new) > room:
            self._full()

    def _add(self, entries: Sequence[Entry]) -> None:
        if entries:
            self.stack.put([*self.stack.entries, *entries])
            self.stack.cursor = self.stack.count - 1
            self.stack.focus()

    def _full(self) -> None:
        self.notify(f"A stack has up to {MOST} LoRAs; x takes one out.", severity="warning", markup=False)

    def action_add(self) -> None:
        """Choose a LoRA."""
        if self.stack.count >= MOST:
            self._full()
            return

        def picked(asset: Asset | None) -> None:
            if asset is not None:
                self._add([Entry(asset)])

        if self.model is None:
            self.app.push_screen(PickDialog(self.library, "LoRA", LORAS, _NO_LORA), picked)
        else:
            self.app.push_screen(LoraPickDialog(self.library, self.model), picked)

    def action_model(self) -> None:
        """Choose a model."""

        def picked(asset: Asset | None) -> None:
            if asset is not None:
                self.slot.asset = asset
                self._judge()
                self._changed()
                self.stack.focus()

        nothing = "There is no checkpoint in the library yet.\nIn the library, a scans a folder that holds some."
        self.app.push_screen(PickDialog(self.library, "Model", MODELS, nothing), picked)

    @on(Slot.Pick)
    def _pick(self) -> None:
        self.action_model()

    @on(Slot.Emptied)
    def _emptied(self) -> None:
        self._judge()
        self._changed()

    @on(StackList.Changed)
    def _stack_changed(self, message: StackList.Changed) -> None:
        if message.members and not self._recalling:
            self._judge()
        self._changed()
        self._show_evidence()

    def _changed(self) -> None:
        """Other words to offer, another picture."""
        self._offer()
        if not self.pictures.is_strip and not counted(self.stack.entries):
            self.pictures.ask(WITH, _ALL_MUTED if self.stack.entries else _ASK_LORA if self.model else _ASK_MODEL)
        elif self.model and self.pictures.frame(WITH).note in (_ASK_MODEL, _ASK_LORA, _ALL_MUTED):
            self.pictures.ask(WITH, _READY)
        self.render_soon()

    def action_fits(self) -> None:
        """The stack beside all models of the library."""
        from modelhub.tui.fits.matrix_screen import MatrixScreen

        self.app.push_screen(MatrixScreen(self.library, [entry.asset for entry in self.stack.entries], ()))

    # -- the picture ---------------------------------------------------------------------------------------------------

    def wanted_parts(self) -> list[Part]:
        """The pair, or the strengths of the LoRA under the cursor. Raises UsageError, BadRecipeError."""
        model, entries = self.the_model(), self.stack.entries
        if not self.pictures.is_strip:
            return lora_parts.pair(model, entries)
        self.the_entry()
        self.pictures.show_strip(len(self._steps))
        return lora_parts.strip(model, entries, self.stack.cursor, self._steps)

    def action_row(self) -> None:
        """Ask for strengths, and show the LoRA under the cursor at each of them; or show the pair again."""
        if self.pictures.is_strip:
            self._show_pair()
            return

        def named(text: str | None) -> None:
            if text is not None:
                self._show_row(text)

        what = "Strengths at which the LoRA under the cursor is shown, side by side at one seed; w again leaves."
        self.app.push_screen(AskDialog("Row of strengths", what, ", ".join(f"{step:g}" for step in self._steps)), named)

    def _show_row(self, text: str) -> None:
        try:
            self.the_model()
            self.the_entry()
            self._steps = lora_parts.read_steps(text)
        except ModelhubError as error:
            self.explain(error)
            return
        self.pictures.show_strip(len(self._steps))
        self.action_preview()

    def _show_pair(self) -> None:
        self.stop_cooking()
        self.pictures.give_up()
        self.pictures.show_pair()
        self._changed()

    @on(LoraForm.Changed)
    def _form_changed(self) -> None:
        self._offer()
        self.render_soon()

    @on(LoraForm.Submitted)
    def _form_submitted(self) -> None:
        self.action_preview()

    def action_prompt(self) -> None:
        """Type the prompt."""
        self.form.field("prompt").focus()

    # -- trigger words -------------------------------------------------------------------------------------------------

    def _words(self) -> list[str]:
        """Trigger words of the LoRAs that count, as far as the prompt lacks them."""
        every = [word for entry in counted(self.stack.entries) for word in trigger_words(entry.asset.trigger_words)]
        return lacking(self.form.field("prompt").value, every)

    def _offer(self) -> None:
        self.form.offer(self._words())

    def action_words(self) -> None:
        """Trigger words into the prompt: a few at once, of many those that are chosen."""
        words = self._words()
        if not words:
            told = any(trigger_words(entry.asset.trigger_words) for entry in self.stack.entries)
            says = "The prompt has all trigger words." if told else "No trigger words are told of these LoRAs."
            self.notify(says, markup=False)
        elif len(words) <= FEW:
            self._put_words(words)
        else:
            self.app.push_screen(WordsDialog(words), self._put_words)

    def _put_words(self, words: list[str] | None) -> None:
        if words:
            prompt = self.form.field("prompt")
            prompt.value = with_words(prompt.value, words)

    # -- leaving -------------------------------------------------------------------------------------------------------

    def action_back(self) -> None:
        """Stop what runs here, else out of whatever is the innermost thing."""
        if self.stop_cooking() or self.stop_last():
            return
        if self.focused is not self.stack or self.has_class("-evidence"):
            self.remove_class("-evidence")
            self.stack.focus()
        elif self.pictures.is_strip:
            self._show_pair()
        else:
            super().action_back()


def _steps(kept: object) -> tuple[float, ...]:
    """The strengths of a row as they were remembered."""
    try:
        return lora_parts.read_steps(" ".join(map(str, kept))) if isinstance(kept, list) else lora_parts.STEPS
    except ModelhubError:
        return lora_parts.STEPS
