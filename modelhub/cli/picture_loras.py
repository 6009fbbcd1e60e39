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
    from modelhub.formats.source import TensorSource
    from modelhub.merge.planning.plan import Plan

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
    from modelhub.preview.prompts.tags import Tag, read_tags, tagged

    named = [(lora_ref(catalog, tag.name), tag.weight) for tag in read_tags(prompt)]
    said = [read_lora(word) for word in words]
    whole = tagged(prompt, [Tag(opener(ref).name, weight) for ref, weight in said])
    return PictureLoras(prompt, named, said) if whole is None else PictureLoras(whole, [*named, *said], [])


def shown_with(
    loras: PictureLoras, source: str | Recipe, opener: Opener, planned: Callable[[Recipe], Plan]
) -> tuple[TensorSource, dict[str, Any]]:
    """What is rendered of a REF or a recipe with LoRAs, and what infotexts tell of it, as options of `Renderer`.

    `planned` plans a recipe. LoRAs that the prompt names are no part of the recipe that the infotext has. Raises what
    opening and planning raise.
    """
    from modelhub.preview.prompts.tags import used

    told = _more(source, loras.baked)
    whole = _more(told, loras.tagged)
    tags = used(loras.prompt, [opener(ref) for ref, _ in loras.tagged])
    if isinstance(told, str):
        parent = opener(told)
        return parent.source if isinstance(whole, str) else planned(whole), {"sha256": parent.sha256, "loras": tags}
    plain = planned(told)
    rendered = planned(whole) if isinstance(whole, Recipe) and loras.tagged else plain
    return rendered, {"recipe": plain.header.metadata[OURS], "loras": tags}


def _more(source: str | Recipe, loras: _Loras) -> str | Recipe:
    """A model or a recipe with LoRAs on top; as it is where there are none."""
    if not loras:
        return source
    return bake_recipe(source, loras) if isinstance(source, str) else checked(with_loras(source, loras))
