"""What `preview` renders with, opened: the model or recipe with LoRAs, what stands beside it, refiner, upscaler."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from modelhub.cli.picture_loras import PictureLoras, shown_with
from modelhub.merge.recipes.files import is_recipe, read_recipe
from modelhub.merge.recipes.finding import Carrier
from modelhub.settings import user_path

if TYPE_CHECKING:
    from pathlib import Path

    from modelhub.catalog.identity import Identity
    from modelhub.catalog.opener import Opener
    from modelhub.catalog.store import Catalog
    from modelhub.cli.context import Context
    from modelhub.formats.source import TensorSource
    from modelhub.jobs import Job
    from modelhub.merge.recipes.recipe import Recipe
    from modelhub.preview.models.beside import Beside
    from modelhub.preview.models.looking import Look
    from modelhub.preview.prompts.embeddings import Embedding
    from modelhub.preview.render import Refiner, Rendering
    from modelhub.preview.request import Request


@dataclass(frozen=True)
class Shown:
    """What is rendered: the source with all LoRAs in it, its name, its identity, and what an infotext tells of it.

    `path` is that of a model that stands in a file or folder.
    """

    source: TensorSource
    name: str
    identity: Identity
    told: dict[str, Any]
    path: Path | None = None


def shown(context: Context, opener: Opener, loras: PictureLoras) -> Shown:
    """The source that the command names, a REF or a recipe, with LoRAs. Raises what opening and planning raise."""
    said = context.args.source
    if is_recipe(said):
        path = user_path(said)
        recipe = read_recipe(path)
        for note in recipe.notes:
            context.say(f"note: {note}")
        return shown_recipe(recipe, recipe.name or path.stem, Carrier(path, {}), opener, loras)
    parent = opener(said)
    return replace(_shown(said, parent.name, None, opener, loras), path=parent.path)


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
    from modelhub.preview.models.looking import look
    from modelhub.preview.models.second import upscaler_of
    from modelhub.preview.prompts.named_embeddings import picture_embeddings
    from modelhub.preview.usual import texts_of
    from modelhub.settings import load_settings

    args, family, vae = context.args, found.identity.architecture, standing.vae
    model = look(found.source, standing.parts, found.name)
    return {
        **found.told,
        "parts": standing.parts,
        "vae_name": vae.path.name if vae else None,
        "vae_sha256": vae.sha256 if vae else None,
        "modules": standing.encoders,
        "embeddings": picture_embeddings(catalog, texts_of(request), args.embedding, family, context.job)
        if embeddings is None
        else embeddings,
        "t5_tokenizer": None if args.download_tokenizer and args.dry_run else _tokenizer(found, standing),
        "refiner": _refiner(context, catalog, opener, model),
        "upscaler": upscaler_of(opener, request),
        "prediction": args.prediction,
        "zero_snr": args.zero_snr or None,
        "device": args.device or load_settings().device,
        "precision": args.precision,
    }


def _tokenizer(found: Shown, standing: Beside) -> Any:
    """T5's tokenizer, where one is needed; it may lie beside the model or its T5, as in folders of diffusers."""
    from modelhub.preview.prompts.t5_places import t5_tokenizer_for

    t5 = standing.parents.get("t5xxl")
    return t5_tokenizer_for(found.identity.architecture, t5.path if t5 else None, found.path)


def _refiner(context: Context, catalog: Catalog, opener: Opener, model: Look) -> Refiner | None:
    from modelhub.preview.models.second import refiner_of

    if context.args.refiner is None:
        return None
    refiner, notes = refiner_of(catalog, opener, context.args.refiner, model)
    for note in notes:
        context.say(f"note: {note}")
    return refiner


@dataclass(frozen=True)
class Usual:
    """A model and the request that suits it, checked by headers; `options` are those of `Renderer`."""

    shown: Shown
    request: Request
    options: dict[str, Any]
    notes: tuple[str, ...]


def usual(
    job: Job,
    catalog: Catalog,
    opener: Opener,
    source: TensorSource,
    prompt: str,
    name: str,
    told: dict[str, Any],
) -> Usual:
    """A prompt rendered as suits the architecture of `source`, made ready; `told` is what infotexts tell of it.

    Of models headers are read, no weights. Raises what looking and reading raise, UsageError for a prompt that cannot
    be read, NotFoundError for a missing tokenizer.
    """
    from modelhub.catalog.folder.original import in_original
    from modelhub.preview.models.beside import stand_beside
    from modelhub.preview.models.looking import look
    from modelhub.preview.models.support import check
    from modelhub.preview.prompts.named_embeddings import picture_embeddings
    from modelhub.preview.render_wishes import check_prompts
    from modelhub.preview.usual import usual_request
    from modelhub.settings import load_settings

    _, identity, _ = in_original(source)
    check(identity, name)
    request = replace(usual_request(identity.architecture), prompt=prompt)
    check_prompts(request)
    standing = stand_beside(catalog, opener, identity)
    look(source, standing.parts, name)  # what is lacking comes before the tokenizer, which is lacking, too
    found = Shown(source, name, identity, told)
    options = {
        **told,
        "parts": standing.parts,
        "modules": standing.encoders,
        "embeddings": picture_embeddings(catalog, [prompt], [], identity.architecture, job),
        "t5_tokenizer": _tokenizer(found, standing),
        "device": load_settings().device,
    }
    return Usual(found, request, options, standing.notes)


def render_usual(context: Context, ready: Usual) -> Rendering:
    """Render what was made ready; notes are said. Raises what rendering raises."""
    from modelhub.preview.render import Renderer

    source, name = ready.shown.source, ready.shown.name
    renderer = Renderer(source, name=name, job=context.job, **ready.options)
    for note in (*ready.notes, *renderer.notes(ready.request)):
        context.say(f"note: {note}")
    return renderer.render(ready.request, context.job)
