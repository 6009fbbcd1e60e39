"""Ready: a model that was wished for, opened and checked by its headers alone, and what loading it will read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from modelhub.catalog.architectures import Architecture, architecture
from modelhub.catalog.companions import VAE
from modelhub.catalog.folder.original import in_original
from modelhub.catalog.identity import Identity
from modelhub.formats.source import TensorSource
from modelhub.preview.grids.cells import Group
from modelhub.preview.models import support
from modelhub.preview.models.model import usual_size
from modelhub.preview.models.parts import find_places
from modelhub.preview.networks.refit import Mark, differing, marks
from modelhub.preview.render import Options, check_names
from modelhub.preview.render_hires import target
from modelhub.preview.render_wishes import check_prompts
from modelhub.preview.request import Request

#: What there is of each part of a model, tensor by tensor.
Weights = Mapping[str, Mapping[str, Mark]]


@dataclass(frozen=True)
class Ready:
    """A source of which nothing was read but headers, with its name and the options of `Renderer`.

    `worded` is the prompt of a request with the tags of all LoRAs in it.
    """

    source: TensorSource
    name: str
    options: Options
    worded: Callable[[str], str] = str


@dataclass(frozen=True)
class Checked:
    """A group whose model is ready: its weights, by part, and the facts of its architecture."""

    group: Group
    ready: Ready
    identity: Identity
    weights: Weights = field(repr=False)
    usual: tuple[int, int]

    @property
    def facts(self) -> Architecture:
        """The architecture."""
        return architecture(self.identity.architecture or "")

    def size(self, request: Request) -> tuple[int, int]:
        """Width and height in pixels of the picture of a request."""
        width, height = self.usual
        if request.start is not None:
            height, width = request.start.pixels.shape[:2]
        width, height = request.width or width, request.height or height
        if request.hires is None:
            return width, height
        goal = target(request.hires, width, height)
        return goal.final_width, goal.final_height


def checked(group: Group, ready: Ready) -> Checked:
    """A group whose model can be rendered, as far as headers tell.

    Raises what `Model.load` raises of headers, and what a request has that cannot be: an unknown sampler or schedule,
    a prompt that cannot be read.
    """
    view, identity, _ = in_original(ready.source)
    support.check(identity, ready.name)
    for request in dict.fromkeys(cell.request for cell in group.cells):
        _check(request)
    weights = _weights(view, identity, ready)
    facts = architecture(identity.architecture or "")
    assert facts.preview is not None
    return Checked(group, ready, identity, weights, usual_size(view, facts.preview.size))


def _check(request: Request) -> None:
    check_names(request)
    check_prompts(request)


def _weights(source: TensorSource, identity: Identity, ready: Ready) -> Weights:
    options, refiner = ready.options, ready.options.get("refiner")
    vae = options.get("vae")
    given = dict(options.get("parts", {})) | ({} if vae is None else {VAE: vae})
    found = _marks(source, identity, given, ready.name)
    if refiner is not None:
        view, other, _ = in_original(refiner.source)
        more = _marks(view, other, refiner.parts or {}, refiner.name)
        found |= {f"refiner's {part}": one for part, one in more.items()}
    return found


def _marks(
    source: TensorSource, identity: Identity, given: Mapping[str, TensorSource], name: str
) -> dict[str, dict[str, Mark]]:
    places = find_places(source, identity, given, name)
    return {part: marks(place.source, place.prefix) for part, place in places.items()}


def readings(groups: Sequence[Checked]) -> list[dict[str, int]]:
    """The bytes that each group reads of each part, when one is loaded after the other; parts that stay have none."""
    found: list[dict[str, int]] = []
    before: Weights = {}
    for group in groups:
        found.append({part: _bytes(before.get(part, {}), now) for part, now in group.weights.items()})
        before = group.weights
    return found


def _bytes(before: Mapping[str, Mark], now: Mapping[str, Mark]) -> int:
    return sum(mark.size for mark in differing(before, now).values())
