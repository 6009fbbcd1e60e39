"""Ranking: which of several files is given where nothing else is said; of one version, by Civitai's own rule."""

from __future__ import annotations

from collections.abc import Sequence

from modelhub.fetch.offer import RemoteFile
from modelhub.text import brief, human_size

WEIGHTS = ("model", "pruned-model")
TRAINING = "training-data"
#: The copy that is best where nothing is asked for: half of the bytes are enough for pictures.
_PRECISIONS = {"fp16": 0, None: 1, "bf16": 2, "fp8": 3, "fp32": 4}
_PRUNED: dict[bool | None, str] = {True: "pruned", False: "full"}
#: Files that an error or a hint names.
_NAMED = 10


def score(file: RemoteFile) -> int:
    """Civitai's points: weights before all else, then safetensors, then pruned, then fp16."""
    likes = ((file.format == "safetensors", 100), (file.pruned is True, 10), (file.precision == "fp16", 1))
    return sum(worth if liked else -worth for liked, worth in likes) + (1000 if file.role in WEIGHTS else 0)


def precision_rank(precision: str | None) -> int:
    """The least is the best of several copies of one model; None for one whose precision nobody tells."""
    return _PRECISIONS.get(precision, 9)


def best(files: Sequence[RemoteFile]) -> tuple[RemoteFile, ...]:
    """The file with most points, of equals the one that the provider prefers, then the first; () of none.

    Training data are none of them unless there is nothing else.
    """
    usual = [one for one in files if one.role != TRAINING] or files
    return tuple(sorted(usual, key=lambda one: (-score(one), not one.primary)))[:1]


def words_of(file: RemoteFile) -> str:
    """A file in a few words: `x.safetensors (model, safetensors, fp16, pruned, 2.13 GB)`."""
    told = (file.role.replace("-", " "), file.format, file.precision, _PRUNED.get(file.pruned))
    words = [brief(one, 20) for one in told if one] + ([human_size(file.size)] if file.size is not None else [])
    return f"{brief(file.path or file.name, 60)} ({', '.join(words)})"


def there_is(files: Sequence[RemoteFile]) -> str:
    """`There is: …` with the first ten files, for a hint."""
    more = f"; and {len(files) - _NAMED:,} more" if len(files) > _NAMED else ""
    return f"There is: {'; '.join(words_of(one) for one in files[:_NAMED]) or 'nothing'}{more}."
