"""What can be done with settings."""

from modelhub.tui.actions.action import Action

ACTIONS = (
    Action("settings", "back", "escape", "Back", "Stop what runs, or go back one step.", footer=True),
)  # fmt: skip
