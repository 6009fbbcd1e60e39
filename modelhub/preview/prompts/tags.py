"""Tags of LoRAs in prompts, `<lora:NAME:0.8>`, as AUTOMATIC1111's users write them; they are no part of the text.

<lora:style>               all of it
<lora:style:0.8>           a part
<lora:style:0.5:0.8>       of the text encoders, and of the denoiser
<lora:style:te=0.5:unet=0.8>
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from modelhub.catalog.opener import Parent
from modelhub.catalog.weighing.draft import is_computable
from modelhub.catalog.weighing.weight import Weight, short
from modelhub.errors import UsageError
from modelhub.formats.hashes import EMPTY_SHA256, hash_asset
from modelhub.text import brief, one_line, plural

#: Kind and words of a tag; those of other kinds are for extensions of A1111.
TAG = re.compile(r"<(\w+):([^<>]+)>")
LORAS = ("lora", "lyco")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_SAID = ("te", "unet")
#: What stands between the parts of a tag, and of its list of hashes in an infotext.
_MARKS = "<>:,\"'\n"
_MOST = 100
_SHORT = 12


class Tag(NamedTuple):
    """A LoRA that a prompt names, and its strength."""

    name: str
    weight: Weight


class Used(NamedTuple):
    """A LoRA that a picture is made with: its tag in the prompt, and digits of its hash, if known."""

    tag: Tag
    hash: str | None


def read_tags(prompt: str) -> list[Tag]:
    """The LoRAs that a prompt names, in order. Raises UsageError for a tag that cannot be read, or is no LoRA's."""
    tags = [match for match in TAG.finditer(prompt) if match[1].lower() in (*LORAS, "hypernet")]
    if len(tags) > _MOST:
        raise UsageError(f"The prompt has {plural(len(tags), 'LoRA tag')}.", f"{_MOST} are the most.")
    return [_read(match) for match in tags]


def plain(prompt: str) -> str:
    """The prompt without tags, of whatever kind: what is encoded."""
    return TAG.sub("", prompt)


def without(prompt: str, name: str) -> str:
    """The prompt without the tags of the LoRA that it calls `name`."""
    return str(TAG.sub(lambda match: "" if match[2].partition(":")[0].strip() == name else match[0], prompt))


def tagged(prompt: str, loras: Sequence[Tag]) -> str | None:
    """The prompt with a tag for each of `loras` at its end; None where a tag has no words for the name or strength."""
    texts = [_text(tag) for tag in loras]
    said = [text for text in texts if text is not None]
    return " ".join([prompt, *said] if prompt else said) if len(said) == len(texts) else None


def used(prompt: str, parents: Sequence[Parent]) -> tuple[Used, ...]:
    """The LoRAs that a prompt names, `parents` in their order, with the hashes that infotexts have."""
    return tuple(Used(tag, _hash(parent)) for tag, parent in zip(read_tags(prompt), parents, strict=True))


def _hash(parent: Parent) -> str | None:
    """12 digits of a LoRA's hash: that of its trainer (`sshs_model_hash`), else AutoV3, for which it is read."""
    said = parent.source.header.metadata.get("sshs_model_hash", "").strip().lower()
    if re.fullmatch("[0-9a-f]{64}", said) and said != EMPTY_SHA256:
        return said[:_SHORT]
    if not parent.stats:
        return _digits(parent.path)
    return _known_digits(parent.path, frozenset(parent.stats.items()))


@lru_cache(64)
def _known_digits(path: Path, stats: Hashable) -> str | None:
    """Those of a file as it was when it was opened, read once for all pictures of a grid."""
    return _digits(path)


def _digits(path: Path) -> str | None:
    hashes = hash_asset(path)
    return (hashes.autov3 or hashes.sha256 or "")[:_SHORT] or None


def hashes_text(loras: Sequence[Used]) -> str | None:
    """`style: 0123456789ab, other: ba9876543210`; None where no hash is known."""
    known = {_without_marks(one.tag.name): one.hash for one in loras if one.hash}
    return ", ".join(f"{name}: {digits}" for name, digits in known.items()) or None


def _without_marks(name: str) -> str:
    return one_line(name).replace(":", "").replace(",", "")


def _read(match: re.Match[str]) -> Tag:
    kind, said = match[1].lower(), match[2].split(":")
    if kind == "hypernet":
        raise UsageError(f"{brief(match[0])} in the prompt is a hypernetwork.", "Previews know LoRAs: <lora:NAME:0.8>.")
    name = said[0].strip()
    if not name:
        raise UsageError(f"{brief(match[0])} in the prompt names no LoRA.", "Write <lora:NAME:0.8>.")
    numbers = dict(_numbers(match[0], said[1:]))
    te = numbers.get("te", 1.0)
    unet = numbers.get("unet", te)
    return Tag(name, Weight(unet) if te == unet else Weight(unet, {"te": te}))


def _numbers(tag: str, words: Sequence[str]) -> Iterator[tuple[str, float]]:
    """What a tag says of the text encoders and the denoiser, by place or by name."""
    places = iter(_SAID)
    for word in words:
        name, sign, text = word.strip().rpartition("=")
        name = name.strip().lower() if sign else next(places, "")
        if name not in _SAID:
            raise UsageError(
                f"{brief(tag)} in the prompt says more than previews know: '{brief(word)}'.",
                "Write <lora:NAME:TE:UNET>; `--lora NAME:0.8,IN04-IN08=0` has weights for blocks.",
            )
        number = float(text) if _NUMBER.fullmatch(text.strip()) else math.nan
        if not is_computable(number):
            fault = "is no number" if math.isnan(number) else "is too large to compute with"
            raise UsageError(f"{brief(tag)} in the prompt: '{brief(text)}' {fault}.", "Write <lora:NAME:0.8>.")
        yield name, number


def _text(tag: Tag) -> str | None:
    """A tag in words, if there are any for it."""
    weight, name = tag.weight, tag.name
    if weight.blocks or weight.keys or weight.preset or not set(weight.components) <= set(_SAID):
        return None
    if not name.strip() or name != name.strip() or any(mark in name for mark in _MARKS) or not name.isprintable():
        return None
    base = 1.0 if weight.base is None else weight.base
    te, unet = (weight.components.get(part, base) for part in _SAID)
    return f"<lora:{name}:{short(te)}>" if te == unet else f"<lora:{name}:{short(te)}:{short(unet)}>"
