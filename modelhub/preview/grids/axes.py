"""Axes: what differs between the pictures of a grid, and how each value changes what is asked for.

NAME=VALUES, e.g. seed=1-4, cfg=3,7, sampler=Euler,"DPM++ 2M", prompt=red,green,blue (each instead of the first),
prompt-order=cat,hat (in every order), model=A,B, alpha=0-1[5] (a parameter of the recipe), IN04=0,1 (a block),
B=photo,anime (a model of the recipe), lora:style=0-1[3] (a LoRA's strength).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from math import factorial
from typing import Any, NamedTuple, NoReturn

from modelhub.catalog.weighing.weight import short
from modelhub.errors import UsageError
from modelhub.preview.grids.names import axis_key, short_name
from modelhub.preview.grids.settings import SETTINGS, Setting
from modelhub.preview.grids.values import check_count, numbers, words
from modelhub.preview.grids.wish import Wish
from modelhub.preview.request import Request
from modelhub.text import brief, few, one_line


class Value(NamedTuple):
    """A value: how it is shown, and what it is."""

    label: str
    value: Any


Apply = Callable[[Wish, Request, Value], tuple[Wish, Request]]


@dataclass(frozen=True)
class Axis:
    """A name, values, and what a value does to a wish and a request.

    `of_recipe`: it changes the numbers or models of a recipe; `of_files`: its values are REFs.
    """

    name: str
    values: tuple[Value, ...]
    apply: Apply
    of_recipe: bool = False
    of_files: bool = False

    @property
    def labels(self) -> list[str]:
        """The label of each value: `seed 1`, and words alone."""
        return [value.label for value in self.values]


#: Axes over text of the request in which the first value is replaced by each.
_TEXTS = {"prompt": "prompt", "negative": "negative"}
#: Axes over models, by the field of the wish.
_MODELS = {"model": "source", "vae": "vae", "refiner": "refiner"}
_LORA = "lora:"
#: Words for no VAE or refiner of its own.
_NONE = ("none", "own", "automatic")
_ORDER = "prompt-order"
AXES = (*SETTINGS, *_TEXTS, _ORDER, *_MODELS, f"{_LORA}NAME")


def read_axis(
    text: str,
    request: Request,
    parameters: Collection[str] = (),
    blocks: Collection[str] = (),
    models: Collection[str] = (),
) -> Axis:
    """The axis that `NAME=VALUES` says, for a `request` and a recipe with these `parameters`, `blocks` and `models`.

    Raises UsageError for what no axis is, and for values that it cannot have.
    """
    name, sign, said = text.partition("=")
    name = name.strip()
    if not sign or not name:
        raise UsageError(f"'{brief(text)}' is no axis.", "Write NAME=VALUES, e.g. --x seed=1-4.")
    if name.lower().startswith(_LORA) and name[len(_LORA) :].strip():
        return _lora_axis(name[len(_LORA) :].strip(), said)
    key = axis_key(text)
    if key in SETTINGS:
        return _setting_axis(key, SETTINGS[key], said)
    if key in _TEXTS:
        return _text_axis(key, said, request)
    if key == _ORDER:
        return _order_axis(said, request)
    if key in _MODELS:
        return _model_axis(key, said)
    return (
        _parameter_axis(name, said, parameters)
        or _block_axis(name, said, blocks)
        or _parent_axis(name, said, models)
        or _refused(name, parameters, blocks, models)
    )


def _setting_axis(name: str, setting: Setting, said: str) -> Axis:
    if setting.read is not None:
        values = [Value(*setting.read(word)) for word in words(said, name)]
    else:
        values = [Value(f"{name} {_shown(value)}", value) for value in numbers(said, name, whole=setting.whole)]

    def apply(wish: Wish, request: Request, value: Value) -> tuple[Wish, Request]:
        return wish, setting.set(request, value.value)

    return Axis(name, tuple(values), apply, of_files=setting.of_files)


def _shown(value: float) -> str:
    """A number with all digits of a seed, and few of others."""
    return str(value) if isinstance(value, int) else f"{value:g}"


def _text_axis(name: str, said: str, request: Request) -> Axis:
    found = words(said, name)
    field, first = _TEXTS[name], found[0]
    if first not in getattr(request, field):
        raise UsageError(
            f"The {name} does not have '{brief(first)}', which the axis {name} would replace.",
            f"Begin with what is to be replaced: --x {name}=red,green,blue replaces red.",
        )

    def apply(wish: Wish, request: Request, value: Value) -> tuple[Wish, Request]:
        return wish, replace(request, **{field: getattr(request, field).replace(first, value.value)})

    return Axis(name, tuple(Value(one_line(word), word) for word in found), apply)


def _order_axis(said: str, request: Request) -> Axis:
    """The words of a prompt in every order, each order in the places where the words stand."""
    found = words(said, _ORDER)
    check_count(factorial(min(len(found), 20)), _ORDER)
    _pieces(request.prompt, found)

    def apply(wish: Wish, request: Request, value: Value) -> tuple[Wish, Request]:
        pieces = _pieces(request.prompt, found)
        pieces[1::2] = value.value
        return wish, replace(request, prompt="".join(pieces))

    return Axis(_ORDER, tuple(Value(one_line(", ".join(order)), order) for order in permutations(found)), apply)


def _pieces(prompt: str, found: Sequence[str]) -> list[str]:
    """A prompt cut so that every other piece is one of these words, where it first stands. Raises UsageError."""
    pieces, end = [], 0
    for start, word in sorted((prompt.find(word), word) for word in found):
        if start < end:
            what = "overlap, or are the same word" if start >= 0 else f"are not all in it: {brief(word)}"
            raise UsageError(
                f"The words of {_ORDER} {what}.", f"Name words of the prompt, each once: --x {_ORDER}=cat,hat."
            )
        pieces += [prompt[end:start], word]
        end = start + len(word)
    return [*pieces, prompt[end:]]


def _model_axis(name: str, said: str) -> Axis:
    return model_axis(name, words(said, name))


def model_axis(name: str, refs: Sequence[str]) -> Axis:
    """The axis "model", "vae" or "refiner" over these; of the last two "none" is the model's own, and none."""
    none = {"vae": "own VAE", "refiner": "no refiner"}.get(name)
    values = [Value(none, "") if none and ref.lower() in _NONE else Value(short_name(ref), ref) for ref in refs]
    field = _MODELS[name]

    def apply(wish: Wish, request: Request, value: Value) -> tuple[Wish, Request]:
        return replace(wish, **{field: value.value}), request

    return Axis(name, tuple(values), apply, of_files=True)


