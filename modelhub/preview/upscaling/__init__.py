"""Upscalers: networks that enlarge pictures, tile by tile, and what surrounds them."""
