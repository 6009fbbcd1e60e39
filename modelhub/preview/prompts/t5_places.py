"""Where T5's tokenizer may be: where the user says, among what modelhub fetched, or in the cache of Hugging Face.

modelhub does not ship it. All T5 that Flux and SD3 have share one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from modelhub.catalog.companions import parts_of
from modelhub.errors import FileError, ModelhubError, NotFoundError
from modelhub.preview.prompts.t5_tokenizer import T5Tokenizer, read_t5_tokenizer
from modelhub.settings import home, load_settings, user_path
from modelhub.text import brief

#: The environment variable that names a file or folder.
VARIABLE = "MODELHUB_T5_TOKENIZER"
#: Where it can be fetched from, with what is known of it.
SOURCE = "https://huggingface.co/google/t5-v1_1-xxl/resolve/main/spiece.model"
SHA256 = "d60acb128cf7b7f2536e8f38a5b18a05535c9e14c7a355904270e15b0945ea86"
SIZE = 791_656
_NAMES = ("tokenizer.json", "spiece.model")
_FOLDERS = ("tokenizer_2", "tokenizer_3", "tokenizer", "")
#: Repositories that have it, as the cache calls them.
_REPOSITORIES = (
    "models--google--t5-v1_1-*",
    "models--black-forest-labs--FLUX.1-*",
    "models--stabilityai--stable-diffusion-3*",
    "models--google-t5--t5-*",
    "models--*t5-v1_1*",
    "models--*[Ff][Ll][Uu][Xx]*",
)


def kept() -> Path:
    """Where a fetched one is kept."""
    return home() / "tokenizers" / "t5-v1_1-xxl" / "spiece.model"


def t5_tokenizer_for(architecture: str | None, *models: Path | None) -> T5Tokenizer | None:
    """T5's tokenizer where a model of this architecture needs one, perhaps beside `models`; None where it has no T5.

    Raises what `find_t5_tokenizer` raises.
    """
    if "t5xxl" not in parts_of(architecture or ""):
        return None
    return find_t5_tokenizer(one for one in models if one is not None)


def find_t5_tokenizer(beside: Iterable[Path] = ()) -> T5Tokenizer:
    """T5's tokenizer: from the file or folder that `MODELHUB_T5_TOKENIZER` or settings.toml names; else from `beside`
    these models, as diffusers lays it out in their folder or next to it, from what was fetched, or from the cache of
    Hugging Face.

    Raises NotFoundError, which says how to get it; what reading raises, for a file that was named.
    """
    if said := os.environ.get(VARIABLE, "") or load_settings().t5_tokenizer:
        return _named(user_path(said))
    for path in _candidates(beside):
        try:
            return read_t5_tokenizer(path)
        except ModelhubError:
            continue
    raise NotFoundError(
        "A T5 text encoder needs T5's tokenizer, which is not here.",
        "Fetch it (0.8 MB, Apache-2.0) with `modelhub preview --download-tokenizer`; or name a tokenizer.json or "
        f"spiece.model in settings.toml (t5_tokenizer) or {VARIABLE}; or fetch google/t5-v1_1-xxl into Hugging Face's "
        "cache.",
    )


def _named(path: Path) -> T5Tokenizer:
    found = list(_in_folder(path)) if path.is_dir() else [path]
    if not found:
        raise FileError(f"{brief(str(path))} holds no tokenizer.json and no spiece.model.", "Name the file itself.")
    return read_t5_tokenizer(found[0])


def _candidates(beside: Iterable[Path]) -> Iterator[Path]:
    """Files that are there, the likeliest first."""
    for model in beside:
        folder = model if model.is_dir() else model.parent
        yield from _in_folder(folder)
        yield from _in_folder(folder.parent)
    if kept().is_file():
        yield kept()
    for cache in _caches():
        for pattern in _REPOSITORIES:
            for snapshot in sorted(cache.glob(f"{pattern}/snapshots/*")):
                yield from _in_folder(snapshot)


def _in_folder(folder: Path) -> Iterator[Path]:
    for inner in _FOLDERS:
        for name in _NAMES:
            if (path := folder / inner / name).is_file():
                yield path


def _caches() -> Iterator[Path]:
    """The folders in which Hugging Face's library keeps repositories, as its variables have them."""
    hub, whole = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE"), os.environ.get("HF_HOME")
    if hub:
        yield user_path(hub)
    elif whole:
        yield user_path(whole) / "hub"
    else:
        yield user_path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface" / "hub"
