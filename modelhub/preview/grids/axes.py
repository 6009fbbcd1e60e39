"""Axes: what differs between the pictures of a grid, and how each value changes what is asked for.

NAME=VALUES, e.g. seed=1-4, cfg=3,7, sampler=Euler,"DPM++ 2M", prompt=red,green,blue (each instead of the first),
model=A,B, alpha=0-1[5] (a parameter of the recipe), IN04=0,1 (a block), lora:style=0-1[3] (a LoRA's strength).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

from modelhub.catalog.weighing.weight import short
from modelhub.errors import UsageError
from modelhub.preview.grids.values import numbers, words
from modelhub.preview.grids.wish import Wish
from modelhub.preview.request import Hires, Request, Start, Variation
from modelhub.text import brief, one_line


class Value(NamedTuple):
    """A value: how it is shown, and what it is."""

    label: str
    value: Any


Apply = Callable[[Wish, Request, Value], tuple[Wish, Request]]


@dataclass(frozen=True)
class Axis:
    """A name, values, and what a value does to a wish and a request; `of_recipe`: it changes a recipe's numbers."""

    name: str
    values: tuple[Value, ...]
    apply: Apply
    of_recipe: bool = False

    @property
    def labels(self) -> list[str]:
        """The label of each value: `seed 1`, and words alone."""
        return [value.label for value in self.values]


class _Kind(NamedTuple):
    """An axis over a setting: `whole` numbers, any numbers (None: words), and how a value is set."""

    set: Callable[[Request, Any], Request]
    numeric: bool = True
    whole: bool = False


def _field(name: str) -> Callable[[Request, Any], Request]:
    return lambda request, value: replace(request, **{name: value})


def _tuned(name: str) -> Callable[[Request, Any], Request]:
    return lambda request, value: replace(request, tuning=replace(request.tuning, **{name: value}))


def _hires(name: str) -> Callable[[Request, Any], Request]:
    return lambda request, value: replace(request, hires=replace(request.hires or Hires(), **{name: value}))


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


def _size(request: Request, value: str) -> Request:
    found = re.fullmatch(r"(\d{1,5})[xX×](\d{1,5})", value)
    if found is None:
        raise UsageError(f"'{brief(value)}' is not a size such as 512x768.", "Write --x size=512x512,512x768.")
    return replace(request, width=int(found[1]), height=int(found[2]))


_WHOLE = {"seed": "seed", "steps": "steps", "clip-skip": "clip_skip", "ensd": "ensd"}
_NUMBERS = {"cfg": "cfg", "guidance": "guidance", "switch-at": "switch_at"}
_WORDS = {"sampler": "sampler", "schedule": "schedule", "emphasis": "emphasis", "rng": "rng"}
_TUNED = {
    "eta": "eta", "churn": "churn", "churn-min": "churn_min", "churn-max": "churn_max", "noise": "noise", "rho": "rho",
    "sigma-min": "sigma_min", "sigma-max": "sigma_max",
}  # fmt: skip
_SETTINGS: dict[str, _Kind] = {
    **{name: _Kind(_field(field), whole=True) for name, field in _WHOLE.items()},
    **{name: _Kind(_field(field)) for name, field in _NUMBERS.items()},
    **{name: _Kind(_field(field), numeric=False) for name, field in _WORDS.items()},
    **{name: _Kind(_tuned(field)) for name, field in _TUNED.items()},
    "size": _Kind(_size, numeric=False),
    "variation": _Kind(_variation),
    "denoise": _Kind(_denoise),
    "hires": _Kind(_scale),
    "hires-steps": _Kind(_hires("steps"), whole=True),
    "upscaler": _Kind(_hires("upscaler"), numeric=False),
}
#: Axes over text of the request in which the first value is replaced by each.
_TEXTS = {"prompt": "prompt", "negative": "negative"}
#: Axes over models, by the field of the wish.
_MODELS = {"model": "source", "vae": "vae", "refiner": "refiner"}
_LORA = "lora:"
#: Words for no VAE or refiner of its own.
_NONE = ("none", "own", "automatic")
AXES = (*_SETTINGS, *_TEXTS, *_MODELS, f"{_LORA}NAME")


