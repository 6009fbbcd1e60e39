"""The command palette: every action of the table that the screen at hand understands."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.dom import DOMNode

from modelhub.tui.actions import Action, actions
from modelhub.tui.widgets.line_list import LineList


class ActionCommands(Provider):
    """Finds actions by label and help, and runs them where they live."""

    def _found(self) -> Iterator[tuple[Action, DOMNode]]:
        scopes: dict[str, DOMNode] = {getattr(self.screen, "scope", ""): self.screen, "app": self.app}
        if isinstance(self.focused, LineList):
            scopes["list"] = self.focused
        for scope, node in scopes.items():
            yield from ((action, node) for action in actions(scope) if action.name != "command_palette")

    async def discover(self) -> Hits:
        """All actions."""
        for action, node in self._found():
            yield DiscoveryHit(action.label, partial(self.app.run_action, action.call, node), help=action.help)

    async def search(self, query: str) -> Hits:
        """The actions whose label or help fits what was typed."""
        matcher = self.matcher(query)
        for action, node in self._found():
            score = matcher.match(action.label) or (query.lower() in action.help.lower()) * 0.1
            if score > 0:
                run = partial(self.app.run_action, action.call, node)
                yield Hit(score, matcher.highlight(action.label), run, help=action.help)
