"""Plan: a recipe with its models opened and checked becomes a source; the merge is that source, read.

The output has the first model's tensors, names, order and dtypes. Weights that all inputs have are merged; everything
that is not a weight, that another input lacks, or that belongs to the VAE (unless asked) is copied; EMA weights, stale
after any merge, are left out.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from modelhub.catalog.identity import Component
from modelhub.catalog.opener import Parent
from modelhub.errors import BadRecipeError, IncompatibleError, NotFoundError
from modelhub.formats.cast import PRECISIONS
from modelhub.formats.header import FLOAT_DTYPES, Header, TensorInfo
from modelhub.formats.rounding import Findings
from modelhub.formats.source import TensorSource, torch_dtype, whole_elements
from modelhub.merge.align import Model, Place, check_together
from modelhub.merge.expression import Apply, Expression, Leaf, fill, leaves
from modelhub.merge.provenance import provenance
from modelhub.merge.recipe import MERGE_VAE, ModelRef, Recipe, Step
from modelhub.merge.registry import find_method
from modelhub.text import plural


@dataclass
class PlanReport:
    """What a plan does with the tensors: names of the merged, copied and left-out ones, and sentences to warn of."""

    merged: list[str] = field(default_factory=list)
    copied: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    extra: dict[str, list[str]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


class Plan(TensorSource):
    """A merge that has not been written. `findings` counts, per tensor read so far, what was not finite."""

    def __init__(
        self, recipe: Recipe, models: Mapping[str, Model], nodes: Mapping[str, Expression], header: Header
    ) -> None:
        self.recipe, self.models, self.header = recipe, models, header
        self.report = PlanReport()
        self.findings: dict[str, Findings] = {}
        self._nodes = nodes
        self._lock = threading.Lock()

    def read_into(self, name: str, offset: int, buffer: memoryview) -> None:
        """Compute the bytes of a merged tensor, or copy those of an unchanged one."""
        info = self.info(name)
        node = self._nodes[name]
        if isinstance(node, Leaf) and node.dtypes == {info.dtype}:
            node.source.read_into(node.name, offset, buffer)
            return
        whole_elements(info, offset, buffer, lambda start, view: self._fill(name, node, info.dtype, start, view))

    def _fill(self, name: str, node: Expression, dtype: str, start: int, buffer: memoryview) -> None:
        import torch

        found = fill(node, dtype, start, torch.frombuffer(buffer, dtype=torch_dtype(dtype)))
        if found.not_finite:
            with self._lock:
                self.findings[name] = self.findings.get(name, Findings()) + found


def plan(recipe: Recipe, open: Callable[[str], Parent]) -> Plan:
    """Open the models of `recipe` with `open`, check that they fit, and lay out the file it would become.

    Reads headers only. Raises what `open` raises, IncompatibleError, UnknownModelError, and BadRecipeError when a model
    is not the content that the recipe is pinned to.
    """
    models = {key: Model(key, _opened(key, model, open)) for key, model in recipe.models.items()}
    return _Planner(recipe, models).plan()


def _opened(key: str, model: ModelRef, open: Callable[[str], Parent]) -> Parent:
    """The model by its name, or by its hash where the name is gone or is now another file."""
    try:
        parent = open(model.ref)
    except NotFoundError:
        if model.sha256 is None or model.sha256 == model.ref:
            raise
        return open(model.sha256)
    if model.sha256 and parent.sha256 and parent.sha256 != model.sha256:
        raise BadRecipeError(
            f"Model {key} of the recipe is '{model.ref}' with sha256 {model.sha256[:10]}…, and that name now is "
            f"another file ({parent.sha256[:10]}…).",
            "Name the right file, or take the sha256 out of the recipe.",
        )
    return parent


class _Planner:
    """Decides, tensor by tensor, what becomes of the first model."""

    def __init__(self, recipe: Recipe, models: dict[str, Model]) -> None:
        self.recipe, self.models = recipe, models
        self.steps = {step.name: step for step in recipe.steps if step.name}
        self.inputs = self._inputs(recipe.steps[-1])
        self.first = models[self.inputs[0]]
        self.report = PlanReport()

    def _inputs(self, step: Step) -> list[str]:
        """The models below a step, in the order they are met, each once."""
        found = [
            key for name in step.inputs for key in ([name] if name in self.models else self._inputs(self.steps[name]))
        ]
        return list(dict.fromkeys(found))

    def plan(self) -> Plan:
        """Check the models and build the plan."""
        involved = [self.models[key] for key in self.inputs]
        check_together(involved)
        nodes = self._nodes() | self._vae_nodes()
        dtype = PRECISIONS.get(self.recipe.dtype or "")
        entries = [(name, self._dtype(name, node, dtype), _origin(node).shape) for name, node in nodes.items()]
        pinned = self.recipe.pinned({key: m.parent.sha256 for key, m in self.models.items() if m.parent.sha256})
        made = Plan(self.recipe, self.models, nodes, Header.of(entries, provenance(pinned, self.models, self.first)))
        made.report = self._reported(involved, nodes)
        return made

    def _nodes(self) -> dict[str, Expression]:
        """Tensor name of the first model to what becomes of it."""
        nodes: dict[str, Expression] = {}
        for name in self.first.source.header.tensors:
            place = self.first.place(name)
            if place[0].startswith("ema"):
                self.report.dropped.append(name)
            elif not (self._other_vae and place[0].startswith("vae")):
                nodes[name] = self._node(name, place)
        return nodes

    @property
    def _other_vae(self) -> Model | None:
        """The model whose VAE replaces that of the first, if any."""
        chosen = self.recipe.vae
        return self.models[chosen] if chosen and chosen not in (MERGE_VAE, self.first.key) else None

    def _node(self, name: str, place: Place) -> Expression:
        kept = place[0].startswith("vae") and self.recipe.vae != MERGE_VAE and self.first.identity.kind != "vae"
        weight = self.first.source.info(name).dtype in FLOAT_DTYPES and not self._loose(place)
        if weight and not kept and self._everywhere(place):
            self._check_shapes(place)
            self.report.merged.append(name)
            return self._expression(self.recipe.steps[-1], place)
        self.report.copied.append(name)
        return Leaf(self.first.source, name)

    def _expression(self, step: Step, place: Place) -> Expression:
        inputs = tuple(self._input(name, place) for name in step.inputs)
        return Apply(find_method(step.method), step.parameters, inputs)

    def _input(self, name: str, place: Place) -> Expression:
        if name in self.models:
            return Leaf(self.models[name].source, self.models[name].places[place])
        return self._expression(self.steps[name], place)

    def _check_shapes(self, place: Place) -> None:
        found = {key: self.models[key].source.info(self.models[key].places[place]) for key in self.inputs}
        if len({info.shape for info in found.values()}) > 1:
            shapes = ", ".join(f"{list(info.shape)} in {key}" for key, info in found.items())
            raise IncompatibleError(
                f"The tensor {self.first.places[place]!r} is {shapes}: the models have other widths or channels.",
                "Merge models of one variant and width; `modelhub identify` shows both.",
            )
        strange = {info.dtype for info in found.values()} - FLOAT_DTYPES
        if strange:
            raise IncompatibleError(
                f"The tensor {self.first.places[place]!r} is {strange.pop()} in one model and a float in another."
            )

    def _vae_nodes(self) -> dict[str, Expression]:
        """The tensors of the VAE that replaces the first model's, under the first model's prefix."""
        other = self._other_vae
        if other is None:
            return {}
        part, mine = other.identity.component("vae"), self.first.identity.component("vae")
        if part is None:
            raise IncompatibleError(f"{other.parent.name} has no VAE.", "Name a VAE or a checkpoint with one.")
        self._check_vae(other, part, mine)
        prefix = mine.prefix if mine else "first_stage_model."
        names = {n for n in other.source.header.tensors if other.place(n)[0] == "vae1"}
        found: dict[str, Expression] = {prefix + other.place(n)[1]: Leaf(other.source, n) for n in sorted(names)}
        self.report.copied += found
        return found

    def _check_vae(self, other: Model, part: Component, mine: Component | None) -> None:
        """Refuse a VAE of another build; SD and SDXL have the same build, and latents of another scale: warn."""
        if mine and None not in (part.architecture, mine.architecture) and part.architecture != mine.architecture:
            raise IncompatibleError(
                f"{other.parent.name} has a VAE of the kind {part.architecture}, and {self.first.parent.name} one of "
                f"the kind {mine.architecture}.",
                "Name a VAE for this architecture.",
            )
        its, ours = other.identity.architecture, self.first.identity.architecture
        if other.identity.kind == "checkpoint" and its and ours and its != ours:
            self.report.warnings.append(f"The VAE comes from {other.parent.name}, which is {its} and not {ours}.")

    def _dtype(self, name: str, node: Expression, wanted: str | None) -> str:
        """What the tensor is stored as: the asked-for dtype for weights of components, else that of the first leaf."""
        own = _origin(node).dtype
        return wanted if wanted and own in FLOAT_DTYPES and not self._loose(self.first.place(name)) else own

    def _loose(self, place: Place) -> bool:
        """Whether a tensor of the first model stands beside its components, as the scheduler's data do."""
        return place[0] == "" and bool(self.first.identity.components)

    def _everywhere(self, place: Place) -> bool:
        """Whether all inputs have a tensor at this place."""
        return all(place in self.models[key].places for key in self.inputs)

    def _reported(self, involved: list[Model], nodes: Mapping[str, Expression]) -> PlanReport:
        report = self.report
        if not report.merged:
            raise IncompatibleError(
                "No tensor is in all of the models, so there is nothing to merge.",
                "Compare them with `modelhub identify`.",
            )
        for other in involved[1:]:
            extra = [
                name for place, name in other.places.items() if place not in self.first.places and place[0][:3] != "ema"
            ]
            if extra:
                report.extra[other.key] = extra
                report.warnings.append(f"{plural(len(extra), 'tensor')} only in {other.parent.name}: left out.")
        lacking = [n for n in report.copied if n in nodes and self._lacking(n)]
        if lacking:
            report.warnings.append(
                f"{plural(len(lacking), 'weight')} that not all models have: copied from {self.first.parent.name}."
            )
        if report.dropped:
            report.warnings.append(f"{plural(len(report.dropped), 'EMA tensor')} left out: a merge makes them stale.")
        predictions = {m.identity.prediction for m in involved if m.identity.prediction}
        if len(predictions) > 1:
            report.warnings.append(
                f"The models predict differently ({', '.join(sorted(predictions))}); the result goes by the first."
            )
        return report

    def _lacking(self, name: str) -> bool:
        place = self.first.place(name)
        return place in self.first.places and not self._everywhere(place)


def _origin(node: Expression) -> TensorInfo:
    """The header's entry of the first tensor of an expression, whose shape the result has."""
    leaf = next(leaves(node))
    return leaf.source.info(leaf.name)
