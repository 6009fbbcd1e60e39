"""What sidecars say of a model, and how the words of several files become one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

#: Some fields of `SidecarFacts` by name; None and () say nothing.
Partial = dict[str, Any]


@dataclass(frozen=True)
class SidecarFacts:
    """What the files beside a model say of it; nothing of it is checked, and None or () means that none says so.

    `base_model` and `model_type` are the words of the provider ("Pony", "LORA"). `weight` is the strength to begin
    with. `hashes` are lower-case hex by name (sha256, blake3, crc32, autov1, autov2, autov3). `favourite` and
    `never_look_up` are wishes of the user; `not_found`: a provider was asked and does not know the file. `prediction`
    (epsilon or v), `in_channels` and `context` (width) come from the configuration of an ldm checkpoint. `preview` is
    the picture to show, `source` a page on the web. `origin` names the file that each field came from, `problems` are
    sentences about files that could not be read.
    """

    name: str | None = None
    version: str | None = None
    base_model: str | None = None
    model_type: str | None = None
    description: str | None = None
    notes: str | None = None
    trigger_words: tuple[str, ...] = ()
    negative_words: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    creator: str | None = None
    licence: str | None = None
    nsfw: bool | None = None
    source: str | None = None
    model_id: int | None = None
    version_id: int | None = None
    weight: float | None = None
    hashes: dict[str, str] = field(default_factory=dict)
    favourite: bool | None = None
    never_look_up: bool | None = None
    not_found: bool | None = None
    prediction: str | None = None
    in_channels: int | None = None
    context: int | None = None
    preview: Path | None = None
    origin: dict[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


_ABOUT = ("origin", "problems")
FIELDS = frozenset(one.name for one in fields(SidecarFacts)) - {*_ABOUT}
#: These mean one thing together, and are taken from one file.
_TOGETHER = ("version", "model_id", "version_id", "source")


def says(value: Any) -> bool:
    """Whether a value of a field says anything; False and 0 do."""
    return value is not None and value not in ((), {}, "")


def merged(parts: Iterable[tuple[str, Partial]]) -> tuple[Partial, dict[str, str]]:
    """The values of several files, given as (file name, values) with the first that counts first, and their origin."""
    values: Partial = {}
    origin: dict[str, str] = {}
    for file, part in parts:
        said = {name: value for name, value in part.items() if says(value)}
        if any(name in values for name in _TOGETHER):
            said = {name: value for name, value in said.items() if name not in _TOGETHER}
        hashes = {**said.get("hashes", {}), **values.get("hashes", {})}
        for name, value in said.items():
            if name not in values:
                values[name], origin[name] = value, file
        if hashes:
            values["hashes"] = hashes
    return values, origin


def differing(facts: SidecarFacts, said: Mapping[str, Any], names: Iterable[str]) -> Partial:
    """The fields of `facts` among `names` that say something else than `said`."""
    wanted = {name: getattr(facts, name) for name in names}
    return {name: value for name, value in wanted.items() if says(value) and value != said.get(name)}
