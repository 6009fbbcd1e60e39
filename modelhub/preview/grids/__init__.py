"""Grids: pictures over the values of up to three axes, with labels, and only what changed done anew."""
