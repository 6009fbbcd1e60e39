"""Noise: what pictures start from and what samplers add, from the seed of each picture alone."""
