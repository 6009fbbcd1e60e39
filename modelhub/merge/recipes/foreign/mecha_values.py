"""What lines of an sd-mecha recipe stand for, and which methods of it have an equal here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from modelhub.catalog.weighing.draft import MAX_KEYS
from modelhub.catalog.weighing.weight import Weight
from modelhub.text import brief

#: A model or step by its name (str), a number, a dict, a text, or one of the differences below.
Value = Any


class Difference(NamedTuple):
    """`model` minus `base`, both names of models or steps."""

    model: str
    base: str


class Perpendicular(NamedTuple):
    """The part of the second difference that is perpendicular to the first."""

    one: Difference
    two: Difference


class Average(NamedTuple):
    """The mean of differences from one model."""

    differences: tuple[Difference, ...]

    @property
    def base(self) -> str:
        """The model that all start from."""
        return self.differences[0].base


class Scaled(NamedTuple):
    """A difference, or something made of some, times a number."""

    delta: Value
    by: float


class Ties(NamedTuple):
    """TIES of differences from one model; signs are voted for by sums of numbers, or by counting them."""

    differences: tuple[Difference, ...]
    density: float | Weight
    by_sum: bool

    @property
    def base(self) -> str:
        """The model that all start from."""
        return self.differences[0].base


class Mask(NamedTuple):
    """Weights of a difference, for each number of a tensor its own; `method` is ours that has them built in."""

    method: str
    a: str
    b: str
    c: str
    alpha: float | Weight


class Call(NamedTuple):
    """A method with its inputs and parameters, those that were not said included."""

    name: str
    inputs: tuple[Value, ...]
    parameters: dict[str, Value]


@dataclass(frozen=True)
class Signature:
    """A method of sd-mecha: how many inputs it takes (0: any number), and its parameters with their defaults.

    `method` is ours, `ours` gives our names of its parameters; `fixed` are values that parameters must have for it.
    """

    inputs: int
    parameters: Mapping[str, Value] = field(default_factory=dict)
    method: str = ""
    ours: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, Value] = field(default_factory=dict)


_ALPHA = {"alpha": "alpha"}
_WEISZFELD = {"eps": 1e-6, "maxiter": 100, "ftol": 1e-20}
SIGNATURES: dict[str, Signature] = {
    "weighted_sum": Signature(2, {"alpha": 0.5}, "weighted-sum", _ALPHA),
    "slerp": Signature(2, {"alpha": 0.5}, "slerp", _ALPHA),
    "n_average": Signature(0, {}, "average"),
    "tensor_sum": Signature(2, {"width": 0.5, "offset": 0.0}, "tensor-sum", {"width": "alpha", "offset": "beta"}),
    "geometric_median": Signature(0, _WEISZFELD, "geometric-median", fixed=_WEISZFELD),
    "add_difference": Signature(2, {"alpha": 1.0}),
    "subtract": Signature(2),
    "perpendicular_component": Signature(2),
    "train_difference_mask": Signature(3, {"alpha": 1.0}, "train-difference"),
    "add_opposite_mask": Signature(3, {"alpha": 1.0}, "add-opposite"),
    "ties_sum": Signature(0, {"k": 1.0, "vote_sgn": False}),
    "clamp": Signature(0, {"stiffness": 0.0}, "clamp", fixed={"stiffness": 0.0}),
    "fallback": Signature(2),
    "scale": Signature(1, {"alpha": 1.0}),
    "convert_singleton": Signature(1),
    "convert_sd1_blocks_to_ldm": Signature(1),
    "convert_sdxl_blocks_to_sgm": Signature(1),
}


def bound(name: str, words: Sequence[Value], named: Mapping[str, Value]) -> Call:
    """A call with its inputs and parameters told apart. Raises ValueError for what the method does not take."""
    signature = SIGNATURES[name]
    parameters = dict(signature.parameters)
    if signature.inputs == 0:
        inputs = list(words)
    else:
        letters = "abc"[: signature.inputs]
        inputs = list(words[: signature.inputs])
        inputs += [named[letter] for letter in letters[len(inputs) :] if letter in named]
        named = {key: value for key, value in named.items() if key not in letters}
        parameters |= dict(zip(parameters, words[signature.inputs :], strict=False))
        if len(words) > signature.inputs + len(parameters):
            raise ValueError("it has too many words")
    if len(inputs) < max(signature.inputs, 1):
        raise ValueError(f"it takes {signature.inputs or 'some'} models, and has {len(inputs)}")
    unknown = next((key for key in named if key not in parameters), None)
    if unknown is not None:
        raise ValueError(f"it has no parameter '{brief(unknown)}'")
    return Call(name, tuple(inputs), parameters | dict(named))


def block_weight(table: Mapping[str, Value]) -> Weight:
    """A dict of numbers by block or by tensor as a weight; "" is what holds for all others.

    sd-mecha counts the time and label embeddings to BASE. Raises ValueError for what is no number.
    """
    for name, value in table.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(f"the weight of '{brief(name)}' is no number")
    numbers = {name: float(value) for name, value in table.items()}
    base = numbers.pop("BASE", numbers.pop("", None))
    numbers.pop("", None)
    vae = {"vae": numbers.pop("VAE")} if "VAE" in numbers else {}
    blocks = {name: value for name, value in numbers.items() if "." not in name}
    keys = [(name, value) for name, value in numbers.items() if "." in name]
    if base is not None and blocks:
        keys += [(f"unet:*{name}.*", base) for name in ("time_embed", "label_emb")]
    if len(keys) > MAX_KEYS:
        raise ValueError(f"it has numbers for {len(keys):,} tensors; {MAX_KEYS:,} are allowed")
    return Weight(base, vae, blocks, tuple(keys))
