"""The one table of actions: it feeds the keys, the footer, the help screen and the command palette.

A `scope` is where an action lives: the app, a screen ("browse", "lab", "fits"), or any list. The id of a binding is
`scope.name`; keys.toml in the home folder maps ids to other keys.
"""

from __future__ import annotations

from dataclasses import dataclass

from textual.binding import Binding


@dataclass(frozen=True, slots=True)
class Action:
    """Something a user can do. `keys` are Textual key names joined by commas; `run` is the Textual action.

    `priority` runs it before the next key is looked at: what is typed right after belongs to what it opened.
    """

    scope: str
    name: str
    keys: str
    label: str
    help: str
    footer: bool = False
    run: str = ""
    priority: bool = False

    @property
    def id(self) -> str:
        """The name by which keys.toml knows the binding."""
        return f"{self.scope}.{self.name}"

    @property
    def call(self) -> str:
        """The action in Textual's words: `rate(3)`."""
        return self.run or self.name


#: Scope to the heading it has in the help.
SCOPES = {"browse": "Library", "list": "Lists", "lab": "Merge lab", "fits": "What fits", "app": "Everywhere"}

ACTIONS: tuple[Action, ...] = (
    Action("browse", "filter", "slash", "Filter", "Type a query; the list follows.", footer=True, priority=True),
    Action("browse", "mark", "space", "Mark", "Mark or unmark the asset under the cursor.", footer=True),
    Action("browse", "tag", "t", "Tag", "Edit the tags of what is marked, or under the cursor.", footer=True),
    Action("browse", "sort", "s", "Sort", "Sort by the next column; a click on a heading does it too."),
    Action("browse", "merge", "m", "Merge", "Open the merge lab with the marked models and LoRAs.", footer=True),
    Action("browse", "fits", "f", "Fits?", "Which models a LoRA or VAE fits, or which LoRAs fit a model.", footer=True),
    Action("browse", "detail", "d", "Detail", "Show or hide the detail pane.", footer=True),
    Action("browse", "open", "enter", "Open", "Go to the detail of the asset under the cursor.", run="open"),
    Action("browse", "back", "escape", "Back", "Stop the job, or leave the pane, or unmark, or clear the filter."),
    Action("browse", "sidebar", "b", "Sidebar", "Show or hide kinds, tags and folders."),
    Action("browse", "reverse", "S", "Reverse", "Turn the order of the list round."),
    Action("browse", "mark_all", "ctrl+a", "Mark all", "Mark everything the filter found, or unmark it."),
    *(
        Action("browse", f"rate_{n}", str(n), f"Rate {'★' * n or 'none'}", what, run=f"rate({n})")
        for n, what in enumerate(("Take the stars away.", *(f"Give {n} star{'s' * (n > 1)}." for n in range(1, 6))))
    ),
    Action("browse", "note", "n", "Note", "Write a note on the asset under the cursor."),
    Action("browse", "set_kind", "i", "Set kind", "Say what kind and architecture a file is, or take that back."),
    Action("browse", "trash", "x,delete", "Trash", "Move what is marked, or under the cursor, to the trash."),
    Action("browse", "undo", "u", "Undo", "Take back the latest change of files, tags, stars, notes or kinds."),
    Action("browse", "rescan", "R", "Rescan", "Bring the catalog up to date with the remembered folders."),
    Action("browse", "add_folder", "a", "Add folder", "Scan a folder and remember it."),
    Action("browse", "copy_path", "y", "Copy path", "Copy the path of the asset under the cursor."),
    Action("browse", "copy_hash", "Y", "Copy SHA256", "Copy the SHA256 of the asset under the cursor."),
    Action("list", "cursor_up", "up,k", "Up", "One line up."),
    Action("list", "cursor_down", "down,j", "Down", "One line down."),
    Action("list", "page_up", "pageup,ctrl+b", "Page up", "One page up."),
    Action("list", "page_down", "pagedown,ctrl+f", "Page down", "One page down."),
    Action("list", "cursor_home", "home,g", "First", "To the first line."),
    Action("list", "cursor_end", "end,G", "Last", "To the last line."),
    Action("lab", "preview", "f5,ctrl+r", "Preview", "Render the unwritten merge and its parents.", footer=True),
    Action("lab", "save", "ctrl+s", "Save", "Write the merge to a file and catalog it.", footer=True),
    Action("lab", "recipe", "ctrl+t", "Recipe", "Write the recipe of the merge as TOML.", footer=True),
    Action("lab", "swap", "f6", "Swap A/B", "Exchange A and B.", footer=True),
    Action("lab", "open", "ctrl+o", "Open", "Open a recipe: in the form, or as it is written.", footer=True),
    Action("lab", "back", "escape", "Back", "Stop what runs, or close the recipe, or go back.", footer=True),
    Action("fits", "bake", "m", "Merge lab", "Open the merge lab with the model and the LoRA.", footer=True),
    Action("fits", "open", "enter", "Evidence", "Go to the evidence of the pair under the cursor.", footer=True),
    Action("fits", "back", "escape", "Back", "Stop what runs, or go back to the list, or leave.", footer=True),
    Action("app", "help", "question_mark,f1", "Help", "All keys, and the query language.", footer=True),
    Action("app", "quit", "q,ctrl+q", "Quit", "Leave modelhub; running jobs are stopped.", footer=True),
    Action("app", "interrupt", "ctrl+c", "Interrupt", "Say how to stop a job and how to leave; copies in a field."),
    Action("app", "command_palette", "ctrl+p", "Palette", "Find any of these actions by name."),
    Action("app", "change_theme", "f2", "Theme", "Choose other colours; settings.toml keeps them."),
    Action("app", "screenshot", "f3", "Screenshot", "Save the screen as an SVG picture in the current folder."),
)  # fmt: skip


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
