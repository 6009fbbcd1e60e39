"""The LoRAs of the stack one by one: what the keys change of them, whether they fit, and the evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from textual import on
from textual.message import Message

from modelhub.catalog.asset import Asset
from modelhub.lora.checking.answer import Answer
from modelhub.tui.fits import partners
from modelhub.tui.loras.dialogs import BlocksDialog
from modelhub.tui.loras.doing import LoraDoing
from modelhub.tui.loras.facts import EntryPane
from modelhub.tui.widgets.line_list import LineList
from modelhub.tui.work import WorkerJob, background


class LoraEntries(LoraDoing):
    """A place with a stack and a pane beside it."""

    @dataclass
    class Judged(Message):
        """Answers for LoRAs of the stack on a model, by their ids; `last` when there are no more."""

        model: int
        answers: Mapping[int, Answer]
        last: bool

    # -- one of them ---------------------------------------------------------------------------------------------------

    def _edit(self, **changes: Any) -> None:
        """Change the LoRA under the cursor."""
        if self.stack.current is None:
            self.app.bell()
        else:
            self.stack.change(replace(self.stack.current, **changes))

    def action_mute(self) -> None:
        """Without it, or with it again."""
        self._edit(muted=self.stack.current is not None and not self.stack.current.muted)

    def action_solo(self) -> None:
        """Only this one and others that are alone, or all again."""
        self._edit(alone=self.stack.current is not None and not self.stack.current.alone)

    def action_take_out(self) -> None:
        """Out of the stack."""
        if self.stack.current is None:
            self.app.bell()
        else:
            self.stack.take_out()

    def action_move(self, by: int) -> None:
        """Up or down."""
        self.stack.move(by)

    def action_side(self) -> None:
        """The arrows change the other strength."""
        entry = self.stack.current
        if self.stack.side == "unet" and entry is not None and not entry.has_text:
            self.notify("This LoRA has nothing for the text encoders.", severity="warning", markup=False)
            return
        self.stack.side = "text" if self.stack.side == "unet" else "unet"

    def action_link(self) -> None:
        """The text encoders at the strength of the U-Net again."""
        self._edit(text=None)

    def action_blocks(self) -> None:
        """Ask for block weights."""
        entry = self.stack.current
        if entry is None:
            self.app.bell()
            return

        def chosen(blocks: str | None) -> None:
            if blocks is not None:
                self._edit(blocks=blocks)

        architecture = self.model.architecture if self.model else entry.asset.architecture
        self.app.push_screen(BlocksDialog(entry.asset.path.stem, architecture, entry.blocks), chosen)

    # -- verdicts ------------------------------------------------------------------------------------------------------

    def _judge(self) -> None:
        """Ask whether they fit."""
        loras = list({entry.asset.id: entry.asset for entry in self.stack.entries}.values())
        self.stack.judging = bool(self.model and loras)
        if self.model is None or not loras:
            self.workers.cancel_group(self, "verdicts")
            self.stack.answers = {}
        else:
            self.stack.answers = {one.id: self.stack.answers[one.id] for one in loras if self._is_judged(one)}
            self._ask_verdicts(self.model, loras)

    def _is_judged(self, lora: Asset) -> bool:
        """Whether what is known of it is about the model that is here now."""
        answer = self.stack.answers.get(lora.id)
        return answer is not None and self.model is not None and answer.checkpoint == self.model.name

    @background("verdicts")
    def _ask_verdicts(self, job: WorkerJob, model: Asset, loras: Sequence[Asset]) -> None:
        with self.library.open() as catalog:
            for lora in loras:  # one by one, so that the first is there at once
                for pair in partners.answers(catalog, [lora], model, job):
                    job.post(self.Judged(model.id, {pair.asset.id: pair.answer}, lora is loras[-1]))

    @on(Judged)
    def _judged(self, message: Judged) -> None:
        if self.model is not None and message.model == self.model.id:
            self.stack.answers = {**self.stack.answers, **message.answers}
            if message.last:
                self.stack.judging = False

    @on(LineList.Highlighted, "#lora-stack")
    def _highlighted(self) -> None:
        self._show_evidence()
        if self.pictures.is_strip:
            self.render_soon()

    def _show_evidence(self) -> None:
        self.query_one(EntryPane).show(self.stack.current, self.stack.answer)

    @on(LineList.Chosen, "#lora-stack")
    def action_evidence(self) -> None:
        """Read the evidence; where there is no room beside the stack, in place of the pictures."""
        self.add_class("-evidence")
        self.query_one(EntryPane).focus()
