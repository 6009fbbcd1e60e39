"""Names of axes, ours and A1111's for those that it has too; and what a model is called on one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from modelhub.text import one_line

#: Our name of an axis to A1111's, which infotexts have.
A1111: Mapping[str, str] = MappingProxyType({
    "seed": "Seed", "steps": "Steps", "hires-steps": "Hires steps", "cfg": "CFG Scale", "prompt": "Prompt S/R",
    "negative": "Prompt S/R", "prompt-order": "Prompt order", "sampler": "Sampler", "schedule": "Schedule type",
    "model": "Checkpoint name", "clip-skip": "Clip skip", "denoise": "Denoising", "vae": "VAE",
    "upscaler": "Hires upscaler", "size": "Size", "refiner": "Refiner checkpoint", "switch-at": "Refiner switch at",
    "rng": "RNG source", "eta": "Eta", "variation": "Var. strength", "churn": "Sigma Churn", "churn-min": "Sigma min",
    "churn-max": "Sigma max", "noise": "Sigma noise", "rho": "Schedule rho", "sigma-min": "Schedule min sigma",
    "sigma-max": "Schedule max sigma", "guidance": "Distilled CFG Scale",
})  # fmt: skip


def short_name(ref: str) -> str:
    """The end of a path without its suffix: what people call a model."""
    return re.sub(
        r"\.(safetensors|sft|ckpt|pt|pth|gguf|toml|mecha|json)$",
        "",
        one_line(re.split(r"[/\\]", ref.rstrip("/\\"))[-1]),
    )


def axis_key(text: str) -> str:
    """The name in `NAME=VALUES` as axes are called: `Clip skip` is clip-skip, A1111's `CFG Scale` is cfg.

    Its `Sigma min` is churn-min, `sigma-min` is ours.
    """
    name = text.partition("=")[0]
    key = _key(name)
    as_theirs = _THEIRS.get(" ".join(name.lower().split()))
    return as_theirs or (key if key in A1111 else _OURS.get(key, key))


def _key(name: str) -> str:
    return "-".join(re.split(r"[\s_-]+", name.strip().lower()))


#: A1111's "Prompt S/R" is our prompt: of two names the first one counts.
_THEIRS = {theirs.lower(): ours for ours, theirs in reversed([*A1111.items()])}
_OURS = {_key(theirs): ours for theirs, ours in _THEIRS.items()}
