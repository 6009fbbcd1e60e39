"""Steps that tests of the LoRA place have in common."""

from __future__ import annotations

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from modelhub.tui.loras.screen import LoraScreen

BASE, FRAMED, WIDE = "tiny-shapes-base.safetensors", "tiny-shapes-framed-lora.safetensors", "too-wide[b].safetensors"


def save_wide(models):
    """A LoRA of which every layer is twice as wide."""
    wide = {
        name: np.concatenate([value, value], axis=1 if name.endswith("down.weight") else 0) if value.ndim else value
        for name, value in load_file(models / FRAMED).items()
    }
    with safe_open(models / FRAMED, "np") as file:
        save_file(wide, models / WIDE, file.metadata())


def named(library, *names):
    """Assets by their names, in that order."""
    with library.open() as catalog:
        found = {asset.name: asset for asset in catalog.find()}
    return [found[name] for name in names]


async def place(pilot, until, models=(), loras=()):
    """To the LoRA place with these; verdicts are there."""
    app = pilot.app
    await pilot.pause()
    await app.stack(models, loras)
    await until(pilot, lambda: isinstance(app.screen, LoraScreen) and not app.screen._recalling)
    screen = app.screen
    await until(pilot, lambda: not screen.stack.judging and screen.stack.count >= len(loras))
    return screen


def quick(screen, prompt="a red circle on a blue background, framed", steps="4"):
    """Small and quick pictures."""
    for name, text in (("prompt", prompt), ("size", "64"), ("steps", steps), ("cfg", "3.5")):
        screen.form.field(name).value = text


def done(screen):
    """Whether nothing of this place runs."""
    return not [record for record in screen.jobs.open if record.place == "lora"]
