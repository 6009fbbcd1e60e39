"""The convert place: report before, result after, and the tensors of a file."""
