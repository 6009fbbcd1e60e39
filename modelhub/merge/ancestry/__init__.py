"""Where a merge comes from: what its file says of its recipe and parents, and the tree that follows from it."""
