"""What a pickle holds, laid out as the file that it will become: views of all tensors, and their header."""

from __future__ import annotations

from dataclasses import dataclass

from modelhub.formats.header import Header
from modelhub.formats.pickles.archive import Archive
from modelhub.formats.pickles.survey import Survey, quoted
from modelhub.formats.pickles.tensors import CannotHoldError, View, view_of
from modelhub.formats.pickles.values import Value
from modelhub.formats.pickles.weights import find_weights, metadata_of

_SHOWN = 10


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Views by name, the header that lists them, and the wrapper that they stood in, "" for none."""

    views: dict[str, View]
    header: Header
    root: str

    def aliases(self) -> tuple[tuple[str, ...], ...]:
        """The names of tensors that are one and the same: groups of two or more, in the order of the file."""
        groups: dict[tuple[object, ...], list[str]] = {}
        for name, view in self.views.items():
            if view.nbytes:
                place = (id(view.data), view.begin, view.kind, view.shape, view.strides, view.swap)
                groups.setdefault(place, []).append(name)
        return tuple(tuple(names) for names in groups.values() if len(names) > 1)


def lay_out(archive: Archive) -> Layout:
    """Find the tensors of a file that has been read; what is left out is noted as a finding.

    Raises CorruptFileError for tensors that cannot be, FileError for more of them than the file may hold.
    """
    survey = archive.survey
    weights = find_weights(archive)
    views: dict[str, View] = {}
    known: dict[int, View | str] = {}
    for name, value in weights.tensors:
        if id(value) not in known:
            known[id(value)] = _view(value, archive)
        view = known[id(value)]
        if isinstance(view, str):
            survey.find(f"Tensor {quoted(name)} was left out: it is {view}.", loss=True)
            continue
        views[name] = view
        survey.claim(view.nbytes)
        if not view.is_plain:
            survey.reach(view.reach)
    _note_unknown(survey)
    entries = ((name, view.kind.dtype, view.shape) for name, view in views.items())
    return Layout(views, Header.of(entries, metadata_of(archive, weights.root)), weights.root)


def _view(value: Value, archive: Archive) -> View | str:
    """The tensor that a value stands for, or in words why no safetensors file can hold it."""
    try:
        return view_of(value, archive)
    except CannotHoldError as reason:
        return str(reason)


def _note_unknown(survey: Survey) -> None:
    unknown = [quoted(name.path) for name in survey.names if name.verdict == "unknown"]
    if unknown:
        more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
        survey.find(f"Objects of unknown classes were dropped: {', '.join(unknown[:_SHOWN])}{more}.")
