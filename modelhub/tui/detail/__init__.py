"""The pane beside the list: all that is known of one asset, to read, copy and follow."""
