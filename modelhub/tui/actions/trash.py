"""What can be done with what is in the trash."""

from modelhub.tui.actions.action import Action

ACTIONS = (
    Action("trash", "restore", "enter,r", "Bring back", "Bring the files of this line back.", footer=True),
    Action("trash", "delete", "x,delete", "Delete", "Delete the files of this line for good; asks first.", footer=True),
    Action("trash", "empty", "E", "Empty", "Delete all that is in the trash for good; asks first.", footer=True),
    Action("trash", "empty_old", "O", "Empty old", "Delete what is older than some days; asks first.", footer=True),
    Action("trash", "back", "escape", "Back", "Stop what runs, or go back to the library.", footer=True),
)  # fmt: skip
