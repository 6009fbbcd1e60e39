"""What the second part of a picture is made with: the refiner that goes on, the upscaler that enlarges."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelhub.catalog.folder.original import in_original
from modelhub.preview.models.beside import stand_beside
from modelhub.preview.models.looking import Look, check_refiner, look
from modelhub.preview.upscaling.names import without_file

if TYPE_CHECKING:
    from modelhub.catalog.opener import Opener
    from modelhub.catalog.store import Catalog
    from modelhub.formats.source import TensorSource
    from modelhub.preview.render import Refiner
    from modelhub.preview.request import Request


def refiner_of(catalog: Catalog, opener: Opener, ref: str, model: Look) -> tuple[Refiner, tuple[str, ...]]:
    """The refiner that goes on after `model`, with what stands beside it, and notes on that.

    Raises what opening and looking raise, and IncompatibleError for one that cannot go on.
    """
    from modelhub.preview.render import Refiner

    parent = opener(ref)
    _, identity, _ = in_original(parent.source)
    standing = stand_beside(catalog, opener, identity)
    check_refiner(model, look(parent.source, standing.parts, parent.name), parent.name)
    return Refiner(parent.source, parent.name, parent.sha256, standing.parts), standing.notes


def upscaler_of(opener: Opener, request: Request) -> TensorSource | None:
    """The file that the second pass enlarges with, if it needs one. Raises what opening and looking raise."""
    if request.hires is None or without_file(request.hires.upscaler):
        return None
    from modelhub.preview.upscaling.loading import check_upscaler

    parent = opener(request.hires.upscaler)
    check_upscaler(parent.source, parent.path.name)
    return parent.source
