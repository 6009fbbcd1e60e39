"""What is made in the LoRA place: dialogs that ask, and jobs that write."""

from __future__ import annotations

from collections.abc import Callable

from modelhub.catalog.asset import Asset
from modelhub.errors import ModelhubError, UsageError
from modelhub.text import one_line, plural
from modelhub.tui.actions import actions
from modelhub.tui.assets.pick import PickDialog
from modelhub.tui.jobs import elsewhere
from modelhub.tui.lab.slot import Slot
from modelhub.tui.loras.dialogs import MakeMenu
from modelhub.tui.loras.entry import Entry, prompt_words, strengths
from modelhub.tui.loras.files import Bake, Rename
from modelhub.tui.loras.make_dialog import MakeDialog
from modelhub.tui.loras.making import Making
from modelhub.tui.loras.new_ones import Combine, Extract, Resize
from modelhub.tui.loras.rendering import LoraRendering
from modelhub.tui.loras.stack_list import StackList
from modelhub.tui.loras.wishes import Values, goal

#: The actions of the menu, in its order.
_MAKES = ("bake", "combine", "resize", "rename", "extract", "copy")
MODELS = "(kind:checkpoint OR kind:diffusion-model) missing:no"
_NO_MODEL = "There is no checkpoint in the library yet.\nIn the library, a scans a folder that holds some."


class LoraDoing(LoraRendering):
    """A place with a model and a stack, of which files can be made."""

    @property
    def stack(self) -> StackList:
        """The LoRAs."""
        return self.query_one(StackList)

    @property
    def slot(self) -> Slot:
        """The line of the model."""
        return self.query_one(Slot)

    @property
    def model(self) -> Asset | None:
        """What they are put on."""
        return self.slot.asset

    def the_model(self) -> Asset:
        """The model. Raises UsageError where there is none."""
        if self.model is None:
            raise UsageError("There is no model to put LoRAs on.", "Press o, and choose one.")
        return self.model

    def the_entry(self) -> Entry:
        """The LoRA under the cursor. Raises UsageError where there is none."""
        if self.stack.current is None:
            raise UsageError("The stack is empty.", "Press a, and choose a LoRA.")
        return self.stack.current

    # -- the menu ------------------------------------------------------------------------------------------------------

    def action_make(self) -> None:
        """What can be made."""
        found = {action.name: action for action in actions(self.scope)}

        async def chosen(call: str | None) -> None:
            if call:
                await self.run_action(call)

        makes = [found[name] for name in _MAKES]
        self.app.push_screen(MakeMenu([(one, self.hub.keys.get(one.id, one.keys)) for one in makes]), chosen)

    def action_bake(self) -> None:
        """The stack into a checkpoint."""
        self._ask(lambda: Bake(self.library, self.the_model(), strengths(self._some(1))))

    def action_combine(self) -> None:
        """The stack as one LoRA."""
        self._ask(lambda: Combine(self.library, strengths(self._some(1))))

    def action_resize(self) -> None:
        """The LoRA under the cursor with fewer ranks."""
        self._ask(lambda: Resize(self.library, self.the_entry().asset))

    def action_rename(self) -> None:
        """The LoRA under the cursor under other names."""
        self._ask(lambda: Rename(self.library, self.the_entry().asset, self.model))

    def action_extract(self) -> None:
        """A LoRA of two models."""

        def tuned(one: Asset | None) -> None:
            if one is not None:
                self._pick_base(one)

        self.app.push_screen(PickDialog(self.library, "Tuned model: what is extracted", MODELS, _NO_MODEL), tuned)

    def _pick_base(self, tuned: Asset) -> None:
        from modelhub.tui.library import term

        def based(base: Asset | None) -> None:
            if base is not None and base.id == tuned.id:
                self.explain(
                    UsageError("A model does not differ from itself.", "Choose the one that it was made from.")
                )
            elif base is not None:
                self._ask(lambda: Extract(self.library, tuned, base))

        query = f"{MODELS} {term('arch', tuned.architecture)}" if tuned.architecture else MODELS
        title = f"The model that {one_line(tuned.path.stem)} was made from"
        self.app.push_screen(PickDialog(self.library, title, query, _NO_MODEL), based)

    def _some(self, least: int) -> list[Entry]:
        """The stack. Raises UsageError where nothing of it counts."""
        entries = list(self.stack.entries)
        if len(strengths(entries)) < least:
            says = "The stack is empty." if not entries else "All LoRAs of the stack are muted."
            raise UsageError(says, "Press a, and choose a LoRA." if not entries else "m takes that back.")
        return entries

    # -- asking and making ---------------------------------------------------------------------------------------------

    def _ask(self, making: Callable[[], Making]) -> None:
        """Show the dialog of what is to be made, or why that cannot be."""
        try:
            asked = making()
        except ModelhubError as error:
            self.explain(error)
            return

        def filled(values: Values | None) -> None:
            if values is not None:
                self._start_making(asked, values)

        self.app.push_screen(MakeDialog(asked), filled)

    def _start_making(self, making: Making, values: Values) -> None:
        try:
            name = one_line(goal(values).name)
        except ModelhubError as error:
            self.explain(error)
            return
        self.jobs.start(
            f"{making.title}: {name}",
            lambda job: elsewhere.run(job, making.make, values),
            place=self.scope,
            lane="writing",
            says=lambda said: said,
        )

    def action_copy(self) -> None:
        """The stack as tags of a prompt."""
        try:
            text, short = prompt_words(self._some(1))
        except ModelhubError as error:
            self.explain(error)
            return
        if text:
            self.app.copy_to_clipboard(text)
        said = [f"Copied: {text}"] if text else ["Tags of prompts have no words for this."]
        if short:
            said.append(f"{plural(len(short), 'LoRA')} with block weights or a name that a tag cannot tell in full.")
        self.notify("\n".join(said), severity="warning" if short else "information", markup=False)
