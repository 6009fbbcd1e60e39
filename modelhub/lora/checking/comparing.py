"""Compare layouts: how an adapter meets a model by names and shapes, found out once for all files that have the two.

What was found is kept in the catalog under the fingerprints of both, so that no file is opened a second time.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar
from zlib import crc32

from modelhub.catalog.adapters import Adapter, read_adapter
from modelhub.catalog.asset import Asset
from modelhub.catalog.data import data_path
from modelhub.catalog.fits import Fits
from modelhub.catalog.opener import Opener
from modelhub.catalog.rules import rules_version
from modelhub.catalog.store import Catalog
from modelhub.errors import FileError, IncompatibleError, ModelhubError, VanishedError
from modelhub.formats.opening import read_any_header, stat_of
from modelhub.jobs import QUIET, Job
from modelhub.lora.checking.fit import Fit, fit
from modelhub.lora.checking.models import Model, read_model

#: Counted up whenever the code finds other fits than before.
_FORM = 1
#: Models whose layers, and adapters whose fits, are remembered.
_MODELS, _ADAPTERS = 4, 128

#: A fit, or why there is none.
Found = Fit | ModelhubError
_T = TypeVar("_T")


class Comparer:
    """Fits of the assets of a catalog; belongs to the thread that opened it."""

    def __init__(self, catalog: Catalog, job: Job = QUIET) -> None:
        self._catalog, self._job = catalog, job
        self._kept = Fits(catalog, made_by())
        self._stale = _identified_by_others(catalog)
        self._layouts: dict[Path, str] = {}
        self._files: defaultdict[str, dict[Path, Asset]] = defaultdict(dict)
        self._fits: OrderedDict[str, dict[str, Found]] = OrderedDict()
        self._models: OrderedDict[str, Model | ModelhubError] = OrderedDict()

    def meet(self, assets: Iterable[Asset]) -> None:
        """Make assets known: where one file of a layout is gone, another one that has it is read."""
        for asset in assets:
            self._files[self._layout(asset)].setdefault(asset.path, asset)

    def fit(self, lora: Asset, model: Asset) -> Found:
        """How a LoRA meets a model, or the error that came up reading one of them."""
        mine, theirs = self._layout(lora), self._layout(model)
        fits = self._fits_of(mine)
        if theirs not in fits:
            self.meet((lora, model))
            self._keep([(mine, theirs, _made(self._adapter(mine), self._model(theirs)))])
        return fits[theirs]

    def prepare(self, loras: Iterable[Asset], models: Iterable[Asset]) -> None:
        """Find out all fits of some LoRAs that are not known: the layers of each model are made once for all of them.

        All of these adapters are in memory meanwhile. Raises CancelledError.
        """
        rows = dict.fromkeys(self._layout(one) for one in loras)
        columns = dict.fromkeys(self._layout(one) for one in models)
        missing = {theirs: [mine for mine in rows if theirs not in self._fits_of(mine)] for theirs in columns}
        total = sum(map(len, missing.values()))
        if not total:
            return
        adapters = {mine: self._adapter(mine) for mine in dict.fromkeys(chain(*missing.values()))}
        with self._job.phase("comparing layouts", total, "pairs") as advance:
            for theirs, some in missing.items():
                self._keep([(mine, theirs, _made(adapters[mine], self._model(theirs))) for mine in some])
                advance(len(some))

    def sweep(self) -> None:
        """Forget what is kept and of no more use."""
        self._kept.sweep()

    def _layout(self, asset: Asset) -> str:
        layout = self._layouts.get(asset.path)
        if layout is None:
            layout = self._layouts[asset.path] = self._new_layout(asset)
        return layout

    def _new_layout(self, asset: Asset) -> str:
        """What files share whose fits are the same; one whose row is old shares with none."""
        if asset.fingerprint is None or asset.id in self._stale:
            return f"#{asset.path}"
        packed = sorted(asset.facts.get("quantisation") or ())
        return " ".join((asset.fingerprint, *packed, *(["folder"] if asset.format == "diffusers" else [])))

    def _fits_of(self, adapter: str) -> dict[str, Found]:
        """Fits of the layout of an adapter, by that of the model."""
        if adapter not in self._fits:
            self._fits[adapter] = dict(_parsed(self._kept.of(adapter)))
            while len(self._fits) > _ADAPTERS:
                self._fits.popitem(last=False)
        self._fits.move_to_end(adapter)
        return self._fits[adapter]

    def _keep(self, found: Iterable[tuple[str, str, Found]]) -> None:
        rows = []
        for mine, theirs, one in found:
            self._fits_of(mine)[theirs] = one
            if isinstance(one, Fit) and "#" not in (mine[0], theirs[0]):
                rows.append((mine, theirs, one.as_json()))
        if rows:
            self._kept.keep(rows)

    def _adapter(self, layout: str) -> Adapter | ModelhubError:
        return _first_of(_read_adapter(asset) for asset in self._files[layout].values())

    def _model(self, layout: str) -> Model | ModelhubError:
        if layout not in self._models:
            self._models[layout] = _first_of(map(self._read_model, self._files[layout].values()))
            while len(self._models) > _MODELS:
                self._models.popitem(last=False)
        self._models.move_to_end(layout)
        return self._models[layout]

    def _read_model(self, asset: Asset) -> Model | ModelhubError:
        try:
            _check_unchanged(asset)
            with Opener(self._catalog) as opener:
                return read_model(opener(str(asset.path)))
        except ModelhubError as error:
            return error


def made_by() -> str:
    """The version of everything that fits depend on."""
    return f"{rules_version()}-{_names():08x}-{_FORM}"


@cache
def _names() -> int:
    """A checksum of the tables by which layers are named, and of the marks that are counted."""
    digest = 0
    for path in (*sorted(data_path("renames").glob("*.toml")), data_path("relations.toml")):
        digest = crc32(path.read_bytes(), digest)
    return digest


def _identified_by_others(catalog: Catalog) -> set[int]:
    """Assets that other rules identified: their fingerprints may be made in another way."""
    return {row[0] for row in catalog.rows("SELECT id FROM assets WHERE identified_by <> ?", [rules_version()])}


def _parsed(kept: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Fit]]:
    """Fits out of the catalog; what is none is made again."""
    for model, plain in kept:
        with suppress(ValueError, TypeError, LookupError, AttributeError):
            yield model, Fit.of_json(plain)


def _made(adapter: Adapter | ModelhubError, model: Model | ModelhubError) -> Found:
    if isinstance(adapter, ModelhubError):
        return adapter
    return model if isinstance(model, ModelhubError) else fit(adapter, model.layers, sized=model.sized)


def _first_of(found: Iterable[_T | ModelhubError]) -> _T | ModelhubError:
    """The first that could be read, else the first error."""
    errors = []
    for one in found:
        if not isinstance(one, ModelhubError):
            return one
        errors.append(one)
    return errors[0]


def _read_adapter(asset: Asset) -> Adapter | ModelhubError:
    try:
        _check_unchanged(asset)
        found = read_adapter(read_any_header(asset.path)[1].shapes)
    except ModelhubError as error:
        return error
    return found or IncompatibleError(f"{asset.path} is no LoRA, nor one of its kin.")


def _check_unchanged(asset: Asset) -> None:
    """What the row says must be true of the file. Raises FileError."""
    if asset.missing:
        raise VanishedError(f"{asset.path} is gone.", "`modelhub scan` finds it if it was moved.")
    if asset.stat != stat_of(asset.path):
        raise FileError(f"{asset.path} has changed since it was scanned.", "Run `modelhub scan`.")