def _lora_axis(name: str, said: str) -> Axis:
    """The strength of a LoRA: of its tag, if the prompt has one, else of one that is added."""
    tag = re.compile(rf"<(lora|lyco):{re.escape(name)}(:[^<>]*)?>", re.IGNORECASE)

    def apply(wish: Wish, request: Request, value: Value) -> tuple[Wish, Request]:
        if tag.search(request.prompt):
            said = f"<lora:{name}:{short(value.value)}>"
            return wish, replace(request, prompt=tag.sub(lambda _: said, request.prompt))
        others = tuple(word for word in wish.loras if word.split(":")[0] != name)
        return replace(wish, loras=(*others, f"{name}:{short(value.value)}")), request

    return Axis(f"{_LORA}{name}", tuple(Value(f"{name} {v:g}", v) for v in numbers(said, f"{_LORA}{name}")), apply)


def _parameter_axis(name: str, said: str, parameters: Collection[str]) -> Axis | None:
    key = _parameter(name.lower().replace("-", "_"), parameters)
    if key not in parameters:
        return None
    values = tuple(Value(f"{name} {one_line(word)}", word) for word in _loose(said, name))

    def apply(wish: Wish, request: Request, value: Value) -> tuple[Wish, Request]:
        return replace(wish, parameters=_with(wish.parameters, key, value.value)), request

    return Axis(key, values, apply, of_recipe=True)


def _block_axis(name: str, said: str, blocks: Collection[str]) -> Axis | None:
    """A block, or a stretch of them, of a recipe's weights."""
    is_stretch = bool(blocks) and re.fullmatch(r"[A-Za-z]+\d+-[A-Za-z]+\d+", name) is not None
    block = name.upper() if is_stretch else {one.upper(): one for one in blocks}.get(name.upper())
    if block is None:
        return None
    values = tuple(Value(f"{block} {value:g}", short(value)) for value in numbers(said, name))

    def apply(wish: Wish, request: Request, value: Value) -> tuple[Wish, Request]:
        return replace(wish, blocks=_with(wish.blocks, block, value.value)), request

    return Axis(block, values, apply, of_recipe=True)


def _parent_axis(name: str, said: str, models: Collection[str]) -> Axis | None:
    """One of the models of a recipe, by its letter."""
    letter = name if name in models else name.upper()
    if letter not in models:
        return None
    values = tuple(Value(f"{letter}: {short_name(ref)}", ref) for ref in words(said, name))

    def apply(wish: Wish, request: Request, value: Value) -> tuple[Wish, Request]:
        return replace(wish, models=_with(wish.models, letter, value.value)), request

    return Axis(letter, values, apply, of_recipe=True, of_files=True)


def _parameter(key: str, parameters: Collection[str]) -> str:
    """The one name of a parameter: `alpha` for `2.alpha`, where step 2 is the last one that has it."""
    plain = key.rpartition(".")[2]
    steps = [name.partition(".")[0] for name in parameters if name.endswith(f".{plain}")]
    return plain if plain in parameters and key == f"{max(steps, key=int, default='')}.{plain}" else key


def _refused(name: str, parameters: Collection[str], blocks: Collection[str], models: Collection[str]) -> NoReturn:
    near = difflib.get_close_matches(name.lower(), (*AXES, *parameters), n=1)
    meant = f"Did you mean '{near[0]}'? " if near else ""
    there = f"There are: {', '.join(AXES)}"
    if blocks:
        own = ", ".join(filter(None, [*_told(parameters), few(models), "and blocks such as IN04 or IN00-IN05"]))
        raise UsageError(f"There is no axis '{brief(name)}'.", f"{meant}{there}; of the recipe: {own}.")
    raise UsageError(
        f"There is no axis '{brief(name)}' of a model that is no recipe.",
        f"{meant}{there}. Parameters such as alpha, and blocks such as IN04, are those of a recipe file, which SOURCE "
        "must be; `modelhub recipe REF` prints that of a merge.",
    )


def _told(parameters: Collection[str]) -> list[str]:
    """The names of parameters; those that say a step only where there are several."""
    several = any(name.startswith("2.") for name in parameters)
    return [name for name in parameters if several or "." not in name]


def _loose(said: str, name: str) -> list[str]:
    """Numbers and ranges where they are numbers, else words: presets, true and false."""
    try:
        return [short(value) for value in numbers(said, name)]
    except UsageError:
        return words(said, name)


def _with(pairs: tuple[tuple[str, str], ...], name: str, value: str) -> tuple[tuple[str, str], ...]:
    return tuple({**dict(pairs), name: value}.items())
