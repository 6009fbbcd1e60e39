"""Ordering: one order for one chosen file or whole folder, with the path where it is to go under a safe name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from modelhub.catalog.store import Catalog
from modelhub.errors import UsageError
from modelhub.fetch.arriving.pictures import chosen_picture
from modelhub.fetch.names.safe import distinct, folded, safe_name, safe_path, with_suffix_of
from modelhub.fetch.offer import Offer, RemoteFile
from modelhub.fetch.order import Order
from modelhub.fetch.order_facts import facts_to_keep
from modelhub.fetch.planning.places import Places
from modelhub.formats.naming import INDEX
from modelhub.formats.sidecars.table import WRITABLE
from modelhub.jobs import QUIET, Job
from modelhub.settings import Settings
from modelhub.text import brief

if TYPE_CHECKING:
    from modelhub.catalog.identity import Identity
    from modelhub.fetch.net.client import Net

#: What a file of a role is, whatever the model is that it comes with.
_KIND_OF_ROLE = {"vae": "vae", "text-encoder": "text-encoder", "negative": "embedding", "archive": "other"}
#: Providers that do not say for sure what their files are.
_SILENT = ("huggingface", "web")


@dataclass(frozen=True, slots=True)
class Options:
    """What the user wants of all downloads of one call.

    `to` is a folder, None for where it belongs; `name` that of the only file; `replace` what is in the way, and fetch
    what is owned; `sidecars` the conventions to write; `previews` which pictures to keep: safe, all or none;
    `keep_unsafe`: file pickles that would run code.
    """

    to: Path | None = None
    name: str | None = None
    replace: bool = False
    sidecars: tuple[str, ...] = ()
    previews: str = "safe"
    keep_unsafe: bool = False

    @classmethod
    def usual(cls, settings: Settings) -> Self:
        """What the settings say. Raises UsageError for a kind of sidecar that there is not."""
        return cls(sidecars=sidecars_of(settings), previews=settings.download_previews)


def sidecars_of(settings: Settings) -> tuple[str, ...]:
    """The conventions that the settings have written beside downloads. Raises UsageError for what is none."""
    named = [kind for kind in re.split(r"[,\s]+", settings.download_sidecars.strip()) if kind]
    if wrong := [kind for kind in named if kind not in WRITABLE]:
        raise UsageError(
            f"settings.toml: download_sidecars names '{brief(wrong[0])}', which is no kind of sidecar.",
            f"Kinds are: {', '.join(WRITABLE)}.",
        )
    return tuple(dict.fromkeys(named))


class Ordering:
    """Makes orders, no two of them for the same path."""

    def __init__(self, catalog: Catalog, options: Options, net: Net | None = None, job: Job = QUIET) -> None:
        """Raises UsageError if there is no folder to go to."""
        self._options, self._net, self._job = options, net, job
        self._places = Places(catalog, options.to)
        self._taken: dict[Path, set[str]] = {}

    def order(self, offer: Offer, files: Sequence[RemoteFile]) -> Order:
        """An order for `files` of `offer`: of a whole folder all of them, else one. Raises CancelledError."""
        whole = is_whole(offer, files)
        kind, architecture = self._kind(offer, files, whole)
        form = "diffusers" if whole and _has_index(files) else files[0].format
        folder = self._places.folder(kind, architecture, form, offer.facts)
        return Order(
            offer.source,
            offer.address,
            offer.provider,
            _title(offer),
            safe_paths(files) if whole else tuple(files),
            folder / self._name(folder, offer, files, whole),
            whole=whole,
            fixed=self._places.fixed,
            replace=self._options.replace,
            library=None if self._places.fixed else self._places.library,
            kind=kind,
            architecture=architecture,
            facts=facts_to_keep(offer),
            raw=dict(offer.raw),
            picture=chosen_picture(offer.pictures, self._options.previews, offer.provider),
            sidecars=self._options.sidecars,
            keep_unsafe=self._options.keep_unsafe,
        )

    def _name(self, folder: Path, offer: Offer, files: Sequence[RemoteFile], whole: bool) -> str:
        """The provider's name made safe, or the user's; another than those before it in the same folder."""
        said = (offer.title.rpartition("/")[2] or offer.title) if whole else files[0].name
        name = safe_name(said, offer.title)
        if self._options.name is not None:
            own = self._options.name if whole else with_suffix_of(self._options.name, said)
            name = safe_name(own, said)
        taken = self._taken.setdefault(folder, set())
        name = distinct(name, taken)
        taken.add(folded(name))
        return name

    def _kind(self, offer: Offer, files: Sequence[RemoteFile], whole: bool) -> tuple[str | None, str | None]:
        """Kind and architecture as the provider says, and where it does not, as the header of the file does."""
        if whole:
            return offer.kind or ("checkpoint" if _has_index(files) else None), offer.architecture
        is_part = offer.whole  # of a folder whose words are about all of it
        kind = _KIND_OF_ROLE.get(files[0].role) or (None if is_part else offer.kind)
        architecture = None if is_part else offer.architecture
        found = None if kind and architecture else self._peeked(files[0], offer.provider)
        if found is None or found.kind in ("unknown", "other"):
            return kind, architecture
        return found.kind, found.architecture or architecture

    def _peeked(self, file: RemoteFile, provider: str) -> Identity | None:
        """What the file is by its header; None where that cannot be read, which the download may tell better."""
        if self._net is None or self._places.fixed or provider not in _SILENT:
            return None
        from modelhub.fetch.peek import peek

        return peek(file, provider, self._net, self._job)


def is_whole(offer: Offer, files: Sequence[RemoteFile]) -> bool:
    """Whether files of an offer are placed together in a folder; one alone is a file like any other."""
    return offer.whole and len(files) > 1


def _has_index(files: Sequence[RemoteFile]) -> bool:
    return any(file.path == INDEX for file in files)


def safe_paths(files: Sequence[RemoteFile]) -> tuple[RemoteFile, ...]:
    """The files of a folder with safe places in it, no two the same."""
    taken: dict[str, set[str]] = {}
    found = []
    for file in files:
        folder, _, name = safe_path(file.path or file.name).rpartition("/")
        there = taken.setdefault(folded(folder), set())
        name = distinct(name, there)
        there.add(folded(name))
        found.append(replace(file, path=f"{folder}/{name}" if folder else name))
    return tuple(found)


def _title(offer: Offer) -> str:
    return f"{offer.title} {offer.version}".strip() if offer.version not in offer.title else offer.title
