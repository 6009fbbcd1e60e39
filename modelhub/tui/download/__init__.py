"""The download place: paste, search, files, plan, queue and updates."""
