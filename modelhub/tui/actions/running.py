"""What can be done with a command of the command line."""

from modelhub.tui.actions.action import Action

ACTIONS = (
    Action("running", "run", "ctrl+r,f5", "Run", "Run the command with what the form says.", footer=True),
    Action("running", "dry_run", "ctrl+t,f6", "Dry run", "Say what the command would do, and do nothing.", footer=True),
    Action("running", "output", "ctrl+o", "Output", "Show what the command printed, or the form again.", footer=True),
    Action("running", "history", "ctrl+l", "History", "List the command lines that were run before.", footer=True),
    Action("running", "copy", "ctrl+y", "Copy", "Copy the command line, or the output where it is shown.", footer=True),
    Action("running", "filter", "slash", "Filter", "Type to find a command, or a whole command line."),
    Action("running", "back", "escape", "Back", "Stop the command, or go back one step.", footer=True),
)  # fmt: skip
