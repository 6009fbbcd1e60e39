"""Models: which parts a picture needs, where they are, and on which device they stand."""
