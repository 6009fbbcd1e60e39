"""What `preview` renders with, opened: the model or recipe with LoRAs, what stands beside it, refiner, upscaler."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from modelhub.cli.picture_loras import PictureLoras, shown_with
from modelhub.merge.recipes.files import is_recipe, read_recipe
from modelhub.merge.recipes.finding import Carrier
from modelhub.settings import user_path

if TYPE_CHECKING:
    from modelhub.catalog.identity import Identity
    from modelhub.catalog.opener import Opener
    from modelhub.catalog.store import Catalog
    from modelhub.cli.context import Context
    from modelhub.formats.source import TensorSource
    from modelhub.merge.recipes.recipe import Recipe
    from modelhub.preview.models.beside import Beside
    from modelhub.preview.models.looking import Look
    from modelhub.preview.prompts.embeddings import Embedding
    from modelhub.preview.render import Refiner, Rendering
    from modelhub.preview.request import Request


@dataclass(frozen=True)
class Shown:
    """What is rendered: the source with all LoRAs in it, its name, its identity, and what an infotext tells of it."""

    source: TensorSource
    name: str
    identity: Identity
    told: dict[str, Any]


def shown(context: Context, opener: Opener, loras: PictureLoras) -> Shown:
    """The source that the command names, a REF or a recipe, with LoRAs. Raises what opening and planning raise."""
    said = context.args.source
    if is_recipe(said):
        path = user_path(said)
        recipe = read_recipe(path)
        for note in recipe.notes:
            context.say(f"note: {note}")
        return shown_recipe(recipe, recipe.name or path.stem, Carrier(path, {}), opener, loras)
    return _shown(said, opener(said).name, None, opener, loras)


def shown_recipe(recipe: Recipe, name: str, carrier: Carrier | None, opener: Opener, loras: PictureLoras) -> Shown:
    """The source that a recipe makes, which may stand in a file, with LoRAs. Raises what opening and planning raise."""
    return _shown(recipe, name, carrier, opener, loras)


def _shown(said: str | Recipe, name: str, carrier: Carrier | None, opener: Opener, loras: PictureLoras) -> Shown:
    from modelhub.catalog.folder.original import in_original
    from modelhub.lora.baking.merged import changes
    from modelhub.merge.planning.plan import plan

    planned = partial(plan, open=opener, carrier=carrier, bake=changes)
    source, told = shown_with(loras, said, opener, planned)
    _, identity, _ = in_original(source)
    return Shown(source, name, identity, told)


def beside(context: Context, catalog: Catalog, opener: Opener, identity: Identity) -> Beside:
    """What stands beside the model: as the options say, else from the catalog. Raises what opening raises."""
    from modelhub.preview.models.beside import stand_beside

    args = context.args
    found = stand_beside(
        catalog,
        opener,
        identity,
        vae=opener(args.vae) if args.vae else None,
        encoders=[opener(word) for word in args.text_encoder],
        t5=opener(args.t5) if args.t5 else None,
    )
    for note in found.notes:
        context.say(f"note: {note}")
    return found


def options(
    context: Context,
    catalog: Catalog,
    opener: Opener,
    found: Shown,
    standing: Beside,
    request: Request,
    *,
    embeddings: Sequence[Embedding] | None = None,
) -> dict[str, Any]:
    """The options of the renderer; `embeddings` None are those that the request names.

    Of models headers are read, no weights. Raises what opening, looking and reading raise, NotFoundError for a missing
    tokenizer.
    """
    from modelhub.cli.picture_embeddings import picture_embeddings
    from modelhub.preview.models.looking import look
    from modelhub.settings import load_settings

    args, family = context.args, found.identity.architecture
    model = look(found.source, standing.parts, found.name)
    texts = [
        request.prompt,
        request.negative,
        *([request.hires.prompt, request.hires.negative] if request.hires else []),
    ]
    vae = standing.vae
    return {
        **found.told,
        "parts": standing.parts,
        "vae_name": vae.path.name if vae else None,
        "vae_sha256": vae.sha256 if vae else None,
        "modules": standing.encoders,
        "embeddings": picture_embeddings(catalog, texts, args.embedding, family, context.job)
        if embeddings is None
        else embeddings,
        "t5_tokenizer": _tokenizer(found.identity),
        "refiner": _refiner(context, catalog, opener, model),
        "upscaler": _upscaler(opener, request),
        "prediction": args.prediction,
        "zero_snr": args.zero_snr or None,
        "device": args.device or load_settings().device,
        "precision": args.precision,
    }


def _tokenizer(identity: Identity) -> Any:
    from modelhub.catalog.companions import parts_of

    if "t5xxl" not in parts_of(identity.architecture or ""):
        return None
    from modelhub.preview.prompts.t5_places import find_t5_tokenizer

    return find_t5_tokenizer()


def _refiner(context: Context, catalog: Catalog, opener: Opener, model: Look) -> Refiner | None:
    from modelhub.catalog.folder.original import in_original
    from modelhub.preview.models.beside import stand_beside
    from modelhub.preview.models.looking import check_refiner, look
    from modelhub.preview.render import Refiner

    if context.args.refiner is None:
        return None
    parent = opener(context.args.refiner)
    _, other, _ = in_original(parent.source)
    standing = stand_beside(catalog, opener, other)
    for note in standing.notes:
        context.say(f"note: {note}")
    check_refiner(model, look(parent.source, standing.parts, parent.name), parent.name)
    return Refiner(parent.source, parent.name, parent.sha256, standing.parts)


def _upscaler(opener: Opener, request: Request) -> TensorSource | None:
    """The file that the second pass enlarges with, if it needs one."""
    from modelhub.cli.preview_options import UPSCALERS

    if request.hires is None or request.hires.upscaler in UPSCALERS:
        return None
    from modelhub.preview.upscaling.loading import check_upscaler

    parent = opener(request.hires.upscaler)
    check_upscaler(parent.source, parent.path.name)
    return parent.source


def render_usual(
    context: Context,
    catalog: Catalog,
    opener: Opener,
    source: TensorSource,
    prompt: str,
    name: str,
    told: Mapping[str, Any],
) -> Rendering:
    """Render a prompt as suits the architecture of `source`; `told` is what infotexts tell of it."""
    from modelhub.catalog.architectures import architecture
    from modelhub.catalog.folder.original import in_original
    from modelhub.cli.picture_embeddings import picture_embeddings
    from modelhub.preview.models.beside import stand_beside
    from modelhub.preview.models.support import check
    from modelhub.preview.render import Renderer
    from modelhub.preview.request import Request, usual_settings
    from modelhub.settings import load_settings

    _, identity, _ = in_original(source)
    check(identity, name)
    standing = stand_beside(catalog, opener, identity)
    for note in standing.notes:
        context.say(f"note: {note}")
    renderer = Renderer(
        source,
        name=name,
        job=context.job,
        parts=standing.parts,
        modules=standing.encoders,
        embeddings=picture_embeddings(catalog, [prompt], [], identity.architecture, context.job),
        t5_tokenizer=_tokenizer(identity),
        device=load_settings().device,
        **told,
    )
    preview = architecture(identity.architecture or "").preview
    return renderer.render(Request(prompt, **usual_settings(preview)), job=context.job)
