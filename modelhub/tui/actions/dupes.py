"""What can be done with duplicates."""

from modelhub.tui.actions.action import Action

ACTIONS = (
    Action("dupes", "mark", "space", "Mark", "Mark a file that is to go, or unmark it.", footer=True),
    Action("dupes", "mark_rest", "a", "All but 1", "Mark all but one of each, but none that has more.", footer=True),
    Action("dupes", "keep", "i", "Keep", "Keep this one of its group, and mark the others.", footer=True),
    Action("dupes", "trash", "x,delete", "Trash", "Move what is marked to the trash.", footer=True),
    Action("dupes", "compare", "equals_sign", "Compare", "Show a file beside the one that is kept, side by side."),
    Action("dupes", "open", "enter", "Open", "Go to the file under the cursor in the library.", footer=True),
    Action("dupes", "back", "escape", "Back", "Stop the search, or go back to the library.", footer=True),
)  # fmt: skip
