"""A stranger: the header of a LoRA with the sizes of the real Stable Diffusion 1.5, which the tiny models have not.

It has every name that they have, so that only sizes tell that it does not fit.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from modelhub.catalog.keymaps import Target, flatten, modules
from modelhub.formats.header import Header

#: What it is called where it is talked about.
NAME = "a LoRA of Stable Diffusion 1.5"
_RANK = 1


def stranger() -> Header:
    """Names and shapes as kohya's trainer writes them for the U-Net, rank 1; there is no file of it."""
    targets = {target.tensor: target for target in modules("sd1").values() if target.component == "denoiser"}
    attention = [target for target in targets.values() if target.attention]
    return Header.of(chain.from_iterable(map(_tensors, attention)), {"ss_network_module": "networks.lora"})


def _tensors(target: Target) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """The three tensors of a module: down [rank, in], up [out, rank], alpha []."""
    module, ones = f"lora_unet_{flatten(target.diffusers)}", (1,) * (target.rank - 2)
    yield f"{module}.lora_down.weight", "F16", (_RANK, target.in_size, *ones)
    yield f"{module}.lora_up.weight", "F16", (target.out_size, _RANK, *ones)
    yield f"{module}.alpha", "F16", ()
