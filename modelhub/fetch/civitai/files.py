"""Files of a version as Civitai's JSON lists them, made `RemoteFile`s; what is wrong in it is left out."""

from __future__ import annotations

import math
from typing import Any
from urllib.parse import urlencode, urlsplit

from modelhub.catalog.base_models import role_of
from modelhub.fetch.civitai.asking import Table
from modelhub.fetch.names.endings import format_by_name
from modelhub.fetch.net import endpoints
from modelhub.fetch.offer import LARGEST, RemoteFile
from modelhub.fetch.sources.air import WISHES
from modelhub.formats.sidecars import values

_FORMATS = {
    "safetensor": "safetensors", "safetensors": "safetensors", "pickletensor": "pickle", "pickle": "pickle",
    "gguf": "gguf", "diffusers": "diffusers", "onnx": "onnx", "core ml": "other", "other": "other",
}  # fmt: skip


def files_of(version: Table) -> tuple[RemoteFile, ...]:
    """The files of a version, in Civitai's order."""
    number = values.identifier(version, "id")
    return tuple(one for raw in values.tables(version.get("files")) if (one := file_of(raw, number)) is not None)


def file_of(raw: Table, version: int | None) -> RemoteFile | None:
    """One file; None for one without an address or a name."""
    name = values.text(raw, "name")
    url = _address(raw, version)
    if name is None or url is None:
        return None
    size, exact = _size(raw.get("sizeKB"))
    return RemoteFile(
        name=name,
        url=url,
        path=name,
        size=size,
        exact=exact,
        hashes=values.hashes(raw.get("hashes")),
        role=role_of(values.text(raw, "type") or "Model"),
        format=format_of(values.text(raw, "metadata", "format"), name),
        precision=_lower(raw, "quantType") or _lower(raw, "fp"),
        pruned={"pruned": True, "full": False}.get(_lower(raw, "size") or ""),
        primary=raw.get("primary") is True,
        id=values.identifier(raw, "id"),
    )


def format_of(word: str | None, name: str = "") -> str | None:
    """Civitai's word for a format as ours; by the ending of the name where no word says it."""
    found = _FORMATS.get((word or "").lower())
    if found not in (None, "other"):
        return found
    by_name = format_by_name(name)
    return found if by_name == "other" else by_name


def _address(raw: Table, version: int | None) -> str | None:
    """The file's own address.

    Civitai's own for the main file may be that of the version: with a token, it leads to whichever the account prefers.
    """
    given = values.web_address(raw, "downloadUrl")
    if given is None and version is not None:
        given = f"{endpoints.civitai()}/api/download/models/{version}"
    if given is None:
        return None
    found = endpoints.through_endpoint(given)
    bare = endpoints.provider_of(found) == "civitai" and not urlsplit(found).query
    return f"{found}?{query}" if bare and (query := _wish(raw)) else found


def told(raw: Table) -> dict[str, str | None]:
    """What Civitai says of a file, by the names that a link to a download may have it by."""
    return {name: values.text(raw, *(("type",) if name == "type" else ("metadata", name))) for name in WISHES.values()}


def _wish(raw: Table) -> str:
    """What tells the file from the others of its version, as a query."""
    return urlencode({name: value for name, value in told(raw).items() if value})


def _size(kilobytes: Any) -> tuple[int | None, bool]:
    """Bytes, and whether that is exact: rounded numbers of kilobytes are no whole number of bytes."""
    if isinstance(kilobytes, bool) or not isinstance(kilobytes, (int, float)):
        return None, False
    if not 0 < kilobytes <= LARGEST / 1024 or not math.isfinite(kilobytes):
        return None, False
    size = kilobytes * 1024
    return round(size), float(size).is_integer()


def _lower(raw: Table, key: str) -> str | None:
    found = values.text(raw, "metadata", key)
    return found.lower() if found else None
