"""What `--like IMAGE` begins with, before options change it: the settings of a picture."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from modelhub.errors import UsageError
from modelhub.text import brief, one_line

if TYPE_CHECKING:
    from modelhub.preview.pictures.owned import Owned
    from modelhub.preview.request import Request


@dataclass(slots=True)
class Like:
    """The request of a picture, None where none is named, what of it cannot be had again, and words for `--lora`.

    The words are for those LoRAs that its prompt does not name, or calls otherwise than the catalog.
    """

    request: Request | None = None
    notes: list[str] = field(default_factory=list)
    loras: list[str] = field(default_factory=list)


def request_like(image: Path | None) -> Like:
    """What a picture asks for. Raises UsageError for one that does not say how it was made, and as reading does."""
    if image is None:
        return Like()
    from modelhub.catalog.reading import CatalogReader
    from modelhub.preview.pictures.asking import request_of
    from modelhub.preview.pictures.owned import owned
    from modelhub.preview.pictures.reading.read import read_generation

    generation = read_generation(image)
    if generation.is_empty:
        raise UsageError(
            f"{one_line(str(image))} does not say how it was made.", "`modelhub info IMAGE` shows what it says."
        )
    request, notes = request_of(generation)
    like = Like(request, list(notes))
    with CatalogReader.open() as catalog:
        _add_loras(like, request, owned(catalog, (one for one in generation.models if one.role == "lora")))
    return like


def _add_loras(like: Like, request: Request, loras: Iterable[Owned]) -> None:
    """Take LoRAs from the catalog that no tag leads to; a tag with another name gives way."""
    from modelhub.preview.pictures.owned import HERE
    from modelhub.preview.prompts.tags import without

    later = [request.negative, *((request.hires.prompt, request.hires.negative) if request.hires else ())]
    prompt, seen = request.prompt, set()
    for one in loras:
        name = _stem(one.made.name or "")
        rest = without(prompt, name)
        found = one.found if one.state == HERE else None
        is_named = rest != prompt or any(text and without(text, name) != text for text in later)
        if is_named and (found is None or rest == prompt or found.asset.path.stem == name):
            seen.add(found.asset.id if found else None)
            like.notes += _other(one, name)
        elif found is None or one.made.weight is None:
            like.notes.append(_left_out(one, name))
        elif found.asset.id not in seen:
            seen.add(found.asset.id)
            word, prompt = _word(one, found.asset.id), rest
            like.loras.append(word)
            like.notes.append(f"Its LoRA {brief(name)} is taken from the catalog: --lora {word}.")
    like.request = replace(request, prompt=prompt.strip())


def _stem(name: str) -> str:
    """The name of a LoRA in tags, of one that may be a file in folders."""
    return name.replace("\\", "/").rpartition("/")[2].removesuffix(".safetensors").strip()


def _word(one: Owned, id: int) -> str:
    text = one.made.text_weight
    return f"#{id}:{one.made.weight:g}" + ("" if text is None else f",te={text:g}")


def _other(one: Owned, name: str) -> list[str]:
    is_other = one.found is not None and one.found.is_other
    return [f"The LoRA {brief(name)} here has another content than that of the picture."] if is_other else []


def _left_out(one: Owned, name: str) -> str:
    if one.made.weight is None:
        return f"How much of its LoRA {brief(name)} the picture has is not told; it is left out."
    get = f"; modelhub get {one.source}" if one.source else ""
    return f"Its LoRA {brief(name)} is not here, and left out{get}."
