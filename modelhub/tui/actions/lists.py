"""What every list understands."""

from modelhub.tui.actions.action import Action

ACTIONS = (
    Action("list", "cursor_up", "up,k", "Up", "One line up."),
    Action("list", "cursor_down", "down,j", "Down", "One line down."),
    Action("list", "page_up", "pageup,ctrl+b", "Page up", "One page up."),
    Action("list", "page_down", "pagedown,ctrl+f", "Page down", "One page down."),
    Action("list", "half_up", "ctrl+u", "Half up", "Half a page up."),
    Action("list", "half_down", "ctrl+d", "Half down", "Half a page down."),
    Action("list", "cursor_home", "home,g", "First", "To the first line."),
    Action("list", "cursor_end", "end,G", "Last", "To the last line."),
)  # fmt: skip
