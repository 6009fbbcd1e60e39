"""Keeping: how many of the bytes that an earlier try left are of use to the next one."""

from __future__ import annotations

from modelhub.fetch.download.answer import Answer
from modelhub.fetch.download.state import State
from modelhub.fetch.download.verifying import is_known, told
from modelhub.fetch.offer import RemoteFile


def kept(file: RemoteFile, there: int, state: State | None) -> int:
    """How many of the first `there` bytes are of use: those of which it can be told that they are of this very file.

    Where no hash will prove the whole, its last byte is asked for again: the server says then whether it is the same.
    """
    known, size = is_known(file), expected_size(file, state)
    usable = known if state is None else (known or state.validator is not None) and _fits(file, state)
    if not there or not usable or (size is not None and there > size):
        return 0
    return there if known or there != size else there - 1


def expected_size(file: RemoteFile, state: State | None) -> int | None:
    """The bytes of the whole file, as the server or else the provider told them; None if neither did."""
    return file.exact_size if state is None or state.size is None else state.size


def is_other(answer: Answer, state: State) -> bool:
    """Whether an answer is of another file than the state, whatever the server was asked."""
    pairs: list[tuple[object, object]] = [(answer.total, state.size), (answer.etag, state.etag)]
    if not (answer.etag and state.etag):
        pairs.append((answer.modified, state.modified))
    return any(new is not None and old is not None and new != old for new, old in pairs)


def _fits(file: RemoteFile, state: State) -> bool:
    """Whether the state is of a file of the same hashes and size, as far as both are known."""
    size = file.exact_size
    same = size is None or state.size is None or size == state.size
    return same and all(state.hashes.get(name, value) == value for name, value in told(file).items())
