"""Links: one module of an adapter on its layer, read from the file when its turn comes, and let go of again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from threading import Lock, RLock
from typing import TYPE_CHECKING

from modelhub.lora.algorithms.applying import change_of, step_of
from modelhub.lora.algorithms.fits import own
from modelhub.lora.algorithms.registry import Change, Given, Rows
from modelhub.lora.network import Network, Patch

if TYPE_CHECKING:
    import torch


#: Ticks whenever a link is used.
_CLOCK = count()


class Recent:
    """The links that were used last keep what they read; the others let go of it, so that memory does not grow.

    At most so many keep it. A link notes by itself when it was used: that needs no lock.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._links: set[Link] = set()
        self.most = 0

    def read(self, link: Link) -> None:
        """Note that a link has read its module; the one that was not used for the longest time may have to let go."""
        with self._lock:
            self._links.add(link)
            if len(self._links) <= self.most:
                return
            oldest = min(self._links, key=lambda one: one.used)
            self._links.remove(oldest)
        oldest.forget()


@dataclass(eq=False)
class Link:
    """One module on its layer, whose shape is `shape`; `before` is the layer's weight when its turn comes.

    `bias` is the layer's bias before, None where it has none. `step` is that of the algorithm.
    """

    network: Network
    patch: Patch
    shape: tuple[int, ...]
    before: Rows
    bias: Rows | None
    recent: Recent = field(default_factory=Recent)

    def __post_init__(self) -> None:
        self._lock = RLock()
        self._read: Change | None = None
        self._whole: torch.Tensor | None = None
        self._added_bias: tuple[torch.Tensor | None, ...] = ()
        self.used = next(_CLOCK)
        self.step = step_of(self.patch.module, self.shape)
        self._rows, self._columns = self.before.shape

    @property
    def change(self) -> Change:
        """What the module adds, read once, until it is forgotten."""
        self.used = next(_CLOCK)
        found = self._read
        if found is not None:
            return found
        with self._lock:
            found, is_new = self._read, self._read is None
            if found is None:
                found = self._read = change_of(self.patch.module.algorithm, self._given(), self.before)
        if is_new:
            self.recent.read(self)
        return found

    def _given(self) -> Given:
        module = self.patch.module
        values = own(module.algorithm, self.network.values(self.patch))
        return Given(values, self.shape, self.network.configured.settings(module), module.name)

    def forget(self) -> None:
        """Let go of what was read; who is at it keeps it until he is done. Waits for nobody."""
        self._read = self._whole = None
        self._added_bias = ()

    def add(self, to: torch.Tensor, start: int, stop: int, strength: float) -> None:
        """Add to rows `start` to `stop` of the layer, as they were before in `to`, what the module does to them.

        Where the layer takes in more channels than the module knows, the columns of the others stay.
        """
        made, step = self.change, self.step
        if to.shape[1] != self._columns:
            to = to[:, : self._columns]
        low, high = start - start % step, min(self._rows, -(-stop // step) * step)
        if low == start and high == stop:
            made.add(to, start, stop, to if made.needs_weight else None, strength)
            return
        weight = self.before.rows(low, high) if made.needs_weight else None
        to.add_(made.rows(low, high, weight)[start - low : stop - low], alpha=strength)

    def columns(self, start: int, stop: int) -> torch.Tensor:
        """Columns of what is added, as rows, for a layer that lies turned in the file; it is made whole, and once."""
        made = self.change
        with self._lock:
            whole = self._whole
            if whole is None:
                weight = self.before.rows(0, self._rows) if made.needs_weight else None
                whole = self._whole = made.rows(0, self._rows, weight)
        return whole[:, start:stop].T

    def added_bias(self) -> torch.Tensor | None:
        """What is added to the bias of the layer, [out]."""
        made = self.change
        with self._lock:
            found = self._added_bias
            if not found:
                before = None if self.bias is None else self.bias.rows(0, self.bias.shape[0]).reshape(-1)
                found = self._added_bias = (made.bias(before),)
        return found[0]


@dataclass(frozen=True, slots=True)
class Part:
    """`count` rows of a weight, from `start` on."""

    of: Rows
    start: int
    count: int


@dataclass(frozen=True, slots=True)
class Gathered:
    """The weight that a module sees: parts of tensors, one below the other."""

    parts: Sequence[Part]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return sum(part.count for part in self.parts), self.parts[0].of.shape[1]

    def rows(self, start: int, stop: int) -> torch.Tensor:
        """Those of the parts."""
        import torch

        found, at = [], 0
        for part in self.parts:
            low, high = max(start, at), min(stop, at + part.count)
            if low < high:
                found.append(part.of.rows(part.start + low - at, part.start + high - at))
            at += part.count
        return found[0] if len(found) == 1 else torch.cat(found)


@dataclass(frozen=True, slots=True)
class Turned:
    """A weight that lies transposed in the file."""

    of: Rows

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns as the module sees them."""
        return self.of.shape[1], self.of.shape[0]

    def rows(self, start: int, stop: int) -> torch.Tensor:
        """Columns of the file's, all of which is read for them."""
        return self.of.rows(0, self.of.shape[0])[:, start:stop].T.contiguous()


@dataclass(frozen=True, slots=True)
class Narrowed:
    """The first columns of a weight."""

    of: Rows
    columns: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and the columns that are left."""
        return self.of.shape[0], self.columns

    def rows(self, start: int, stop: int) -> torch.Tensor:
        """The same rows, cut."""
        return self.of.rows(start, stop)[:, : self.columns].contiguous()
