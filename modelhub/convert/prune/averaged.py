"""EMA weights: the copies of a denoiser's weights that training averaged, under names without dots.

`model.diffusion_model.input_blocks.0.0.weight` has its average in `model_ema.diffusion_modelinput_blocks00weight`, so
names are found by the denoiser's, never the other way round.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from modelhub.catalog.belonging import Belonging, Owned
from modelhub.errors import IncompatibleError, UsageError
from modelhub.formats.header import FLOAT_DTYPES, Header
from modelhub.text import plural, shorten

#: The share of a denoiser's weights that may lack an average: frozen layers have none.
_FEW = 0.01
#: What an average of the training itself is, and no weight.
_COUNTERS = (".decay", ".num_updates")


@dataclass(frozen=True)
class Averages:
    """`of` gives the EMA tensor of each weight that has one; `lacking` are the weights without, `spare` the rest."""

    of: dict[str, str]
    lacking: list[str]
    spare: list[str]


def averages(header: Header, where: Belonging) -> Averages:
    """The EMA weights that can take the denoiser's place.

    Raises UsageError where there are none or no denoiser, IncompatibleError where they fit too few of its weights:
    half an average is another model.
    """
    ema, denoiser = where.group("ema"), where.of_role("denoiser")
    if not ema or not denoiser:
        raise UsageError(
            f"There are no {'EMA weights' if denoiser else 'weights of a denoiser'} in this file.",
            "Leave --ema away; `modelhub identify` lists the components.",
        )
    found = _matched(header, denoiser[0], ema)
    if len(found.lacking) > _FEW * len(denoiser[0].names):
        raise IncompatibleError(
            f"Only {len(found.of):,} of {plural(len(denoiser[0].names), 'weight')} of the denoiser have an EMA weight "
            f"of their shape; {shorten(found.lacking[0], 80)} has none.",
            "Use --ema drop: a mixture of both is neither model.",
        )
    return found


def _matched(header: Header, denoiser: Owned, ema: Iterable[str]) -> Averages:
    by_place = {_place(name): name for name in ema if not name.endswith(_COUNTERS)}
    of: dict[str, str] = {}
    lacking = []
    for name in denoiser.names:
        average = next((by_place[key] for key in _keys(name, denoiser) if key in by_place), None)
        if average is not None and header.tensors[average].shape == header.tensors[name].shape:
            of[name] = average
        elif header.tensors[name].dtype in FLOAT_DTYPES:
            lacking.append(name)
    used = set(of.values())
    return Averages(of, lacking, [name for name in ema if name not in used])


def _place(average: str) -> str:
    """The name of an EMA tensor below its prefix, without dots."""
    return average.partition(".")[2].replace(".", "")


def _keys(name: str, denoiser: Owned) -> tuple[str, ...]:
    """What the average of a weight may be called: by its name in the training's model, or below the component."""
    inside = name.removeprefix(denoiser.prefix)
    return tuple(each.replace(".", "") for each in (name.removeprefix("model."), name, inside))
