"""What can be done to assets in the library, and what lies beside the list: duplicates, the trash."""

from modelhub.tui.actions.action import Action

ACTIONS = (
    Action("browse", "rename", "r", "Rename", "Give what is marked, or under the cursor, another name; or a pattern."),
    Action("browse", "move", "e", "Move", "Move what is marked, or under the cursor, to another folder."),
    Action("browse", "compare", "equals_sign", "Compare", "Show two or three marked assets side by side."),
    Action("browse", "copy", "Y", "Copy…", "Copy a hash, AIR, address, trigger words, infotext or recipe."),
    Action("browse", "next_picture", "p", "Next picture", "Show the next of several pictures beside a model."),
    Action("browse", "hash", "H", "Hash", "Compute all hashes of what is marked, or under the cursor."),
    Action("browse", "verify", "V", "Verify", "Read files again and compare them with their hashes, to find bit rot."),
    Action("browse", "look_up", "O", "Look up", "Ask Civitai about what is marked, or under the cursor, by its hash."),
    Action("browse", "forget", "F", "Forget", "Take files that are gone out of the catalog."),
    Action("browse", "dupes", "T", "Duplicates", "Find the same bytes, and the same weights in another file (dupes)."),
    Action("browse", "trash_can", "X", "Trash can", "See what is in the trash, bring it back, or delete it for good."),
)  # fmt: skip
