"""Growing: the expression that makes one tensor, from the steps of a recipe and what the models have at its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from modelhub.catalog.weighing.key_rules import key_rule
from modelhub.catalog.weighing.spots import spot
from modelhub.catalog.weighing.weights import Spot, Weight
from modelhub.errors import IncompatibleError
from modelhub.formats.header import FLOAT_DTYPES
from modelhub.merge.engine.expression import Apply, Leaf, Node, Survey
from modelhub.merge.inputs.align import Model, Place
from modelhub.merge.planning.channels import LATENT_CHANNELS, Input, alike, continued, narrow_first
from modelhub.merge.planning.report import Weighed
from modelhub.merge.planning.spots import components_called, numbers, resolved
from modelhub.merge.recipes.recipe import Recipe
from modelhub.merge.registry import Method, find_method
from modelhub.text import brief


@dataclass(frozen=True, eq=False)
class Viewed(Leaf):
    """A leaf whose elements are seen in another shape: a 1x1 convolution as a matrix, and the other way round."""

    seen: tuple[int, ...] = ()

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """The other shape."""
        return self.seen


def leaf_of(model: Model, name: str, shape: tuple[int, ...]) -> Leaf | None:
    """A tensor of a model in `shape`; None if it has another shape by more than sizes of 1 at its end."""
    own = model.source.info(name).shape
    if own == shape:
        return Leaf(model.source, name)
    return Viewed(model.source, name, shape) if _trimmed(own) == _trimmed(shape) else None


def _trimmed(shape: tuple[int, ...]) -> tuple[int, ...]:
    end = len(shape)
    while end and shape[end - 1] == 1:
        end -= 1
    return shape[:end]


class Trees:
    """Grows expressions from the steps of a recipe; `models` are in one layout, `architecture` tells their blocks."""

    def __init__(self, recipe: Recipe, models: Mapping[str, Model], architecture: str | None) -> None:
        self.models, self.steps, self.architecture = models, recipe.steps, architecture
        self.methods = [find_method(step.method) for step in recipe.steps]
        self.only = [components_called(step.only) for step in recipe.steps]
        self.numbers = {step.name: at for at, step in enumerate(recipe.steps) if step.name}
        self.weighed = Weighed()
        self.spots: list[Spot] = []
        self._surveys: dict[int, Survey] = {}

    def grow(self, place: Place, component: str, full: str, shape: tuple[int, ...]) -> Growth:
        """The expression of the last step at `place`, for a tensor called `full` of `shape` in the result.

        `component` is that of the place, as people write it. Raises IncompatibleError for tensors that do not fit.
        """
        self.spots.append(spot(self.architecture, component, place[1], full))
        growth = Growth(self, place, self.spots[-1], shape)
        growth.node = growth.step(len(self.steps) - 1)
        return growth

    def idle_patterns(self) -> Iterator[tuple[int, str, str]]:
        """Number of the step, parameter and pattern of key rules that fit no tensor that grew."""
        for at, step in enumerate(self.steps, 1):
            for name, value in step.parameters.items():
                for pattern, _ in value.keys if isinstance(value, Weight) else ():
                    if not any(key_rule(pattern).fits(*spot) for spot in self.spots):
                        yield at, name, pattern

    def survey(self, at: int) -> Survey | None:
        """What all tensors of a step share, if its method looks at all of them first."""
        return self._surveys.setdefault(at, Survey()) if self.methods[at].survey else None

    def is_delta(self, name: str) -> bool:
        """Whether an input is the result of a step that gives differences."""
        return name in self.numbers and self.methods[self.numbers[name]].delta

    @property
    def passes(self) -> int:
        """How often every input is read."""
        return 1 + (self._measured(len(self.steps) - 1) if self.steps else 0)

    def _measured(self, at: int) -> int:
        below = [self._measured(self.numbers[name]) for name in self.steps[at].inputs if name in self.numbers]
        return self.methods[at].passes - 1 + max(below, default=0)


class Growth:
    """What grew at one place: `node` is None where nothing may be made of what there is.

    `lacking`: letters of the models that have no such tensor; `applied`: whether any method had a say; `widened`: what
    was done where inputs have other numbers of channels ("kept", "taken", "cut"), None elsewhere.
    """

    def __init__(self, trees: Trees, place: Place, spot: Spot, shape: tuple[int, ...]) -> None:
        self.node: Node | None = None
        self.lacking: list[str] = []
        self.applied = False
        self.widened: str | None = None
        self._trees, self._place, self._spot, self._shape = trees, place, spot, shape
        self._made: dict[int, Node | None] = {}

    def step(self, at: int) -> Node | None:
        """The expression of one step; the same object however many steps take it."""
        if at not in self._made:
            self._made[at] = self._stepped(at)
        return self._made[at]

    def _stepped(self, at: int) -> Node | None:
        step, method, only = self._trees.steps[at], self._trees.methods[at], self._trees.only[at]
        if only and self._spot.component not in only:
            return self._input(step.inputs[0])
        values = resolved(method, step, self._spot)
        found = [self._input(name) for name in step.inputs]
        there = [number for number, node in enumerate(found) if node is not None]
        if len(there) < len(found) and not _enough(method, there):
            return None if method.delta else found[there[0]] if there and method.adds else found[0]
        inputs = [
            Input(node, self._trees.is_delta(name)) for node, name in zip(found, step.inputs, strict=True) if node
        ]
        return self._combined(at, inputs, _of_those(method, there, values))

    def _input(self, name: str) -> Node | None:
        return self._leaf(name) if name in self._trees.models else self.step(self._trees.numbers[name])

    def _leaf(self, key: str) -> Node | None:
        model = self._trees.models[key]
        name = model.places.get(self._place)
        if name is None:
            self.lacking += [key] if key not in self.lacking else []
            return None
        info = model.source.info(name)
        if info.dtype not in FLOAT_DTYPES:
            raise IncompatibleError(
                f"The tensor {brief(name)} is {info.dtype} in {model.parent.name} and a float in another model.",
                "Mend it with `modelhub repair`.",
            )
        found = leaf_of(model, name, self._shape) or (Leaf(model.source, name) if self._wider(info.shape) else None)
        if found is None:
            raise self._misfit()
        return found

    def _wider(self, shape: tuple[int, ...]) -> bool:
        """Whether a tensor takes the latent, with another number of channels than that of the first model."""
        own, known = self._shape, self._place[1] in LATENT_CHANNELS and self._spot.component == "unet"
        return known and len(own) == len(shape) > 1 and (own[0], own[2:]) == (shape[0], shape[2:])

    def _misfit(self) -> IncompatibleError:
        found = {key: model.source.info(model.places[self._place]).shape for key, model in self._having()}
        shapes = ", ".join(f"{list(shape)} in {key}" for key, shape in found.items())
        return IncompatibleError(
            f"The tensor {brief(self._spot.full, 120)} is {shapes}: the models have other widths or channels.",
            "Merge models of one variant and width; `modelhub identify` shows both.",
        )

    def _having(self) -> list[tuple[str, Model]]:
        return [(key, model) for key, model in self._trees.models.items() if self._place in model.places]

    def _combined(self, at: int, inputs: Sequence[Input], values: dict[str, Any]) -> Node:
        """A step applied to nodes of this place, or the one of them that it picks."""
        method = self._trees.methods[at]
        self.applied = True
        where = (self._spot.component, self._spot.block)
        self._trees.weighed.note(at + 1, method.name, where, numbers(method, values))
        nodes, widened = alike(method, inputs, LATENT_CHANNELS.get(self._place[1], 0))
        if widened == "cut" and method.adds:
            raise narrow_first(method, self._spot.full, inputs)
        self.widened = widened or self.widened
        picked = method.pick(values) if method.pick else None
        made = nodes[picked] if picked is not None else self._applied(at, tuple(nodes), values)
        return continued(made, inputs[0].node) if widened == "kept" else made

    def _applied(self, at: int, nodes: tuple[Node, ...], values: dict[str, Any]) -> Apply:
        survey = self._trees.survey(at)
        name = "/".join(self._place)
        made = Apply(self._trees.methods[at], values, nodes, name, survey)
        if survey is not None:
            survey.members.append((name, made))
        return made


def _enough(method: Method, there: list[int]) -> bool:
    """Whether a method of many inputs can do without those that are not `there`."""
    fixed = len(method.names)
    return method.many and len(there) >= method.least and there[:fixed] == list(range(fixed))


def _of_those(method: Method, there: list[int], values: dict[str, Any]) -> dict[str, Any]:
    """The parameters with the numbers of those inputs only that are `there`, where every input has its own."""
    fixed = len(method.names)
    kept = {number - fixed for number in there}
    lists = {one.name for one in method.parameters if one.kind == "list"}
    return {
        name: tuple(n for at, n in enumerate(value) if at in kept) if name in lists else value
        for name, value in values.items()
    }
