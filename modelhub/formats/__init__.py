"""Ground floor: bytes on disk to headers and tensors, and back; knows no model family and loads no torch at import."""
