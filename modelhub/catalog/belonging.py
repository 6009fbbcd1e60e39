"""Which tensors of a file belong together: to a component, or to what stands beside components.

Components come from an identity, groups of other tensors from `catalog/beside.toml`: markers, EMA weights, the noise
schedule, what training left. What neither knows is an extra.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import translate
from functools import cache
from typing import Any

from modelhub.catalog.components import split
from modelhub.catalog.data import data_path
from modelhub.catalog.identity import Component, Identity
from modelhub.catalog.match import Names
from modelhub.formats.header import Header

_ROLES = {"denoiser": "denoiser", "vae": "VAE", "text_encoder": "text encoder", "ema": "EMA weights", "other": "part"}
#: Words for the components that people write.
_ALIASES = {
    "unet": "denoiser",
    "transformer": "denoiser",
    "dit": "denoiser",
    "te": "text_encoder",
    "clip": "text_encoder",
}
#: Text encoders in the order in which pipelines number them, and where their prefix numbers them itself.
_ORDER = ("clip-l", "clip-g", "openclip-h")
_NUMBERED = re.compile(r"(?:text_encoder_?|te|conditioner\.embedders\.)(\d*)\.")


@dataclass(frozen=True)
class Owned:
    """A component and its tensors: `label` is what it is called, `prefix` starts the names of all of them.

    `names` are its weights, without markers and leftovers that stand below its prefix too.
    """

    label: str
    component: Component
    prefix: str
    names: list[str] = field(default_factory=list)

    @property
    def role(self) -> str:
        """denoiser, vae, text_encoder or other."""
        return self.component.role

    @property
    def words(self) -> str:
        """For people: `denoiser (sdxl)`, `VAE`, `text encoder 2 (clip-g)`."""
        number = self.label.removeprefix("text_encoder_") if self.label != self.role else ""
        known = self.component.architecture
        kind = _ROLES[self.role] if self.role != "other" else self.prefix.rstrip(".") or "file"
        return (
            kind + (f" {number}" if self.role == "text_encoder" and number else "") + (f" ({known})" if known else "")
        )

    def is_called(self, word: str) -> bool:
        """Whether `word` names it: `vae`, `te2`, `text_encoder`, `t5`, `clip-l`, `unet`."""
        word = word.strip().lower().replace("-", "_")
        word = _ALIASES.get(word, re.sub(r"^te_?(?=\d)", "text_encoder_", word))
        known = (self.component.architecture or "").replace("-", "_")
        alone = f"{self.role}_1" if self.role == self.label == "text_encoder" else ""
        return word in (self.role, self.label, alone, known) or (word == "t5" and known.startswith("t5"))


@dataclass
class Belonging:
    """Every tensor of a file in one place: `owned` components, `groups` of others by id, and `extras`.

    `owner` gives the component below whose prefix a name stands, also for what is in a group.
    """

    owned: list[Owned]
    groups: dict[str, list[str]]
    extras: list[str] = field(default_factory=list)
    owner: dict[str, Owned] = field(default_factory=dict)

    def group(self, which: str) -> list[str]:
        """The names in a group; empty if there are none."""
        return self.groups.get(which, [])

    def of_role(self, role: str) -> list[Owned]:
        """The components of one role."""
        return [one for one in self.owned if one.role == role]


@dataclass(frozen=True)
class Group:
    """One group of `catalog/beside.toml`."""

    id: str
    what: str
    fits: re.Pattern[str]


@cache
def groups() -> tuple[Group, ...]:
    """The groups, in the order in which they are tried."""
    rows = tomllib.loads(data_path("beside.toml").read_text(encoding="utf-8"))["group"]
    return tuple(map(_group, rows))


def _group(row: Mapping[str, Any]) -> Group:
    # a star is the only sign: names may hold brackets and question marks
    patterns = (translate(re.sub(r"[\[?]", lambda sign: f"[{sign[0]}]", name)) for name in row["names"])
    return Group(row["id"], row["what"], re.compile("|".join(patterns)))


def belonging(header: Header, identity: Identity) -> Belonging:
    """Where each tensor of `header` belongs, given what the file is."""
    owned = list(_owned(header, identity))
    found = Belonging(owned, {})
    by_length = sorted(owned, key=lambda one: -len(one.prefix))
    for name, info in header.tensors.items():
        owner = next((one for one in by_length if name.startswith(one.prefix)), None)
        if owner is not None:
            found.owner[name] = owner
        which = _which(name, empty=0 in info.shape)
        if which is not None:
            found.groups.setdefault(which, []).append(name)
        else:
            (found.extras if owner is None else owner.names).append(name)
    return found


def _which(name: str, *, empty: bool) -> str | None:
    """The group of a name; a tensor without elements is a marker whatever its name."""
    return next((group.id for group in groups() if group.fits.match(name)), "marker" if empty else None)


def _owned(header: Header, identity: Identity) -> Iterator[Owned]:
    parts = split(Names(header.shapes), identity.format == "diffusers")
    components = [one for one in identity.components if one.role != "ema"]
    encoders = sorted((one for one in components if one.role == "text_encoder"), key=_rank)
    for one in components:
        number = f"_{encoders.index(one) + 1}" if one.role == "text_encoder" and len(encoders) > 1 else ""
        label = one.prefix.rstrip(".") if one.role == "other" else one.role + number
        outer = (part.prefix for part in parts if part.role == one.role and one.prefix.startswith(part.prefix))
        yield Owned(label, one, max(outer, key=len, default=one.prefix))


def _rank(encoder: Component) -> tuple[int, str]:
    if numbered := _NUMBERED.match(encoder.prefix):
        return (int(numbered[1] or 1), "")
    known = encoder.architecture or ""
    return (_ORDER.index(known) if known in _ORDER else len(_ORDER), encoder.prefix)
