"""Safe names: what a server calls a file, made a name that every system can hold and that leads to no other folder."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Container
from pathlib import Path

from modelhub.formats.naming import MODEL_SUFFIXES

#: Bytes of a name in UTF-8: every file system takes 255, and parts and sidecars (".preview.jpeg") add up to 40.
_MOST_BYTES = 255 - 40
#: Characters that some system reads as something else: separators, wildcards, streams.
_SPECIAL = re.compile(r'[\\/:*?"<>|]+')
#: Names that Windows gives to devices, whatever follows their first dot.
_DEVICES = re.compile(r"(?i)(?:con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(?=$|[ .])")
#: An ending that is worth keeping when a name is cut.
_SUFFIX = re.compile(r"\.[A-Za-z0-9_]{1,16}$")
#: Letters and marks that are shown as nothing: two names with and without one look the same.
_UNSEEN = frozenset("\u115f\u1160\u3164\uffa0\u2800\u034f\u17b4\u17b5\u180b\u180c\u180d\u180e\u180f")


def safe_name(text: str, fallback: str = "model") -> str:
    """A file name that looks like `text` and is one everywhere; `fallback` where nothing of it can stay.

    No separators, control or invisible characters, no leading dot or dash, no trailing dot or space, no device of
    Windows, at most 255 bytes of UTF-8 less what sidecars add to it, the suffix kept.
    """
    name = _shortened(_cleaned(text), _MOST_BYTES)
    if _DEVICES.match(name):
        name = _shortened(f"_{name}", _MOST_BYTES)
    if name.strip("._- "):
        return name
    return "model" if text == fallback else safe_name(fallback, fallback)


def safe_path(text: str, fallback: str = "model") -> str:
    """A relative path of safe names with "/" between them: no part of it leads up or out."""
    parts = [part for part in re.split(r"[\\/]+", text[:4000]) if part.strip(". ")]
    return "/".join(safe_name(part, fallback) for part in parts[:16]) or safe_name(fallback)


def with_suffix_of(name: str, other: str) -> str:
    """`name` as a user typed it, with the suffix of `other` where it has none of a model's or of the same file."""
    suffix = os.path.splitext(other)[1]  # noqa: PTH122 (a name, not a path)
    own = os.path.splitext(name)[1].lower()  # noqa: PTH122
    return name if own in MODEL_SUFFIXES or own == suffix.lower() else name + suffix


def distinct(name: str, taken: Container[str]) -> str:
    """`name`, or the first of "name (2)", "name (3)"… whose folded form is not in `taken`."""
    stem, suffix = _split(name)
    number, one = 1, name
    while folded(one) in taken:
        number += 1
        mark = f" ({number})"
        one = _cut(stem, _MOST_BYTES - len((mark + suffix).encode())) + mark + suffix
    return one


def unused(path: Path) -> Path:
    """`path`, or a name beside it that no file has, in any case."""
    try:
        taken = {folded(name) for name in os.listdir(path.parent)}  # noqa: PTH208 (names are wanted)
    except OSError:
        taken = set()
    return path.with_name(distinct(path.name, taken))


def folded(name: str) -> str:
    """What two names have in common that some file systems hold for one: case and composition do not count."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _cleaned(text: str) -> str:
    seen = "".join(map(_seen, unicodedata.normalize("NFC", text[:4000]))).lstrip(" .-/\\:")
    plain = re.sub(r" {2,}", " ", _SPECIAL.sub("_", unicodedata.normalize("NFC", seen)))
    return plain.lstrip(" .-").rstrip(" .")


def _seen(char: str) -> str:
    """The character itself, a space for any kind of space, "" for what is not shown or is half a character."""
    if char.isprintable() and char not in _UNSEEN and not "\ufe00" <= char <= "\ufe0e":
        return char
    return " " if char.isspace() or unicodedata.category(char) == "Zs" else ""


def _shortened(name: str, most: int) -> str:
    if len(name.encode()) <= most:
        return name
    stem, suffix = _split(name)
    return _cut(stem, most - len(suffix.encode())) + suffix


def _split(name: str) -> tuple[str, str]:
    """Stem and suffix; of a name that is all suffix, nothing is one."""
    found = _SUFFIX.search(name)
    at = found.start() if found and found.start() > 0 else len(name)
    return name[:at], name[at:]


def _cut(text: str, most: int) -> str:
    return text.encode()[: max(most, 1)].decode("utf-8", "ignore").rstrip(" .") or "_"
