"""Values out of untrusted JSON: the right type and a sane size, or nothing."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from modelhub.formats.sidecars.text import line, words

#: Digits of each hash that a sidecar may declare.
HASH_DIGITS = {"sha256": 64, "blake3": 64, "crc32": 8, "autov1": 8, "autov2": 10, "autov3": 12}
_HEX = re.compile(r"[0-9a-f]+")
#: SHA256 of nothing: written by tools that hashed an empty buffer, and shared by files that have nothing in common.
_EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
_PREDICTIONS = {"eps": "epsilon", "epsilon": "epsilon", "v": "v", "v_prediction": "v", "v-prediction": "v"}
_VAGUE = frozenset({"", "unknown", "none"})


def at(raw: Any, *keys: str) -> Any:
    """The value below `keys` in nested tables, or None."""
    for key in keys:
        raw = raw.get(key) if isinstance(raw, dict) else None
    return raw


def text(raw: Any, *keys: str, clean: Callable[[str], str] = line) -> str | None:
    """A text that is not empty, or None."""
    value = at(raw, *keys)
    return (clean(value) or None) if isinstance(value, str) else None


def clear_text(raw: Any, *keys: str) -> str | None:
    """A text, or None for one that only says that nothing is known."""
    value = text(raw, *keys)
    return None if value is None or value.lower() in _VAGUE else value


def flag(raw: Any, *keys: str) -> bool | None:
    """True or False, or None."""
    value = at(raw, *keys)
    return value if isinstance(value, bool) else None


def identifier(raw: Any, *keys: str) -> int | None:
    """A positive number of 63 bits, also as text, or None."""
    value = at(raw, *keys)
    if isinstance(value, str) and len(value) < 20 and value.isascii() and value.isdigit():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**63 else None


def count(raw: Any, *keys: str) -> int | None:
    """A number of things, 0 or more, of 63 bits, or None."""
    value = at(raw, *keys)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63 else None


def weight(raw: Any, *keys: str) -> float | None:
    """A strength between -100 and 100, also as text; None for 0, by which tools mean that none was chosen."""
    value = at(raw, *keys)
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value[:30] if isinstance(value, str) else value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and 0 < abs(number) <= 100 else None


def listed(raw: Any, *keys: str) -> tuple[str, ...]:
    """The words of a list of texts, or of tables with a name."""
    value = at(raw, *keys)
    entries = value if isinstance(value, list) else []
    return words(at(one, "name") if isinstance(one, dict) else one for one in entries[:10_000])


def tables(value: Any, most: int = 1000) -> list[dict[str, Any]]:
    """The tables among the first entries of a list; whatever else stands there is left out."""
    return [one for one in (value if isinstance(value, list) else [])[:most] if isinstance(one, dict)]


def commas(raw: Any, *keys: str) -> tuple[str, ...]:
    """The words of a text that separates them by commas."""
    value = at(raw, *keys)
    return words(value[:100_000].split(",")) if isinstance(value, str) else ()


def prediction(word: Any) -> str | None:
    """epsilon or v, from the spellings in use."""
    return _PREDICTIONS.get(word.strip().lower()) if isinstance(word, str) else None


def hashes(raw: Any) -> dict[str, str]:
    """The hashes in a table by name, those with the right number of hexadecimal digits."""
    table = raw if isinstance(raw, Mapping) else {}
    found = {str(name).lower(): one_hash(str(name).lower(), value) for name, value in table.items()}
    return {name: found[name] for name in HASH_DIGITS if found.get(name)}  # type: ignore[misc]


def one_hash(name: str, value: Any) -> str | None:
    """A hash in lower-case hex, or None if it is none; a whole SHA256 stands for the AutoV3 that it begins with."""
    if not isinstance(value, str) or name not in HASH_DIGITS or len(value) > 70:
        return None
    digits, wanted = value.strip().lower().removeprefix("0x"), HASH_DIGITS[name]
    if name == "autov3" and len(digits) == 64:
        digits = digits[:wanted]
    fits = len(digits) == wanted and _HEX.fullmatch(digits) is not None
    return digits if fits and not _EMPTY.startswith(digits) else None


def may_be_of(name: Any, model: Path) -> bool:
    """Whether a file called `name` can be `model`, by its ending: renamed files keep it, X.ckpt is no X.safetensors."""
    ending = os.path.splitext(name)[1] if isinstance(name, str) else ""  # noqa: PTH122 (a name from any system)
    return ending.lower() in ("", model.suffix.lower())


def web_address(raw: Any, *keys: str) -> str | None:
    """An address that begins with http:// or https:// and holds no space, or None."""
    value = text(raw, *keys)
    return value if value and re.fullmatch(r"https?://[^\s\"'<>\\]+", value) else None
