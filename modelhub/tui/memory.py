"""What the interface remembers from one start to the next: for every place a few plain values, in state.json."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from modelhub.errors import file_error

_NAME = "state.json"


class Memory:
    """Plain values by place. A file that is missing or makes no sense is no memory, and no trouble."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / _NAME
        self._kept = self._read()
        self._written = json.dumps(self._kept)

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            read = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        found = read if isinstance(read, dict) else {}
        return {str(name): dict(values) for name, values in found.items() if isinstance(values, dict)}

    def get(self, place: str) -> dict[str, Any]:
        """What a place said last; whoever reads it must bear with values of any kind."""
        return dict(self._kept.get(place, {}))

    def put(self, place: str, values: dict[str, Any]) -> None:
        """What a place says now."""
        self._kept[place] = values

    def save(self) -> None:
        """Write what changed, whole or not at all. Raises FileError."""
        text = json.dumps(self._kept)
        if text == self._written:
            return
        temporary = self.path.with_name(f"{_NAME}.part")
        try:
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(self.path)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink()
            raise file_error(error, self.path) from error
        self._written = text
