"""What can be done in the library."""

from modelhub.tui.actions.action import Action

ACTIONS = (
    Action("browse", "filter", "slash", "Filter", "Type a query; the list follows.", footer=True, priority=True),
    Action("browse", "mark", "space", "Mark", "Mark or unmark the asset under the cursor.", footer=True),
    Action("browse", "tag", "t", "Tag", "Edit the tags of what is marked, or under the cursor.", footer=True),
    Action("browse", "sort", "s", "Sort", "Sort by the next column; a click on a heading does it too."),
    Action("browse", "merge", "m", "Merge", "Open the merge lab with the marked models and LoRAs.", footer=True),
    Action("browse", "fits", "f", "Fits?", "What fits a LoRA, VAE or model; a matrix of several.", footer=True),
    Action("browse", "stack", "l", "Stack", "Put the marked LoRAs on a model, with verdicts and a preview."),
    Action("browse", "convert", "P", "Convert", "Convert, prune or repair what is marked, or under the cursor."),
    Action("browse", "detail", "d", "Detail", "Show or hide the detail pane.", footer=True),
    Action("browse", "open", "enter", "Open", "Go to the detail of the asset under the cursor.", run="open"),
    Action("browse", "back", "escape", "Back", "Stop the job, or leave the pane, or unmark, or clear the filter."),
    Action("browse", "sidebar", "b", "Sidebar", "Show or hide kinds, tags and folders."),
    Action("browse", "reverse", "S", "Reverse", "Turn the order of the list round."),
    Action("browse", "columns", "c", "Columns", "Choose columns and their order, and sort by any of them."),
    Action("browse", "save_search", "w", "Save search", "Give the query a name; it then stands in the sidebar."),
    Action("browse", "mark_all", "ctrl+a", "Mark all", "Mark everything the filter found, or unmark it."),
    Action("browse", "visual", "v", "Mark range", "Mark all rows from here on that you move over; v or space ends it."),
    Action("browse", "extend_up", "shift+up", "Mark up", "Mark the rows upwards.", run="extend(-1)"),
    Action("browse", "extend_down", "shift+down", "Mark down", "Mark the rows downwards.", run="extend(1)"),
    Action("browse", "invert_marks", "asterisk", "Invert marks", "Mark what is not marked, and unmark what is."),
    *(
        Action("browse", f"rate_{n}", str(n), f"Rate {'★' * n or 'none'}", what, run=f"rate({n})")
        for n, what in enumerate(("Take the stars away.", *(f"Give {n} star{'s' * (n > 1)}." for n in range(1, 6))))
    ),
    Action("browse", "note", "n", "Note", "Write a note on what is marked, or under the cursor."),
    Action("browse", "set_kind", "i", "Set kind", "Say what kind and architecture a file is, or take that back."),
    Action("browse", "trash", "x,delete", "Trash", "Move what is marked, or under the cursor, to the trash."),
    Action("browse", "undo", "u", "Undo", "Take back the latest change of files, tags, stars, notes or kinds."),
    Action("browse", "rescan", "R", "Rescan", "Bring the catalog up to date with the remembered folders."),
    Action("browse", "add_folder", "a", "Add folder", "Scan a folder and remember it."),
    Action("browse", "copy_path", "y", "Copy path", "Copy the path of the asset under the cursor."),
)  # fmt: skip
