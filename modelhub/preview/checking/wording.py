"""What a report says in words: on which seeds, how much more or less of what."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import TypeVar

from modelhub.preview.checking.figures import Figures
from modelhub.text import brief

Said = TypeVar("Said", bound=Hashable)
#: Model to figures, for each seed.
Measured = Sequence[Mapping[str, Figures]]

#: Figures that are compared, and what they are called.
_COMPARED: Mapping[str, str] = {
    "saturation": "saturation",
    "contrast": "contrast",
    "detail": "detail",
    "mean": "brightness",
}
#: By how much of the parents' range and of the value a merge may leave it unsaid.
_ROOM, _SLACK = 0.35, 0.25
#: Differences up to this part of a parent's value are left unsaid, and values below this (of 255) are none.
_ALIKE, _NONE = 0.1, 1.0
#: From this many times on more is far more.
_FAR = 10.0
#: Seeds that are named one by one.
_NAMED = 8


def by_seed(said: Mapping[int, Said]) -> Iterator[tuple[Said, str]]:
    """Each thing that is said of seeds, the most frequent first, and of which: `on seeds 1, 4`."""
    groups: dict[Said, list[int]] = {}
    for seed, one in said.items():
        groups.setdefault(one, []).append(seed)
    for one, seeds in sorted(groups.items(), key=lambda pair: -len(pair[1])):
        more = f" and {len(seeds) - _NAMED} more" if len(seeds) > _NAMED else ""
        yield one, f"on seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds[:_NAMED]))}{more}"


def sentence(text: str) -> str:
    """`text` with a capital letter."""
    return text[:1].upper() + text[1:]


def the_same(parent: str) -> str:
    """The verdict on a picture that is one of a parent's."""
    return f"the same as {brief(parent, 40)}"


def difference(merge: str, parent: str, measured: Measured) -> str:
    """In what the pictures of a merge differ from those of a parent on the whole, as a sentence."""
    means = ((word, _mean(merge, key, measured), _mean(parent, key, measured)) for key, word in _COMPARED.items())
    found = [f"{much} {word}" for word, own, theirs in means if (much := _how_much(own, theirs))]
    if found:
        return sentence(f"{', '.join(found)} than {brief(parent, 40)}.")
    return f"As much saturation, contrast, detail and brightness as {brief(parent, 40)}, within {_ALIKE:.0%}."


def _how_much(own: float, theirs: float) -> str:
    """`22% less`; "" for about as much."""
    theirs = max(theirs, _NONE)
    if abs(own - theirs) <= max(_ALIKE * theirs, _NONE):
        return ""
    ratio = own / theirs
    return "far more" if ratio >= _FAR else f"{abs(ratio - 1):.0%} {'more' if ratio > 1 else 'less'}"


def outside(merge: str, parents: Sequence[str], measured: Measured) -> Iterator[str]:
    """Figures in which a merge lies outside what its parents span, by more than a part of it or of the value itself.

    One parent spans nothing: then there are only differences.
    """
    for key, word in _COMPARED.items():
        own, theirs = _mean(merge, key, measured), [_mean(name, key, measured) for name in parents]
        low, high = min(theirs), max(theirs)
        room = max(_ROOM * (high - low) + _SLACK * high, _NONE)
        if len(theirs) > 1 and not low - room <= own <= high + room:
            way = "less" if own < low else "more"
            yield f"It has {way} {word} than all its parents: {own:.0f} of 255, theirs {low:.0f} to {high:.0f}."


def _mean(name: str, figure: str, measured: Measured) -> float:
    return fmean(getattr(one[name], figure) for one in measured)
