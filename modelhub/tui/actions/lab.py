"""What can be done in the merge lab."""

from modelhub.tui.actions.action import Action

ACTIONS = (
    Action("lab", "preview", "f5,ctrl+r", "Preview", "Render the unwritten merge and its parents.", footer=True),
    Action("lab", "live", "ctrl+l,v", "Live", "Render the merge whenever the form rests, or not.", footer=True),
    Action("lab", "hold", "f8,p", "Hold", "Pin the picture of the merge, or let it go.", footer=True),
    Action("lab", "flip", "f9,x", "Flip", "The merge with all the room, then the held one in its place, and back."),
    Action("lab", "grid", "f4,g", "Grid", "Render the merge over the values of one or two settings.", footer=True),
    Action("lab", "save", "ctrl+s", "Save", "Write the merge to a file and catalog it.", footer=True),
    Action("lab", "recipe", "ctrl+t", "Recipe", "Write the recipe of the merge as TOML."),
    Action("lab", "picture", "ctrl+n,i", "Save picture", "Save the picture of the merge, or the grid, as PNG."),
    Action("lab", "history", "f7,y", "History", "What was previewed and saved here, to bring it back.", footer=True),
    Action("lab", "edit", "f10,e", "As text", "Edit the recipe as TOML, checked as you type; again: back to the form."),
    Action("lab", "open", "ctrl+o", "Open", "Open a recipe: in the form, or as text."),
    Action("lab", "outlook", "w", "Warnings", "All that there is to be said of the merge before it is written."),
    Action("lab", "swap", "f6", "Swap A/B", "Exchange A and B."),
    Action("lab", "back", "escape", "Back", "Stop what runs here, or close what is open, or go to the library."),
)  # fmt: skip
