"""Known: what is known of one side of a check, whether it comes from a file just read or from a row of the catalog."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from modelhub.catalog.lineage import lineage_title

if TYPE_CHECKING:
    from modelhub.catalog.asset import Asset
    from modelhub.catalog.identity import Identity

#: How lineages stand in evidence: "lineage: pony (hash)" and "lineage: pony, declared".
_LINEAGE = re.compile(r"lineage: ([\w.-]+)(?: \((.+)\)|, (declared))")


@dataclass(frozen=True, slots=True)
class Descent:
    """One piece of evidence for a lineage: its id, and the rule (hash, base model, merge, declared, captions, …).

    `found` is what stood under the metadata key `key`.
    """

    id: str
    rule: str
    key: str
    found: str

    @property
    def title(self) -> str:
        """What people call the lineage."""
        return lineage_title(self.id)


@dataclass(frozen=True, slots=True)
class Known:
    """A LoRA, or a model: what `identify` says of it, and where it comes from.

    `adapter` is what `catalog.adapter_facts` found, None for a model. `name` is the file name, `prediction` also one
    that only the name or the noise schedule of the training tells. `lineages` has the strongest evidence first.
    `trained_on` is the name of the file in the user's library that an adapter was trained on, by its hash.
    """

    name: str
    kind: str = "unknown"
    architecture: str | None = None
    variant: str | None = None
    prediction: str | None = None
    confidence: str = "none"
    facts: Mapping[str, Any] = field(default_factory=dict)
    adapter: Mapping[str, Any] | None = None
    components: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    lineages: tuple[Descent, ...] = ()
    trained_on: str = ""

    @staticmethod
    def of_identity(identity: Identity, name: str, trained_on: str = "") -> Known:
        """Of a file just read."""
        evidence = ((one.rule, one.tensor, one.found) for one in identity.evidence)
        parts = tuple(one.role for one in identity.components)
        return _known(identity, name, parts, evidence, trained_on)

    @staticmethod
    def of_asset(asset: Asset, trained_on: str = "") -> Known:
        """Of a row of the catalog; no file is read. What the user said of it counts for more than its bytes."""
        evidence = ((one.get("rule", ""), one.get("tensor", ""), one.get("found", "")) for one in asset.evidence)
        parts = tuple(one["role"] for one in asset.components)
        return _known(asset, asset.name, parts, evidence, trained_on)


def _known(
    what: Identity | Asset, name: str, parts: tuple[str, ...], evidence: Iterable[tuple[str, str, str]], trained_on: str
) -> Known:
    return Known(
        name=name,
        kind=what.kind,
        architecture=what.architecture,
        variant=what.variant,
        prediction=what.prediction or _prediction(what.kind, what.facts),
        confidence=what.confidence,
        facts=what.facts,
        adapter=what.adapter,
        components=parts,
        conflicts=tuple(what.conflicts),
        lineages=tuple(_descents(evidence)),
        trained_on=trained_on,
    )


def _prediction(kind: str, facts: Mapping[str, Any]) -> str | None:
    """What a file's name says; of an adapter also the noise schedule, which models that predict v are trained with."""
    hinted = "v-prediction" in facts.get("name_hints", ())
    return "v" if hinted or (kind == "lora" and facts.get("zero_terminal_snr")) else None


def _descents(evidence: Iterable[tuple[str, str, str]]) -> Iterator[Descent]:
    """The lineages in evidence; `trace` has put the strongest first, sidecars come behind."""
    found = []
    for rule, key, text in evidence:
        fits = _LINEAGE.fullmatch(rule)
        if fits:
            found.append(Descent(fits[1], fits[2] or fits[3], key, text))
    order = {"captions": 1, "VAE name": 2, "file name": 2}
    yield from sorted(found, key=lambda one: order.get(one.rule, 0))
