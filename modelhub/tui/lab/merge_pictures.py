"""The pictures of the merge lab: the merge between its parents, what each shows already, and what it waits for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.app import ComposeResult

from modelhub.catalog.asset import Asset
from modelhub.tui.lab.frame import Frame
from modelhub.tui.lab.frames import Frames

if TYPE_CHECKING:
    from modelhub.tui.lab.recipes import Part
    from modelhub.tui.pictures.picture import Pixels

_EMPTY = (
    "Choose the models to merge: enter on A and on B.\n\n"
    "Or mark them in the library with space, and press m there.\n\nf5 shows the merge before it is written."
)
#: Number of models to the frames, from left to right.
_ORDER = {1: ("A", "merge"), 2: ("A", "merge", "B")}
FRAMES = ("A", "B", "C", "merge")
HELD = "held"


class MergePictures(Frames):
    """One frame for the merge, one for each of its first three models, and one for a merge that is held.

    `solo`: the frame that has all the room, or "".
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._order: tuple[str, ...] = FRAMES
        self.solo = ""

    def compose(self) -> ComposeResult:
        """All frames; `show_models` shows those that are needed."""
        yield from (Frame(id=f"frame-{letter}") for letter in ("A", "merge", HELD, "B", "C"))

    def title(self, part: Part) -> str:
        """The model with its letter; the merge by what it is."""
        return part.title if part.letter == "merge" else f"{part.letter} {part.title}"

    def show_models(self, models: Sequence[Asset | None], *, by_name: bool = True) -> None:
        """Frames for so many models, with their names; without, they are those that a text names."""
        self._order = _ORDER.get(len(models), FRAMES)
        names = [*self._order, HELD, "B", "C"]
        if self._order[-1] != "merge":  # what is held stands beside the merge
            names.remove(HELD)
            names.insert(names.index("merge") + 1, HELD)
        self.sort_children(key=lambda frame: names.index(_letter(frame)))
        for letter, asset in zip("ABC", models, strict=False):
            self.frame(letter).title = f"{letter} {asset.path.stem}" if asset else letter
        merge = self.frame("merge")
        merge.title = "merge"
        empty = by_name and not any(models) and merge.pixels is None
        if empty or merge.note == _EMPTY:
            merge.note = _EMPTY if empty else ""
        self._arrange()

    # -- the room --------------------------------------------------------------------------------------------------

    def _arrange(self) -> None:
        """Show what there is to be shown, each as large as can be."""
        letters = {*self._order} | ({HELD} if HELD in self._shown else set())
        if self.frame("merge").note == _EMPTY:
            letters = {"merge"}
        if self.solo in letters:
            letters = {self.solo}
        for frame in self.query(Frame):
            frame.display = _letter(frame) in letters
        columns = best_columns(len(letters), self.size.width, self.size.height)
        self.styles.grid_size_columns = columns
        self.styles.grid_size_rows = -(-len(letters) // columns)

    def on_resize(self) -> None:
        """Other room."""
        self._arrange()

    def hold(self) -> bool:
        """Keep the merge that is shown beside the next ones; again lets it go. False if there is none."""
        shown = self._shown.get("merge")
        held = self._shown.get(HELD)
        if held is not None and (shown is None or shown == held):
            self._let_go()
        elif shown is not None:
            self._shown[HELD] = shown
            self.frame(HELD).title = f"held: {shown.part.title}"
            self.fill(HELD, shown.shot.pixels, self.frame("merge").note)
        self._arrange()
        return shown is not None or held is not None

    def _let_go(self) -> None:
        self._shown.pop(HELD, None)
        self.frame(HELD).show(None)
        self.solo = "" if self.solo == HELD else self.solo

    def flip(self) -> None:
        """The merge alone, with all the room; again the held one in the same place, and so on."""
        self.solo = HELD if self.solo == "merge" and HELD in self._shown else "merge"
        self._arrange()

    def unflip(self) -> bool:
        """All pictures again; False if they were shown."""
        was, self.solo = bool(self.solo), ""
        self._arrange()
        return was

    def recall(self, title: str, pixels: Pixels | None) -> None:
        """A small picture of the history in the place of the merge, until it is rendered anew."""
        self._shown.pop("merge", None)
        self.frame("merge").title = title
        self.fill("merge", pixels, "", "from the history")
        self._arrange()


def best_columns(count: int, width: int, height: int) -> int:
    """In how many columns so many squares are largest; a cell is twice as high as wide."""
    if not (count and width and height):
        return max(1, count)

    def side(columns: int) -> float:
        rows = -(-count // columns)
        return min(width / columns - 2, 2 * (height / rows - 2))

    return max(range(1, count + 1), key=side)


def _letter(frame: object) -> str:
    return str(getattr(frame, "id", "")).removeprefix("frame-")
