"""What `grid` answers: what it would do, and what it did, for a person and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from modelhub.text import human_size, one_line, plural

if TYPE_CHECKING:
    from modelhub.cli.grid_layout import Layout
    from modelhub.preview.grids.axes import Axis
    from modelhub.preview.grids.drawing import Place
    from modelhub.preview.grids.family import Compared
    from modelhub.preview.grids.painting import Painted
    from modelhub.preview.grids.ready import Checked

#: The options for axes: from left to right, from top to bottom, from page to page.
LETTERS = "xyz"


class Done(NamedTuple):
    """All that was rendered and what it came to."""

    path: Path
    layout: Layout
    painted: Mapping[Place, Painted]
    reports: Sequence[Compared]
    notes: Sequence[str]
    seconds: float


def axes_json(axes: Sequence[Axis]) -> dict[str, Any]:
    """Names and values of the axes that there are."""
    from modelhub.preview.grids.telling import shown

    return {
        letter: {"name": axis.name, "values": [shown(axis, value) for value in axis.values], "labels": axis.labels}
        for letter, axis in zip(LETTERS, axes, strict=False)
        if axis.values
    }


def plan_json(path: Path, layout: Layout, groups: Sequence[Checked]) -> dict[str, Any]:
    """What would be rendered, and what each model reads."""
    from modelhub.preview.grids.ready import readings

    models = [
        {"name": group.ready.name, "pictures": len(group.group.cells), "reads": {k: v for k, v in read.items() if v}}
        for group, read in zip(groups, readings(groups), strict=True)
    ]
    pictures = sum(len(group.group.cells) for group in groups)
    return {"path": str(path), "axes": axes_json(layout.axes), "images": [], "pictures": pictures, "models": models}


def plan_lines(path: Path, layout: Layout, groups: Sequence[Checked]) -> Iterator[str]:
    """The same for a person."""
    from modelhub.preview.grids.drawing import counts

    columns, rows, pages = counts(layout.axes)
    told = plan_json(path, layout, groups)
    shape = f"{plural(columns, 'column')} x {plural(rows, 'row')}" + (f" x {pages} pages" if pages > 1 else "")
    yield one_line(
        f"would render {plural(told['pictures'], 'picture')} ({shape}) of {plural(len(groups), 'model')} to {path}"
    )
    for group, one in zip(groups, told["models"], strict=True):
        reads = ", ".join(f"{part} {human_size(size)}" for part, size in one["reads"].items()) or "nothing anew"
        yield one_line(f"  {_named(group)}: {plural(one['pictures'], 'picture')}, reads {reads}")


def _named(group: Checked) -> str:
    """A model with what is special about it."""
    wish = group.group.wish
    said = [*wish.changes, *wish.loras, *([f"VAE {Path(wish.vae).name}"] if wish.vae else [])]
    return f"{group.ready.name} ({', '.join(said)})" if said else group.ready.name


def done_json(done: Done, *, report: bool) -> dict[str, Any]:
    """All pictures, row by row and page by page, and the reports."""
    order = sorted(done.painted, key=lambda place: place[::-1])
    found: dict[str, Any] = {
        "path": str(done.path),
        "axes": axes_json(done.layout.axes),
        "images": [_image(place, done.painted[place], done.layout.axes) for place in order],
        "warnings": _warnings(done),
        "notes": [*done.notes],
        "seconds": round(done.seconds, 3),
    }
    return found | ({"report": [one.as_dict() for one in done.reports]} if report or done.reports else {})


def _image(place: Place, one: Painted, axes: Sequence[Axis]) -> dict[str, Any]:
    labels = {letter: axis.labels[at] for letter, axis, at in zip(LETTERS, axes, place, strict=False) if axis.values}
    picture = one.picture
    return {
        **dict(zip(LETTERS, place, strict=True)),
        "labels": labels,
        "seed": picture.seed,
        "infotext": picture.infotext,
        "mean": picture.mean,
        "std": picture.std,
        "warnings": list(picture.warnings),
    }


def _warnings(done: Done) -> list[str]:
    return list(dict.fromkeys(warning for one in done.painted.values() for warning in one.picture.warnings))


def done_lines(done: Done, *, report: bool) -> Iterator[str]:
    """The sheet, what looks wrong and where, and the report if it was asked for."""
    from modelhub.preview.grids.family import report_lines

    yield one_line(f"{done.path}  {plural(len(done.painted), 'picture')} in {done.seconds:.1f} s")
    for warning in _warnings(done):
        places = [place for place, one in done.painted.items() if warning in one.picture.warnings]
        yield one_line(f"  warning: {_where(places, done.layout.axes)}: {warning}")
    if report:
        yield from map(one_line, report_lines(done.reports))


def _where(places: Sequence[Place], axes: Sequence[Axis]) -> str:
    """The labels of a few places."""
    said = [
        ", ".join(axis.labels[at] for axis, at in zip(axes, place, strict=False) if axis.values) for place in places
    ]
    more = [f"{len(said) - 3} more"] if len(said) > 3 else []
    return "; ".join([*said[:3], *more])
