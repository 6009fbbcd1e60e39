"""The keyring of the system, where the library `keyring` is there and has a backend that keeps things.

Backends raise what they like; what they are known to raise becomes KeyringTrouble, which nobody has to stop for.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from modelhub.text import brief

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

#: The name under which keyrings show what modelhub keeps.
SERVICE = "modelhub"


class KeyringTrouble(Exception):  # noqa: N818 (it is said, not raised to a user)
    """A keyring that is there, and did not do what it was asked; the text is a sentence for people."""


def name() -> str | None:
    """What the keyring is called; None where there is none. Raises KeyringTrouble."""
    backend = _backend()
    return None if backend is None else str(getattr(backend, "name", type(backend).__name__))


def get(provider: str) -> str | None:
    """The token that is kept for `provider`, if any. Raises KeyringTrouble."""
    backend = _backend()
    if backend is None:
        return None
    with _said("could not be read"):
        return backend.get_password(SERVICE, provider)


def put(provider: str, token: str) -> bool:
    """Keep `token`; whether there is a keyring to keep it, from which it then can be read. Raises KeyringTrouble."""
    backend = _backend()
    if backend is None:
        return False
    with _said("did not take the token", token):
        backend.set_password(SERVICE, provider, token)
        return backend.get_password(SERVICE, provider) == token


def drop(provider: str) -> bool:
    """Delete what is kept for `provider`; whether something was. Raises KeyringTrouble."""
    backend = _backend()
    if backend is None or get(provider) is None:
        return False
    with _said("did not delete the token"):
        backend.delete_password(SERVICE, provider)
    return True


def _backend() -> KeyringBackend | None:
    """The backend that keeps things; null and fail, which stand in where there is none, do not."""
    try:
        import keyring
    except ImportError:
        return None
    with _said("could not be opened"):
        backend = keyring.get_keyring()
        stand_in = type(backend).__module__ in ("keyring.backends.fail", "keyring.backends.null")
        return None if stand_in or backend.priority <= 0 else backend


@contextmanager
def _said(what: str, secret: str = "") -> Iterator[None]:
    """Turn what backends raise into KeyringTrouble, without the secret that they may have put into their words."""
    try:
        yield
        return
    except _raised() as error:
        why = f"{type(error).__name__}: {error}".removesuffix(": ")
        why = why.replace(secret, "***") if secret else why
    raise KeyringTrouble(f"The keyring {what} ({brief(why, 200)}).")


def _raised() -> tuple[type[BaseException], ...]:
    from keyring.errors import KeyringError

    builtin = (RuntimeError, OSError, ImportError, AttributeError, ValueError, TypeError, LookupError)
    return (KeyringError, *builtin, *_foreign())


def _foreign() -> Iterator[type[BaseException]]:
    """What the libraries below the backends raise, of those that are loaded."""
    for module, error in (
        ("secretstorage.exceptions", "SecretStorageException"),
        ("jeepney.wrappers", "DBusErrorResponse"),
        ("pywintypes", "error"),
        ("dbus.exceptions", "DBusException"),
        ("cryptography.exceptions", "InvalidTag"),
    ):
        found = getattr(sys.modules.get(module), error, None)
        if isinstance(found, type):
            yield found
