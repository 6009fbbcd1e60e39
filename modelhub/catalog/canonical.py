"""Places: which component of a model each tensor belongs to, and what it is called there, whoever wrote the file.

A component has one name for each of its tensors, that of the original layout below the component's prefix. Names of
diffusers are turned into these by the tables of `catalog/renames/`. Where a tensor there is a part of one of the
original (a query of `qkv`), or another arrangement of it, its place says so: it is no place of the original then.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count

from modelhub.catalog.belonging import Belonging, Owned, belonging
from modelhub.catalog.folder.renames import Naming, Target, files
from modelhub.catalog.identity import Component, Identity
from modelhub.formats.header import Header

#: A tensor's place: the component ("unet", "te1", "te2", "t5", "vae"; "ema", "" for none), and the name it has there.
Place = tuple[str, str]
#: Text encoders that are called the same wherever they are.
_CERTAIN = {"clip-l": "te1", "clip-g": "te2", "t5": "t5", "t5xxl": "t5"}
#: What training code leaves around every name of a file that is one network.
_WRAPPERS = ("control_model.", "module.", "netG.", "params_ema.", "params.")
#: Groups of tensors that are no part of the component below whose prefix they may stand.
_BESIDE = ("marker", "schedule", "training")


@dataclass(frozen=True)
class Section:
    """A component of one model: its `label`, what owns its tensors, and where those go that have diffusers' names.

    `label` is what people call it, and the same in every model: CLIP-L is te1 and CLIP-G te2 also where it is alone.
    `targets` is empty where the names are those of the original.
    """

    label: str
    owned: Owned
    targets: Mapping[str, Target] = field(default_factory=dict)

    @property
    def is_renamed(self) -> bool:
        """Whether its tensors have the names of diffusers or transformers."""
        return bool(self.targets)

    @property
    def is_original(self) -> bool:
        """Whether most of its names are those of the original, which are transformers' own for CLIP-L and T5."""
        same = sum(self.below(name) == _written(target) for name, target in self.targets.items())
        return 2 * same >= len(self.targets)

    @property
    def prefix(self) -> str:
        """What the names of its tensors begin with."""
        return self.owned.component.prefix

    def below(self, name: str) -> str:
        """A tensor's name without the prefix of its component."""
        inner = self.prefix
        return name.removeprefix(inner if name.startswith(inner) else self.owned.prefix)

    def place(self, name: str) -> Place:
        """The place of one of its tensors."""
        target = self.targets.get(name)
        return self.label, self.below(name) if target is None else _written(target)


def _written(target: Target) -> str:
    part = f"[{target.part + 1}/{target.of}]" if target.of > 1 else ""
    return target.name + part + (f"|{target.change}" if target.change else "")


def is_special(target: Target) -> bool:
    """Whether a tensor is more than renamed: joined with others, or changed."""
    return target.of > 1 or bool(target.change)


class Layout:
    """How one model is laid out: its `sections` by their labels, and the place of each tensor."""

    def __init__(self, header: Header, identity: Identity) -> None:
        self._names = header.tensors
        self._where = belonging(header, identity)
        self.sections = _sections(header, self._where)
        self._by_prefix = {one.owned.prefix: one for one in self.sections.values()}
        self._wrapper = "" if identity.components else _wrapper(header.tensors)

    @cached_property
    def places(self) -> dict[str, Place]:
        """The place of every tensor; several may have one, as a weight that a file has under two names."""
        where, beside = self._where, self._beside()
        return {name: beside.get(name) or self._place(name, where) for name in self._names}

    def _beside(self) -> dict[str, Place]:
        found = {name: ("", name) for group in _BESIDE for name in self._where.group(group)}
        return found | {name: ("ema", name.partition(".")[2]) for name in self._where.group("ema")}

    def _place(self, name: str, where: Belonging) -> Place:
        owner = where.owner.get(name)
        if owner is None:
            return "", name.removeprefix(self._wrapper)
        return self._by_prefix[owner.prefix].place(name)


def _wrapper(names: Iterable[str]) -> str:
    """What all names of a file that is one network begin with, if it says nothing."""
    names = list(names)
    return next((one for one in _WRAPPERS if all(name.startswith(one) for name in names)), "") if names else ""


def _sections(header: Header, where: Belonging) -> dict[str, Section]:
    found: dict[str, Section] = {}
    for owned in sorted(where.owned, key=lambda one: _rank(one.component)):
        label = _free(_label(owned), found)
        found[label] = Section(label, owned, _targets(header, owned))
    return found


def _rank(part: Component) -> int:
    """Those first whose label is certain."""
    return part.role == "text_encoder" and (part.architecture or "") not in _CERTAIN


def _label(owned: Owned) -> str:
    """What a component is called in every model."""
    if owned.role == "text_encoder":
        return _CERTAIN.get(owned.component.architecture or "", "te1")
    return {"denoiser": "unet"}.get(owned.role, owned.label)


def _free(label: str, taken: Collection[str]) -> str:
    """The label, or the next one in its row if another component has it."""
    if label not in taken:
        return label
    word = label.rstrip("0123456789") if label.startswith("te") else label
    return next(one for number in count(2) if (one := f"{word}{number}") not in taken)


def _targets(header: Header, owned: Owned) -> dict[str, Target]:
    """Where tensors with names of diffusers go, by their whole names; empty for the names of the original."""
    table = files()["component"].get(owned.component.architecture)
    prefix = owned.component.prefix
    below = {name: name.removeprefix(prefix) for name in owned.names if name.startswith(prefix)}
    if table is None or not below:
        return {}
    naming = Naming(table, below.values())
    found = {name: target for name, old in below.items() if (target := naming.target(old)) is not None}
    if 2 * len(found) <= len(below):
        return {}
    return {name: _of_shape(target, header.tensors[name].shape) for name, target in found.items()}


def _of_shape(target: Target, shape: tuple[int, ...]) -> Target:
    """Without a change that changes nothing: only a matrix becomes a convolution."""
    return target._replace(change="") if target.change == "conv" and len(shape) != 2 else target
