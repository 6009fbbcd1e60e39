"""LoRA and its kin: whether an adapter fits a model, baking it in, extracting, resizing and renaming it."""
