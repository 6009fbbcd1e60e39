"""A model as it is merged or changed: packed weights as the floats they stand for, a folder as one checkpoint."""

from __future__ import annotations

from dataclasses import dataclass

from modelhub.catalog.becoming import Part
from modelhub.catalog.folder.single_file import single_file
from modelhub.catalog.identify import identify
from modelhub.catalog.identity import Identity
from modelhub.catalog.opener import Parent
from modelhub.catalog.unpacking import LOST, unpacked
from modelhub.errors import IncompatibleError
from modelhub.formats.naming import INDEX
from modelhub.formats.source import TensorSource
from modelhub.formats.views import Renamed

#: What `identify` counts among the packed and is plain: fp8 without scales.
_PLAIN = "fp8"
_ALONE = "Merge the folders of its components one by one, such as FOLDER/unet, with the like of other models."


@dataclass(frozen=True)
class Reading:
    """What is read of one model: a source of plain weights, and what that is.

    `unpacked` are the tensors of the source whose numbers are packed in the file: F32 here, and worth less. `packing`
    names how, `is_assembled` says that the source is a folder as one file, `notes` what got lost on the way.
    """

    source: TensorSource
    identity: Identity
    unpacked: frozenset[str] = frozenset()
    packing: tuple[str, ...] = ()
    is_assembled: bool = False
    notes: tuple[str, ...] = ()


def read(parent: Parent) -> Reading:
    """How `parent` is merged. Headers are read, and marks of a few bytes; no weights.

    The views that it is read through are not to be closed: the parent's source stays the opener's. Raises
    IncompatibleError for what cannot be unpacked or has no place in a single file, CorruptFileError for packed weights
    that contradict themselves, UsageError where a package is missing.
    """
    is_folder = parent.path.is_dir()
    form = "diffusers" if is_folder else "safetensors"
    plain = _plain(parent.source, identify(parent.source.header, name=parent.path.name, form=form), parent.path.name)
    return _as_one_file(plain, parent.path.name) if is_folder and (parent.path / INDEX).is_file() else plain


def _plain(source: TensorSource, identity: Identity, name: str) -> Reading:
    """A model with its packed weights as floats."""
    view, parts, notes = unpacked(source, identity)
    if view is source:
        return Reading(source, identity)
    packing = tuple(kind for kind in identity.facts.get("quantisation", ()) if kind != _PLAIN)
    known = identify(view.header, name=name, form=identity.format)
    return Reading(view, known, _floats(view, parts), packing, notes=tuple(notes))


def _floats(view: TensorSource, parts: list[Part]) -> frozenset[str]:
    """The tensors of an unpacked view that the file has in another form."""
    lost = {name for one in parts if one.reason == LOST for name in one.names}
    old_names = view.old_names if isinstance(view, Renamed) else {}
    return frozenset(new for new, old in old_names.items() if old in lost)


def _as_one_file(plain: Reading, name: str) -> Reading:
    """A pipeline folder in the layout of its single file."""
    try:
        view, _, notes = single_file(plain.source, plain.identity)
    except IncompatibleError as error:
        raise IncompatibleError(error.message, _ALONE) from None
    floats = frozenset(new for new in view.header.tensors if plain.unpacked.intersection(view.made_of(new)))
    known = identify(view.header, name=name)
    return Reading(view, known, floats, plain.packing, True, (*plain.notes, *notes))
