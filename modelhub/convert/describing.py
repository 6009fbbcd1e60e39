"""What a converted file says of itself: the metadata of its source as far as it stays true, and where it came from."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence

from modelhub.formats.header import Header
from modelhub.formats.source import TensorSource
from modelhub.formats.views import Renamed

#: Where a converted file says what it was made of; the name of a file, never its folder.
SOURCE, SOURCE_FORMAT, SOURCE_SHA256 = "modelhub.source", "modelhub.source_format", "modelhub.source_sha256"
#: Names of tensors that shared their bytes in a pickle, in groups, as JSON.
TIED = "modelhub.tied"
#: Statements about the bytes or the precision of tensors, untrue once these change.
_OF_BYTES = (
    "modelspec.hash_sha256", "sshs_model_hash", "sshs_legacy_hash", "modelspec.unet_dtype", "modelspec.vae_dtype",
)  # fmt: skip
#: Characters of the list of tied names: what is longer no header needs.
_MAX_TIED = 1_000_000


class Described(Renamed):
    """A source with other metadata, every tensor under its name and at its place."""

    def __init__(self, source: TensorSource, metadata: Mapping[str, str]) -> None:
        super().__init__(source, str, metadata)
        self.header = Header(source.header.tensors, dict(metadata))


def truthful(metadata: Mapping[str, str], names: Collection[str]) -> tuple[dict[str, str], list[str]]:
    """The metadata of a file whose tensors have changed: what is still true, and a warning of what had to go.

    `names` are the tensors of the result: what is said of tied ones is cut down to these.
    """
    gone = [key for key in _OF_BYTES if key in metadata]
    true = {key: text for key, text in metadata.items() if key not in gone}
    if TIED in true and (tied := _tied_among(true.pop(TIED), names)) != "[]":
        true[TIED] = tied
    return true, [f"The metadata no longer says {', '.join(gone)}: it was about the old bytes."] if gone else []


def _tied_among(text: str, names: Collection[str]) -> str:
    """The groups of tied names with two and more of `names`, as JSON; none of what is no such list."""
    try:
        groups = json.loads(text)
        there = [[name for name in group if name in names] for group in groups]
    except (ValueError, TypeError, RecursionError):
        return "[]"
    return json.dumps([group for group in there if len(group) > 1], ensure_ascii=False)


def without_origin(metadata: Mapping[str, str]) -> dict[str, str]:
    """The metadata without where an earlier conversion was made from: half of that beside the new would be untrue."""
    return {key: text for key, text in metadata.items() if key not in (SOURCE, SOURCE_FORMAT, SOURCE_SHA256)}


def origin(name: str, container: str, sha256: str | None, aliases: Iterable[Sequence[str]] = ()) -> dict[str, str]:
    """The metadata that tells where a file came from."""
    tied = json.dumps([list(group) for group in aliases], ensure_ascii=False)
    whole = name.encode("utf-8", "replace").decode()
    found = {"format": "pt", SOURCE: whole, SOURCE_FORMAT: container}
    found |= {SOURCE_SHA256: sha256} if sha256 else {}
    return found | ({TIED: tied} if tied != "[]" and len(tied) <= _MAX_TIED else {})
