"""LoRAs that a picture is made with: of `--lora`, and of tags in the prompt such as `<lora:my-style:0.8>`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelhub.catalog.parents import OURS
from modelhub.catalog.refs import lora_ref
from modelhub.catalog.weighing.weight import Weight
from modelhub.lora.baking.words import read_lora
from modelhub.merge.recipes.recipe import Recipe, bake_recipe, checked, with_loras

if TYPE_CHECKING:
    from modelhub.catalog.opener import Opener
    from modelhub.catalog.store import Catalog
    from modelhub.merge.planning.plan import Plan
    from modelhub.preview.render import Renderer

_Loras = Sequence[tuple[str, Weight]]


@dataclass(frozen=True)
class PictureLoras:
    """The prompt with a tag for each LoRA, and the LoRAs in the order of the tags: REFs and strengths.

    `baked`: those that no tag has words for, because their strength differs from block to block; if there are any, all
    of `--lora` are among them.
    """

    prompt: str
    tagged: _Loras
    baked: _Loras


def picture_loras(catalog: Catalog, opener: Opener, prompt: str, words: Sequence[str]) -> PictureLoras:
    """What the tags of a prompt and the `words` of `--lora` say. Raises UsageError, and as opening does."""
    from modelhub.preview.tags import Tag, read_tags, tagged

    named = [(lora_ref(catalog, tag.name), tag.weight) for tag in read_tags(prompt)]
    said = [read_lora(word) for word in words]
    whole = tagged(prompt, [Tag(opener(ref).name, weight) for ref, weight in said])
    return PictureLoras(prompt, named, said) if whole is None else PictureLoras(whole, [*named, *said], [])


def renderer_with(
    loras: PictureLoras, source: str | Recipe, opener: Opener, planned: Callable[[Recipe], Plan], **options: Any
) -> Renderer:
    """The renderer of a REF or a recipe with LoRAs; `planned` plans a recipe, `options` are those of `Renderer`.

    LoRAs that the prompt names are no part of the recipe that the infotext has. Raises what opening, planning and
    loading raise.
    """
    from modelhub.preview.render import Renderer
    from modelhub.preview.tags import used

    told = _more(source, loras.baked)
    whole = _more(told, loras.tagged)
    options["loras"] = used(loras.prompt, [opener(ref) for ref, _ in loras.tagged])
    if isinstance(told, str):
        parent = opener(told)
        return Renderer(parent.source if isinstance(whole, str) else planned(whole), sha256=parent.sha256, **options)
    plain = planned(told)
    rendered = planned(whole) if isinstance(whole, Recipe) and loras.tagged else plain
    return Renderer(rendered, recipe=plain.header.metadata[OURS], **options)


def _more(source: str | Recipe, loras: _Loras) -> str | Recipe:
    """A model or a recipe with LoRAs on top; as it is where there are none."""
    if not loras:
        return source
    return bake_recipe(source, loras) if isinstance(source, str) else checked(with_loras(source, loras))
