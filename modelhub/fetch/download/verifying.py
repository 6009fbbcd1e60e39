"""Verifying: whether a file is the one that was promised, by the strongest hash that its provider told."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from modelhub.errors import ModelhubError, WrongBytesError
from modelhub.fetch.offer import RemoteFile
from modelhub.formats.hashes import Hashes, autov1, hash_file
from modelhub.text import brief

#: By their strength; the first that was told decides.
_NAMES = {
    "sha256": ("SHA256", 64),
    "blake3": ("BLAKE3", 64),
    "git": ("Git hash", 40),
    "autov2": ("AutoV2", 10),
    "crc32": ("CRC32", 8),
    "autov1": ("AutoV1", 8),
    "autov3": ("AutoV3", 12),
}
#: Those that no other content has, by which bytes of an unknown age may be kept.
STRONG = ("sha256", "blake3")
#: Said otherwise by some than they are defined; they never condemn a file.
_DISPUTED = frozenset({"autov3"})


def told(file: RemoteFile) -> dict[str, str]:
    """The hashes that a provider told and that can be one, in lower case, the strongest first."""
    found = {name: str(file.hashes[name]).strip().lower().removeprefix("0x") for name in _NAMES if name in file.hashes}
    return {name: value for name, value in found.items() if _is_hash(name, value)}


def is_known(file: RemoteFile) -> bool:
    """Whether a hash was told that no other content has."""
    return any(name in STRONG for name in told(file))


def checked(file: RemoteFile, part: Path, hashes: Hashes) -> tuple[str, ...]:
    """Compare a whole file at `part` with what was promised; notes of what could not be proven.

    `hashes` were made while it came; others are made of the file now, where they are all that was told. Raises
    WrongBytesError with both digests, FileError.
    """
    wanted, notes = told(file), []
    for number, (name, value) in enumerate(wanted.items()):
        if number and name not in ("blake3", "crc32", "autov2"):
            continue  # something stronger has proven it, and this is not there yet
        found = _found(name, part, hashes)
        if found == value:
            continue
        if number or name in _DISPUTED:
            notes.append(f"{_NAMES[name][0]} is told to be {value}, and is {found or 'not to be had'}.")
        else:
            raise _wrong(file, name, value, found)
    if not wanted:
        notes.append("No hash of it was told, so that only its size could be checked.")
    return tuple(notes)


def _is_hash(name: str, value: str) -> bool:
    return len(value) == _NAMES[name][1] and set(value) <= set("0123456789abcdef")


def _found(name: str, part: Path, hashes: Hashes) -> str | None:
    made: dict[str, Callable[[], str | None]] = {
        "git": lambda: _git(part),
        "autov1": lambda: autov1(part),
        "autov3": lambda: hash_file(part).autov3,
    }
    return made[name]() if name in made else hashes.as_dict()[name]


def _git(part: Path) -> str:
    """The SHA1 by which git knows the content."""
    digest = hashlib.sha1(b"blob %d\0" % part.stat().st_size, usedforsecurity=False)
    with part.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _wrong(file: RemoteFile, name: str, value: str, found: str | None) -> ModelhubError:
    title = _NAMES[name][0]
    message = f"{brief(file.name)} is not what was promised: its {title} is {found}, and should be {value}."
    return WrongBytesError(message, "What came was removed. Try again; if it stays so, its page may know more.")
