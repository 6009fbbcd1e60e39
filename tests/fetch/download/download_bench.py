"""A bench for downloads: a file, a goal for it, and a way to get it with all that is said on the way."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from world.place import World

from modelhub.fetch.download import Fetched, fetched
from modelhub.fetch.net import Net, Patience
from modelhub.fetch.offer import RemoteFile
from modelhub.formats.writer import into_place
from modelhub.jobs import QUIET, Job

#: Waits that a test can afford.
QUICK = Patience(connect=5, read=5, tries=4, knocks=2, first=0.001, most=0.002, longest=0.1)


def some_bytes(count: int, seed: int = 1) -> bytes:
    """Bytes that look like weights: nothing repeats."""
    return random.Random(seed).randbytes(count)


@dataclass
class Bench:
    """`file` is what is to be fetched, `data` what it holds; `counts` and `items` are what the progress heard."""

    world: World
    goal: Path
    data: bytes
    file: RemoteFile
    patience: Patience = QUICK
    counts: list[int] = field(default_factory=list)
    items: list[str] = field(default_factory=list)
    _then: tuple[int, Callable[[], object]] | None = None

    def get(self, job: Job = QUIET, again: Callable[[], RemoteFile] | None = None, **changed: Any) -> Fetched:
        """Fetch the file and move it to its goal; `changed` are other fields of the file."""
        self.counts.clear()
        wait = changed.pop("wait", False)
        with (
            Net(lambda provider: None, patience=self.patience) as net,
            fetched(replace(self.file, **changed), self.goal, "web", net, job, self.advance, again, wait=wait) as found,
        ):
            into_place(found.part, self.goal, force=True)
        return found

    def advance(self, n: int = 1, item: str = "", picture: object = None, *, kept: bool = False) -> None:
        self.counts.append(n)
        self.items.append(item)
        if self._then is not None and sum(self.counts) >= self._then[0]:
            (_, act), self._then = self._then, None
            act()

    def when(self, count: int, act: Callable[[], object]) -> None:
        """Do something as soon as so many bytes are there."""
        self._then = (count, act)

    @property
    def beside(self) -> list[str]:
        """What lies in the folder of the goal."""
        return sorted(path.name for path in self.goal.parent.iterdir()) if self.goal.parent.exists() else []

    @property
    def ranges(self) -> list[str | None]:
        """The ranges that the storage host was asked for."""
        return [asked.range for asked in self.world.asked_of("storage")]

    @property
    def part(self) -> Path:
        """The one part beside the goal."""
        (found,) = self.goal.parent.glob(".get-*.part")
        return found

    def serve(self, data: bytes, name: str = "model.safetensors", **headers: str) -> RemoteFile:
        """Have another file fetched, about which nothing but its address is known."""
        self.data = data
        self.file = RemoteFile(name, self.world.add_file(f"files/{name}", data, **headers))
        return self.file

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()
