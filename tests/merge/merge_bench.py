"""Small checkpoints in the layouts of SD1, SDXL and Flux, a bench to merge them on, and methods of every scope."""

# ruff: noqa: B008 (parameters of methods are declared by their defaults)
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from modelhub.catalog.opener import Opener, Parent
from modelhub.catalog.store import Catalog
from modelhub.merge import registry
from modelhub.merge.execute import merge
from modelhub.merge.planning.plan import Plan, plan
from modelhub.merge.recipes.recipe import Recipe
from modelhub.merge.registry import method, number, per_model, whole

Tensors = dict[str, torch.Tensor]
Shapes = Mapping[str, tuple[int, ...]]

UNET, VAE, TEXT = "model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer.text_model."
CLIP_L, CLIP_G = "conditioner.embedders.0.transformer.text_model.", "conditioner.embedders.1.model."
FIRST_CONV = UNET + "input_blocks.0.0.weight"
VAE_SHAPES = {
    VAE + "decoder.conv_in.weight": (8, 4, 3, 3),
    VAE + "decoder.mid.block_1.conv1.weight": (8, 8, 3, 3),
    VAE + "encoder.conv_in.weight": (8, 3, 3, 3),
    VAE + "quant_conv.weight": (8, 8, 1, 1),
    VAE + "post_quant_conv.weight": (4, 4, 1, 1),
}
#: The tensors that show a checkpoint to be SD1, few and small.
SHAPES = {
    UNET + "time_embed.0.weight": (16, 8),
    FIRST_CONV: (8, 4, 3, 3),
    UNET + "input_blocks.0.0.bias": (8,),
    UNET + "input_blocks.1.1.proj_in.weight": (8, 8, 1, 1),
    UNET + "input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight": (8, 8),
    UNET + "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (8, 12),
    UNET + "input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight": (8, 12),
    UNET + "output_blocks.3.1.proj_in.weight": (8, 8, 1, 1),
    UNET + "output_blocks.3.1.transformer_blocks.0.attn2.to_k.weight": (8, 12),
    UNET + "middle_block.1.proj_in.weight": (8, 8, 1, 1),
    UNET + "middle_block.1.transformer_blocks.0.attn2.to_k.weight": (8, 12),
    UNET + "out.2.weight": (4, 8, 3, 3),
    **VAE_SHAPES,
    TEXT + "encoder.layers.0.mlp.fc1.weight": (24, 12),
    TEXT + "embeddings.token_embedding.weight": (50, 12),
}
SDXL_SHAPES = {
    UNET + "label_emb.0.0.weight": (16, 24),
    UNET + "time_embed.0.weight": (16, 8),
    FIRST_CONV: (8, 4, 3, 3),
    UNET + "input_blocks.4.1.proj_in.weight": (16, 16),
    UNET + "input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight": (16, 20),
    UNET + "middle_block.1.proj_in.weight": (16, 16),
    UNET + "output_blocks.3.1.proj_in.weight": (16, 16),
    UNET + "out.2.weight": (4, 8, 3, 3),
    **VAE_SHAPES,
    CLIP_L + "encoder.layers.0.mlp.fc1.weight": (3072, 2),
    CLIP_L + "encoder.layers.0.self_attn.k_proj.weight": (8, 8),
    CLIP_L + "embeddings.token_embedding.weight": (50, 768),
    CLIP_G + "transformer.resblocks.0.attn.in_proj_weight": (24, 8),
    CLIP_G + "token_embedding.weight": (50, 1280),
}
FLUX_SHAPES = {
    "img_in.weight": (16, 64),
    "txt_in.weight": (16, 12),
    "time_in.in_layer.weight": (16, 8),
    "vector_in.in_layer.weight": (16, 8),
    "double_blocks.0.img_attn.qkv.weight": (48, 16),
    "double_blocks.0.img_attn.norm.key_norm.scale": (4,),
    "double_blocks.7.img_attn.qkv.weight": (48, 16),
    "single_blocks.0.linear1.weight": (64, 16),
    "single_blocks.37.linear1.weight": (64, 16),
    "final_layer.linear.weight": (64, 16),
}
GUIDANCE = {"guidance_in.in_layer.weight": (16, 8), "guidance_in.out_layer.weight": (16, 16)}


def drawn(seed: int, shapes: Shapes, dtype: torch.dtype = torch.float16) -> Tensors:
    """Normal numbers, other ones for every seed."""
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=generator).to(dtype) for name, shape in shapes.items()}


