"""Prompts: from what a person writes to what the network is conditioned on."""
