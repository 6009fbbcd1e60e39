"""The one table of actions: it feeds the keys, the footer, the help screen and the command palette.

A `scope` is where an action lives: the app, a place ("browse", "lab", …), another screen, or any list. The id of a
binding is `scope.name`; keys.toml in the home folder maps ids to other keys.
"""

from __future__ import annotations

from textual.binding import Binding

from modelhub.tui.actions import (
    compare,
    convert,
    detail,
    download,
    dupes,
    everywhere,
    fits,
    jobs,
    lab,
    library,
    lists,
    lora,
    running,
    settings,
    tending,
    trash,
)
from modelhub.tui.actions.action import Action as Action

#: Scope to the heading it has in the help.
SCOPES = {
    "browse": "Library", "download": "Download", "lab": "Merge lab", "lora": "LoRA", "convert": "Convert and prune",
    "jobs": "Jobs", "settings": "Settings", "running": "Commands", "fits": "What fits", "list": "Lists",
    "app": "Everywhere", "detail": "Detail pane", "compare": "Compare", "dupes": "Duplicates", "trash": "Trash",
    "queue": "Downloads: queue", "found": "Downloads: search", "offer": "Downloads: files", "plan": "Downloads: plan",
    "updates": "Downloads: updates", "inspect": "Inspect",
}  # fmt: skip

_TABLES = (
    library, tending, detail, compare, dupes, trash, download, lab, lora, convert, jobs, settings, running, fits, lists,
    everywhere,
)  # fmt: skip
ACTIONS: tuple[Action, ...] = tuple(action for table in _TABLES for action in table.ACTIONS)


def actions(*scopes: str) -> list[Action]:
    """The actions of these scopes, in the table's order."""
    return [action for action in ACTIONS if action.scope in scopes]


def bindings(scope: str) -> list[Binding]:
    """The key bindings of a scope, for the BINDINGS of its screen or widget."""
    return [
        Binding(
            action.keys,
            action.call,
            action.label,
            show=action.footer,
            priority=action.priority,
            tooltip=action.help,
            id=action.id,
        )
        for action in actions(scope)
    ]
