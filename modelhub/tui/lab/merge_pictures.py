"""The pictures of the merge lab: the merge between its parents, what each shows already, and what it waits for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from textual.app import ComposeResult
from textual.containers import Grid

from modelhub.catalog.asset import Asset
from modelhub.tui.lab.frame import Frame

if TYPE_CHECKING:
    from modelhub.preview.request import Request
    from modelhub.tui.lab.recipes import Part
    from modelhub.tui.lab.shots import Shot
    from modelhub.tui.pictures.picture import Pixels

_WAITING = "waiting…"
_EMPTY = (
    "Choose the models to merge: enter on A and on B.\n\n"
    "Or mark them in the library with space, and press m there.\n\nf5 shows the merge before it is written."
)
#: Number of models to the frames, from left to right.
_ORDER = {1: ("A", "merge"), 2: ("A", "merge", "B")}
FRAMES = ("A", "B", "C", "merge")
HELD = "held"


class Shown(NamedTuple):
    """What a frame shows: the part, what was asked for, and the pictures."""

    part: Part
    request: Request
    shot: Shot


class MergePictures(Grid):
    """One frame for the merge, one for each of its first three models, and one for a merge that is held.

    `solo`: the frame that has all the room, or "".
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._shown: dict[str, Shown] = {}
        self._wanted: dict[str, tuple[Part, Request]] = {}
        self._order: tuple[str, ...] = FRAMES
        self.solo = ""

    def compose(self) -> ComposeResult:
        """All frames; `show_models` shows those that are needed."""
        yield from (Frame(id=f"frame-{letter}") for letter in ("A", "merge", HELD, "B", "C"))

    def frame(self, letter: str) -> Frame:
        """The frame of a letter, of "merge" or "held"."""
        return self.query_one(f"#frame-{letter}", Frame)

    def shown(self, letter: str) -> Shown | None:
        """What the frame of a letter shows, once it is done."""
        return self._shown.get(letter)

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
            frame = self.frame(HELD)
            frame.title = f"held: {shown.part.title}"
            frame.note = self.frame("merge").note
            frame.show(shown.shot.pixels)
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

    # -- what is asked for -----------------------------------------------------------------------------------------

    def expect(self, parts: Sequence[Part], request: Request) -> list[Part]:
        """Those of `parts` that are not shown as `request` asks for; their frames wait for them from now on.

        What they show stays until something newer comes.
        """
        self._wanted = {part.letter: (part, request) for part in parts}
        todo = [part for part in parts if not self._is_shown(part, request)]
        for part in parts:
            self.frame(part.letter).status = _WAITING if part in todo else ""
        return todo

    def _is_shown(self, part: Part, request: Request) -> bool:
        shown = self._shown.get(part.letter)
        return shown is not None and (shown.part, shown.request) == (part, request)

    def on_the_way(self, letter: str, request: Request, pixels: Pixels) -> None:
        """A picture that is being made."""
        part, wanted = self._wanted.get(letter, (None, None))
        if part is not None and wanted == request:
            self._begin(part)
            self.frame(letter).note = ""
            self.frame(letter).show(pixels)

    def _begin(self, part: Part) -> None:
        """From now on the frame shows another one than before."""
        self._shown.pop(part.letter, None)
        self.frame(part.letter).title = part.title if part.letter == "merge" else f"{part.letter} {part.title}"

    def rendered(self, part: Part, request: Request, shot: Shot | None, note: str) -> bool:
        """A picture that is done, or why there is none; False for one that nobody waits for any more."""
        if self._wanted.get(part.letter) != (part, request):
            return False
        frame = self.frame(part.letter)
        self._begin(part)
        frame.note, frame.status = note, ""
        frame.show(shot.pixels if shot else None)
        if shot is not None:
            self._shown[part.letter] = Shown(part, request, shot)
        return True

    def recall(self, title: str, pixels: Pixels | None) -> None:
        """A small picture of the history in the place of the merge, until it is rendered anew."""
        frame = self.frame("merge")
        self._shown.pop("merge", None)
        frame.title, frame.note, frame.status = title, "", "from the history"
        frame.show(pixels)
        self._arrange()

    def give_up(self, status: str = "") -> None:
        """Nothing more comes: say so where something was waited for."""
        for frame in self.query(Frame):
            frame.status = status if frame.status == _WAITING else frame.status


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
