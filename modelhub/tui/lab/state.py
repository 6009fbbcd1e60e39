"""What the lab remembers over a restart, read without trust: whatever stands there, a state comes of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from modelhub.catalog.weighing.weights import Weight, read_weight
from modelhub.errors import ModelhubError
from modelhub.merge.recipes.asking import read_value
from modelhub.merge.registry import Value, methods


@dataclass(frozen=True)
class LabState:
    """The form in plain values. `models` are paths, "" for an empty slot; `values` texts as `read_value` takes them.

    `blocks` are block weights as text, "" for none. `text` is a recipe that is edited as text, and `file` its file.
    """

    method: str = "weighted-sum"
    models: list[str] = field(default_factory=list)
    loras: list[tuple[str, float]] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)
    blocks: str = ""
    result: dict[str, Any] = field(default_factory=dict)
    request: dict[str, Any] = field(default_factory=dict)
    text: str = ""
    file: str = ""

    def plain(self) -> dict[str, Any]:
        """For the memory."""
        return asdict(self)

    @property
    def paths(self) -> list[str]:
        """All files that it names."""
        other = self.result.get("other_vae")
        named = [*self.models, *(path for path, _ in self.loras), *([other] if isinstance(other, str) else [])]
        return [path for path in dict.fromkeys(named) if path]

    def parameters(self) -> dict[str, Value | Weight]:
        """The values that the method can have."""
        found: dict[str, Value | Weight] = {}
        for parameter in methods()[self.method].parameters:
            text = self.values.get(parameter.name, "").strip()
            try:
                found |= {parameter.name: read_value(parameter, text)} if text else {}
            except ModelhubError:
                continue
        return found

    def weight(self) -> Weight | None:
        """The block weights."""
        try:
            return read_weight(self.blocks) if self.blocks else None
        except ModelhubError:
            return None


def read_state(plain: dict[str, Any]) -> LabState:
    """The state that was remembered, as far as it makes sense."""
    kinds: dict[str, type] = {"blocks": str, "result": dict, "request": dict, "text": str, "file": str}
    kept: dict[str, Any] = {name: plain[name] for name, kind in kinds.items() if type(plain.get(name)) is kind}
    method, models, values = plain.get("method"), plain.get("models"), plain.get("values")
    return LabState(
        method if isinstance(method, str) and method in methods() else LabState.method,
        [one if isinstance(one, str) else "" for one in models] if isinstance(models, list) else [],
        _loras(plain.get("loras")),
        {name: text for name, text in values.items() if isinstance(text, str)} if isinstance(values, dict) else {},
        **kept,
    )


def _loras(plain: object) -> list[tuple[str, float]]:
    rows = [row for row in plain if isinstance(row, list | tuple) and len(row) == 2] if isinstance(plain, list) else []
    return [(path, float(value)) for path, value in rows if isinstance(path, str) and type(value) in (int, float)]
