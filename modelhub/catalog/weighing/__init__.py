"""How much of a model: weights by number, component, block, preset or name of a tensor, and their texts."""
