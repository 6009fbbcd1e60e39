"""What can be done where assets are compared."""

from modelhub.tui.actions.action import Action

ACTIONS = (
    Action("compare", "differences", "d", "Differences", "Show only what differs, or everything.", footer=True),
    Action("compare", "open", "enter", "Values", "Show the values of a line in full.", footer=True),
    Action("compare", "copy", "y", "Copy", "Copy the values of a line.", footer=True),
    Action("compare", "pictures", "p", "Pictures", "Show or hide the pictures.", footer=True),
    Action("compare", "back", "escape", "Back", "Back to the library.", footer=True),
)  # fmt: skip
