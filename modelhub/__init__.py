"""modelhub: know, fetch, convert, merge and preview the models of Stable Diffusion and Flux."""

__version__ = "0.1.0"