def read_axis(text: str, request: Request, parameters: Collection[str] = (), blocks: Collection[str] = ()) -> Axis:
    """The axis that `NAME=VALUES` says, for a `request` and a recipe with these `parameters` and `blocks`.

    Raises UsageError for what no axis is, and for values that it cannot have.
    """
    name, sign, said = text.partition("=")
    name = name.strip()
    if not sign or not name:
        raise UsageError(f"'{brief(text)}' is no axis.", "Write NAME=VALUES, e.g. --x seed=1-4.")
    if name.lower().startswith(_LORA) and name[len(_LORA) :].strip():
        return _lora_axis(name[len(_LORA) :].strip(), said)
    key = axis_key(text)
    if key in _SETTINGS:
        return _setting_axis(key, _SETTINGS[key], said)
    if key in _TEXTS:
        return _text_axis(key, said, request)
    if key in _MODELS:
        return _model_axis(key, said)
    return _recipe_axis(name, said, parameters, blocks)


def axis_key(text: str) -> str:
    """The name in `NAME=VALUES` as axes are called."""
    return "-".join(re.split(r"[\s_-]+", text.partition("=")[0].strip().lower()))


def _setting_axis(name: str, kind: _Kind, said: str) -> Axis:
    if kind.numeric:
        found = numbers(said, name, whole=kind.whole)
        values = [Value(f"{name} {value:g}" if not kind.whole else f"{name} {value}", value) for value in found]
    else:
        label = short_name if name == "upscaler" else one_line
        values = [Value(label(word), word) for word in words(said, name)]
    return Axis(name, tuple(values), lambda wish, request, value: (wish, kind.set(request, value.value)))


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


def _model_axis(name: str, said: str) -> Axis:
    return model_axis(name, words(said, name))


def model_axis(name: str, refs: Sequence[str]) -> Axis:
    """The axis "model", "vae" or "refiner" over these; of the last two "none" is the model's own, and none."""
    none = {"vae": "own VAE", "refiner": "no refiner"}.get(name)
    values = [Value(none, "") if none and ref.lower() in _NONE else Value(short_name(ref), ref) for ref in refs]
    field = _MODELS[name]
    return Axis(name, tuple(values), lambda wish, request, value: (replace(wish, **{field: value.value}), request))


def short_name(ref: str) -> str:
    """The end of a path without its suffix: what people call a model."""
    return re.sub(
        r"\.(safetensors|sft|ckpt|pt|pth|gguf|toml)$", "", one_line(re.split(r"[/\\]", ref.rstrip("/\\"))[-1])
    )


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


def _recipe_axis(name: str, said: str, parameters: Collection[str], blocks: Collection[str]) -> Axis:
    """A parameter of the recipe, or a block (a stretch of them) of its weights."""
    key = name.lower().replace("-", "_")
    if key in parameters:
        values = tuple(Value(f"{name} {one_line(word)}", word) for word in _loose(said, name))

        def parameter(wish: Wish, request: Request, value: Value) -> tuple[Wish, Request]:
            return replace(wish, parameters=_with(wish.parameters, key, value.value)), request

        return Axis(key, values, parameter, of_recipe=True)
    is_stretch = bool(blocks) and re.fullmatch(r"[A-Za-z]+\d+-[A-Za-z]+\d+", name) is not None
    if is_stretch or name.upper() in {block.upper() for block in blocks}:
        block = name if name.lower() in {"te", "te1", "te2", "t5", "unet", "vae"} else name.upper()
        values = tuple(Value(f"{block} {value:g}", short(value)) for value in numbers(said, name))

        def weight(wish: Wish, request: Request, value: Value) -> tuple[Wish, Request]:
            return replace(wish, blocks=_with(wish.blocks, block, value.value)), request

        return Axis(block, values, weight, of_recipe=True)
    there = f"There are: {', '.join(AXES)}"
    if blocks:
        own = ", ".join([*parameters, "and blocks such as IN04 or IN00-IN05"])
        raise UsageError(f"There is no axis '{brief(name)}'.", f"{there}; of the recipe: {own}.")
    raise UsageError(
        f"There is no axis '{brief(name)}' of a model that is no recipe.",
        "Parameters such as alpha, and blocks such as IN04, are those of a recipe file, which SOURCE must be; "
        f"`modelhub recipe REF` prints that of a merge. {there}.",
    )


def _loose(said: str, name: str) -> list[str]:
    """Numbers and ranges where they are numbers, else words: presets, true and false."""
    try:
        return [short(value) for value in numbers(said, name)]
    except UsageError:
        return words(said, name)


def _with(pairs: tuple[tuple[str, str], ...], name: str, value: str) -> tuple[tuple[str, str], ...]:
    return tuple({**dict(pairs), name: value}.items())


assert {*_WHOLE.values(), *_NUMBERS.values(), *_WORDS.values()} <= {field.name for field in fields(Request)}
