"""The terminal interface: browse, filter, tag, rate, and merge with a preview."""
