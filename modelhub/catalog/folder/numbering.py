"""How the original layouts number the blocks of a network, from the numbers that diffusers gives them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import accumulate

#: Digits of a number in a name; more is no number of a block.
_DIGITS = 3


def is_number(word: str) -> bool:
    """Whether a word between two dots of a name counts something."""
    return word.isascii() and word.isdigit() and len(word) <= _DIGITS


class Blocks:
    """How many modules stand in each list of a component: one more than the highest number in any name."""

    def __init__(self, names: Iterable[str]) -> None:
        self._sizes: dict[str, int] = {}
        for name in names:
            words = name.split(".")
            for index, word in enumerate(words):
                if is_number(word):
                    place = ".".join(words[:index])
                    self._sizes[place] = max(self._sizes.get(place, 0), int(word) + 1)
        self._starts = {
            "down_blocks": self._counted("down_blocks", ("resnets", "downsamplers"), 1),
            "up_blocks": self._counted("up_blocks", ("resnets",), 0),
        }

    def size(self, place: str) -> int:
        """The length of the list at `place`, 0 where there is none."""
        return self._sizes.get(place, 0)

    def start(self, blocks: str, block: int) -> int:
        """The number of the first module of a block, when all modules of `blocks` are numbered through."""
        return self._starts[blocks][block]

    def _counted(self, blocks: str, kinds: tuple[str, ...], first: int) -> list[int]:
        lengths = (sum(self.size(f"{blocks}.{n}.{kind}") for kind in kinds) for n in range(self.size(blocks)))
        return [*accumulate(lengths, initial=first)]


#: By the braces of a rule: numbers that follow from those in a name (`catalog/renames/*.toml` say what each is).
_FOLLOWING: dict[str, Callable[[Mapping[str, int], Blocks], int]] = {
    "input": lambda at, blocks: blocks.start("down_blocks", at["b"]) + at["r"],
    "down": lambda at, blocks: blocks.start("down_blocks", at["b"]) + blocks.size(f"down_blocks.{at['b']}.resnets"),
    "output": lambda at, blocks: blocks.start("up_blocks", at["b"]) + at["r"],
    "end": lambda at, blocks: blocks.start("up_blocks", at["b"] + 1) - 1,
    "free": lambda at, blocks: 2 if blocks.size(f"up_blocks.{at['b']}.attentions") else 1,
    "even": lambda at, blocks: 2 * at["r"],
    "odd": lambda at, blocks: 2 * at["r"] + 1,
    "after": lambda at, blocks: at["r"] + 1,
    "mirrored": lambda at, blocks: blocks.size("decoder.up_blocks") - 1 - at["b"],
}


class Following(dict[str, int]):
    """The numbers of a name, and those that follow from them when a target asks for one."""

    def __init__(self, numbers: Mapping[str, int], blocks: Blocks) -> None:
        super().__init__(numbers)
        self._blocks = blocks

    def __missing__(self, name: str) -> int:
        return _FOLLOWING[name](self, self._blocks)
