"""Cooking: a part of a preview opened and made ready for the renderer, and the request as it suits its architecture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelhub.catalog.architectures import architecture
from modelhub.catalog.folder.original import in_original
from modelhub.catalog.opener import Opener
from modelhub.catalog.refs import lora_ref
from modelhub.catalog.weighing.weights import Weight
from modelhub.jobs import Job
from modelhub.lora.baking.merged import changes
from modelhub.merge.planning.plan import plan
from modelhub.merge.recipes.finding import Carrier
from modelhub.merge.recipes.recipe import bake_recipe, checked, with_loras
from modelhub.preview.request import Request
from modelhub.tui.lab.recipes import Part

if TYPE_CHECKING:
    from modelhub.catalog.store import Catalog
    from modelhub.formats.source import TensorSource
    from modelhub.preview.grids.ready import Ready

#: The name that stands for the sampler, and the schedule, that suit a model.
SUITED = ""


@dataclass(frozen=True)
class Found:
    """A model that is ready for the renderer, and its architecture."""

    ready: Ready
    family: str | None


def made_ready(
    catalog: Catalog, opener: Opener, part: Part, requests: Sequence[Request], device: str, job: Job, vae: str = ""
) -> Found:
    """Open a part with the LoRAs that the first prompt names, and the embeddings that any of the requests does.

    Of weights of models nothing is read. `vae` is the REF of another VAE. Raises what opening and planning raise, and
    what is lacking.
    """
    from modelhub.preview.grids.ready import Ready
    from modelhub.preview.models.beside import stand_beside
    from modelhub.preview.models.looking import look
    from modelhub.preview.prompts.named_embeddings import picture_embeddings
    from modelhub.preview.prompts.t5_places import t5_tokenizer_for
    from modelhub.preview.prompts.tags import read_tags, used
    from modelhub.preview.usual import texts_of

    prompt, texts = requests[0].prompt, [text for request in requests for text in texts_of(request)]
    named = [(lora_ref(catalog, tag.name), tag.weight) for tag in read_tags(prompt)]
    loras = used(prompt, [opener(ref) for ref, _ in named])
    source, told = _shown(part, named, opener)
    name = told.pop("name")
    _, identity, _ = in_original(source)
    standing = stand_beside(catalog, opener, identity, vae=opener(vae) if vae else None)
    look(source, standing.parts, name)  # what is lacking comes before the tokenizer, which is lacking, too
    t5 = standing.parents.get("t5xxl")
    tokenizer = t5_tokenizer_for(identity.architecture, t5.path if t5 else None)
    other: dict[str, Any] = {
        "vae_name": standing.vae.path.name if standing.vae else None,
        "vae_sha256": standing.vae.sha256 if standing.vae else None,
        "embeddings": picture_embeddings(catalog, texts, [], identity.architecture, job),
    }
    options: Any = {
        **told, **other, "loras": loras, "parts": standing.parts, "modules": standing.encoders,
        "t5_tokenizer": tokenizer, "device": device,
    }  # fmt: skip
    return Found(Ready(source, name, options), identity.architecture)


def suited(request: Request, family: str | None) -> Request:
    """The request with what suits an architecture where it says nothing.

    A model that is made to be guided by a number of its own, as Flux is, has no other guidance.
    """
    known = architecture(family).preview if family else None
    if known is None:
        plain = Request("")
        sampler, schedule, cfg = plain.sampler, plain.schedule, request.cfg
    else:
        sampler, schedule = known.sampler, known.schedule
        cfg = known.cfg if known.guidance is not None else request.cfg
    chosen = request.sampler or sampler
    schedule = schedule if chosen == sampler else Request("").schedule
    return replace(request, sampler=chosen, schedule=request.schedule or schedule, cfg=cfg)


def _shown(part: Part, named: Sequence[tuple[str, Weight]], opener: Opener) -> tuple[TensorSource, dict[str, Any]]:
    """What is rendered, which has the LoRAs that a prompt names, and what an infotext tells of it, without them."""
    if part.recipe is None:
        ref = str(part.path)
        parent = opener(ref)
        source = plan(bake_recipe(ref, named), opener, None, changes) if named else parent.source
        return source, {"name": parent.name, "sha256": parent.sha256}
    carrier = _carrier(part.file)
    planned = plan(part.recipe, opener, carrier, changes)
    told = {"name": part.title, "recipe": planned.header.metadata["modelhub.recipe"]}
    more = checked(with_loras(part.recipe, named)) if named else part.recipe
    return plan(more, opener, carrier, changes) if named else planned, told


def _carrier(file: Path | None) -> Carrier | None:
    return Carrier(file, {}) if file else None
