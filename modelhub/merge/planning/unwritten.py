"""Plan: a merge that has not been written, as a source; it is computed where it is read."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from modelhub.formats.header import Header
from modelhub.formats.rounding import Findings
from modelhub.formats.source import Place, Record, TensorSource, element_size, whole_elements
from modelhub.formats.stat import FileStat
from modelhub.jobs import Job
from modelhub.merge.engine.expression import Leaf, Node, applied, forget
from modelhub.merge.inputs.align import Model
from modelhub.merge.planning.report import PlanReport
from modelhub.merge.recipes.recipe import Recipe

if TYPE_CHECKING:
    from modelhub.merge.engine.computing import Making


class Plan(TensorSource):
    """A merge that has not been written: the tensors of one model bit by bit, or what is computed of several."""

    def __init__(self, recipe: Recipe, models: Mapping[str, Model], nodes: Mapping[str, Node], header: Header) -> None:
        self.recipe, self.models, self.header = recipe, models, header
        self.report = PlanReport()
        self._nodes = nodes
        self._lock = threading.Lock()
        self._found: dict[str, dict[int, Findings]] = {}
        self._at: dict[int, str] = {}
        self._makings: dict[str, Making] = {}

    @property
    def computes(self) -> bool:
        """Whether any tensor has to be computed; where none has, torch is not needed."""
        return any(self._copied(name) is None for name in self.header.tensors)

    @property
    def stats(self) -> dict[Path, FileStat]:
        """All files that it is made of, and how they were when they were opened."""
        return {path: stat for model in self.models.values() for path, stat in model.parent.stats.items()}

    @property
    def findings(self) -> dict[str, Findings]:
        """What was not finite in the tensors read so far, however often; complete once all of them were."""
        with self._lock:
            return {
                name: sum(self._found[name].values(), Findings()) for name in self.header.tensors if name in self._found
            }

    def heed(self, job: Job) -> None:
        """Have first passes over the models end when `job` is cancelled."""
        for node in self._nodes.values():
            for one in applied(node):
                one.job = job

    def read_into(self, name: str, offset: int, buffer: memoryview) -> None:
        """Compute the bytes of a merged tensor, or copy those of an unchanged one."""
        making = self._making(name)
        if making is None:
            node = self._nodes[name]
            assert isinstance(node, Leaf)
            node.source.read_into(node.name, offset, buffer)
        else:
            info = self.within(name, offset, len(buffer))
            whole_elements(info, offset, buffer, lambda start, view: self._fill(name, making, start, view))

    def place(self, name: str) -> Place | None:
        """Where its model has a tensor that is copied."""
        leaf = self._copied(name)
        return leaf.source.place(leaf.name) if leaf else None

    def crc32(self, name: str) -> int | None:
        """What the model knows of a tensor that is copied."""
        leaf = self._copied(name)
        return leaf.source.crc32(leaf.name) if leaf else None

    def records(self, name: str) -> tuple[Record, ...]:
        """What the model keeps checksums of, for a tensor that is copied."""
        leaf = self._copied(name)
        return leaf.source.records(leaf.name) if leaf else ()

    def file_of(self, name: str) -> Path | None:
        """The file that has a tensor that is copied."""
        leaf = self._copied(name)
        return leaf.source.file_of(leaf.name) if leaf else None

    def origin(self, name: str) -> Hashable:
        """That of the expression, and the dtype that it is rounded to; of a tensor that is copied, its own."""
        leaf = self._copied(name)
        return leaf.origin if leaf else (self._nodes[name].origin, self.info(name).dtype)

    def grain(self, name: str) -> int:
        """All of a tensor that its method sees whole, or twice; whole rows where it sees these."""
        making = self._making(name)
        return making.grain if making else element_size(self.info(name))

    def _copied(self, name: str) -> Leaf | None:
        """The tensor of a model that this one is, bit by bit, if it is one."""
        info = self.info(name)
        node = self._nodes[name]
        return node if isinstance(node, Leaf) and node.dtypes == {info.dtype} else None

    def _making(self, name: str) -> Making | None:
        """How a tensor is computed; None for one that is copied."""
        found = self._makings.get(name)
        if found is None and self._copied(name) is None:
            from modelhub.merge.engine.computing import Making

            found = self._makings[name] = Making(self._nodes[name], self.info(name).dtype)
        return found

    def _fill(self, name: str, making: Making, start: int, view: memoryview) -> None:
        self._begin(name)
        found = making.fill(start, view)
        if found:
            with self._lock:
                self._found.setdefault(name, {}).update(found)
        if start + len(view) // making.output.itemsize == making.numel:
            forget(making.node)

    def _begin(self, name: str) -> None:
        """This thread is at a tensor; let go of what is kept of the one before, unless another thread is at that."""
        own = threading.get_ident()
        if self._at.get(own) == name:
            return
        living = {thread.ident for thread in threading.enumerate()}
        with self._lock:
            left = {one for thread, one in self._at.items() if thread == own or thread not in living}
            self._at = {thread: one for thread, one in self._at.items() if thread in living} | {own: name}
            left -= set(self._at.values())
        for one in left:
            forget(self._nodes[one])
