"""Packed weights (blocks of GGUF, fp8 with scales, 4-bit tables) as sources of plain floats."""
