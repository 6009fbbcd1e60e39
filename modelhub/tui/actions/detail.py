"""What can be done in the detail pane when it has the focus."""

from modelhub.tui.actions.action import Action

ACTIONS = (
    Action("detail", "fact_before", "up,k", "Up", "To the fact before, or up the text."),
    Action("detail", "next_fact", "down,j", "Down", "To the next fact, or down the text."),
    Action("detail", "page_up", "pageup,ctrl+b", "Page up", "One page up."),
    Action("detail", "page_down", "pagedown,ctrl+f", "Page down", "One page down."),
    Action("detail", "first_fact", "home,g", "First", "To the top."),
    Action("detail", "last_fact", "end,G", "Last", "To the end."),
    Action("detail", "take_fact", "enter", "Take", "Copy the fact under the cursor, or go to the asset that it names."),
    Action("detail", "return", "backspace", "Return", "Back to the asset that was left by following a fact."),
)  # fmt: skip
