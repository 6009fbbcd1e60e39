"""A LoRA and how much of it, in one word: `REF`, `REF:0.8`, `REF:0.8,te=0.5,IN04-IN08=0`, `REF:GRAD_V`.

style                            all of it
style:0.8                        a part, by any words that weights of merges have
style:unet=1,te=0                components and blocks, of which those not named have 1
style:1,0,0,0,1,1,1,1,…          17 numbers for the blocks of SD 1 that a LoRA has, 12 for those of SDXL; or 26, 20, 61
style:0.7:MIDD                   a strength and the block weights that it is multiplied with, as in prompts
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from modelhub.catalog.blocks import block_lists, block_names
from modelhub.catalog.weighing.key_rules import scope_of
from modelhub.catalog.weighing.weight import Weight
from modelhub.catalog.weighing.words import read_weight
from modelhub.errors import BadRecipeError, UsageError
from modelhub.text import brief

#: What so many numbers are for in the prompts of AUTOMATIC1111's users: the blocks that have attention.
_SHORT_LISTS: Mapping[int, tuple[str, ...]] = {
    17: ("BASE", "IN01", "IN02", "IN04", "IN05", "IN07", "IN08", "M00", *(f"OUT{n:02}" for n in range(3, 12))),
    12: ("BASE", "IN04", "IN05", "IN07", "IN08", "M00", *(f"OUT{n:02}" for n in range(6))),
}
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?"
_NUMBERS = re.compile(rf"{_NUMBER}(?:[\s,;]+{_NUMBER})*[\s,;]*", re.ASCII | re.IGNORECASE)
#: What can only be meant as a weight: numbers or settings with a comma or a sign, and no path or ending of a file.
_MEANT = re.compile(r"[^/\\]*[,=][^/\\]*")
_MODEL = re.compile(r"\.(safetensors|sft|ckpt|pt|pth|bin|gguf)$", re.IGNORECASE)
_MOST = 10_000


def read_lora(text: str) -> tuple[str, Weight]:
    """The REF and the weight that a word says; what stands after a colon and is no weight belongs to the REF.

    Raises UsageError for no REF, BadRecipeError for what must be a weight and is none.
    """
    if len(text) > _MOST:
        raise UsageError(f"A LoRA is named by {len(text):,} characters.", "Write REF:0.8.")
    for ref, weight in _readings(text):
        if not ref.strip():
            raise UsageError(f"'{brief(text)}' names no LoRA.", "Write its REF before the colon: REF:0.8.")
        return ref, weight
    _refuse_wrong(text)
    return text, Weight(1.0)


def _readings(text: str) -> Iterator[tuple[str, Weight]]:
    """Every way to part the word into REF and weight, the shortest REF first."""
    if not text.strip():
        yield text, Weight(1.0)
    for mark in re.finditer(":", text):
        ref, said = text[: mark.start()], text[mark.end() :]
        if _is_address(text) and ref.count(":") < 5:
            continue
        weight = _weight(said)
        if weight is not None:
            yield ref, weight


def _is_address(text: str) -> bool:
    """Whether the REF is such as `urn:air:sd1:lora:civitai:1@2`, which has five colons of its own."""
    return text.lower().startswith("urn:air:")


def _weight(said: str) -> Weight | None:
    """The weight that a text is, if it is one and nothing of a path."""
    if not said.strip() or "/" in said or "\\" in said:
        return None
    try:
        return _multiplied(said) or (read_block_weights(said) if _are_rules(said) else None)
    except BadRecipeError:
        return None


def _multiplied(said: str) -> Weight | None:
    """`0.7:MIDD`: a number, and block weights that are multiplied by it."""
    first, colon, rest = said.partition(":")
    if not colon or not re.fullmatch(_NUMBER, first.strip(), re.ASCII | re.IGNORECASE) or ":" in rest:
        return None
    return times(read_block_weights(rest.removeprefix("lbw=")), read_weight(first).base or 0.0)


def _are_rules(said: str) -> bool:
    """Whether what stands before colons are blocks, as in `OUT03:*norm*=0.2`, and not the rest of a REF."""
    items = (item for item in re.split("[,;]", said) if ":" in item)
    return all(scope_of(_places(item)) is not None and _places(item) for item in items)


def _places(item: str) -> list[str]:
    words = item.partition(":")[0].split()
    return words[words[:1] == ["NOT"] :]


def read_block_weights(text: str, where: str = "The weight") -> Weight:
    """The weight that a line says, which may also be 17 or 12 numbers for the blocks that LoRAs have.

    Raises BadRecipeError.
    """
    words = re.split(r"[\s,;]+", text.strip().strip(",;")) if _NUMBERS.fullmatch(text.strip()) else []
    names = _SHORT_LISTS.get(len(words))
    if names is None and len(words) > 1 and len(words) not in (*block_lists(), 21):
        raise BadRecipeError(
            f"{where}: it has {len(words)} numbers.",
            "LoRAs have 17 blocks in SD 1 and 12 in SDXL; with convolutions 26 and 20; Flux has 61.",
        )
    if names is None:
        return read_weight(text, where)
    numbers = [read_weight(word, where).base or 0.0 for word in words]
    return Weight(1.0, blocks=dict(zip(names, numbers, strict=True)))


def times(weight: Weight, by: float) -> Weight:
    """All numbers of a weight multiplied; a preset becomes its numbers for the blocks of SD 1, which SDXL has, too."""
    blocks = dict(weight.blocks)
    if weight.preset is not None:
        curve = weight.preset
        blocks = {name: curve.value(name) or 0.0 for name in block_names("sd1")} | blocks
    return replace(
        weight,
        base=by * (1.0 if weight.base is None else weight.base),
        components={name: by * value for name, value in weight.components.items()},
        blocks={name: by * value for name, value in blocks.items()},
        keys=tuple((pattern, by * value) for pattern, value in weight.keys),
        preset=None,
    )


def _refuse_wrong(text: str) -> None:
    """Raise what is wrong with the end of a word that can only be meant as a weight."""
    ref, colon, said = text.rpartition(":")
    if colon and _MEANT.fullmatch(said) and not _MODEL.search(said):
        read_block_weights(said, f"The weight of {brief(ref)}")
