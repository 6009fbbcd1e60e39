"""The blocks of the Flux transformer: modulation, attention with rotated positions, two streams or one."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from modelhub.preview.networks.attention import attention
from modelhub.preview.networks.blocks import Silu
from modelhub.preview.networks.layers import Layer, Linear, Parts, finite, like
from modelhub.preview.networks.positions import rotate
from modelhub.preview.networks.tree import Tree

Rotation = tuple[Tensor, Tensor]
Looks = tuple[Tensor, Tensor, Tensor]


class Scale(Layer):
    """RMS norm of the last axis (Zhang and Sennrich 2019, arXiv:1910.07467); later files call its `scale` `weight`."""

    def __init__(self, tree: Tree) -> None:
        super().__init__()
        self.name = "weight" if tree["scale"].shape is None and tree["weight"].shape is not None else "scale"
        self.width = self.hold(tree, self.name, None)[0]

    def forward(self, x: Tensor) -> Tensor:
        """x [..., width] -> the same shape."""
        return F.rms_norm(x, (self.width,), like(self.get_parameter(self.name), x), 1e-6)


class Modulation(Layer):
    """Shifts, scales and gates of a block, projected from what the picture is conditioned on."""

    def __init__(self, tree: Tree, width: int, count: int) -> None:
        super().__init__()
        self.lin = Linear(tree["lin"], width, count * width)
        self.count = count

    def forward(self, conditions: Tensor) -> Tensor:
        """[N, width] -> [count, N, 1, width]."""
        numbers = self.lin(F.silu(conditions))[:, None].chunk(self.count, dim=-1)
        return torch.stack(numbers)


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """(1 + scale) times x of mean 0 and variance 1, plus shift (Peebles and Xie 2022, arXiv:2212.09748, adaLN)."""
    return (1 + scale) * F.layer_norm(x, x.shape[-1:], eps=1e-6) + shift


class Heads(Layer):
    """Norms of queries and keys, per head; their width is that of a head."""

    def __init__(self, tree: Tree, width: int) -> None:
        super().__init__()
        self.query_norm, self.key_norm = Scale(tree["query_norm"]), Scale(tree["key_norm"])
        self.width = self.key_norm.width
        if self.query_norm.width != self.width:
            tree.fault("has queries and keys of different widths")
        if self.width % 2 or width % self.width:
            tree.fault(f"has heads of {self.width} channels, which cannot share {width} evenly in pairs")

    def split(self, qkv: Tensor) -> Looks:
        """[N, T, 3 C] -> queries, keys and values, each [N, heads, T, width of a head], the first two normalised."""
        q, k, v = qkv.unflatten(-1, (3, -1, self.width)).permute(2, 0, 3, 1, 4).unbind()
        return self.query_norm(q), self.key_norm(k), v


def look(looks: Looks, rotation: Rotation) -> Tensor:
    """Attention of all tokens to all, queries and keys turned first -> [N, T, C]."""
    q, k, v = looks
    found = attention(rotate(q, rotation), rotate(k, rotation), v)
    return found.transpose(1, 2).flatten(2)


class StreamAttention(Layer):
    """The projections of one stream; what they are attended with is the block's business."""

    def __init__(self, tree: Tree, width: int) -> None:
        super().__init__()
        self.qkv = Linear(tree["qkv"], width, 3 * width)
        self.norm = Heads(tree["norm"], width)
        self.proj = Linear(tree["proj"], width, width)

    def split(self, x: Tensor) -> Looks:
        """x [N, T, width] -> queries, keys and values, each [N, heads, T, D]."""
        return self.norm.split(self.qkv(x))


class Gelu(Layer):
    """x times the normal distribution's share below x, by its tanh formula (arXiv:1606.08415); it has no parameters."""

    def forward(self, x: Tensor) -> Tensor:
        """x of any shape."""
        return F.gelu(x, approximate="tanh")


def feed_forward(tree: Tree, width: int) -> Parts:
    """Two projections with a GELU between them."""
    first = Linear(tree["0"], width)
    return Parts({"0": first, "1": Gelu(), "2": Linear(tree["2"], first.outputs, width)})


