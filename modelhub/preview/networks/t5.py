"""The encoder of T5, which Flux reads prompts with."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from modelhub.errors import IncompatibleError
from modelhub.preview.networks.attention import attention
from modelhub.preview.networks.layers import Layer, Linear, Parts, Table, count_heads, finite, like, nest
from modelhub.preview.networks.tree import Shape, Tree

#: Where an encoder may begin below the prefix.
_PATHS = ("", "transformer", "model", "text_model", "transformer.model", "module")
_MARK = "block.0.layer.0.SelfAttention.q"
_TABLE = "relative_attention_bias"
_BIAS = f"layer.0.SelfAttention.{_TABLE}"
#: Tokens that stand this far apart or farther are as good as equally far.
_FARTHEST = 128


class T5(Layer):
    """A text encoder built from the shapes below its prefix (Raffel et al. 2020, arXiv:1910.10683).

    Names are Hugging Face's, with or without an outer part such as `transformer.`; the table of tokens is
    `shared.weight` or, where that is not there, `encoder.embed_tokens.weight`. Feed-forwards are gated (T5 1.1, as Flux
    has) or not (the first T5), as the file has them. `width` is D. Tensors of a decoder are ignored. Raises
    IncompatibleError when some are missing or misshapen.
    """

    def __init__(self, shapes: Mapping[str, Shape]) -> None:
        super().__init__()
        tree = Tree.of(shapes)
        path = next((path for path in _PATHS if f"{path}.encoder.{_MARK}".lstrip(".") in tree), "")
        outer, inner = f"{path}." if path else "", tree[path] if path else tree
        name = "encoder.embed_tokens" if "shared" not in inner and "encoder.embed_tokens" in inner else "shared"
        self._table, self._encoder = outer + name, f"{outer}encoder"
        table = Table(inner[name])
        encoder = Encoder(inner["encoder"], table.width)
        nest(self, self._encoder, encoder)
        nest(self, self._table, table)
        self.width = table.width
        tree.settle("T5 text encoder")

    def embed(self, ids: Tensor) -> Tensor:
        """ids [N, T] int64 -> the tokens' vectors, float32 [N, T, D], some of which may be replaced before `encode`.

        Raises IncompatibleError for an id that this vocabulary lacks.
        """
        self.check()
        found: Tensor = self.get_submodule(self._table)(ids)
        return found

    def encode(self, vectors: Tensor) -> Tensor:
        """Token vectors [N, T, D] of any length -> prompt vectors [N, T, D] in the dtype of `vectors`.

        Every token sees every other one, padding too: Flux was trained like that.
        """
        if vectors.shape[-1] != self.width:
            raise IncompatibleError(
                f"This T5 takes token vectors of width {self.width}, and was given width {vectors.shape[-1]}.",
                "They belong to another text encoder.",
            )
        found: Tensor = self.get_submodule(self._encoder)(vectors.to(self.dtype))
        return found.to(vectors.dtype)

    def forward(self, ids: Tensor) -> Tensor:
        """`encode` of `embed`: ids [N, T] int64 -> [N, T, D]."""
        return self.encode(self.embed(ids))


class Encoder(Layer):
    """The blocks and the final norm."""

    def __init__(self, tree: Tree, width: int) -> None:
        super().__init__()
        blocks = tree["block"].series() or {"0": tree["block.0"]}
        heads = tree[f"block.0.{_BIAS}"].need("weight", None, None)[1]
        self.block = Parts({name: Block(part, width, heads) for name, part in blocks.items()})
        self.final_layer_norm = RmsNorm(tree["final_layer_norm"], width)

    def forward(self, x: Tensor) -> Tensor:
        """[N, T, D] -> the same shape, in the dtype of `x`; between blocks half precision is added up in float32."""
        h = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
        places = Places()
        for block in self.block.children():
            h = block(h, places, x.dtype)
        return self.final_layer_norm(h, x.dtype)


class Places:
    """How much distances between tokens count, `bias` [1, heads, T, T]: the first block says it, all heed it."""

    bias: Tensor | None = None


class Block(Layer):
    """Attention and a feed-forward, each normalised first and added."""

    def __init__(self, tree: Tree, width: int, heads: int) -> None:
        super().__init__()
        look, feed = tree["layer.0"], tree["layer.1"]
        self.layer = Parts(
            {
                "0": Step(look, "SelfAttention", SelfAttention(look["SelfAttention"], width, heads), width),
                "1": Step(feed, "DenseReluDense", FeedForward(feed["DenseReluDense"], width), width),
            }
        )

    def forward(self, x: Tensor, places: Places, dtype: torch.dtype) -> Tensor:
        """x [N, T, D] -> the same shape; matrices are multiplied in `dtype`."""
        for step in self.layer.children():
            x = step(x, places, dtype)
        return x


class Step(Layer):
    """One half of a block: a norm, and what is done with the normalised tokens before they are added."""

    def __init__(self, tree: Tree, name: str, inner: Layer, width: int) -> None:
        super().__init__()
        self.layer_norm = RmsNorm(tree["layer_norm"], width)
        self.name = name
        self.add_module(name, inner)

    def forward(self, x: Tensor, places: Places, dtype: torch.dtype) -> Tensor:
        """x [N, T, D] -> the same shape."""
        change: Tensor = self.get_submodule(self.name)(self.layer_norm(x, dtype), places)
        return x + change


class RmsNorm(Layer):
    """Each vector by the root of its mean square (Zhang and Sennrich 2019, arXiv:1910.07467), times `weight`."""

    weight: Tensor

    def __init__(self, tree: Tree, width: int) -> None:
        super().__init__()
        self.hold(tree, "weight", width)

    def forward(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """x [..., width] -> the same shape in `dtype`; squares are summed in float32."""
        x = x.float()
        x = (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)).to(dtype)
        return like(self.weight, x) * x


class SelfAttention(Layer):
    """Attention of all tokens to all, not scaled, with a bias for each distance and head."""

    def __init__(self, tree: Tree, width: int, heads: int) -> None:
        super().__init__()
        self.q = Linear(tree["q"], width, bias=False)
        inner = self.q.outputs
        self.k, self.v = (Linear(tree[name], width, inner, bias=False) for name in ("k", "v"))
        self.o = Linear(tree["o"], inner, width, bias=False)
        self.heads = count_heads(tree, inner, heads)
        self.relative_attention_bias = table = Table(tree[_TABLE], heads) if _TABLE in tree else None
        if table and (table.rows % 2 or not 4 <= table.rows < 4 * _FARTHEST):
            tree[_TABLE].fault(f"has {table.rows} rows, where an even number from 4 to {4 * _FARTHEST - 2} is needed")

    def forward(self, x: Tensor, places: Places) -> Tensor:
        """x [N, T, D] -> the same shape."""
        if self.relative_attention_bias is not None:
            places.bias = self._bias(self.relative_attention_bias, x)
        q, k, v = (part(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (self.q, self.k, self.v))
        seen = attention(q, k, v, places.bias, scale=1.0)
        return finite(self.o(seen.transpose(1, 2).flatten(2)))

    def _bias(self, table: Table, x: Tensor) -> Tensor:
        found = table(distances(x.shape[1], table.rows, x.device))
        return found.to(x.dtype).permute(2, 0, 1)[None].contiguous()


class FeedForward(Layer):
    """gelu(x A) (x B) C (Shazeer 2020, arXiv:2002.05202), or relu(x A) C in the first T5.

    The last product leaves the range of float16 in T5's largest models, so it is then made in float32.
    """

    def __init__(self, tree: Tree, width: int) -> None:
        super().__init__()
        gated = "wi_0" in tree or "wi" not in tree
        self.wi_0 = Linear(tree["wi_0"], width, bias=False) if gated else None
        inner = self.wi_0.outputs if self.wi_0 else None
        self.wi_1 = Linear(tree["wi_1"], width, inner, bias=False) if gated else None
        self.wi = None if gated else Linear(tree["wi"], width, bias=False)
        self.wo = Linear(tree["wo"], self.wi.outputs if self.wi else inner, width, bias=False)

    def forward(self, x: Tensor, places: Places) -> Tensor:
        """x [N, T, D] -> the same shape, in float32 where `x` is float16; places make no difference."""
        if self.wi_0 and self.wi_1:
            h = F.gelu(self.wi_0(x), approximate="tanh") * self.wi_1(x)
        else:
            assert self.wi is not None
            h = F.relu(self.wi(x))
        return self.wo(finite(h).float() if h.dtype == torch.float16 else h)


def distances(length: int, kinds: int, device: torch.device) -> Tensor:
    """Which of `kinds` distances lies between any two of `length` tokens: [to, from] int64 (Raffel et al. 2020, 2.1).

    Half of the kinds are for tokens that come later. Of either half, one half counts single tokens, and the other is
    spread over longer distances by their logarithm, up to 128 tokens.
    """
    places = torch.arange(length, device=device)
    away = places[None, :] - places[:, None]
    half, exact = kinds // 2, kinds // 4
    log = torch.log(away.abs().float() / exact) / math.log(_FARTHEST / exact)
    far = (exact + (log * (half - exact)).long()).clamp(max=half - 1)
    return torch.where(away.abs() < exact, away.abs(), far) + half * (away > 0)
