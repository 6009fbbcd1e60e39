"""The settings place: fields, folders, tokens and themes."""