class DoubleBlock(Layer):
    """A block in which text and image have weights of their own and look at each other."""

    def __init__(self, tree: Tree, width: int) -> None:
        super().__init__()
        self.img_mod, self.txt_mod = (Modulation(tree[f"{name}_mod"], width, 6) for name in ("img", "txt"))
        self.img_attn, self.txt_attn = (StreamAttention(tree[f"{name}_attn"], width) for name in ("img", "txt"))
        self.img_mlp, self.txt_mlp = (feed_forward(tree[f"{name}_mlp"], width) for name in ("img", "txt"))

    def forward(self, x: Tensor, conditions: Tensor, rotation: Rotation, texts: int) -> Tensor:
        """x [N, T, width], of which the first `texts` tokens are text; conditions [N, width] -> the same shape."""
        txt, img = x[:, :texts], x[:, texts:]
        txt_mod, img_mod = self.txt_mod(conditions), self.img_mod(conditions)
        looks = self.txt_attn.split(modulate(txt, *txt_mod[:2])), self.img_attn.split(modulate(img, *img_mod[:2]))
        q, k, v = (torch.cat(both, dim=2) for both in zip(*looks, strict=True))
        seen = look((q, k, v), rotation)
        txt = txt + txt_mod[2] * self.txt_attn.proj(seen[:, :texts])
        img = img + img_mod[2] * self.img_attn.proj(seen[:, texts:])
        txt = txt + txt_mod[5] * self.txt_mlp(modulate(txt, *txt_mod[3:5]))
        img = img + img_mod[5] * self.img_mlp(modulate(img, *img_mod[3:5]))
        return torch.cat((finite(txt), img), dim=1)


class SingleBlock(Layer):
    """A block in which attention and feed-forward run beside each other, on text and image as one."""

    def __init__(self, tree: Tree, width: int) -> None:
        super().__init__()
        self.modulation = Modulation(tree["modulation"], width, 3)
        self.linear1 = Linear(tree["linear1"], width)
        self.norm = Heads(tree["norm"], width)
        self.sizes = [3 * width, self.linear1.outputs - 3 * width]
        if self.sizes[1] < 1:
            tree["linear1"].fault(f"gives {self.linear1.outputs} channels, where more than {3 * width} are needed")
        self.linear2 = Linear(tree["linear2"], width + self.sizes[1], width)

    def forward(self, x: Tensor, conditions: Tensor, rotation: Rotation, texts: int) -> Tensor:
        """x [N, T, width], conditions [N, width] -> the same shape; it makes no difference which tokens are text."""
        shift, scale, gate = self.modulation(conditions).unbind()
        qkv, inner = self.linear1(modulate(x, shift, scale)).split(self.sizes, dim=-1)
        seen = look(self.norm.split(qkv), rotation)
        return finite(x + gate * self.linear2(torch.cat((seen, F.gelu(inner, approximate="tanh")), dim=-1)))


class Embedder(Layer):
    """Two projections with x sigmoid(x) between them: [N, inputs] -> [N, width]."""

    def __init__(self, tree: Tree, width: int) -> None:
        super().__init__()
        self.in_layer = Linear(tree["in_layer"], None, width)
        self.out_layer = Linear(tree["out_layer"], width, width)
        self.inputs = self.in_layer.inputs

    def forward(self, x: Tensor) -> Tensor:
        """The embedding."""
        return self.out_layer(F.silu(self.in_layer(x)))


class Final(Layer):
    """The last projection, modulated: shift first, then scale."""

    def __init__(self, tree: Tree, width: int) -> None:
        super().__init__()
        self.linear = Linear(tree["linear"], width)
        self.adaLN_modulation = Parts({"0": Silu(), "1": Linear(tree["adaLN_modulation.1"], width, 2 * width)})
        self.outputs = self.linear.outputs

    def forward(self, x: Tensor, conditions: Tensor) -> Tensor:
        """x [N, T, width], conditions [N, width] -> [N, T, outputs]."""
        shift, scale = self.adaLN_modulation(conditions)[:, None].chunk(2, dim=-1)
        return self.linear(modulate(x, shift, scale))
