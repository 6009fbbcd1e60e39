"""Files in other places: renaming, moving, duplicates and the trash can, each with its plan."""
