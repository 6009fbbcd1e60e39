"""A weight in the making: entries come one by one, from a table or from words, and are checked as they come."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from modelhub.catalog.blocks import all_blocks, block_lists
from modelhub.catalog.weighing.key_rules import blocks_of, component_of
from modelhub.catalog.weighing.presets import Blend, find_preset, presets
from modelhub.catalog.weighing.weight import COMPONENTS, Weight, spans
from modelhub.errors import BadRecipeError
from modelhub.text import brief

MAX_KEYS = 1000
MAX_PATTERN = 1000
#: Larger numbers than these make infinite in fp32 whatever they are multiplied with.
_MOST = 1e30


def is_computable(value: float) -> bool:
    """Whether a number is finite, and not so large that fp32 cannot hold what comes of it."""
    return abs(value) <= _MOST


class Draft:
    """Collects what is said of a weight; `where` begins every error."""

    def __init__(self, where: str) -> None:
        self.where = where
        self._base: float | None = None
        self._preset: Blend | None = None
        self._components: dict[str, float] = {}
        self._ranges: list[tuple[tuple[str, ...], float]] = []
        self._keys: list[tuple[str, float]] = []

    def wrong(self, what: str, hint: str = "") -> BadRecipeError:
        """The error that says where and what."""
        return BadRecipeError(f"{self.where}: {what}", hint)

    def number(self, value: Any, what: str) -> float:
        """A finite number. Raises BadRecipeError."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            shown = f"'{brief(value)}'" if isinstance(value, str) else f"a {type(value).__name__}"
            raise self.wrong(f"{what} is {shown}, and not a number.", "Write a number such as 0.3.")
        if not is_computable(value):
            raise self.wrong(f"{what} is not a finite number, or too large to compute with.", "Write one such as 0.3.")
        return float(value)

    def base(self, value: float) -> None:
        """The number for all that nothing else is said of."""
        if self._base is not None:
            raise self.wrong("it has two numbers for all tensors.", "Say of one of them where it holds, as in te=0.2.")
        self._base = value

    def preset(self, first: str, second: str = "", at: float = 0.0) -> None:
        """The preset that blocks follow, or a point between two."""
        if self._preset is not None:
            raise self.wrong("it has two presets.", "Go from one to the other with FIRST>SECOND@0.5.")
        first = find_preset(first, self.where).name
        self._preset = Blend(first, find_preset(second, self.where).name, at) if second else Blend(first)

    def numbers(self, values: Sequence[float]) -> None:
        """A bare list, whose length tells the blocks; one more than SDXL has blocks is that of its VAE."""
        names = block_lists().get(len(values))
        if names is None and len(values) == 21:
            names = block_lists()[20]
            self._components.setdefault("vae", values[-1])
        if names is None:
            raise self.wrong(
                f"it has {len(values)} numbers.", "SD 1 and 2 have 26 blocks, SDXL 20, or 21 with its VAE, and Flux 61."
            )
        # as if each were a range of all blocks: what is named beside the list is said more closely
        self._ranges += [((name, *names), value) for name, value in zip(names, values, strict=False)]

    def named(self, word: str, value: float) -> bool:
        """Take the number of a component, block or range of blocks; False if the word names none."""
        exact = (word.strip(),) if word.strip() in all_blocks() else ()
        component = "" if exact else component_of(word)
        if component:
            self._components[component] = value
        elif names := exact or blocks_of(word):
            self._ranges += [((name, *names), value) for name in names]
        return bool(component or names)

    def key(self, pattern: str, value: float) -> None:
        """Take the number of all tensors that a pattern fits; a later one goes before."""
        if len(pattern) > MAX_PATTERN or len(self._keys) >= MAX_KEYS:
            raise self.wrong("it has too many or too long patterns of tensor names.", "Use stars: *attn2*.")
        self._keys = [*(rule for rule in self._keys if rule[0] != pattern), (pattern, value)]

    def unknown(self, word: str) -> BadRecipeError:
        """The error for a word that means nothing, with the nearest that does."""
        near = get_close_matches(
            word.strip().upper()[:60], [*all_blocks(), *(c.upper() for c in COMPONENTS), *presets()], 2
        )
        near = [name.lower() if name.lower() in COMPONENTS and name not in all_blocks() else name for name in near]
        hint = f"Did you mean {' or '.join(near)}?" if near else f"Blocks are {spans(block_lists()[26])} and the like;"
        others = "components te, te1, te2, t5, unet, vae; tensor names need a star (*attn2*)"
        return self.wrong(
            f"'{brief(word)}' is no block, component or preset, and no number.", hint if near else f"{hint} {others}."
        )

    def weight(self) -> Weight:
        """The weight: of ranges that overlap the shorter holds, of equal ones the later."""
        blocks: dict[str, float] = {}
        for names, value in sorted(self._ranges, key=lambda one: -len(one[0])):
            blocks[names[0]] = value
        return Weight(self._base, self._components, blocks, tuple(self._keys), self._preset)
