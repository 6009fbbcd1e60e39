"""Models of Civitai by their ids, a hundred in a request, kept in the catalog so that nothing is asked twice."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from modelhub.catalog import lookups
from modelhub.catalog.lookups import ModelAnswer
from modelhub.catalog.store import Catalog
from modelhub.fetch import civitai
from modelhub.fetch.civitai.looking import batches
from modelhub.fetch.lookup import civitai_words
from modelhub.fetch.net import Net
from modelhub.jobs import QUIET, Job


@dataclass(frozen=True, slots=True)
class Models:
    """Asks for models; an answer younger than `age` seconds is not asked for again."""

    catalog: Catalog
    net: Net
    age: float
    job: Job = QUIET

    def stale(self, ids: Iterable[str]) -> list[str]:
        """Those of `ids` that there is no young answer for."""
        wanted = list(dict.fromkeys(ids))
        oldest = time.time() - self.age
        young = {name for name, one in lookups.models(self.catalog, wanted, "civitai").items() if one.at > oldest}
        return [one for one in wanted if one not in young]

    def ask(self, ids: Sequence[str]) -> Iterator[list[ModelAnswer]]:
        """Ask for all of `ids`; each batch is kept, with what it tells of files that are here, before it is yielded."""
        with self.job.phase("asking about models", len(ids), "models") as advance:
            for batch in batches(ids):
                yield self._batch(batch)
                advance(len(batch))

    def _batch(self, batch: Sequence[str]) -> list[ModelAnswer]:
        raw = civitai.models([int(one) for one in batch], self.net, self.job)
        found = [
            civitai_words.model(one, raw[int(one)]) if int(one) in raw else ModelAnswer("civitai", one, False)
            for one in batch
        ]
        with self.catalog.atomic():
            lookups.keep_models(self.catalog, found)
            self._pass_on({one.model: one for one in found if one.found})
        return found

    def _pass_on(self, found: dict[str, ModelAnswer]) -> None:
        """What holds for all files of a model is kept with each of them."""
        files = lookups.of_models(self.catalog, found, "civitai")
        told = ((one, civitai_words.of_model(found[model].facts)) for model, many in files.items() for one in many)
        lookups.tell(self.catalog, ((one, more) for one, more in told if one.found and more))
