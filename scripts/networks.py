#!/usr/bin/env python3
"""Make `catalog/networks`: every tensor of the networks of released models, from the layouts of the tests.

The refiner's U-Net has no layout there. It follows from the rule by which all U-Nets of this family are built, which
is checked against those that have one.
"""

from __future__ import annotations

import json
import lzma
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
LAYOUTS, NETWORKS = ROOT / "tests" / "data" / "layouts", ROOT / "catalog" / "networks"

Dims = tuple[int, ...]
#: Each network: the layout that has it, and the prefix below which it stands there.
SOURCES = {
    "sd1": ("sd15", "model.diffusion_model."),
    "sd2": ("sd21", "model.diffusion_model."),
    "sdxl": ("sdxl", "model.diffusion_model."),
    "sd3": ("sd3-medium", "model.diffusion_model."),
    "flux1": ("flux-dev", ""),
    "kl-f8-4ch": ("vae-sd", ""),
    "ae-16ch": ("vae-flux", ""),
    "clip-l": ("clip-l", ""),
    "clip-g": ("sdxl", "conditioner.embedders.1.model."),
    "openclip-h": ("sd21", "cond_stage_model.model."),
    "t5xxl": ("t5xxl", ""),
}
#: Tensors that good files lack: buffers, projections that no picture needs, the guidance of Flux dev.
OPTIONAL = ("logit_scale", "text_projection", "text_projection.weight", "shared.weight", "guidance_in.")
#: Sizes that variants change: channels of the input, positions of pictures and of long prompts.
FREE = {
    "input_blocks.0.0.weight": 1,
    "img_in.weight": 1,
    "pos_embed": 1,
    "text_model.embeddings.position_embedding.weight": 0,
    "positional_embedding": 0,
}


def layout(name: str, prefix: str) -> dict[str, Dims]:
    """The tensors below a prefix of one layout of the tests."""
    table = json.loads(lzma.decompress((LAYOUTS / f"{name}.json.xz").read_bytes()))
    return {
        tensor[len(prefix) :]: tuple(shape)
        for tensor, (_, *shape) in table.items()
        if tensor.startswith(prefix) and not tensor.endswith("position_ids")
    }


def unet(
    width: int, factors: Dims, depths: Dims, middle: int, context: int, adm: int, *, linear: bool
) -> dict[str, Dims]:
    """A U-Net by its widths (`width` times each of `factors`) and the transformer depth of each level, 0 for none."""
    found: dict[str, Dims] = {}

    def weights(name: str, *shape: int, bias: bool = True) -> None:
        found[f"{name}.weight"] = shape
        if bias:
            found[f"{name}.bias"] = shape[:1]

    def residual(name: str, before: int, after: int) -> None:
        weights(f"{name}.in_layers.0", before)
        weights(f"{name}.in_layers.2", after, before, 3, 3)
        weights(f"{name}.emb_layers.1", after, 4 * width)
        weights(f"{name}.out_layers.0", after)
        weights(f"{name}.out_layers.3", after, after, 3, 3)
        if before != after:
            weights(f"{name}.skip_connection", after, before, 1, 1)

    def transformer(name: str, size: int, depth: int) -> None:
        ones = () if linear else (1, 1)
        weights(f"{name}.norm", size)
        weights(f"{name}.proj_in", size, size, *ones)
        weights(f"{name}.proj_out", size, size, *ones)
        for at in range(depth):
            block = f"{name}.transformer_blocks.{at}"
            for attention, source in (("attn1", size), ("attn2", context)):
                weights(f"{block}.{attention}.to_q", size, size, bias=False)
                weights(f"{block}.{attention}.to_k", size, source, bias=False)
                weights(f"{block}.{attention}.to_v", size, source, bias=False)
                weights(f"{block}.{attention}.to_out.0", size, size)
            weights(f"{block}.ff.net.0.proj", 8 * size, size)
            weights(f"{block}.ff.net.2", size, 4 * size)
            for norm in ("norm1", "norm2", "norm3"):
                weights(f"{block}.{norm}", size)

    for module, source in (("time_embed", width), *([("label_emb.0", adm)] if adm else [])):
        weights(f"{module}.0", 4 * width, source)
        weights(f"{module}.2", 4 * width, 4 * width)
    weights("input_blocks.0.0", width, 4, 3, 3)
    skips, size, index = [width], width, 1
    for level, (factor, depth) in enumerate(zip(factors, depths, strict=True)):
        for _ in range(2):
            residual(f"input_blocks.{index}.0", size, width * factor)
            size = width * factor
            if depth:
                transformer(f"input_blocks.{index}.1", size, depth)
            skips.append(size)
            index += 1
        if level < len(factors) - 1:
            weights(f"input_blocks.{index}.0.op", size, size, 3, 3)
            skips.append(size)
            index += 1
    residual("middle_block.0", size, size)
    transformer("middle_block.1", size, middle)
    residual("middle_block.2", size, size)
    index = 0
    for level, (factor, depth) in reversed(list(enumerate(zip(factors, depths, strict=True)))):
        for at in range(3):
            residual(f"output_blocks.{index}.0", size + skips.pop(), width * factor)
            size = width * factor
            if depth:
                transformer(f"output_blocks.{index}.1", size, depth)
            if level and at == 2:
                weights(f"output_blocks.{index}.{2 if depth else 1}.conv", size, size, 3, 3)
            index += 1
    weights("out.0", size)
    weights("out.2", 4, size, 3, 3)
    return found


def networks() -> dict[str, dict[str, Dims]]:
    """Architecture to tensor name to shape."""
    found = {name: layout(*source) for name, source in SOURCES.items()}
    rules = {
        "sd1": unet(320, (1, 2, 4, 4), (1, 1, 1, 0), 1, 768, 0, linear=False),
        "sd2": unet(320, (1, 2, 4, 4), (1, 1, 1, 0), 1, 1024, 0, linear=True),
        "sdxl": unet(320, (1, 2, 4), (0, 2, 10), 10, 2048, 2816, linear=True),
    }
    for name, made in rules.items():
        assert made == found[name], (
            f"the rule of {name} differs: {sorted(set(made.items()) ^ set(found[name].items()))}"
        )
    found["sdxl-refiner"] = unet(384, (1, 2, 4, 4), (0, 4, 4, 0), 4, 1280, 2560, linear=True)
    return found


def lines(tensors: dict[str, Dims]) -> Iterator[str]:
    """Name, shape with `_` for a size that variants change, and `?` for a tensor that a good file may lack."""
    for name, shape in sorted(tensors.items()):
        free = FREE.get(name)
        dims = ",".join("_" if at == free else str(size) for at, size in enumerate(shape))
        yield "\t".join((name, dims, "?" if name.startswith(OPTIONAL) else "")).rstrip("\t")


def main(goals: Iterable[str]) -> None:
    folder = Path(next(iter(goals), NETWORKS))
    folder.mkdir(parents=True, exist_ok=True)
    for name, tensors in networks().items():
        text = "# tensor, shape, ? if good files lack it\n" + "".join(f"{line}\n" for line in lines(tensors))
        (folder / f"{name}.tsv.xz").write_bytes(lzma.compress(text.encode(), preset=9))
        print(f"{name}: {len(tensors):,} tensors")


if __name__ == "__main__":
    main(sys.argv[1:])
