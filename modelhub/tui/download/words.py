"""The words of downloads: hints of the command line as keys of this place, how far a row is, what to do about it."""

from __future__ import annotations

import re

from modelhub.catalog.downloads import Glance
from modelhub.catalog.provided import TITLES
from modelhub.errors import ModelhubError
from modelhub.text import clock, human_seconds, human_size, one_line

#: What the command line says to do, and which keys do it here.
_KEYS = tuple(
    (re.compile(pattern), keys)
    for pattern, keys in (
        (r"[Rr]un `modelhub login \w+` with a token from your account there",
         "Add a token from your account there in Settings (press ,)"),
        (r"(?:log in with |[Rr]un )?`?modelhub login \w+`?", "add a token in Settings (press ,)"),
        (r"keep one|`modelhub queue run` goes on with it", "s goes on with it"),
        (r"Name it otherwise with `--as NAME`, or replace it with `--force`",
         "Press n to name it otherwise, or w to replace it"),
        (r"Name it otherwise with `--as NAME`", "Press n to name it otherwise"),
        (r"with `modelhub queue remove (\d+)`", r"in the queue (press 1)"),
        (r"`--force` gets it once more", "w gets it once more"),
        (r"Name one with `--to DIR`, or have modelhub know your models: `modelhub scan DIR`",
         "Name one in Settings (press ,), or add the folder of your models in the library (B, then a)"),
        (r"fetch to another disk with `--to DIR`", "choose another folder with f"),
        (r", and --list shows what there is", ""),
        (r": modelhub find", ": type words to search for"),
    )
)  # fmt: skip


#: What is said of tokens in general, where it was said for this one.
_SAID = re.compile(r"[,:;]?\s*(?:then:?)?\s*add a token (?:from your account there )?in Settings \(press ,\)", re.I)


def with_keys(text: str) -> str:
    """A hint of the command line in the words of this place."""
    for pattern, keys in _KEYS:
        text = pattern.sub(keys, text)
    return text[:1].upper() + text[1:]


def explained(error: ModelhubError) -> ModelhubError:
    """The error with a hint that names keys."""
    return ModelhubError(with_keys(error.message), with_keys(error.hint))


def next_step(row: Glance) -> str:
    """What to do about a row that failed: by its cause, then what its provider said to do."""
    title = TITLES.get(row.provider or "", "the provider")
    hint = with_keys(one_line(row.hint or ""))
    if row.code == "login-needed":
        more = _SAID.sub("", hint).rstrip(" .")
        return f"Add a token for {title} in Settings (press ,), then r tries again.{more and f' {more}.'}"
    if row.code == "gated":
        return f"{hint} r tries again."
    if row.code == "rate-limited":
        return f"{hint} It was said at {clock(row.changed)}; r tries again."
    if row.code in ("downloads-disabled", "archived", "unsafe-pickle"):
        return hint
    return f"{hint} r tries again.".strip()


def speed(rate: float | None) -> str:
    """Bytes a second, as people write them."""
    return f"{human_size(int(rate))}/s" if rate is not None else ""


def time_left(left: int | None, rate: float | None) -> str:
    """How long the rest will take at this rate; nothing where nobody can tell."""
    if left is None or not rate or rate < 1:
        return ""
    return human_seconds(left / rate)
