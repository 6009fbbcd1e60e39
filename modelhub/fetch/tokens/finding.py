"""Find a token: every place that may hold one, in the order in which they count."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from modelhub.catalog.provided import TITLES
from modelhub.fetch.tokens import file, ring
from modelhub.fetch.tokens.ring import KeyringTrouble
from modelhub.fetch.tokens.words import read_token
from modelhub.text import one_line

PROVIDERS = tuple(TITLES)

#: The variables of the environment, the first that is set counts.
VARIABLES = {
    "civitai": ("CIVITAI_TOKEN", "CIVITAI_API_TOKEN", "CIVITAI_API_KEY"),
    "huggingface": ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"),
}


@dataclass(frozen=True, slots=True)
class Found:
    """A token and where it is: `kind` is environment, keyring, file or huggingface, `place` says it in words."""

    kind: str
    place: str
    token: str = field(repr=False)


def token_of(provider: str) -> str | None:
    """The token for civitai or huggingface; None if there is none, or for any other. Raises what `find` raises."""
    found, _ = find(provider)
    return None if found is None else found.token


def find(provider: str) -> tuple[Found | None, tuple[str, ...]]:
    """The token that counts, and sentences about places that could not be looked into on the way to it.

    Raises UsageError for what cannot be a token; FileError for a tokens.toml that others can read, or that is none.
    """
    troubles: list[str] = []
    return next(_places(provider, troubles), None), tuple(troubles)


def find_all(provider: str) -> tuple[list[Found], tuple[str, ...]]:
    """All tokens, the one that counts first, and sentences about troubles. Raises what `find` raises."""
    troubles: list[str] = []
    return list(_places(provider, troubles)), tuple(troubles)


def _places(provider: str, troubles: list[str]) -> Iterator[Found]:
    if provider not in PROVIDERS:
        return
    yield from _environment(provider)
    yield from _keyring(provider, troubles)
    yield from _file(provider)
    if provider == "huggingface":
        yield from _huggingface()


def _environment(provider: str) -> Iterator[Found]:
    for name in VARIABLES[provider]:
        if token := read_token(os.environ.get(name, ""), f"the variable {name}"):
            yield Found("environment", f"the variable {name}", token)


def _keyring(provider: str, troubles: list[str]) -> Iterator[Found]:
    try:
        text = ring.get(provider) or ""
        place = f"the keyring ({ring.name()})"
    except KeyringTrouble as trouble:
        troubles.append(str(trouble))
        return
    if token := read_token(text, place):
        yield Found("keyring", place, token)


def _file(provider: str) -> Iterator[Found]:
    place = one_line(str(file.path()))
    if token := read_token(file.read().get(provider, ""), place):
        yield Found("file", place, token)


def _huggingface() -> Iterator[Found]:
    """What Hugging Face's own tools kept; a file that cannot be read is theirs to complain of."""
    path = _hub_file()
    text = ""
    with suppress(OSError, UnicodeDecodeError):
        text = path.read_text(encoding="utf-8")
    place = one_line(str(path))
    if token := read_token(text, place):
        yield Found("huggingface", place, _refreshed(path, token))


def _hub_file() -> Path:
    """The file of Hugging Face's tools: `HF_TOKEN_PATH`, else `token` in `HF_HOME`."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("HF_HOME") or os.path.join(cache, "huggingface")  # noqa: PTH118 (~ may lead nowhere)
    path = os.environ.get("HF_TOKEN_PATH") or os.path.join(home, "token")  # noqa: PTH118
    return Path(os.path.expandvars(os.path.expanduser(path)))  # noqa: PTH111


def _refreshed(path: Path, token: str) -> str:
    """A token of a login by browser holds for a day, and Hugging Face's library knows how to get the next one."""
    with suppress(OSError, UnicodeDecodeError):
        if "refresh_token" in path.with_name("stored_tokens").read_text(encoding="utf-8"):
            from huggingface_hub import get_token

            return get_token() or token
    return token
