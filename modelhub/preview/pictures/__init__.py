"""Pictures: pixels, the text that says how they were made, and sheets of them."""
