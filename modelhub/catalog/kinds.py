"""The kinds of assets, as the command line's contract names them."""

from __future__ import annotations

KINDS = (
    "checkpoint", "diffusion-model", "vae", "text-encoder", "lora", "embedding", "controlnet", "t2i-adapter",
    "ip-adapter", "hypernetwork", "clip-vision", "motion-module", "upscaler", "other", "unknown",
)  # fmt: skip
