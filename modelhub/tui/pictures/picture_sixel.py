"""Pictures by sixel: painted over the cells of a widget after each update of the screen that touched them.

Text erases what it is written over. So under the painting the widget draws half-blocks like everywhere: where something
else lies over a part of it, or it is half scrolled away, these are seen.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol

from rich.console import Console
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.geometry import Region

from modelhub.tui.pictures.picture_blocks import Pixels

if TYPE_CHECKING:
    from textual.screen import Screen
    from textual.widget import Widget


def encode(pixels: Pixels, width: int, height: int) -> str:
    """Uint8 [H,W,3] as sixels of `width` × `height` pixels. Raises ImportError without textual-image."""
    from PIL import Image
    from textual_image._sixel import image_to_sixels  # its other modules ask the terminal when they are imported

    return image_to_sixels(Image.fromarray(pixels).resize((width, height)))


class Painted(CompositorUpdate):
    """An update of the screen with paintings over it: sixels, and the column and row of their first cell."""

    def __init__(self, under: CompositorUpdate, paintings: list[tuple[str, int, int]]) -> None:
        self.under, self.paintings = under, paintings

    def render_segments(self, console: Console) -> str:
        """The update, then the paintings."""
        over = (f"\x1b[{row + 1};{column + 1}H{sixels}" for sixels, column, row in self.paintings)
        return self.under.render_segments(console) + "".join(over)


class Painter(Protocol):
    """A widget that has sixels to show."""

    @property
    def screen(self) -> Screen[Any]:
        """The screen it is on."""

    def painting(self) -> tuple[str, Region] | None:
        """The sixels and where on the screen they belong, if they are to be seen now."""


def paint_over(screen: Screen[Any], update: Any, painters: Iterable[Painter]) -> Any:
    """An update of `screen`, with the sixels of those widgets that it wrote to."""
    if not isinstance(update, CompositorUpdate):
        return update
    found = (painter.painting() for painter in painters if painter.screen is screen)
    paintings = [(sixels, area.x, area.y) for sixels, area in filter(None, found) if touches(update, area)]
    return Painted(update, paintings) if paintings else update


def touches(update: CompositorUpdate, region: Region) -> bool:
    """Whether an update writes to a part of the screen."""
    if isinstance(update, LayoutUpdate):
        return update.region.overlaps(region)
    if isinstance(update, ChopsUpdate):
        rows, left, right = region.line_range, region.x, region.right
        return any(y in rows and start < right and end > left for y, start, end in update.spans)
    return True


def is_open(screen: Screen[Any], widget: Widget, region: Region) -> bool:
    """Whether all of `region`, a part of `widget`, is seen: nothing lies over it, nothing cuts it off.

    Not in the last line of the screen, which a terminal may scroll when it has painted there.
    """
    layers = screen._compositor.layers_visible
    return region.bottom < len(layers) and all(_is_on_top(layers[y], widget, region) for y in region.line_range)


def _is_on_top(layer: list[tuple[Widget, Region, Region]], widget: Widget, region: Region) -> bool:
    for other, seen, _ in layer:
        if other is widget:
            return seen.contains_region(region)
        if seen.overlaps(region):
            return False
    return False
