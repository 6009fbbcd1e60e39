"""The previews of the LoRA place."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from modelhub.errors import ModelhubError
from modelhub.tui.lab.recipes import Part
from modelhub.tui.lab.rendering import RenderingPlace
from modelhub.tui.loras.form import LoraForm
from modelhub.tui.loras.frames import LoraFrames

if TYPE_CHECKING:
    from modelhub.preview.request import Request


class LoraRendering(RenderingPlace):
    """A place with a request in a form; `wanted_parts` says what is rendered."""

    @property
    def form(self) -> LoraForm:
        """The fields of the request."""
        return self.query_one(LoraForm)

    @property
    def pictures(self) -> LoraFrames:
        """The frames."""
        return self.query_one(LoraFrames)

    @property
    def is_live(self) -> bool:
        """As it is ticked."""
        return self.form.live

    def action_live(self) -> None:
        """Render every change, or no more."""
        self.form.live = not self.form.live

    @abstractmethod
    def wanted_parts(self) -> list[Part]:
        """What is to be shown now. Raises UsageError, BadRecipeError."""

    def wanted(self) -> tuple[list[Part], Request]:
        """The parts, with the request of the form. Raises UsageError, BadRecipeError."""
        return self.wanted_parts(), self.form.request()

    def lacks(self, error: ModelhubError) -> None:
        """Told where the picture would be."""
        self.pictures.complain(f"{error.message} {error.hint}")
