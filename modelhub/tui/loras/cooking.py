"""Rendering several parts with one renderer: of weights only those are read anew that differ from part to part."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from modelhub.catalog.opener import SharedOpener
from modelhub.errors import CancelledError, ModelhubError
from modelhub.jobs import Job
from modelhub.tui.lab.kitchen import Part
from modelhub.tui.library import Library

if TYPE_CHECKING:
    from modelhub.catalog.store import Catalog
    from modelhub.preview.render import Renderer
    from modelhub.preview.request import Request
    from modelhub.tui.lab.shots import Shot


def cook(
    library: Library, parts: Sequence[Part], request: Request, device: str, job: Job
) -> Iterator[tuple[Part, Shot | ModelhubError]]:
    """Each part with its picture, or with the reason why there is none. Raises CancelledError."""
    with library.open() as catalog, SharedOpener(catalog, job=job) as opener:
        stove = _Stove(catalog, opener, request, device)
        for part in parts:
            try:
                yield part, stove.cook(part, job.part(part.letter))
            except CancelledError:
                raise
            except ModelhubError as error:
                yield part, error


class _Stove:
    """A renderer that goes from part to part."""

    def __init__(self, catalog: Catalog, opener: SharedOpener, request: Request, device: str) -> None:
        self._catalog, self._opener, self._request, self._device = catalog, opener, request, device
        self._renderer: Renderer | None = None

    def cook(self, part: Part, job: Job) -> Shot:
        """The picture of a part."""
        from modelhub.preview.render import Renderer
        from modelhub.tui.lab.cooking import made_ready, suited
        from modelhub.tui.lab.shots import Shot

        found = made_ready(self._catalog, self._opener, part, self._request.prompt, self._device)
        ready = found.ready
        if self._renderer is None:
            self._renderer = Renderer(ready.source, name=ready.name, job=job, **ready.options)
        else:
            self._renderer.follow(ready.source, name=ready.name, job=job, **ready.options)
        return Shot(self._renderer.render(suited(self._request, found.family), job).pictures)
