"""Looking up: versions and models by number or hash, one by one and a hundred at a time, as Civitai's own tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from modelhub.errors import NotFoundError, ProviderError, UsageError
from modelhub.fetch.civitai.asking import Table, ask, table, tell
from modelhub.fetch.net import Net
from modelhub.formats.sidecars import values
from modelhub.jobs import QUIET, Job

_T = TypeVar("_T")

#: What one request may ask for.
BATCH = 100
#: Names of Civitai's hashes by their number of digits.
_NAMES = {64: ("sha256", "blake3"), 12: ("autov3",), 10: ("autov2",), 8: ("autov1", "crc32")}


def read_version(number: int, net: Net, job: Job = QUIET) -> Table:
    """Civitai's table of a version. Raises NotFoundError and ProviderError."""
    what = f"version {number} (civitai:@{number})"
    raw = table(ask(net, f"model-versions/{number}", what, job), what)
    return _numbered(raw, number, what)


def read_model(number: int, net: Net, job: Job = QUIET) -> Table:
    """Civitai's table of a model. Raises NotFoundError and ProviderError."""
    what = f"model {number} (civitai:{number})"
    raw = table(ask(net, f"models/{number}", what, job), what)
    return _numbered(raw, number, what)


def read_by_hash(digits: str, net: Net, job: Job = QUIET) -> Table:
    """Civitai's table of the version that has a file of that hash. Raises NotFoundError and ProviderError.

    Short hashes are not unique, and an answer may be wrong: a file of it must have the hash.
    """
    what = f"file with the hash {digits}"
    try:
        raw = table(ask(net, f"model-versions/by-hash/{digits.upper()}", what, job), what)
    except NotFoundError as error:
        hint = "It may never have been there, or have been taken back. Look for it by its name: modelhub find."
        raise NotFoundError(error.message, hint) from error
    if not any(has_hash(one, digits) for one in values.tables(raw.get("files"))):
        raise NotFoundError(
            f"Civitai answered with a version that has no {what}.", "Ask with the whole SHA256 of 64 digits."
        )
    return raw


def has_hash(file: Table, digits: str) -> bool:
    """Whether a file in Civitai's JSON has a hash of these digits."""
    hashes = values.hashes(file.get("hashes"))
    of_short = len(digits) == 10 and hashes.get("sha256", "").startswith(digits)
    return of_short or any(hashes.get(name) == digits for name in _NAMES.get(len(digits), ()))


def versions_by_sha256(digests: Iterable[str], net: Net, job: Job = QUIET) -> dict[str, Table]:
    """Civitai's tables of the versions that have a file with one of these SHA256, by it; unknown ones are absent.

    Asks for a hundred at a time; what is found is told by the files' own hashes. Raises UsageError for what is no
    SHA256, else ProviderError.
    """
    wanted = list(dict.fromkeys(one.lower() for one in digests))
    for one in wanted:
        if values.one_hash("sha256", one) != one:
            raise UsageError(f"{one[:70]} is no SHA256 that can be looked up.", "It has 64 hexadecimal digits.")
    found: dict[str, Table] = {}
    for batch in batches(wanted):
        job.check()
        answer = tell(net, "model-versions/by-hash", [one.upper() for one in batch], "files by their hashes", job)
        _match(_listed(answer), set(batch), found)
    return found


def models(ids: Iterable[int], net: Net, job: Job = QUIET) -> dict[int, Table]:
    """Civitai's tables of these models, with their versions, by number; those it does not know are absent.

    Asks for a hundred at a time. Raises ProviderError.
    """
    wanted = list(dict.fromkeys(ids))
    found: dict[int, Table] = {}
    for batch in batches(wanted):
        job.check()
        params = [("ids", ",".join(map(str, batch))), ("nsfw", "true"), ("limit", BATCH)]
        answer = table(ask(net, "models", "models by their numbers", job, params), "models")
        for one in _listed(answer.get("items")):
            number = values.identifier(one, "id")
            if number is not None and number in batch:
                found.setdefault(number, one)
    return found


def _match(versions: list[Table], wanted: set[str], found: dict[str, Table]) -> None:
    for version in versions:
        for file in values.tables(version.get("files")):
            digits = values.hashes(file.get("hashes")).get("sha256", "")
            if digits in wanted:
                found.setdefault(digits, version)


def _listed(answer: object) -> list[Table]:
    if not isinstance(answer, list):
        raise ProviderError("Civitai's answer is not the list that is known.", "Try again later.")
    return values.tables(answer)


def _numbered(raw: Table, number: int, what: str) -> Table:
    """`raw` with its number. Raises ProviderError where it has another."""
    told = values.identifier(raw, "id")
    if told not in (None, number):
        raise ProviderError(f"Civitai answered with number {told} when asked for {what}.", "Try again later.")
    return {**raw, "id": number}


def batches(items: Sequence[_T]) -> Iterator[Sequence[_T]]:
    """`items` in parts that one request can ask for."""
    return (items[start : start + BATCH] for start in range(0, len(items), BATCH))
