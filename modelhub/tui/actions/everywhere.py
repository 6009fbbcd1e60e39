"""What can be done everywhere."""

from modelhub.tui.actions.action import Action

#: The keys of the places; their ids are those of `modelhub.tui.places`.
_PLACES = (
    ("browse", "B", "Library", "Find, tag and tend what you have."),
    ("download", "D", "Download", "Fetch models from Civitai and Hugging Face."),
    ("lab", "M", "Merge lab", "Merge models, and see the merge before it is written."),
    ("lora", "L", "LoRA", "Stack LoRAs on a model, with verdicts and previews."),
    ("convert", "C", "Convert", "Convert, prune and repair files."),
    ("jobs", "J", "Jobs", "Everything that runs, and what came of it."),
    ("settings", "comma", "Settings", "Folders, tokens, theme, keys."),
)

ACTIONS = (
    Action("app", "help", "question_mark,f1", "Help", "The keys of this place, and the query language.", footer=True),
    Action("app", "command_palette", "ctrl+p", "Palette", "Find any action, place or asset by name."),
    Action("app", "jump", "ctrl+g", "Jump", "Show a letter on everything that can be reached, and go where you type."),
    Action("app", "commands", "colon", "Command", "Run any command of the command line, with its options as fields."),
    *(Action("app", f"go_{place}", key, title, what, run=f"go('{place}')") for place, key, title, what in _PLACES),
    Action("app", "go_before", "left_square_bracket", "Place before", "To the place at the left.", run="beside(-1)"),
    Action("app", "go_after", "right_square_bracket", "Next place", "To the place at the right.", run="beside(1)"),
    Action("app", "change_theme", "f2", "Theme", "Choose other colours; settings.toml keeps them."),
    Action("app", "screenshot", "f3", "Screenshot", "Save the screen as an SVG picture in the current folder."),
    Action("app", "interrupt", "ctrl+c", "Interrupt", "Say how to stop a job and how to leave; copies in a field."),
    Action("app", "quit", "q,ctrl+q", "Quit", "Leave modelhub; asks first when jobs are running.", footer=True),
)  # fmt: skip
