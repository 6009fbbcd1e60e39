"""Unlisted: a file that is in no catalog as an asset, so that it can be checked against the assets of one."""

from __future__ import annotations

from pathlib import Path

from modelhub.catalog.asset import Asset, precision
from modelhub.catalog.columns import HASH_NAMES, OVERRIDABLE
from modelhub.catalog.identify import identify
from modelhub.catalog.identity import Identity
from modelhub.formats.opening import read_any_header, stat_of

#: No row has this id.
NUMBER = -1


def unlisted(path: Path, known: Identity | None = None) -> Asset:
    """What `path` is by its header, unless that is `known`. Raises FileError."""
    stat = stat_of(path)
    identity = known or _identified(path)
    plain = identity.as_dict()
    return Asset(
        id=NUMBER,
        path=path,
        stat=stat,
        kind=identity.kind,
        architecture=identity.architecture,
        variant=identity.variant,
        format=identity.format,
        layout=identity.layout,
        prediction=identity.prediction,
        dtype=precision(identity.dtypes),
        dtypes=identity.dtypes,
        parameters=identity.parameters,
        components=plain["components"],
        adapter=identity.adapter,
        trigger_words=list(identity.trigger_words),
        evidence=plain["evidence"],
        conflicts=list(identity.conflicts),
        facts=identity.facts,
        confidence=identity.confidence,
        fingerprint=identity.fingerprint,
        title=None,
        source=None,
        recipe=None,
        hashes=dict.fromkeys(HASH_NAMES),
        tags=[],
        rating=0,
        notes="",
        problem_code=None,
        problem=None,
        added=0.0,
        missing=False,
        found={name: plain[name] for name in OVERRIDABLE},
    )


def _identified(path: Path) -> Identity:
    form, header = read_any_header(path)
    return identify(header, name=path.name, form=form)
