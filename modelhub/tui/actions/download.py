"""What can be done where models are downloaded: in the place, and on each of its pages."""

from modelhub.tui.actions.action import Action

_PAGES = (("queue", "Queue"), ("found", "Search"), ("offer", "Files"), ("plan", "Plan"), ("updates", "Updates"))

ACTIONS = (
    Action("download", "ask", "slash", "Get", "Type an address or a hash, or words to search for.", footer=True),
    Action("download", "back", "escape", "Back", "Stop what is asked for, or go back; from the queue: stop, or leave."),
    *(
        Action("download", f"page_{page}", str(number), f"{title}", f"To the page {title}.", run=f"page('{page}')")
        for number, (page, title) in enumerate(_PAGES, 1)
    ),
    Action("queue", "start", "s", "Start", "Download what waits, several at once.", footer=True),
    Action("queue", "pause", "p", "Pause", "Pause what waits or runs; let go on what is paused.", footer=True),
    Action("queue", "pause_all", "P", "Pause all", "Pause all that waits or runs; again lets all go on."),
    Action("queue", "retry", "r", "Retry", "Try what failed again; it goes on where it broke off.", footer=True),
    Action("queue", "remove", "x,delete", "Remove", "Take it out of the queue; asks about what has come.", footer=True),
    Action("queue", "show", "enter", "Show it", "Go to a model that is done, in the library.", footer=True),
    Action("queue", "clear", "c", "Clear done", "Take what is done out of the list; the files stay."),
    Action("queue", "sooner", "minus", "Sooner", "Put it before the one above."),
    Action("queue", "later", "plus", "Later", "Put it behind the one below."),
    Action("queue", "mark", "space", "Mark", "Mark or unmark the download under the cursor."),
    Action("queue", "mark_all", "ctrl+a", "Mark all", "Mark all downloads, or unmark them."),
    Action("found", "open", "enter", "Files", "Ask for the files of what is marked, or under the cursor.", footer=True),
    Action("found", "mark", "space", "Mark", "Mark or unmark what is under the cursor.", footer=True),
    Action("found", "sort", "s", "Sort", "By relevance, downloads, rating, or the newest first.", footer=True),
    Action("found", "adult", "n", "NSFW", "Find also what is not safe for work, or no more.", footer=True),
    Action("found", "more", "m", "More", "Ask for more of the same.", footer=True),
    Action("found", "copy", "y", "Copy page", "Copy the address of the page of what is under the cursor."),
    Action("offer", "plan", "enter", "Plan", "See where the marked files go, before anything is fetched.", footer=True),
    Action("offer", "mark", "space", "Mark", "Mark a file; on a version, its usual files.", footer=True),
    Action("offer", "fold", "left,h", "Fold", "Hide the files of a version.", footer=True),
    Action("offer", "unfold", "right,l", "Unfold", "Show the files of a version.", footer=True),
    Action("offer", "unfold_all", "a", "All versions", "Show the files of all versions, or of none but the marked."),
    Action("offer", "copy", "y", "Copy page", "Copy the address of the model's page."),
    Action("plan", "go", "enter", "Download", "Put the plan into the queue and download it.", footer=True),
    Action("plan", "name", "n", "Name", "Give the file another name.", footer=True),
    Action("plan", "folder", "f", "Folder", "Choose another folder for what is marked.", footer=True),
    Action("plan", "replace", "w", "Replace", "Fetch it although it is there, in its place.", footer=True),
    Action("plan", "drop", "x,delete", "Leave out", "Take it out of the plan.", footer=True),
    Action("plan", "later", "t", "Later", "Put the plan into the queue, paused, for another time."),
    Action("plan", "keep_unsafe", "u", "Keep unsafe", "File a pickle even if it would run code; asks first."),
    Action("plan", "mark", "space", "Mark", "Mark or unmark what is under the cursor."),
    Action("updates", "open", "enter", "Files", "Ask for the files of what is marked.", footer=True),
    Action("updates", "mark", "space", "Mark", "Mark or unmark the version under the cursor.", footer=True),
    Action("updates", "check", "r", "Check again", "Ask again, although answers are kept for a day.", footer=True),
    Action("updates", "sync", "s", "Look up", "Look unknown files up at Civitai by their hashes.", footer=True),
    Action("updates", "hash", "S", "Hash, look up", "Hash what has no hash yet, then look it up.", footer=True),
    Action("updates", "mark_all", "ctrl+a", "Mark all", "Mark all versions, or unmark them."),
    Action("updates", "copy", "y", "Copy page", "Copy the address of the model's page."),
)  # fmt: skip
