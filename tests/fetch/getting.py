"""Getting a model the whole way, as the command line does it, and what is needed around it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from world.place import World

from modelhub.catalog.store import Catalog
from modelhub.fetch.choosing import Wish, choose
from modelhub.fetch.net import Net
from modelhub.fetch.net.patience import Patience
from modelhub.fetch.offers import find_offer
from modelhub.fetch.planning.ordering import Options
from modelhub.fetch.planning.plans import Plan, plan
from modelhub.fetch.queue import Outcome, add, run
from modelhub.jobs import QUIET, Job
from modelhub.scan.adding import add_file

#: Errors come at once, and a line is given up only if it is dead.
HASTE = Patience(connect=20, read=20, tries=3, knocks=1, first=0.01, most=0.02, longest=1)


def sha256(data: bytes) -> str:
    """In lower-case hex."""
    return hashlib.sha256(data).hexdigest()


class Getter:
    """A catalog, a net and a folder of ComfyUI's that is scanned: `models`."""

    def __init__(self, world: World, catalog: Catalog, net: Net, models: Path) -> None:
        self.world, self.catalog, self.net, self.models = world, catalog, net, models

    def plan(self, *sources: str, wish: Wish | None = None, job: Job = QUIET, **options: Any) -> Plan:
        """What would be done."""
        chosen = []
        for source in sources:
            offer = find_offer(source, self.net)
            chosen.append((offer, choose(offer, wish or Wish())))
        return plan(self.catalog, chosen, Options(**options), self.net, job)

    def queue(self, *sources: str, **options: Any) -> list[int]:
        """Put into the queue what is new."""
        made = self.plan(*sources, **options)
        made.check()
        return add(self.catalog, made.orders)

    def run(self, ids: Sequence[int] | None = None, jobs: int = 2, job: Job = QUIET, **words: Any) -> list[Outcome]:
        """Run the queue."""
        return run(self.catalog.folder, self.net, add_file, job, ids, jobs, look=0.05, **words)

    def get(self, *sources: str, **options: Any) -> list[Outcome]:
        """All of it. Raises the first error."""
        outcomes = self.run(self.queue(*sources, **options))
        for one in outcomes:
            if one.error is not None:
                raise one.error
        return outcomes

    def one(self, source: str, **options: Any) -> Outcome:
        """One source that is one file."""
        (outcome,) = self.get(source, **options)
        return outcome

    def files(self) -> list[str]:
        """Every file and folder below `models`, hidden ones too."""
        return sorted(str(path.relative_to(self.models)) for path in self.models.rglob("*") if not path.is_dir())
