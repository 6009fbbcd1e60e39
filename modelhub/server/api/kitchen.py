"""The one renderer of the server: it keeps the model of the last request, and reads only what the next one changes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from modelhub.catalog.folder.original import in_original
from modelhub.catalog.opener import Opener
from modelhub.catalog.refs import lora_ref
from modelhub.catalog.store import Catalog
from modelhub.errors import NotFoundError, UsageError
from modelhub.jobs import Job
from modelhub.lora.baking.merged import changes
from modelhub.merge.planning.plan import plan
from modelhub.merge.recipes.recipe import bake_recipe
from modelhub.preview.models.beside import stand_beside
from modelhub.preview.models.looking import look
from modelhub.preview.models.second import refiner_of, upscaler_of
from modelhub.preview.models.support import check
from modelhub.preview.prompts.named_embeddings import picture_embeddings
from modelhub.preview.prompts.t5_places import t5_tokenizer_for
from modelhub.preview.prompts.tags import read_tags, used
from modelhub.preview.upscaling.names import pixel_upscaler, without_file
from modelhub.preview.usual import slow_notes, texts_of, usual_request
from modelhub.server.api.models import MODELS, checkpoints, find
from modelhub.settings import load_settings
from modelhub.text import brief

if TYPE_CHECKING:
    from modelhub.catalog.asset import Asset
    from modelhub.formats.whole_images import WholeImage
    from modelhub.preview.render import Renderer, Rendering
    from modelhub.preview.request import Request
    from modelhub.preview.upscaling.whole import Goal
    from modelhub.server.api.wishes import Wish


@dataclass(frozen=True)
class Meal:
    """What was rendered, of which model, by which request; `vae` is the name of one that was named."""

    rendering: Rendering
    model: Asset
    request: Request
    size: tuple[int, int]
    vae: str | None
    notes: tuple[str, ...]


class Kitchen:
    """Renders one request after another; all but `forget` is for one thread."""

    def __init__(self) -> None:
        self._renderer: Renderer | None = None

    def forget(self) -> None:
        """Let go of the model in memory."""
        self._renderer = None

    def render(self, wish: Wish, job: Job) -> Meal:
        """The pictures of a wish. Raises what opening, looking, planning and rendering raise."""
        from modelhub.preview.render import check_names
        from modelhub.preview.render_wishes import check_prompts

        with Catalog.open() as catalog, Opener(catalog, job=job) as opener:
            asset = _model(catalog, wish.model)
            family = asset.architecture
            wanted = wish.request(usual_request(family))
            check_names(wanted)
            check_prompts(wanted)
            options = {"device": load_settings().device}
            notes = [*wish.notes, *slow_notes(family, options["device"])]
            source, name, told = _source(catalog, opener, asset, wanted.prompt)
            _, identity, _ = in_original(source)
            check(identity, name)
            vae = find(catalog, wish.vae, "VAE", "vae") if wish.vae else None
            standing = stand_beside(catalog, opener, identity, vae=opener(_ref(vae)) if vae else None)
            model = look(source, standing.parts, name)
            t5 = standing.parents.get("t5xxl")
            request, upscaler = _with_upscaler(catalog, opener, wanted)
            refiner = None
            if wish.refiner:
                refiner, more = refiner_of(catalog, opener, _ref(find(catalog, wish.refiner, "model", *MODELS)), model)
                notes += more
            whole: dict[str, Any] = {
                **told,
                **options,
                "parts": standing.parts,
                "modules": standing.encoders,
                "vae_name": standing.vae.path.name if standing.vae else None,
                "vae_sha256": standing.vae.sha256 if standing.vae else None,
                "embeddings": picture_embeddings(catalog, texts_of(request), [], identity.architecture, job),
                "t5_tokenizer": t5_tokenizer_for(identity.architecture, t5.path if t5 else None, asset.path),
                "refiner": refiner,
                "upscaler": upscaler,
            }
            renderer = self._ready(source, name, whole, job)
            rendering = renderer.render(request, job)
            size = renderer.size(request)
        notes += [*standing.notes, *rendering.notes]
        return Meal(rendering, asset, request, size, vae.path.name if vae else None, tuple(dict.fromkeys(notes)))

    def _ready(self, source: Any, name: str, options: dict[str, Any], job: Job) -> Renderer:
        """The renderer with this model; one that could not load it is let go of."""
        from modelhub.preview.render import Renderer

        before, self._renderer = self._renderer, None
        if before is None:
            before = Renderer(source, name=name, job=job, **options)
        else:
            before.follow(source, name=name, job=job, **options)
        self._renderer = before
        return before

    def upscale(self, image: WholeImage, goal: Goal, name: str, job: Job) -> WholeImage:
        """A picture, larger. Raises NotFoundError for an unknown upscaler, and what enlarging raises."""
        from modelhub.preview.upscaling.loading import load_upscaler
        from modelhub.preview.upscaling.whole import upscale

        plain = pixel_upscaler(name)
        if plain is not None:
            return upscale(image, goal, plain, job)
        with Catalog.open() as catalog, Opener(catalog, job=job) as opener:
            parent = opener(_ref(find(catalog, name, "upscaler", "upscaler")))
            return upscale(
                image, goal, load_upscaler(parent.source, load_settings().device, job, name=parent.name), job
            )


def _model(catalog: Catalog, word: str) -> Asset:
    """The model of that name, or the first one there is."""
    if word:
        return find(catalog, word, "model", *MODELS)
    if found := checkpoints(catalog):
        return found[0]
    raise NotFoundError(
        "The catalog has no model that can be rendered.", "Index a folder that has some: modelhub scan DIR"
    )


def _source(catalog: Catalog, opener: Opener, asset: Asset, prompt: str) -> tuple[Any, str, dict[str, Any]]:
    """A model with the LoRAs that the prompt names, its name, and what infotexts tell of it."""
    named = [(_lora(catalog, tag.name), tag.weight) for tag in read_tags(prompt)]
    parent = opener(_ref(asset))
    loras = used(prompt, [opener(ref) for ref, _ in named])
    source = plan(bake_recipe(_ref(asset), named), opener, None, changes) if named else parent.source
    return source, parent.name, {"sha256": parent.sha256, "loras": loras}


def _lora(catalog: Catalog, name: str) -> str:
    """The REF of a LoRA of the catalog; a client names no files."""
    if "/" in name or "\\" in name or name.startswith("~"):
        raise UsageError(f"A prompt names LoRAs by their file names, not '{brief(name, 60)}'.", "See /sdapi/v1/loras.")
    return lora_ref(catalog, name)


def _with_upscaler(catalog: Catalog, opener: Opener, request: Request) -> tuple[Request, Any]:
    """The request with the upscaler of its second pass called by its name, and the file that makes it."""
    if request.hires is None or without_file(request.hires.upscaler):
        return request, None
    asset = find(catalog, request.hires.upscaler, "upscaler", "upscaler")
    source = upscaler_of(opener, replace(request, hires=replace(request.hires, upscaler=_ref(asset))))
    return replace(request, hires=replace(request.hires, upscaler=asset.path.stem)), source


def _ref(asset: Asset) -> str:
    return f"#{asset.id}"
