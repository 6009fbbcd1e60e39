"""Keep a token, or forget it: in the keyring where there is one, else in tokens.toml; never in both."""

from __future__ import annotations

from dataclasses import dataclass

from modelhub.errors import FileError, ModelhubError, UsageError
from modelhub.fetch.tokens import file, ring
from modelhub.fetch.tokens.finding import PROVIDERS, Found, find_all
from modelhub.fetch.tokens.ring import KeyringTrouble
from modelhub.fetch.tokens.words import read_token
from modelhub.text import one_line


@dataclass(frozen=True, slots=True)
class Kept:
    """Where a token was kept: `kind` is keyring or file, `place` says it in words; `troubles` are sentences."""

    kind: str
    place: str
    troubles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Forgotten:
    """The places that a token was taken from, those that still give one, and sentences about troubles."""

    places: tuple[str, ...]
    left: tuple[Found, ...]
    troubles: tuple[str, ...] = ()


def place_to_keep() -> Kept:
    """Where the next token would be kept."""
    try:
        name = ring.name()
    except KeyringTrouble as trouble:
        return Kept("file", one_line(str(file.path())), (str(trouble),))
    return Kept("file", one_line(str(file.path()))) if name is None else Kept("keyring", f"the keyring ({name})")


def keep(provider: str, token: str) -> Kept:
    """Keep `token` for civitai or huggingface, in the place of any other.

    A keyring that does not work is no reason to stop: the file takes its place, and the answer says so. Raises
    UsageError for what cannot be a token, FileError.
    """
    _check(provider)
    good = read_token(token, "the text")
    if good is None:
        raise UsageError("There is no token in the text.", "Copy it from your account at the provider.")
    troubles: list[str] = []
    if _put_in_ring(provider, good, troubles):
        kept = place_to_keep()
        _from_file(provider, troubles)
        return Kept(kept.kind, kept.place, tuple(troubles))
    file.change(provider, good)
    _from_ring(provider, troubles)  # or an old one would count before it
    return Kept("file", one_line(str(file.path())), tuple(troubles))


def forget(provider: str, *, dry_run: bool = False) -> Forgotten:
    """Delete what was kept for civitai or huggingface, or with `dry_run` say what would be.

    The environment's tokens and those of other programs stay, and are told.
    """
    _check(provider)
    troubles: list[str] = []
    places = [_from_ring(provider, troubles, dry_run), _from_file(provider, troubles, dry_run)]
    left = tuple(one for one in _found(provider, troubles) if one.kind not in ("keyring", "file"))
    return Forgotten(tuple(place for place in places if place), left, tuple(troubles))


def _put_in_ring(provider: str, token: str, troubles: list[str]) -> bool:
    try:
        return ring.put(provider, token)
    except KeyringTrouble as trouble:
        troubles.append(str(trouble))
        return False


def _from_ring(provider: str, troubles: list[str], dry_run: bool = False) -> str | None:
    """Where in the keyring a token was, or would be, deleted."""
    try:
        place = f"the keyring ({ring.name()})"
        gone = ring.get(provider) is not None if dry_run else ring.drop(provider)
    except KeyringTrouble as trouble:
        _say(str(trouble), troubles)
        return None
    return place if gone else None


def _from_file(provider: str, troubles: list[str], dry_run: bool = False) -> str | None:
    """Where in the file a token was, or would be, deleted."""
    try:
        if not (provider in file.read() if dry_run else file.change(provider, None)):
            return None
    except FileError as error:
        _say(f"{error.message} {error.hint}", troubles)
        return None
    return one_line(str(file.path()))


def _found(provider: str, troubles: list[str]) -> list[Found]:
    try:
        found, said = find_all(provider)
    except ModelhubError as error:
        _say(f"{error.message} {error.hint}", troubles)
        return []
    for sentence in said:
        _say(sentence, troubles)
    return found


def _say(sentence: str, troubles: list[str]) -> None:
    if sentence not in troubles:
        troubles.append(sentence)


def _check(provider: str) -> None:
    if provider not in PROVIDERS:
        raise UsageError("Tokens are kept for civitai and huggingface.", "Name one of them.")
