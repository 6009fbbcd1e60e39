"""Convert: any readable source to safetensors, pruned, cast or repaired, with a report of what stays, goes and why."""
