"""Reports: what looking up brought, and what stopped it before its end."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from modelhub.errors import ModelhubError, error_dict


@dataclass(frozen=True, slots=True)
class Known:
    """One asset that Civitai knows; `matched_by` is sha256, or autov3 where only the header of its file was edited."""

    id: int
    path: str
    sha256: str
    title: str | None
    version: str | None
    base_model: str | None
    model_id: str | None
    version_id: str | None
    source: str | None
    matched_by: str


@dataclass(frozen=True, slots=True)
class Vanished:
    """An asset that Civitai knew once and does not any more; `since` is when that was seen (seconds since 1970)."""

    id: int
    path: str
    title: str | None
    model_id: str | None
    source: str | None
    since: float | None


@dataclass
class SyncReport:
    """What `sync` did, counted in contents, of which several assets may be copies.

    `assets` were chosen; `unhashed` of them have no SHA256, `never` are not to be looked up, `fresh` have an answer
    that is not old yet. `asked` got an answer now, with `requests`; in a dry run these are what would be asked, and
    `more` is how many requests for models may follow. `models` were asked about, `found` and `vanished` are what is
    known of all that was chosen, `unknown` counts what Civitai does not know. `left` were not asked for by the hash of
    their weights, to be polite; the next run goes on. `stopped` is what ended it early.
    """

    assets: int = 0
    unhashed: int = 0
    never: int = 0
    fresh: int = 0
    asked: int = 0
    requests: int = 0
    more: int = 0
    models: int = 0
    unknown: int = 0
    left: int = 0
    found: list[Known] = field(default_factory=list)
    vanished: list[Vanished] = field(default_factory=list)
    dry_run: bool = False
    stopped: ModelhubError | None = None

    def as_dict(self) -> dict[str, Any]:
        """The report for JSON."""
        return {**asdict_without(self, "stopped"), "stopped": error_dict(self.stopped)}


def asdict_without(report: Any, *names: str) -> dict[str, Any]:
    """A report as plain values, without what JSON cannot hold."""
    plain = {name: value for name, value in vars(report).items() if name not in names}
    return {name: [asdict(one) for one in value] if isinstance(value, list) else value for name, value in plain.items()}
