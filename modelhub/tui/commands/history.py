"""The command lines that were run, the newest first; remembered from one start to the next."""

from __future__ import annotations

from modelhub.tui.memory import Memory

_PLACE = "running"
_MOST = 100


class History:
    """Lines without repetition. What stands in state.json is taken if it is text, and left if it is not."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        found = memory.get(_PLACE).get("lines")
        self.lines = [line for line in found if isinstance(line, str)][:_MOST] if isinstance(found, list) else []

    def add(self, line: str) -> None:
        """A line was run. What opens doors in an address of it is not kept."""
        if "://" in line:
            from modelhub.fetch.net.redact import cleaned

            line = cleaned(line)
        self.lines = [line, *(one for one in self.lines if one != line)][:_MOST]
        self._memory.put(_PLACE, {"lines": self.lines})
