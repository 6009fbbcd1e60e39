"""Small Flux models under the names of Black Forest Labs and Hugging Face, written without the networks under test."""

from __future__ import annotations

from dataclasses import dataclass

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class SmallFlux:
    """A Flux transformer to write down: heads and their width, blocks of two streams and of one."""

    heads: int = 2
    head: int = 16
    doubles: int = 2
    singles: int = 2
    inputs: int = 16
    """Channels of the latents it takes; 96 for Fill."""
    outputs: int = 16
    context: int = 24
    vector: int = 20
    guided: bool = True

    @property
    def width(self) -> int:
        return self.heads * self.head

    def shapes(self) -> Shapes:
        """Names below `model.diffusion_model.`."""
        width, out = self.width, {}

        def add(name: str, *shape: int) -> None:
            out.update({f"{name}.weight": shape, f"{name}.bias": shape[:1]})

        def norms(name: str) -> None:
            out.update({f"{name}.query_norm.scale": (self.head,), f"{name}.key_norm.scale": (self.head,)})

        add("img_in", width, 4 * self.inputs)
        add("txt_in", width, self.context)
        vectors = [("time_in", 256), ("vector_in", self.vector)] + ([("guidance_in", 256)] if self.guided else [])
        for name, inputs in vectors:
            add(f"{name}.in_layer", width, inputs)
            add(f"{name}.out_layer", width, width)
        for block in (f"double_blocks.{n}" for n in range(self.doubles)):
            for stream in ("img", "txt"):
                add(f"{block}.{stream}_mod.lin", 6 * width, width)
                add(f"{block}.{stream}_attn.qkv", 3 * width, width)
                norms(f"{block}.{stream}_attn.norm")
                add(f"{block}.{stream}_attn.proj", width, width)
                add(f"{block}.{stream}_mlp.0", 4 * width, width)
                add(f"{block}.{stream}_mlp.2", width, 4 * width)
        for block in (f"single_blocks.{n}" for n in range(self.singles)):
            add(f"{block}.modulation.lin", 3 * width, width)
            add(f"{block}.linear1", 7 * width, width)
            add(f"{block}.linear2", width, 5 * width)
            norms(f"{block}.norm")
        add("final_layer.adaLN_modulation.1", 2 * width, width)
        add("final_layer.linear", 4 * self.outputs, width)
        return out


def t5_shapes(
    *, vocabulary: int = 50, width: int = 32, heads: int = 4, head: int = 8, inner: int = 48, layers: int = 2,
    gated: bool = True,
) -> Shapes:  # fmt: skip
    """Names of T5's encoder at Hugging Face."""
    out: Shapes = {"shared.weight": (vocabulary, width), "encoder.final_layer_norm.weight": (width,)}
    for block in (f"encoder.block.{n}.layer" for n in range(layers)):
        for name in "qkv":
            out[f"{block}.0.SelfAttention.{name}.weight"] = (heads * head, width)
        out[f"{block}.0.SelfAttention.o.weight"] = (width, heads * head)
        for name in ("wi_0", "wi_1") if gated else ("wi",):
            out[f"{block}.1.DenseReluDense.{name}.weight"] = (inner, width)
        out[f"{block}.1.DenseReluDense.wo.weight"] = (width, inner)
        out[f"{block}.0.layer_norm.weight"] = out[f"{block}.1.layer_norm.weight"] = (width,)
    out["encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"] = (32, heads)
    return out


def clip_shapes(*, vocabulary: int = 60, width: int = 64, layers: int = 2, tokens: int = 77) -> Shapes:
    """Names of CLIP's text encoder at Hugging Face, `text_model.` included."""
    out: Shapes = {
        "embeddings.token_embedding.weight": (vocabulary, width),
        "embeddings.position_embedding.weight": (tokens, width),
    }

    def add(name: str, *shape: int) -> None:
        out.update({f"{name}.weight": shape, f"{name}.bias": shape[:1]})

    for layer in (f"encoder.layers.{n}" for n in range(layers)):
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            add(f"{layer}.self_attn.{name}", width, width)
        add(f"{layer}.layer_norm1", width)
        add(f"{layer}.mlp.fc1", 4 * width, width)
        add(f"{layer}.mlp.fc2", width, 4 * width)
        add(f"{layer}.layer_norm2", width)
    add("final_layer_norm", width)
    return {f"text_model.{name}": shape for name, shape in out.items()}
