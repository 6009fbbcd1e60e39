"""Finding: from a source to the offer of one version of a model, with the file that the source asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from modelhub.errors import EarlyAccessError, ModelhubError, NotFoundError, ProviderError
from modelhub.fetch.choosing.ranking import best, there_is
from modelhub.fetch.civitai.asking import Table
from modelhub.fetch.civitai.files import file_of, format_of, told
from modelhub.fetch.civitai.looking import has_hash, models, read_by_hash, read_model, read_version
from modelhub.fetch.civitai.offering import describe, joined, offer_of, versions_of
from modelhub.fetch.civitai.refusals import archived
from modelhub.fetch.net import Net
from modelhub.fetch.offer import Offer, RemoteFile, Version
from modelhub.fetch.sources.source import CivitaiSource
from modelhub.formats.sidecars import values
from modelhub.jobs import QUIET, Job
from modelhub.text import brief

#: Versions that an error names.
_NAMED = 10


def find_offer(source: CivitaiSource, net: Net, job: Job = QUIET) -> Offer:
    """What Civitai offers at `source`; without a version, the newest. Raises NotFoundError, ProviderError.

    A version that cannot be had is an offer, too: its `trouble` says why.
    """
    if source.version is None:
        model = _model_with_versions(source.model or 0, net, job)
        version = _read(_newest(model), model, net, job)
    else:
        version, model = _version_and_model(source.version, source.model, net, job)
    offer = _settled(offer_of(version, model), source.address, net, job)
    _warn(version, job)
    return replace(offer, asked=_asked(source, version, offer))


def by_hash(digits: str, net: Net, job: Job = QUIET) -> Offer:
    """The version that has a file of this hash, with that file as the one that is asked for.

    `digits` are 8, 10, 12 or 64 of lower-case hex. Raises NotFoundError, ProviderError.
    """
    version = read_by_hash(digits, net, job)
    number = values.identifier(version, "id")
    if "usageControl" not in version and number is not None:
        version = {**version, **_unless_missing(number, net, job)}
    model = _about(values.identifier(version, "modelId"), net, job)
    offer = _settled(offer_of(version, model), digits, net, job)
    _warn(version, job)
    return replace(offer, asked=_files(version, lambda raw: has_hash(raw, digits)))


def _settled(offer: Offer, source: str, net: Net, job: Job) -> Offer:
    """The offer under the name that was typed; with a token, only the download shows who has paid for early access."""
    may_have_paid = isinstance(offer.trouble, EarlyAccessError) and bool(net.token("civitai", job))
    trouble = None if may_have_paid else offer.trouble
    # only the version by itself says whether it may be downloaded
    listed = tuple(replace(one, trouble=trouble) if one.address == offer.address else one for one in offer.versions)
    return replace(offer, source=source, versions=listed, trouble=trouble and _with_others(offer))


def _warn(version: Table, job: Job) -> None:
    """Say which files Civitai itself found dangerous when it scanned them."""
    scans = ("virusScanResult", "pickleScanResult")
    for raw in values.tables(version.get("files")):
        if any((values.text(raw, scan) or "").lower() == "danger" for scan in scans):
            job.say(f"Civitai's scan calls {brief(values.text(raw, 'name') or 'a file')} dangerous.", "warning")


def _with_others(offer: Offer) -> ModelhubError | None:
    """The trouble, and which version can be had instead."""
    trouble = offer.trouble
    instead = next((one for one in offer.versions if one.trouble is None and one.address != offer.address), None)
    if trouble is None or instead is None:
        return trouble
    return type(trouble)(trouble.message, f'{trouble.hint} Version "{instead.name}" may be had: {instead.address}')


def _version_and_model(number: int, wanted: int | None, net: Net, job: Job) -> tuple[Table, Table]:
    try:
        version = read_version(number, net, job)
    except NotFoundError:
        if wanted is None:
            raise
        return _in_model(number, wanted, net, job)
    owner = values.identifier(version, "modelId")
    if wanted is not None and owner not in (None, wanted):
        hint = f"It is civitai:{owner}@{number}; without a version, civitai:{wanted} is the newest of that model."
        raise NotFoundError(f"Version {number} is one of model {owner} on Civitai, not of model {wanted}.", hint)
    return version, _about(owner or wanted, net, job)


def _in_model(number: int, wanted: int, net: Net, job: Job) -> tuple[Table, Table]:
    """A version that only the table of its model knows. Raises NotFoundError with those it has."""
    model = read_model(wanted, net, job)
    entry = next((one for one in values.tables(model.get("modelVersions")) if one.get("id") == number), None)
    if entry is None:
        hint = _choices(versions_of(model, wanted)) or "Its page shows what there is."
        raise NotFoundError(f"Model {wanted} on Civitai has no version {number}.", hint)
    return joined(entry, model), model


def _model_with_versions(number: int, net: Net, job: Job) -> Table:
    """The table of a model; where it has lost its versions, as happens, the one that lists have."""
    model = read_model(number, net, job)
    if not _versions(model):
        model = {**model, **models([number], net, job).get(number, {})}
    if not _versions(model):
        what = f'"{values.text(model, "name") or number}" (civitai:{number})'
        if (values.text(model, "mode") or "").lower() == "archived":
            raise archived(what)
        raise NotFoundError(f"{what} has no versions on Civitai.", "If its page shows one: civitai:@NUMBER of it.")
    return model


def _versions(model: Table) -> list[Table]:
    return [one for one in values.tables(model.get("modelVersions")) if values.identifier(one, "id")]


def _newest(model: Table) -> Table:
    """The first version that is out, which is the newest that its page shows."""
    listed = _versions(model)
    out = [one for one in listed if (values.text(one, "status") or "Published").lower() == "published"]
    return (out or listed)[0]


def _read(entry: Table, model: Table, net: Net, job: Job) -> Table:
    """A version by itself: its entry in the table of its model does not say whether it may be downloaded."""
    number = values.identifier(entry, "id") or 0
    return {**joined(entry, model), **_unless_missing(number, net, job)}


def _unless_missing(number: int, net: Net, job: Job) -> Table:
    try:
        return read_version(number, net, job)
    except NotFoundError:
        return {}


def _about(number: int | None, net: Net, job: Job) -> Table:
    """The table of a model; an empty one where Civitai does not give it: a file is worth having without."""
    if number is None:
        return {}
    try:
        return read_model(number, net, job)
    except (NotFoundError, ProviderError) as error:
        job.say(f"What Civitai says of the model is missing: {error.message}", "warning")
        return {}


def _asked(source: CivitaiSource, version: Table, offer: Offer) -> tuple[RemoteFile, ...]:
    """The file that a source names by its number or describes. Raises NotFoundError with those there are."""
    if source.file is not None:
        found = _files(version, lambda raw: values.identifier(raw, "id") == source.file)
    elif source.wish:
        strict = _files(version, lambda raw: _fits(raw, source.wish, missing=False))
        found = best(strict or _files(version, lambda raw: _fits(raw, source.wish, missing=True)))
    else:
        return ()
    if not found and offer.trouble is None:
        wish = " ".join(value for _, value in source.wish)
        what = f"file {source.file}" if source.file else f"file that is {brief(wish)}"
        raise NotFoundError(f"There is no {what} in {describe(offer.raw)}.", there_is(offer.files))
    return found


def _files(version: Table, wanted: Callable[[Table], bool]) -> tuple[RemoteFile, ...]:
    number = values.identifier(version, "id")
    found = [file_of(raw, number) for raw in values.tables(version.get("files")) if wanted(raw)]
    return tuple(one for one in found if one is not None)


def _fits(raw: Table, wish: Sequence[tuple[str, str]], *, missing: bool) -> bool:
    """Whether a file is as a link to a download wants it; `missing`: so is one that does not say."""
    said = told(raw)
    return all(missing if said[name] is None else _same(name, str(said[name]), value) for name, value in wish)


def _same(name: str, told: str, wanted: str) -> bool:
    if told.lower() == wanted.lower():
        return True
    return name == "format" and format_of(told) == format_of(wanted, f".{wanted}") is not None


def _choices(versions: Sequence[Version]) -> str:
    """The versions there are, for a hint."""
    named = [f"{brief(one.name, 30)} ({one.address})" for one in versions[:_NAMED]]
    more = f" and {len(versions) - _NAMED} more" if len(versions) > _NAMED else ""
    return f"There is: {', '.join(named)}{more}." if named else ""
