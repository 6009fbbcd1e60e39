"""Denoising: from what networks predict to clean latents, guided by prompts."""
