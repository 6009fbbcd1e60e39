"""Which blocks of a network stay on a device and which are streamed, so that all of it fits the room there is."""

from __future__ import annotations

from dataclasses import dataclass

from modelhub.preview.models.weights import Block, Kept, as_stored, blocks_of, weights_of
from modelhub.preview.networks.layers import Layer


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """The blocks that stay while a network is used, and those that come and go, `slots` of them there at one time.

    Of two slots one is filled while the other one computes.
    """

    kept: tuple[Block, ...]
    streamed: tuple[Block, ...] = ()
    slots: int = 2

    @property
    def size(self) -> int:
        """Bytes on the device."""
        return sum(block.size for block in self.kept) + self.slots * self.largest

    @property
    def largest(self) -> int:
        """Bytes of a slot."""
        return max((block.room for block in self.streamed), default=0)

    @property
    def moved(self) -> int:
        """Bytes that come to the device in each pass."""
        return sum(block.size for block in self.streamed)


def fit(network: Layer, room: int, kept: Kept = as_stored) -> Fit | None:
    """How a network fits `room` bytes with as few blocks streamed as can be; None if not even all streamed would."""
    rest, blocks = blocks_of(network, network.dtype, kept)
    several = [(count, 2) for count in range(len(blocks) + 1)]
    tries = (_spread(rest, blocks, count, slots) for count, slots in [*several, (len(blocks), 1)])
    return next((found for found in tries if found.size <= room), None)


def whole(network: Layer, kept: Kept = as_stored) -> int:
    """Bytes of all weights of a network on a device."""
    return sum(weight.size for weight in weights_of(network, network.dtype, kept))


def _spread(rest: Block, blocks: list[Block], count: int, slots: int) -> Fit:
    """`count` blocks streamed, far from one another, so that each has time to come while others compute."""
    streamed = {number * len(blocks) // count for number in range(count)} if count else set()
    kept = (block for number, block in enumerate(blocks) if number not in streamed)
    return Fit((rest, *kept), tuple(blocks[number] for number in sorted(streamed)), slots)
