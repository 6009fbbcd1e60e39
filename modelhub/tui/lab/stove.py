"""The stove: one renderer for part after part and preview after preview, and the place that lets it cool down."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from textual import events, on
from textual.timer import Timer

from modelhub.catalog.opener import SharedOpener
from modelhub.errors import CancelledError, ModelhubError
from modelhub.jobs import Job
from modelhub.tui.library import Library
from modelhub.tui.screens.place import Place

if TYPE_CHECKING:
    from modelhub.catalog.store import Catalog
    from modelhub.preview.render import Renderer
    from modelhub.preview.request import Request
    from modelhub.tui.lab.recipes import Part
    from modelhub.tui.lab.shots import Shot

#: Seconds after a preview for which its model stays in memory: the next one is mostly asked for soon, or never.
_WARM = 60.0


class Stove:
    """Renders, and keeps the model of the last picture; of the next one only weights that differ are read."""

    def __init__(self) -> None:
        self._renderer: Renderer | None = None

    @property
    def is_warm(self) -> bool:
        """Whether a model is in memory."""
        return self._renderer is not None

    def forget(self) -> None:
        """Let go of the model; one that is being rendered comes back when it is done."""
        self._renderer = None

    def cook(
        self, library: Library, parts: Sequence[Part], request: Request, device: str, job: Job
    ) -> Iterator[tuple[Part, Shot | ModelhubError]]:
        """Each part with its picture, or with the reason why there is none, in one thread at a time.

        LoRAs and embeddings that the prompt names are in the pictures. Raises CancelledError.
        """
        with library.open() as catalog, SharedOpener(catalog, job=job) as opener:
            for part in parts:
                job.check()
                try:
                    shot = self._shot(catalog, opener, part, request, device, job.part(part.letter))
                except CancelledError:
                    raise
                except ModelhubError as error:
                    yield part, error
                else:
                    yield part, shot

    def _shot(
        self, catalog: Catalog, opener: SharedOpener, part: Part, request: Request, device: str, job: Job
    ) -> Shot:
        from modelhub.preview.render import Renderer
        from modelhub.tui.lab.cooking import made_ready, suited
        from modelhub.tui.lab.shots import Shot

        found = made_ready(catalog, opener, part, [request], device, job)
        ready, renderer = found.ready, self._renderer
        self._renderer = None  # one that fell over for want of memory must not keep it
        if renderer is None:
            renderer = Renderer(ready.source, name=ready.name, job=job, **ready.options)
        else:
            renderer.follow(ready.source, name=ready.name, job=job, **ready.options)
        try:
            return Shot(renderer.render(suited(request, found.family), job).pictures)
        finally:
            self._renderer = renderer


class StovePlace(Place):
    """A place that renders. Its model leaves the memory some time after the last picture, or with the user."""

    def __init__(self, library: Library) -> None:
        super().__init__(library)
        self.stove = Stove()
        self._cooling: Timer | None = None

    def cool_soon(self) -> None:
        """A preview is over."""
        if self._cooling is not None:
            self._cooling.stop()
        self._cooling = self.set_timer(_WARM, self._cool)

    def _cool(self) -> None:
        if any(record.lane == "rendering" for record in self.jobs.open):
            self.cool_soon()
        else:
            self.stove.forget()

    @on(events.ScreenSuspend)
    def _left(self) -> None:
        """Other places may need the memory; a dialog does not."""
        if not self.app.screen.is_modal:
            self.stove.forget()
