"""Compat: AUTOMATIC1111's merger to the last bit, with its roundings and its choice of tensors.

It computes in the files' own precision and rounds after every operation, and merges every tensor whose name contains
"model", the VAE and EMA weights among them. Formulas and rules: `modules/extras.py` of stable-diffusion-webui 1.10.
Whole numbers are copied here; there, those of SDXL's second text encoder become floats, which is known to be a fault.
"""

from __future__ import annotations

from collections.abc import Mapping

from modelhub.catalog.weighing.weights import Weight
from modelhub.errors import IncompatibleError, UsageError
from modelhub.merge.engine.expression import Leaf, Node
from modelhub.merge.inputs.align import Model
from modelhub.merge.planning.channels import continued, narrowed
from modelhub.merge.planning.report import PlanReport
from modelhub.merge.planning.unrounded import Unrounded, promoted
from modelhub.merge.recipes.recipe import MERGE_VAE, Recipe
from modelhub.text import brief

_METHODS = ("weighted-sum", "add-difference")
_FLOATS = ("F16", "BF16", "F32", "F64")
_VAE = "first_stage_model."
_WITHOUT = "Leave out the compatibility mode."
#: How it names tensors of a text encoder that was saved by an old transformers.
_TEXT = "cond_stage_model.transformer."
_OLD_NAMES = {_TEXT + part: f"{_TEXT}text_model.{part}" for part in ("embeddings.", "encoder.", "final_layer_norm.")}


def check_compat(recipe: Recipe) -> None:
    """Raise UsageError for what AUTOMATIC1111's merger cannot do."""
    if recipe.loras:
        raise UsageError("AUTOMATIC1111's merger cannot do this. It bakes no LoRAs in.", _WITHOUT)
    step = recipe.steps[-1]
    alpha = step.parameters.get("alpha")
    refusals = {
        f"It knows {' and '.join(_METHODS)}, not {step.method}.": step.method not in _METHODS,
        "It does one step at a time.": len(recipe.steps) > 1,
        "It has one number for all tensors.": isinstance(alpha, Weight),
        "It merges all components.": bool(step.only or recipe.take),
        "It writes fp16, or the precision of the models.": recipe.dtype not in (None, "fp16"),
    }
    for why, is_so in refusals.items():
        if is_so:
            raise UsageError(f"AUTOMATIC1111's merger cannot do this. {why}", _WITHOUT)


class CompatTrees:
    """What becomes of each tensor of the first model, by the rules of AUTOMATIC1111's merger."""

    def __init__(self, recipe: Recipe, models: Mapping[str, Model], report: PlanReport) -> None:
        step = recipe.steps[-1]
        self.a, self.b, *rest = (models[key] for key in step.inputs)
        self.c = rest[0] if rest else None
        self.vae = models[recipe.vae] if recipe.vae and recipe.vae != MERGE_VAE else None
        self.alpha, self.half = float(step.parameters["alpha"]), recipe.dtype == "fp16"  # type: ignore[arg-type]
        self.report = report
        self._files: dict[str, Mapping[str, str]] = {}

    def nodes(self) -> dict[str, tuple[Node, str]]:
        """Name to its expression and the dtype that it is stored as.

        Raises IncompatibleError for shapes that do not fit, and when no tensor would be merged.
        """
        found = {name: self._baked(name) or self._made(name) for name in self._names(self.a)}
        if not self.report.merged:
            raise IncompatibleError(
                f"AUTOMATIC1111's merger merges tensors with 'model' in their names, and {self.a.parent.name} has none "
                f"that {self.b.parent.name} has too: it would write an unchanged copy.",
                "Leave out the compatibility mode.",
            )
        return found

    def _baked(self, name: str) -> tuple[Node, str] | None:
        """What another VAE has for this tensor."""
        if self.vae is None or not name.startswith(_VAE):
            return None
        found = self._leaf(self.vae, name) or self._leaf(self.vae, name.removeprefix(_VAE))
        own = self._leaf(self.a, name)
        if found is None or own is None:
            return None
        if found.shape != own.shape:
            raise _misfit(name, (self.a, own), (self.vae, found))
        self._tell(name, f"the VAE of {self.vae.parent.name}")
        return found, self._stored(promoted(found.dtypes))

    def _made(self, name: str) -> tuple[Node, str]:
        a, b = self._leaf(self.a, name), self._leaf(self.b, name)
        assert a is not None, "it is a name of A"
        dtype = promoted(a.dtypes)
        reason = self._reason(name, dtype, b)
        if reason or b is None:
            self._tell(name, reason or "")
            return a, dtype
        self.report.merged.append(name)
        c = self._leaf(self.c, name)
        for other in (b, c):
            if other is not None and not other.dtypes <= set(_FLOATS):
                raise IncompatibleError(
                    f"AUTOMATIC1111's merger cannot compute with {brief(name)} in {', '.join(other.dtypes)}.",
                    "Leave out the compatibility mode.",
                )
        return self._computed(name, a, b, c)

    def _reason(self, name: str, dtype: str, b: Node | None) -> str | None:
        """Why a tensor is copied, if it is."""
        if "model" not in name:
            return "no 'model' in its name"
        if b is None:
            return f"not in {self.b.parent.name}"
        if name.endswith("position_ids") or dtype not in _FLOATS:
            return "no weights"
        return None

    def _computed(self, name: str, a: Node, b: Node, c: Node | None) -> tuple[Node, str]:
        if c is not None and c.shape != b.shape and self.c is not None:
            raise _misfit(name, (self.b, b), (self.c, c))
        if a.shape == b.shape:
            made = Unrounded(a, b, self.alpha, c, self.c is not None)
            return made, self._stored(made.dtype)
        wide = len(a.shape) == 4 == len(b.shape) and (a.shape[0], a.shape[2:]) == (b.shape[0], b.shape[2:])
        if not wide or b.shape[1] != 4 or a.shape[1] not in (8, 9):
            raise _misfit(name, (self.a, a), (self.b, b))
        merged = Unrounded(narrowed(a, 4), b, self.alpha, c, self.c is not None)
        own = promoted(a.dtypes)
        return continued(merged, a), self._stored(own)

    def _stored(self, dtype: str) -> str:
        return "F16" if self.half and dtype == "F32" else dtype

    def _tell(self, name: str, reason: str) -> None:
        self.report.copied.append(name)
        self.report.reasons[name] = reason

    def _leaf(self, model: Model | None, name: str) -> Leaf | None:
        """A tensor by the name that the merger sees."""
        own = self._names(model).get(name) if model else None
        return Leaf(model.parent.source, own) if model and own is not None else None

    def _names(self, model: Model) -> Mapping[str, str]:
        """The names that the merger sees, and those in the file."""
        if model.key not in self._files:
            names = model.parent.source.header.tensors
            self._files[model.key] = {_renamed(name): name for name in names}
        return self._files[model.key]


def _renamed(name: str) -> str:
    return next((new + name.removeprefix(old) for old, new in _OLD_NAMES.items() if name.startswith(old)), name)


def _misfit(name: str, one: tuple[Model, Node], two: tuple[Model, Node]) -> IncompatibleError:
    each = [f"{list(node.shape)} in {model.parent.name}" for model, node in (one, two)]
    return IncompatibleError(
        f"The tensor {brief(name, 120)} is {' and '.join(each)}.",
        "A model for inpainting or editing goes first; other shapes cannot be merged.",
    )
