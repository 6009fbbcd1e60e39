"""Files that the LoRA place writes as they are read: a checkpoint with LoRAs baked in, a LoRA under other names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from modelhub.catalog.asset import Asset
from modelhub.catalog.opener import Opener, Parent
from modelhub.catalog.weighing.weight import Weight
from modelhub.formats.cast import PRECISIONS
from modelhub.jobs import Job
from modelhub.lora.making.telling import TextRow
from modelhub.lora.making.workbench import check_goal
from modelhub.text import human_size, one_line, plural
from modelhub.tui.lab import kitchen
from modelhub.tui.lab.kitchen import default_name, without_force
from modelhub.tui.library import Library
from modelhub.tui.loras.making import Making, sized
from modelhub.tui.loras.wishes import NAMES, NONE, ON, Field, Values, file_words, goal, goal_field, title_field

if TYPE_CHECKING:
    from modelhub.lora.making.rename import Renaming
    from modelhub.lora.names import Dialect
    from modelhub.merge.recipes.recipe import Recipe

_NAMED = 5


class Bake(Making):
    """LoRAs baked into a model."""

    title = "Bake into a new file"

    def __init__(self, library: Library, model: Asset, loras: Sequence[tuple[Asset, float | Weight]]) -> None:
        super().__init__(library)
        self._model, self._loras = model, loras

    @property
    def about(self) -> str:
        """The model and the LoRAs."""
        return f"{sized(self._model)} and {', '.join(sized(lora) for lora, _ in self._loras)}"

    @property
    def fields(self) -> Sequence[Field]:
        """File, precision, title."""
        kept = ("as the model", NONE)
        choices = tuple((name, name) for name in PRECISIONS)
        return (
            goal_field(default_name([self._model], None, {}, self._loras)),
            Field("dtype", "precision", choices=(kept, *choices)),
            title_field(),
        )

    def _recipe(self, values: Values) -> Recipe:
        from modelhub.merge.recipes.recipe import bake_recipe

        name = values.get("title", "").strip() or goal(values).stem
        loras = [(str(lora.path), weight) for lora, weight in self._loras]
        return bake_recipe(str(self._model.path), loras, name=name, dtype=values.get("dtype") or None)

    def plan(self, values: Values, job: Job) -> list[TextRow]:
        """Size and tensors."""
        path = goal(values)
        found = kitchen.look(self.library, self._recipe(values), path, job)
        with without_force():
            check_goal(path, [self._model.path, *(lora.path for lora, _ in self._loras)], force=False)
        return [("size", found.facts), *(("note", warning) for warning in found.warnings)]

    def make(self, values: Values, job: Job) -> str:
        """Write it."""
        report = kitchen.save(self.library, self._recipe(values), goal(values), job=job)
        what = f"{human_size(report.written.size)}, {plural(report.baked, 'tensor')} changed"
        return "\n".join((f"Saved and catalogued: {one_line(report.written.path.name)}", what, *report.warnings))


@dataclass(frozen=True)
class _Opened:
    renaming: Renaming
    catalog: Any
    parent: Parent


class Rename(Making):
    """A LoRA under the names of another dialect."""

    title = "Rename the modules"

    def __init__(self, library: Library, lora: Asset, model: Asset | None) -> None:
        super().__init__(library)
        self._lora, self._model = lora, model

    @property
    def about(self) -> str:
        """The LoRA and how it is named."""
        named = (self._lora.adapter or {}).get("dialect")
        return sized(self._lora) + (f", named as {one_line(str(named))} does" if named else "")

    @property
    def fields(self) -> Sequence[Field]:
        """Names, where layers are looked up, what has no name there."""
        to = "peft" if (self._lora.adapter or {}).get("dialect") == "kohya" else "kohya"
        model = ((f"of {self._model.path.stem}", "model"),) if self._model else ()
        return (
            goal_field(self._lora.path.with_name(f"{file_words(self._lora.path.stem, to)}.safetensors")),
            Field("names", "names", to, NAMES),
            Field("layers", "layers", choices=(("of the architecture as released", NONE), *model)),
            Field("skip", "nameless", tick="leave out what has no name there"),
        )

    def plan(self, values: Values, job: Job) -> list[TextRow]:
        """What becomes of the modules."""
        with self._open(values, job) as opened:
            size = opened.renaming.view.header.file_size
            return [("size", human_size(size)), *_renamed_rows(opened.renaming)]

    def make(self, values: Values, job: Job) -> str:
        """Write it."""
        from modelhub.formats.watching import watched
        from modelhub.formats.writer import write
        from modelhub.scan.adding import add_written

        with self._open(values, job) as opened:
            with without_force():
                written = write(opened.renaming.view, goal(values), job=watched(job, opened.parent.stats))
            add_written(opened.catalog, written)
            rows = [f"{label} {text}" for label, text in _renamed_rows(opened.renaming)]
        first = f"Saved and catalogued: {one_line(written.path.name)}"
        return "\n".join((first, f"size {human_size(written.size)}", *rows))

    @contextmanager
    def _open(self, values: Values, job: Job) -> Iterator[_Opened]:
        from modelhub.lora.making.rename import layers_for, rename
        from modelhub.lora.network import Network

        with self.library.open() as catalog, Opener(catalog, job=job) as opener:
            parent = opener(str(self._lora.path))
            network = Network(parent.source, parent.path.name)
            asked = values.get("layers") == "model" and self._model
            model = opener(str(asked.path)) if asked else None
            names = cast("Dialect", values.get("names") or "kohya")
            renaming = rename(network, layers_for(network, model), names, skip=values.get("skip") == ON)
            with without_force():
                size = renaming.view.header.file_size
                check_goal(goal(values), [parent.path, *parent.stats], force=False, size=size)
            yield _Opened(renaming, catalog, parent)


_MADE: Mapping[str, str] = {
    "kept": "{} as before",
    "folded": "{} with the scale in its factors",
    "cut": "{} cut out of a larger one",
    "joined": "{} joined of several",
}


def _renamed_rows(renaming: Renaming) -> list[TextRow]:
    made = ", ".join(_MADE[what].format(f"{count:,}") for what, count in renaming.made.items())
    left = [f"{one_line(name)}: {reason}" for name, reason in renaming.left.items()]
    more = [f"and {len(left) - _NAMED:,} more"] if len(left) > _NAMED else []
    return [("modules", made), *(("left out", line) for line in (*left[:_NAMED], *more))]
