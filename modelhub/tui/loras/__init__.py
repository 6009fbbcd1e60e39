"""The LoRA place: a stack with weights, verdicts, previews, and what can be made of it."""
