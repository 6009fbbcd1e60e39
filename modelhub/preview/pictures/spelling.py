"""Samplers and schedules as users type them: in any case, in the words of A1111 or ComfyUI, the two in one name."""

from __future__ import annotations

import re
from collections.abc import Iterator

from modelhub.errors import NotFoundError
from modelhub.preview.pictures.names import schedule_name, split_sampler


def read_sampler(word: str) -> tuple[str, str | None]:
    """A sampler's display name, and the schedule in A1111's older names: `dpm++ 2m karras` is DPM++ 2M with Karras.

    Case and spaces do not matter, and ComfyUI's names are known too. Raises NotFoundError for no sampler.
    """
    from modelhub.preview.sampling.samplers import find_sampler

    for name, schedule in (split_sampler(word), *_split(word)):
        try:
            return find_sampler(name).name, read_schedule(schedule) if schedule else None
        except NotFoundError:
            continue
    return find_sampler(word).name, None


def read_schedule(word: str) -> str:
    """A schedule's display name, whoever's word it is. Raises NotFoundError for none."""
    from modelhub.preview.sampling.curves import SCHEDULES

    return SCHEDULES.find(schedule_name(word) or word)[0]


def _split(word: str) -> Iterator[tuple[str, str]]:
    """A name and what may be its schedule, cut at every space."""
    parts = re.split(r"[\s_-]+", word.strip())
    for at in range(1, len(parts)):
        yield " ".join(parts[:at]), " ".join(parts[at:])
