"""What can be done where it is asked what fits."""

from modelhub.tui.actions.action import Action

ACTIONS = (
    Action("fits", "stack", "s", "Stack", "Open the LoRA place with the model and the LoRA.", footer=True),
    Action("fits", "bake", "m", "Merge lab", "Open the merge lab with the model and the LoRA.", footer=True),
    Action("fits", "open", "enter", "Evidence", "Go to the evidence of the pair under the cursor.", footer=True),
    Action("fits", "back", "escape", "Back", "Stop what runs, or go back to the list, or leave.", footer=True),
)  # fmt: skip
