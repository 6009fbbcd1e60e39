"""What can be done where files are converted, pruned and repaired, and where one of them is looked into."""

from modelhub.tui.actions.action import Action

ACTIONS = (
    Action("convert", "start", "ctrl+s", "Write", "Write the results that the report announces; asks first.",
           footer=True),
    Action("convert", "inspect", "enter", "Inspect", "Everything in the file under the cursor; nothing of it is run.",
           footer=True),
    Action("convert", "add", "a", "Add", "Name a file, a folder of models, or an asset; it joins the list.",
           footer=True),
    Action("convert", "pickles", "P", "Pickles", "Put every pickle of the library into the list.", footer=True),
    Action("convert", "remove", "x,delete", "Remove", "Take the file under the cursor off the list; it stays on disk.",
           footer=True),
    Action("convert", "options", "f", "Options", "Go to the options; escape comes back to the list.", footer=True),
    Action("convert", "pick", "p", "Pick", "Choose an asset of the library; it joins the list."),
    Action("convert", "clear", "X", "Clear", "Empty the list, or with results in it, take these off first."),
    Action("convert", "report", "o", "Report", "Go to the report on the file under the cursor, and back."),
    Action("convert", "again", "R", "Look again", "Look at all files again: something on disk changed."),
    Action("convert", "undo", "u", "Undo", "Bring originals back from the trash that the last run moved there."),
    Action("convert", "back", "escape", "Back", "Stop what runs, or go back to the list, or to the library."),
    Action("inspect", "filter", "slash", "Filter", "Tensors by a part of their name, or a pattern such as *.attn2.*.",
           footer=True),
    Action("inspect", "tensors", "o", "Tensors", "Go to the tensors, or back to the facts.", footer=True),
    Action("inspect", "copy", "y", "Copy", "Copy the name of the tensor under the cursor, or the findings.",
           footer=True),
    Action("inspect", "back", "escape", "Back", "Clear the filter, or leave.", footer=True),
)  # fmt: skip
