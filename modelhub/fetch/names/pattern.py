"""Names from a pattern: "{architecture}_{stem}" filled with what is known of a model."""

from __future__ import annotations

import re
from collections.abc import Mapping

from modelhub.catalog.asset import Asset
from modelhub.errors import UsageError
from modelhub.fetch.names.safe import safe_name

#: The words of a pattern, and what stands for them.
WORDS: Mapping[str, str] = {
    "stem": "the name as it is, without its ending",
    "title": "the title, else the name",
    "kind": "checkpoint, lora, vae, …",
    "architecture": "sd1, sdxl, flux1, …",
    "variant": "inpaint, fill, …",
    "dtype": "fp16, bf16, …",
    "base_model": "the base model as its page has it",
    "creator": "who made it",
    "version": "its version",
    "hash": "ten digits of its SHA256",
    "number": "1, 2, 3, …",
}
_WORD = re.compile(r"\{([^{}]*)\}")
#: What separates words, and goes with a word that is not known.
_BETWEEN = " ._-"


def file_name(pattern: str, asset: Asset, number: int = 1) -> str:
    """The file name of an asset by a pattern, with the ending that its file has.

    A word of which nothing is known is left out, with what separates it from the next. Raises UsageError for a word
    that there is not, and where nothing is left of the name.
    """
    ending = "" if asset.path.is_dir() else asset.path.suffix
    plain = pattern.strip().removesuffix(ending) if ending else pattern.strip()
    text = _filled(plain, _words(asset, number))
    if not text.strip(_BETWEEN):
        raise UsageError("The name is empty.", f"Words are: {', '.join(f'{{{word}}}' for word in WORDS)}.")
    return safe_name(f"{text}{ending}")


def _filled(pattern: str, words: Mapping[str, str]) -> str:
    if any(brace in _WORD.sub("", pattern) for brace in "{}"):
        raise UsageError("A word in braces has no end.", "It reads {stem}.")
    unknown = next((word for word in _WORD.findall(pattern) if word not in words), None)
    if unknown is not None:
        raise UsageError(
            f"There is no word {{{unknown}}} in names.", f"Words are: {', '.join(f'{{{word}}}' for word in WORDS)}."
        )
    parts = _WORD.split(pattern)  # literal, word, literal, word, …, literal
    text = parts[0]
    for word, after in zip(parts[1::2], parts[2::2], strict=True):
        text += words[word] + after if words[word] else after.lstrip(_BETWEEN)
    is_cut = len(parts) > 1 and not words[parts[-2]] and not parts[-1]
    return text.rstrip(_BETWEEN) if is_cut else text


def _words(asset: Asset, number: int) -> dict[str, str]:
    said = {**asset.provided, **asset.sidecar}
    stem = asset.path.name if asset.path.is_dir() else asset.path.stem
    return {
        "stem": stem,
        "title": asset.title or stem,
        "kind": "" if asset.kind == "unknown" else asset.kind,
        "architecture": asset.architecture or "",
        "variant": asset.variant or "",
        "dtype": asset.dtype or "",
        "base_model": str(said.get("base_model") or ""),
        "creator": str(said.get("creator") or ""),
        "version": str(said.get("version") or ""),
        "hash": (asset.sha256 or "")[:10],
        "number": str(number),
    }