def checkpoint(seed: int, dtype: torch.dtype = torch.float16, shapes: Shapes = SHAPES) -> Tensors:
    """A checkpoint with positions and a schedule, which differ from seed to seed too."""
    return drawn(seed, shapes, dtype) | {
        TEXT + "embeddings.position_ids": torch.arange(77)[None] + seed,
        "betas": torch.linspace(0, 1, 5) + seed,
    }


def merged_names(tensors: Tensors) -> list[str]:
    """What a merge changes of a `checkpoint`."""
    return [name for name in tensors if name.startswith((UNET, TEXT)) and "position_ids" not in name]


class Bench:
    """A folder with models A, B, C, and the way to plan and merge them."""

    def __init__(self, folder: Path, catalog: Catalog) -> None:
        self.folder, self.catalog = folder, catalog
        self.opener = Opener(catalog, hashed=True)

    def put(self, name: str, tensors: Tensors, metadata: dict[str, str] | None = None) -> Path:
        path = self.folder / f"{name}.safetensors"
        save_file(tensors, path, metadata)
        return path

    def load(self, name: str) -> Tensors:
        return load_file(self.folder / f"{name}.safetensors")

    def open(self, ref: str) -> Parent:
        return self.opener(str(self.folder / f"{ref}.safetensors"))

    def plan(self, recipe: Recipe) -> Plan:
        return plan(recipe, self.open)

    def plan_paths(self, recipe: Recipe) -> Plan:
        """The plan of a recipe that names models as a user does."""
        return plan(recipe, self.opener)

    def merged(self, recipe: Recipe) -> Tensors:
        goal = self.folder / "out.safetensors"
        merge(self.plan(recipe), goal, force=True)
        return load_file(goal)


def exactly(value: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """fp32 rounded once."""
    return value.float().to(dtype)


@contextmanager
def tried_methods() -> Iterator[None]:
    """Methods of every kind and scope, simple enough to be checked by eye, registered for a while."""
    known = registry.methods()
    before, own = dict(known), dict(registry._METHODS)
    _register()
    known |= {name: registry._METHODS[name] for name in registry._METHODS if name.startswith("try-")}
    try:
        yield
    finally:
        known.clear()
        known |= before
        registry._METHODS.clear()
        registry._METHODS.update(own)


def _register() -> None:
    @method("try-mean", "mean")
    def mean(*models, weights=per_model(help="how much of each")):
        """Σ wᵢ·xᵢ / Σ wᵢ."""
        numbers = weights or (1.0,) * len(models)
        return sum(w * x for w, x in zip(numbers, models, strict=True)) / sum(numbers)

    @method("try-tasks", "tasks")
    def tasks(base, *models, scale=number(1.0, low=0, high=2, help="how much")):
        """base + scale·Σ (xᵢ − base)."""
        return base + scale * sum(x - base for x in models)

    @method("try-rows", "rows", scope="rows")
    def rows(a, b, *, alpha=number(0.5, low=0, high=1, help="how much")):
        """Row by row: the larger of A and B, and α of the row's first element."""
        first = a.reshape(len(a), -1)[:, :1] if a.dim() else a.reshape(1, 1)
        return torch.maximum(a, b) + alpha * first.reshape(-1, *(1,) * (a.dim() - 1)) if a.dim() else a

    @method("try-tensor", "tensor", scope="tensor")
    def tensor(a, b, *, alpha=number(0.5, low=0, high=1, help="how much")):
        """A + α·B reversed."""
        return a + alpha * b.flatten().flip(0).view(a.shape)

    def largest(windows, *, alpha):
        found = [float((alpha * b).abs().max()) for _, b in windows if b.numel()]
        return max(found, default=0.0)

    @method("try-measured", "measured", measure=largest)
    def measured(a, b, *, alpha=number(0.5, low=0, high=1, help="how much"), stats=None):
        """A + B / max|α·B|."""
        return a + b / max(stats, 1e-6)

    @method("try-random", "random")
    def random(a, b, *, seed=whole(0, low=0, high=99, help="seed"), chance=None):
        """A where a coin says so, else B."""
        return torch.where(chance.uniform() < 0.5, a, b)

    def total(tensors):
        return sum(float(a.double().sum()) for _, windows in tensors for a, _ in windows)

    @method("try-survey", "survey", survey=total)
    def surveyed(a, b, *, survey=None):
        """A + B·(the sum of all of A, folded into [0, 1))."""
        return a + b * (survey % 1.0)
