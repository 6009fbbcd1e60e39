"""REF: the ways to name an asset: a path, a file name, a stem, `#id`, or six or more digits of any of its hashes."""

from __future__ import annotations

import os
import re
from pathlib import Path

from modelhub.catalog.asset import Asset
from modelhub.catalog.reading import CatalogReader
from modelhub.errors import AmbiguousError, NotFoundError
from modelhub.formats.naming import INDEX
from modelhub.settings import user_path
from modelhub.text import is_utf8, plural


def resolve(catalog: CatalogReader, ref: str, *, strict: bool = False) -> Asset:
    """The one asset that `ref` names; of several with the same bytes any will do, unless `strict`: to change only one.

    Raises NotFoundError (with the way to index a file that exists but is not catalogued), or AmbiguousError with the
    candidates.
    """
    found = _candidates(catalog, ref) if is_utf8(ref) else []
    if not found:
        raise _weighed(catalog, ref) or _not_found(ref)
    present = [asset for asset in found if not asset.missing] or found
    if len(present) > 1 and (strict or not _same_content(present)):
        lines = "\n".join(f"  #{asset.id}  {asset.path}" for asset in present[:10])
        raise AmbiguousError(f"'{ref}' names {plural(len(present), 'asset')}:\n{lines}", "Name one by its #id or path.")
    return present[0]


def locate(catalog: CatalogReader, ref: str) -> tuple[Path, Asset | None]:
    """The file that `ref` names, with its asset if there is one; a path to any file will do. Raises as `resolve`."""
    path = user_path(ref)
    there = os.path.isfile(path) or os.path.isfile(path / INDEX)  # noqa: PTH113 (never raises)
    if there and not ref.startswith("#"):
        return path, catalog.by_path(path.absolute())
    asset = resolve(catalog, ref)
    return asset.path, asset


def lora_ref(catalog: CatalogReader, name: str) -> str:
    """The REF of the LoRA that a prompt calls `name`: of several assets with that name it is the LoRA.

    Raises as `locate`.
    """
    found = [asset for asset in catalog.named(name) if asset.kind == "lora" and not asset.missing]
    if found and (len(found) == 1 or _same_content(found)):
        return f"#{found[0].id}"
    try:
        locate(catalog, name)
    except NotFoundError as error:
        raise NotFoundError(f"The prompt names a LoRA: {error.message}", error.hint) from error
    return name


def _same_content(assets: list[Asset]) -> bool:
    """Whether all are one file by hash: then any of them will do."""
    return len({asset.sha256 for asset in assets}) == 1 and assets[0].sha256 is not None


def _candidates(catalog: CatalogReader, ref: str) -> list[Asset]:
    if re.fullmatch(r"#\d{1,18}", ref):
        return catalog.assets([int(ref[1:])])
    exact = catalog.by_path(user_path(ref).absolute())
    if exact is not None:
        return [exact]
    named = catalog.named(ref)
    if named or not re.fullmatch(r"[0-9a-fA-F]{6,64}", ref):
        return named
    return catalog.hashed(ref.lower())


def _weighed(catalog: CatalogReader, ref: str) -> NotFoundError | None:
    """What to say where a REF is fine up to a colon: that what follows, as a weight of a LoRA does, is none here."""
    names = [ref[: mark.start()] for mark in re.finditer(":", ref)] if is_utf8(ref) else []
    name = next((name for name in names if name and (os.path.isfile(name) or _candidates(catalog, name))), None)  # noqa: PTH113
    if name is None:
        return None
    return NotFoundError(
        f"Nothing is named '{ref}', but '{name}' is there.",
        "Where LoRAs are baked in or merged, a weight may follow the colon: 0.8, or te=0.5,IN04-IN08=0, or a preset.",
    )


def _not_found(ref: str) -> NotFoundError:
    if ref and os.path.exists(user_path(ref)):  # noqa: PTH110 (never raises)
        return NotFoundError(
            f"{ref} exists, and is not in the catalog.", "Index its folder with `modelhub scan FOLDER`."
        )
    if ref.isdecimal() and len(ref) < 7:
        return NotFoundError(f"Nothing is named '{ref}'.", f"The asset with that number is '#{ref}', in quotes.")
    return NotFoundError(
        f"Nothing is named '{ref}'.", "A name, stem, #id, path or hash is expected; `modelhub ls` lists what there is."
    )
