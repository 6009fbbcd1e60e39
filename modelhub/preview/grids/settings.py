"""Settings as axes: how the values of each are read, and how one is set in a request."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any, NamedTuple

from modelhub.errors import UsageError
from modelhub.preview.grids.names import short_name
from modelhub.preview.pictures.spelling import read_sampler, read_schedule
from modelhub.preview.request import EMPHASES, SOURCES, Hires, Request, Start, Variation
from modelhub.preview.upscaling.names import without_file
from modelhub.text import alike, brief, one_line

#: A word of an axis to its label and what is set.
Read = Callable[[str], tuple[str, Any]]
Set = Callable[[Request, Any], Request]


class Setting(NamedTuple):
    """How a value is set, and how a word is read as one; `read` None: numbers, which may have to be `whole`.

    `of_files`: the words are REFs.
    """

    set: Set
    read: Read | None = None
    whole: bool = False
    of_files: bool = False


def _sampler_word(word: str) -> tuple[str, tuple[str, str | None]]:
    name, schedule = read_sampler(word)
    return " ".join(filter(None, (name, schedule))), (name, schedule)


def _schedule_word(word: str) -> tuple[str, str]:
    name = read_schedule(word)
    return name, name


def _upscaler_word(word: str) -> tuple[str, str]:
    """An upscaler that needs no file by its display name, else the REF of one."""
    found = without_file(word)
    return (short_name(word), word) if found is None else (found, found)


def _size_word(word: str) -> tuple[str, tuple[int, int]]:
    found = re.fullmatch(r"(\d{1,5})\s*[xX×]\s*(\d{1,5})", word, re.ASCII)
    if found is None:
        raise UsageError(f"'{brief(word)}' is not a size such as 512x768.", "Write --x size=512x512,512x768.")
    size = int(found[1]), int(found[2])
    return f"{size[0]}x{size[1]}", size


def _one_of(axis: str, names: Sequence[str]) -> Read:
    """One of these, whatever its case and spaces; another word is left for `Request` to refuse."""

    def read(word: str) -> tuple[str, str]:
        found = _known(word, names) or word
        return one_line(f"{axis} {found}"), found

    return read


def _known(word: str, names: Sequence[str]) -> str | None:
    return next((name for name in names if alike(name) == alike(word)), None)


def _field(name: str) -> Set:
    return lambda request, value: replace(request, **{name: value})


def _tuned(name: str) -> Set:
    return lambda request, value: replace(request, tuning=replace(request.tuning, **{name: value}))


def _hires(name: str) -> Set:
    return lambda request, value: replace(request, hires=replace(request.hires or Hires(), **{name: value}))


def _sampler(request: Request, value: tuple[str, str | None]) -> Request:
    name, schedule = value
    return replace(request, sampler=name, schedule=schedule or request.schedule)


def _scale(request: Request, value: float) -> Request:
    return replace(request, hires=replace(request.hires or Hires(), scale=value, width=None, height=None))


def _denoise(request: Request, value: float) -> Request:
    if request.start is not None:
        start: Start = replace(request.start, denoise=value)
        return replace(request, start=start)
    return _hires("denoise")(request, value)


def _variation(request: Request, value: float) -> Request:
    before = request.variation or Variation(request.seed + 1, 0.0)
    return replace(request, variation=replace(before, strength=value))


def _size(request: Request, value: tuple[int, int]) -> Request:
    return replace(request, width=value[0], height=value[1])


_WHOLE = {"seed": "seed", "steps": "steps", "clip-skip": "clip_skip", "ensd": "ensd"}
_NUMBERS = {"cfg": "cfg", "guidance": "guidance", "switch-at": "switch_at"}
_TUNED = {
    "eta": "eta", "churn": "churn", "churn-min": "churn_min", "churn-max": "churn_max", "noise": "noise", "rho": "rho",
    "sigma-min": "sigma_min", "sigma-max": "sigma_max",
}  # fmt: skip
#: Every setting that can be an axis, by the name of the axis.
SETTINGS: dict[str, Setting] = {
    **{name: Setting(_field(field), whole=True) for name, field in _WHOLE.items()},
    **{name: Setting(_field(field)) for name, field in _NUMBERS.items()},
    "sampler": Setting(_sampler, _sampler_word),
    "schedule": Setting(_field("schedule"), _schedule_word),
    "emphasis": Setting(_field("emphasis"), _one_of("emphasis", EMPHASES)),
    "rng": Setting(_field("rng"), _one_of("rng", SOURCES)),
    **{name: Setting(_tuned(field)) for name, field in _TUNED.items()},
    "size": Setting(_size, _size_word),
    "variation": Setting(_variation),
    "denoise": Setting(_denoise),
    "hires": Setting(_scale),
    "hires-steps": Setting(_hires("steps"), whole=True),
    "upscaler": Setting(_hires("upscaler"), _upscaler_word, of_files=True),
}

assert {*_WHOLE.values(), *_NUMBERS.values(), "schedule", "emphasis", "rng"} <= {one.name for one in fields(Request)}
