"""File words: what a provider calls a file, in the few words that tell it from its neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelhub.fetch.offer import RemoteFile


def file_words(file: RemoteFile) -> str:
    """What a provider calls a file beside its format: its precision, whether it is pruned, what it is for."""
    return " ".join(word for word in (file.precision, pruned_word(file), role_word(file)) if word)


def pruned_word(file: RemoteFile) -> str:
    """Whether the provider calls a file pruned or full; nothing where it says neither."""
    return {True: "pruned", False: "full", None: ""}[file.pruned]


def role_word(file: RemoteFile) -> str:
    """What a file is for; nothing for the model itself."""
    return "" if file.role in ("model", "pruned-model") else file.role.replace("-", " ")
