"""sd-mecha's recipes: a graph of merges, brought to our steps where a method of ours computes the same.

There, differences of models are values of their own ("delta"); here they are part of a method. So a difference is kept
as it is until it is added to something, and then the two together are one step.
Source of the methods: sd_mecha/extensions/builtin/merge_methods of sd-mecha 1.1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from modelhub.catalog.weighing.weight import Weight
from modelhub.errors import BadRecipeError
from modelhub.merge.recipes.foreign.mecha_text import Line, Ref, Word, read_lines, wrong
from modelhub.merge.recipes.foreign.mecha_values import (
    SIGNATURES,
    Average,
    Call,
    Difference,
    Mask,
    Perpendicular,
    Scaled,
    Ties,
    Value,
    block_weight,
    bound,
)
from modelhub.merge.recipes.foreign.named import bare_name
from modelhub.merge.recipes.parts import MERGE_VAE, ModelRef, Recipe, Step, letters
from modelhub.text import brief

_NOTE = "sd-mecha's recipe does not tell the precision of the file; its own default is fp16."
#: What differs of methods that are the same but for details.
_DETAILS = {
    "tensor-sum": "sd-mecha rounds the ends of tensor_sum's rows, and modelhub leaves fractions out: they may differ "
    "by a row.",
    "ties": "sd-mecha's ties_sum may keep one number more or less of each tensor than a density does.",
    "geometric-median": "sd-mecha stops looking for a median that is one of the models before it is there: they may "
    "differ by some thousandths of the way.",
}
_SINGLE = "singleton-mecha"
_ELSEWHERE = "Write the recipe down by hand; `modelhub methods` lists what there is."


def read_mecha(text: str) -> Recipe:
    """The recipe that a text of sd-mecha describes. Raises BadRecipeError with the line that has no equal here."""
    reader = _Reader()
    for line in read_lines(text):
        reader.add(line)
    return reader.recipe()


class _Reader:
    """Goes through the lines, and keeps what each of them is."""

    def __init__(self) -> None:
        self.models: dict[str, ModelRef] = {}
        self.steps: list[Step] = []
        self.values: list[Value] = []
        self.deltas: set[str] = set()
        self._letters = letters()
        self._at = 0

    def add(self, line: Line) -> None:
        """Understand one line."""
        self._at = line.at
        words = [self._value(word) for word in line.words]
        named = {name: self._value(word) for name, word in line.named.items()}
        if line.command == "dict":
            self.values.append(named)
        elif line.command == "literal":
            self.values.append(_literal(words, named))
        elif line.command == "model":
            self.values.append(self._model(words, named))
        else:
            self.values.append(self._merge(words, named))

    def recipe(self) -> Recipe:
        """The recipe, whose last step is the last line; what that does not need is left out."""
        last = self.values[-1] if self.values else None
        if not isinstance(last, str) or last in self.models or last in self.deltas:
            raise self._wrong("the last line is no merge of models", "The last line of a recipe is its result.")
        steps = self._needed(last)
        used = {name for step in steps for name in step.inputs}
        models = {key: model for key, model in self.models.items() if key in used}
        return Recipe(models, tuple(steps), vae=MERGE_VAE, notes=self._notes(steps))

    def _notes(self, steps: list[Step]) -> tuple[str, ...]:
        methods = {step.method for step in steps}
        return (_NOTE, *(note for method, note in _DETAILS.items() if method in methods))

    def _needed(self, last: str) -> list[Step]:
        wanted, found = {last}, []
        for step in reversed(self.steps):
            if step.name in wanted:
                found.append(step)
                wanted |= {*step.inputs}
        return [*found[:0:-1], Step(found[0].method, found[0].inputs, found[0].parameters)]

    def _wrong(self, what: str, hint: str = _ELSEWHERE) -> BadRecipeError:
        return wrong(self._at, what, hint)

    def _value(self, word: Word) -> Value:
        return self.values[word.line] if isinstance(word, Ref) else _Text(word) if isinstance(word, str) else word

    def _model(self, words: list[Value], named: Mapping[str, Value]) -> str:
        path = words[0] if words else None
        if not isinstance(path, _Text) or not path.text.strip():
            raise self._wrong("a model has no path", "A model is named by its path.")
        if str(getattr(named.get("merge_space"), "text", "weight")) == "delta":
            raise self._wrong(f"'{brief(path.text)}' is a difference, such as a LoRA", "Bake it with `modelhub lora`.")
        key = next(self._letters)
        self.models[key] = ModelRef(bare_name(path.text))
        return key

    def _merge(self, words: list[Value], named: dict[str, Value]) -> Value:
        if not words or not isinstance(words[0], _Text):
            raise self._wrong("a merge names no method", "The first word behind merge is the method.")
        name = words[0].text
        if name not in SIGNATURES:
            raise self._wrong(f"the method '{brief(name)}' has no equal here")
        try:
            call = bound(name, words[1:], named)
        except ValueError as error:
            raise self._wrong(f"{name}: {error}", "See the documentation of sd-mecha.") from error
        return _MAKERS.get(name, _Reader._plain)(self, call)

    # -- methods ---------------------------------------------------------------------------------------------------

    def _step(self, method: str, inputs: tuple[Value, ...], parameters: Mapping[str, Any]) -> str:
        name = f"line-{self._at}"
        models = tuple(value if isinstance(value, str) else self._model_of(value) for value in inputs)
        self.steps.append(Step(method, models, dict(parameters), name))
        return name

    def _model_of(self, value: Value) -> str:
        if isinstance(value, str) and value not in self.deltas:
            return value
        what = "a difference of models" if isinstance(value, Difference | Perpendicular | Ties) else "no model"
        raise self._wrong(f"an input is {what}, and this method takes models here")

    def _plain(self, call: Call) -> str:
        """A method that ours computes with the same inputs and parameters."""
        signature = SIGNATURES[call.name]
        for name, must in signature.fixed.items():
            if call.parameters[name] != must:
                raise self._wrong(f"{call.name} with {name} = {call.parameters[name]!r} has no equal here")
        found = {ours: self._number(call.parameters[name]) for name, ours in signature.ours.items()}
        kinds = {isinstance(value, Difference) or value in self.deltas for value in call.inputs}
        if len(kinds) > 1:
            raise self._wrong(f"{call.name} of models and differences together has no equal here")
        inputs = tuple(self._made(value) for value in call.inputs)
        made = self._step(signature.method, inputs, found)
        if kinds == {True}:
            self.deltas.add(made)
        return made

    def _made(self, value: Value) -> Value:
        """A difference as the result of a step of its own."""
        if not isinstance(value, Difference):
            return value
        name = f"difference-{len(self.steps)}"
        self.steps.append(Step("subtract", (value.model, value.base), {}, name))
        self.deltas.add(name)
        return name

    def _number(self, value: Value) -> float | Weight:
        if isinstance(value, dict):
            return self._blocks(value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._wrong(f"a parameter is {_kind(value)} and not a number or a dict of numbers")
        return value

    def _blocks(self, table: Mapping[str, Value]) -> Weight:
        try:
            return block_weight(table)
        except ValueError as error:
            raise self._wrong(str(error), "Write the weights as BLOCK=NUMBER.") from error

    def _same(self, call: Call) -> Value:
        return call.inputs[0]

    def _fallback(self, call: Call) -> Value:
        """`a | b`: where a lacks a tensor, that of b. A merge lacks none that its first input has."""
        first, second = call.inputs
        if isinstance(first, dict) and isinstance(second, int | float):
            return {**first, "": second}
        if isinstance(first, str) and isinstance(second, str) and self._first_model(first) == self._first_model(second):
            return first
        raise self._wrong("falls back to another model than the first of the merge, which has no equal here")

    def _first_model(self, name: str) -> str:
        steps = {step.name: step for step in self.steps}
        while name in steps:
            name = steps[name].inputs[0]
        return name

    def _scale(self, call: Call) -> Value:
        """A difference times a number, which is part of how much of it is added."""
        delta, by = call.inputs[0], call.parameters["alpha"]
        if isinstance(by, dict) or isinstance(delta, Scaled | int | float | dict):
            raise self._wrong("scales by weights of blocks, or what is no difference, which has no equal here")
        return Scaled(delta, float(self._number(by)))  # type: ignore[arg-type]

    def _subtract(self, call: Call) -> Value:
        return Difference(*(self._model_of(value) for value in call.inputs))

    def _perpendicular(self, call: Call) -> Value:
        one, two = call.inputs
        if not (isinstance(one, Difference) and isinstance(two, Difference) and one.base == two.base):
            raise self._wrong("perpendicular_component of others than two differences from one model has no equal here")
        return Perpendicular(one, two)

    def _average(self, call: Call) -> Value:
        if all(isinstance(value, Difference) for value in call.inputs) and len({d.base for d in call.inputs}) == 1:
            return Average(self._differences(call))
        return self._plain(call)

    def _differences(self, call: Call) -> tuple[Difference, ...]:
        found = tuple(value for value in call.inputs if isinstance(value, Difference))
        if len(found) < len(call.inputs) or len({one.base for one in found}) != 1:
            raise self._wrong(f"{call.name} of others than differences from one model has no equal here")
        return found

    def _ties(self, call: Call) -> Value:
        density = self._number(call.parameters["k"])
        return Ties(self._differences(call), density, bool(call.parameters["vote_sgn"]))

    def _mask(self, call: Call) -> Value:
        a, b, c = (self._model_of(value) for value in call.inputs)
        return Mask(SIGNATURES[call.name].method, a, b, c, self._number(call.parameters["alpha"]))

    def _add(self, call: Call) -> Value:
        """add_difference: what the difference is tells the method."""
        model, delta = call.inputs
        alpha, a = call.parameters["alpha"], self._model_of(model)
        if isinstance(delta, Scaled):
            if not isinstance(alpha, int | float):
                raise self._wrong("adds a scaled difference by weights of blocks, which has no equal here")
            delta, alpha = delta.delta, alpha * delta.by
        if isinstance(delta, Difference):
            if isinstance(alpha, Mask):
                return self._masked(a, delta, alpha)
            return self._step("add-difference", (a, delta.model, delta.base), {"alpha": self._number(alpha)})
        parameters: dict[str, Any] = {"alpha": self._number(alpha)}
        if isinstance(delta, str) and delta in self.deltas:
            return self._step("add", (a, delta), parameters)
        if isinstance(delta, Perpendicular) and a == delta.one.model:
            return self._step("perpendicular", (a, delta.two.model, delta.one.base), parameters)
        if isinstance(delta, Average | Ties) and delta.base == a:
            return self._from_base(a, delta, parameters)
        raise self._wrong(f"adds {_kind(delta)} to a model that it does not start from, which has no equal here")

    def _masked(self, a: str, delta: Difference, mask: Mask) -> Value:
        if (mask.a, mask.b, mask.c) != (a, delta.model, delta.base):
            raise self._wrong("a mask of other models than those that are added has no equal here")
        return self._step(mask.method, (a, delta.model, delta.base), {"alpha": mask.alpha})

    def _from_base(self, a: str, delta: Average | Ties, parameters: dict[str, Any]) -> Value:
        inputs = (a, *(one.model for one in delta.differences))
        if isinstance(delta, Ties):
            sign = "sum" if delta.by_sum else "count"
            return self._step("ties", inputs, {**parameters, "density": delta.density, "sign": sign})
        return self._step("task-arithmetic", inputs, {**parameters, "normalize": True})


def _literal(words: Sequence[Value], named: Mapping[str, Value]) -> Value:
    """What a literal says; sd-mecha 1.1.8 writes a single value as a dict of one, in a configuration of its own."""
    value = words[0] if words else None
    config = named.get("model_config")
    if isinstance(config, _Text) and config.text == _SINGLE and isinstance(value, dict) and len(value) == 1:
        return next(iter(value.values()))
    return value


class _Text(tuple[str]):
    """A text of the recipe, so that it is not taken for the name of a model or step."""

    __slots__ = ()

    def __new__(cls, text: str) -> _Text:
        return super().__new__(cls, (text,))

    @property
    def text(self) -> str:
        """The text itself."""
        return self[0]


def _kind(value: Value) -> str:
    words = {str: "a model", dict: "a table", bool: "yes or no", int: "a number", float: "a number", _Text: "a text"}
    return words.get(type(value), "a difference" if isinstance(value, Difference) else type(value).__name__.lower())


_MAKERS: dict[str, Callable[[_Reader, Call], Value]] = {
    "fallback": _Reader._fallback,
    "scale": _Reader._scale,
    "subtract": _Reader._subtract,
    "perpendicular_component": _Reader._perpendicular,
    "n_average": _Reader._average,
    "ties_sum": _Reader._ties,
    "train_difference_mask": _Reader._mask,
    "add_opposite_mask": _Reader._mask,
    "add_difference": _Reader._add,
    "convert_singleton": _Reader._same,
    "convert_sd1_blocks_to_ldm": _Reader._same,
    "convert_sdxl_blocks_to_sgm": _Reader._same,
}
