"""Pictures from any TensorSource, written or not: networks, tokenizers, samplers, grids."""
