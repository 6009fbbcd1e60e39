"""A diffusers pipeline folder as one checkpoint: which tensor goes where, under which name, joined with what."""
