"""Embeddings that a picture is made with: those that are asked for, and those of the catalog that a prompt names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from modelhub.catalog.opener import known_sha256, make_sha256
from modelhub.catalog.refs import locate
from modelhub.errors import ModelhubError, UsageError
from modelhub.jobs import QUIET, Job
from modelhub.settings import user_path
from modelhub.text import brief

if TYPE_CHECKING:
    from pathlib import Path

    from modelhub.catalog.asset import Asset
    from modelhub.catalog.store import Catalog
    from modelhub.preview.prompts.embeddings import Embedding

_ENDINGS = r"(?:\.(?:pt|bin|safetensors))?"


def picture_embeddings(
    catalog: Catalog, texts: Sequence[str], words: Sequence[str], architecture: str | None = None, job: Job = QUIET
) -> list[Embedding]:
    """The embeddings of `words`, each a REF or REF=WORD, then those whose stem is a word of the `texts`.

    What is asked for, in `words` or as `embedding:name`, has to fit the model; what only has the name of a word of a
    prompt is used if it can be. Of several of one name it is the one for `architecture`. Raises NotFoundError and
    AmbiguousError for a REF, and what reading a file raises.
    """
    asked = [_asked(catalog, word, job) for word in words]
    names = {one.name.lower() for one in asked}
    found = [_found(catalog, asset, texts, job) for asset in _named(catalog, texts, architecture, names)]
    return [*asked, *(one for one in found if one is not None)]


def unnamed_notes(embeddings: Sequence[Embedding], texts: Sequence[str]) -> list[str]:
    """A sentence on each embedding that was asked for, and that no text names."""
    whole = _plain(re.sub(r"\\([()\[\]\\])", r"\1", "\n".join(texts)))
    return [
        f"No prompt has the word '{brief(one.name)}', so the embedding of that name is not in the picture."
        for one in embeddings
        if one.asked and _plain(one.name) not in whole
    ]


def _plain(text: str) -> str:
    """A text as tokenizers see it, whatever its case and spaces."""
    return "".join(text.casefold().split())


def _asked(catalog: Catalog, word: str, job: Job) -> Embedding:
    ref, name = word, None
    if "=" in word and not user_path(word).is_file():
        ref, _, name = word.rpartition("=")
        if not (ref and name.strip()):
            raise UsageError(f"'{brief(word)}' names no embedding and word.", "Write --embedding REF or REF=WORD.")
    path, asset = locate(catalog, ref)
    return _read(catalog, path, asset, name.strip() if name else None, True, job)


def _found(catalog: Catalog, asset: Asset, texts: Sequence[str], job: Job) -> Embedding | None:
    """The embedding of an asset; None for one that cannot be read and was not asked for."""
    stem = asset.path.stem
    asked = _says(texts, rf"embedding:{re.escape(stem)}{_ENDINGS}")
    try:
        return _read(catalog, asset.path, asset, stem, asked, job)
    except ModelhubError as error:
        if asked:
            raise
        job.say(f"'{brief(stem)}' in the prompt stays a word: {error.message}", "warning")
        return None


def _read(catalog: Catalog, path: Path, asset: Asset | None, name: str | None, asked: bool, job: Job) -> Embedding:
    from modelhub.preview.prompts.embedding_files import read_embedding

    found = read_embedding(path, name, asked=asked)
    sha256 = known_sha256(path, asset) or make_sha256(path, asset, catalog, job)
    return found.with_sha256(sha256)


def _named(catalog: Catalog, texts: Sequence[str], architecture: str | None, names: set[str]) -> Iterator[Asset]:
    """The embeddings of the catalog whose stem stands in a text as a word, one for each name but for `names`."""
    whole = "\n".join(texts).lower()
    taken = set(names)
    for asset in sorted(_embeddings(catalog, whole), key=lambda asset: _rank(asset, architecture)):
        stem = asset.path.stem.lower()
        if stem not in taken and _says(texts, re.escape(stem)):
            taken.add(stem)
            yield asset


def _embeddings(catalog: Catalog, whole: str) -> Iterator[Asset]:
    for asset in catalog.pages(catalog.ids("kind:embedding")):
        if not asset.missing and asset.path.stem.lower() in whole:
            yield asset


def _rank(asset: Asset, architecture: str | None) -> tuple[bool, bool, int]:
    """What is for the model comes first, then what needs no pickle, then the oldest."""
    return asset.architecture != architecture, asset.format != "safetensors", asset.id


def _says(texts: Sequence[str], pattern: str) -> bool:
    words = re.compile(rf"(?<!\w){pattern}(?!\w)", re.IGNORECASE)
    return any(words.search(text) for text in texts)
