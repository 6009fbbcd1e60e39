"""The list of the tensors of a file: dtype, shape, bytes and name, for any number of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from rich.style import Style

from modelhub.text import human_size
from modelhub.tui.widgets.ink import ink
from modelhub.tui.widgets.line_list import LineList, cell

if TYPE_CHECKING:
    from modelhub.formats.header import TensorInfo

_DTYPE, _SHAPE, _SIZE = 9, 14, 9
#: From which width on shapes are shown, and sizes.
_WITH_SHAPE, _WITH_SIZE = 44, 62


class TensorList(LineList):
    """Tensors in the order of the file."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"list--heading", "list--dtype", "list--muted"}
    header = 1

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.tensors: Sequence[tuple[str, TensorInfo]] = ()

    @property
    def current(self) -> str:
        """The name under the cursor, "" for none."""
        return self.tensors[self.cursor][0] if self.cursor < len(self.tensors) else ""

    def show(self, tensors: Sequence[tuple[str, TensorInfo]]) -> None:
        """Other tensors, from the first."""
        self.tensors = tensors
        self.count = len(tensors)
        self.cursor = 0
        self.refresh()

    def _widths(self, width: int) -> tuple[int, int, int]:
        shape = _SHAPE if width >= _WITH_SHAPE else 0
        size = _SIZE if width >= _WITH_SIZE else 0
        return max(0, width - _DTYPE - shape - size - 3), shape, size

    def heading(self, y: int, width: int) -> Sequence[Segment]:
        """What the columns are."""
        name, shape, size = self._widths(width)
        parts = (" ", cell("Dtype", _DTYPE), cell("Shape", shape), cell("Size", size, right=True), " ")
        text = "".join(parts) + cell(" Tensor", name)
        return [Segment(cell(text, width), self.get_component_rich_style("list--heading"))]

    def row(self, number: int, width: int, style: Style) -> Sequence[Segment]:
        """Dtype, shape, size, name."""
        from modelhub.convert.inspect.wording import shape_words

        tensor, info = self.tensors[number]
        name, shape, size = self._widths(width)
        muted = style + ink(self, "list--muted")
        return [
            Segment(f" {cell(info.dtype, _DTYPE)}", style + ink(self, "list--dtype")),
            Segment(cell(shape_words(info.shape), shape), muted),
            Segment(cell(human_size(info.nbytes), size, right=True), muted),
            Segment(f"  {cell(tensor, name)}", style),
        ]
