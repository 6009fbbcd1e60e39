"""Why a version of a model cannot be had, as far as Civitai's JSON tells before the download is tried."""

from __future__ import annotations

from datetime import datetime

from modelhub.errors import ModelhubError, ProviderError
from modelhub.fetch.civitai.asking import Table
from modelhub.fetch.civitai.dates import moment, now
from modelhub.fetch.civitai.refusals import archived, disabled, early
from modelhub.formats.sidecars import values


def trouble_of(version: Table, model: Table, what: str) -> ModelhubError | None:
    """The error that a download of `what` would end in; None if nothing speaks against it."""
    mode = values.text(model, "mode") or values.text(version, "model", "mode") or ""
    if mode.lower() == "archived":  # of one that was taken down only the pictures are gone
        return archived(what)
    usage = values.text(version, "usageControl")
    if usage is not None and usage.lower() != "download":
        return disabled(what)
    if is_early(version):
        return early(what, _ends(version), forever=_is_forever(version))
    if not values.tables(version.get("files")):
        hint = "Other versions may have some: --list shows them."
        return ProviderError(f"Civitai has no files of {what}.", hint)
    return None


def is_early(version: Table) -> bool:
    """Whether only those who paid can have it now."""
    ends = _ends(version)
    if ends is not None and not _is_forever(version):
        return ends > now()
    return _is_forever(version) or (values.text(version, "availability") or "").lower() == "earlyaccess"


def _is_forever(version: Table) -> bool:
    return values.flag(version, "paidAccess", "permanent") is True


def _ends(version: Table) -> datetime | None:
    paid = values.at(version, "paidAccess", "endsAt")
    return moment(version.get("earlyAccessEndsAt")) or moment(paid) or moment(version.get("earlyAccessDeadline"))
