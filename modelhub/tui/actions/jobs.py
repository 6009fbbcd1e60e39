"""What can be done with jobs."""

from modelhub.tui.actions.action import Action

ACTIONS = (
    Action("jobs", "stop", "x,delete", "Stop", "Stop the job under the cursor; asks if it ran for long.", footer=True),
    Action("jobs", "again", "r", "Again", "Start the job under the cursor once more, where that makes sense.",
           footer=True),
    Action("jobs", "open", "enter", "Its place", "Go to where the job was started.", footer=True),
    Action("jobs", "copy", "y", "Copy log", "Copy the log of the job under the cursor.", footer=True),
    Action("jobs", "clear", "z", "Clear", "Forget the jobs that are over.", footer=True),
    Action("jobs", "copy_error", "Y", "Copy error", "Copy the error of the job under the cursor, with the next step."),
    Action("jobs", "stop_all", "X", "Stop all", "Stop everything that runs or waits; asks first."),
    Action("jobs", "log", "o", "Log", "Go to the log and back; at its end it follows what comes."),
    Action("jobs", "back", "escape", "Back", "Go back to the list of jobs, or to the library.", footer=True),
)  # fmt: skip
