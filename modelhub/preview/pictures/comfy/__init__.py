"""ComfyUI: the graph of nodes in its pictures, walked from the saved picture back to prompts, samplers and models."""
