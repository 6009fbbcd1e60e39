"""Shapes as a tree: tensor names split at their dots, and a record of what a network needs and does not find there."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from modelhub.errors import IncompatibleError

Shape = tuple[int, ...]

#: No network nests deeper; what a hostile name has beyond stays in one piece.
_MAX_DEPTH = 24
_SHOWN = 6
_MISSING = " is missing"
#: Elements; torch cannot count the bytes of many more.
_MAX_SIZE = 2**56


class Tree:
    """One node: `shape` if a tensor has exactly this name, and children by the next part of the name.

    Networks are built from it without stopping at the first fault: `need` notes what is missing or of the wrong shape
    and answers with something harmless; `settle` raises the one error that names all of it.
    """

    def __init__(self, path: str = "", faults: list[str] | None = None) -> None:
        self.path = path
        self.shape: Shape | None = None
        self._children: dict[str, Tree] = {}
        self._faults: list[str] = [] if faults is None else faults

    @classmethod
    def of(cls, shapes: Mapping[str, Shape]) -> Tree:
        """The tree of a table of names and shapes."""
        root = cls()
        for name, shape in shapes.items():
            node = root
            for part in name.split(".", _MAX_DEPTH):
                node = node._children.setdefault(part, node._child(part))
            node.shape = tuple(shape)
        return root

    def _child(self, part: str) -> Tree:
        return Tree(f"{self.path}.{part}" if self.path else part, self._faults)

    def __getitem__(self, name: str) -> Tree:
        """The node of a dotted name below this one; an empty node where nothing has that name."""
        node = self
        for part in name.split("."):
            node = node._children.get(part) or node._child(part)
        return node

    def __contains__(self, name: str) -> bool:
        node = self[name]
        return node.shape is not None or bool(node._children)

    def numbered(self) -> dict[str, Tree]:
        """The children whose names are numbers, in the order of these numbers."""
        names = [name for name in self._children if name.isascii() and name.isdecimal()]
        return {name: self._children[name] for name in sorted(names, key=lambda name: (len(name), name))}

    def series(self) -> dict[str, Tree]:
        """The children 0, 1, 2, ...; a gap in the numbers is a fault, for a block is missing there."""
        found = self.numbered()
        for place, name in enumerate(found):
            if name != str(place):
                self._faults.append(self[str(place)].path + _MISSING)
                break
        return found

    def need(self, name: str, *pattern: int | None) -> Shape:
        """The shape of the tensor `name`, which must fit the pattern: a number is that size, None any size above 0.

        Where it does not, the fault is noted and the answer is the pattern with 1 for None.
        """
        node = self[name]
        if node.shape is None:
            self._faults.append(node.path + _MISSING)
        elif _fits(node.shape, pattern):
            return node.shape
        else:
            wanted = ", ".join("any" if size is None else str(size) for size in pattern)
            self._faults.append(f"{node.path} has the shape {list(node.shape)} where [{wanted}] is needed")
        return tuple(1 if size is None else size for size in pattern)

    def fault(self, sentence: str) -> None:
        """Note a fault of this node, as in "has 7 heads"."""
        self._faults.append(f"{self.path} {sentence}")

    def settle(self, what: str) -> None:
        """Raise IncompatibleError with every fault noted so far, if there is one."""
        if not self._faults:
            return
        first, *others = self._faults  # the first is a cause; later wrong shapes may only follow from it
        faults = [first, *sorted(others, key=lambda fault: not fault.endswith(_MISSING))]
        more = len(faults) - _SHOWN
        shown = "; ".join(fault[-200:] for fault in faults[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")
        raise IncompatibleError(
            f"The {what} cannot be built from these tensors: {shown}.",
            "The file is damaged, incomplete or of another architecture; `modelhub identify` says which.",
        )


def _fits(shape: Shape, pattern: tuple[int | None, ...]) -> bool:
    if len(shape) != len(pattern) or prod(shape) > _MAX_SIZE:
        return False
    return all(size > 0 and wanted in (None, size) for size, wanted in zip(shape, pattern, strict=True))
