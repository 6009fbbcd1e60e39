"""A field to type into, in which keys count in the order in which they came."""

from __future__ import annotations

from textual import events
from textual.widgets import Input


class TextField(Input):
    """Textual's own inserts letters at once, and erases or moves when the key has gone round the whole program.

    Over a slow line keys come together, and what was typed after a backspace was erased by it.
    """

    async def _on_key(self, event: events.Key) -> None:
        await super()._on_key(event)
        if event.is_printable:
            return
        for binding in self._bindings.key_to_bindings.get(event.key, ()):
            if not binding.priority and await self.app.run_action(binding.action, self):
                event.stop()
                event.prevent_default()
                return
