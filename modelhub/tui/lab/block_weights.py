"""The block weights of the merge lab: none, a preset, or a number for each block, over the number of the slider."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.reactive import reactive

from modelhub.catalog.blocks import block_names
from modelhub.catalog.weighing.weights import Weight, read_weight
from modelhub.merge.registry import Parameter
from modelhub.tui.lab.bars import Bars

NONE, EACH = "", "…"


class BlockWeights(Vertical):
    """`choice` is a preset, EACH, or NONE; `base` is for what that does not name.

    `architecture` says which blocks there are, `parameter` what their numbers mean.

    What the user pushes by hand is kept until something else is chosen.
    """

    DEFAULT_CSS = "BlockWeights { display: none; } BlockWeights.-shown { display: block; }"

    architecture: reactive[str] = reactive("")
    parameter: reactive[Parameter | None] = reactive(None)
    base: reactive[float] = reactive(0.0)
    choice: reactive[str] = reactive(NONE)

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._given: Weight | None = None
        self._pushed: dict[str, float] = {}

    def compose(self) -> ComposeResult:
        """The bars."""
        yield Bars(id="bars")

    def on_mount(self) -> None:
        """Nothing is chosen yet."""
        self._draw()

    @property
    def bars(self) -> Bars:
        """One for each block."""
        return self.query_one(Bars)

    def watch_architecture(self) -> None:
        """Other blocks."""
        self._pushed = {}
        self._draw()

    def watch_parameter(self) -> None:
        """Another range."""
        self._draw()

    def watch_base(self) -> None:
        """Other numbers for blocks that nothing is said of."""
        self._draw()

    def watch_choice(self) -> None:
        """Other numbers."""
        self._given, self._pushed = read_weight(self.choice) if self.choice not in (NONE, EACH) else None, {}
        self._draw()

    def take(self, weight: Weight | None) -> None:
        """Show a weight that was read from a recipe."""
        self.set_reactive(BlockWeights.choice, NONE if weight is None else EACH)
        self._given, self._pushed = weight, {}
        self._draw()

    def _draw(self) -> None:
        """The bars as the weight has them."""
        names = block_names(self.architecture)
        self.set_class(bool(names) and self.choice != NONE and self.parameter is not None, "-shown")
        if self.parameter is not None and (weight := self.weight) is not None:
            self.bars.low, self.bars.high = self.parameter.low, self.parameter.high
            self.bars.show(names, weight.numbers(self.architecture, self.base), self.base)

    @on(Bars.Changed)
    def _was_pushed(self, message: Bars.Changed) -> None:
        self._pushed[message.block] = message.number

    @property
    def weight(self) -> Weight | None:
        """What the bars say; None where one number holds for all. Blocks that nobody pushed are as they were given."""
        if not self.has_class("-shown"):
            return None
        given = self._given or Weight()
        return given.revised(self._pushed, self.architecture) if self._pushed else given
