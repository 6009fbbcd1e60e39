"""A small RRDBNet (Wang et al. 2018, ESRGAN, arXiv:1809.00219) that makes crisp shapes four times as large."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from demo_training.budget import Budget
from demo_training.data import COLOURS
from modelhub.demo.palette import PALETTE
from modelhub.demo.shapes import SHAPES, SIZE, coverage
from modelhub.preview.networks.layers import Layer

_WIDTH, _BLOCKS, _GROWTH = 16, 2, 8
_RATE = 2e-3


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, 1, 1)


class Dense(Layer):
    """Five convolutions, each of which sees all before it."""

    def __init__(self) -> None:
        super().__init__()
        for i in range(5):
            self.add_module(f"conv{i + 1}", _conv(_WIDTH + i * _GROWTH, _GROWTH if i < 4 else _WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        """[N, 16, H, W] -> the same shape."""
        *first, last = self.children()
        seen = x
        for conv in first:
            seen = torch.cat((seen, F.leaky_relu(conv(seen), 0.2)), 1)
        out: Tensor = x + 0.2 * last(seen)
        return out


class Block(Layer):
    """Three dense blocks around a shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.rdb1, self.rdb2, self.rdb3 = Dense(), Dense(), Dense()

    def forward(self, x: Tensor) -> Tensor:
        """[N, 16, H, W] -> the same shape."""
        return x + 0.2 * self.rdb3(self.rdb2(self.rdb1(x)))


class RRDBNet(Layer):
    """[N, 3, H, W] in 0..1 -> [N, 3, 4H, 4W], with the names that Real-ESRGAN's files have."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_first = _conv(3, _WIDTH)
        self.body = nn.Sequential(*(Block() for _ in range(_BLOCKS)))
        self.conv_body, self.conv_up1, self.conv_up2 = (_conv(_WIDTH, _WIDTH) for _ in range(3))
        self.conv_hr, self.conv_last = _conv(_WIDTH, _WIDTH), _conv(_WIDTH, 3)

    def forward(self, x: Tensor) -> Tensor:
        """The enlarged picture, not clamped."""
        h = self.conv_first(x)
        h = h + self.conv_body(self.body(h))
        for conv in (self.conv_up1, self.conv_up2):
            h = F.leaky_relu(conv(F.interpolate(h, scale_factor=2.0, mode="nearest")), 0.2)
        out: Tensor = self.conv_last(F.leaky_relu(self.conv_hr(h), 0.2))
        return out


def train_upscaler(budget: Budget) -> dict[str, Tensor]:
    """The tensors of a trained network, float32, by Real-ESRGAN's names."""
    torch.manual_seed(0)
    net, generator = RRDBNet(), torch.Generator().manual_seed(1)
    _start_as_enlargement(net)
    optimizer = torch.optim.Adam(net.parameters(), _RATE, betas=(0.9, 0.98))
    for step, spent in budget.run("upscaler"):
        optimizer.param_groups[0]["lr"] = _RATE * min(1, (step + 1) / 30) * (1 - 0.95 * spent)
        large, small = _pairs(16, generator)
        error = net(small) - large
        optimizer.zero_grad()
        (error.abs().mean() + 2 * error.square().mean()).backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
    return {name: tensor.detach() for name, tensor in net.state_dict().items()}


@torch.no_grad()
def _start_as_enlargement(net: RRDBNet) -> None:
    """Let channels 0 to 2 carry the picture through, so that the network starts as nearest-neighbour enlargement."""
    for conv in (net.conv_first, net.conv_up1, net.conv_up2, net.conv_hr, net.conv_last):
        conv.weight[:3] *= 0.1
        conv.weight[:3, :3] = 0
        conv.weight[range(3), range(3), 1, 1] = 1
        assert conv.bias is not None
        conv.bias[:3] = 0
    net.conv_body.weight *= 0.1


def _pairs(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Views [N, 3, 64, 64] of edges, and the same at a quarter of the size, a little blurred and noisy; 0..1."""
    place, kinds = (
        torch.rand(count, 3, generator=generator),
        torch.randint(0, len(SHAPES), (count,), generator=generator),
    )
    rows = zip(kinds.tolist(), place.double().tolist(), strict=True)
    masks = [coverage(SHAPES[k], [84 * x - 10], [84 * y - 10], [18 + 72 * r]) for k, (x, y, r) in rows]
    mask = torch.from_numpy(np.stack(masks))
    palette = torch.tensor([PALETTE[name] for name in COLOURS]) / 255
    named = palette[torch.randint(0, len(COLOURS), (count, 2), generator=generator)]
    free = torch.rand(count, 2, 3, generator=generator)
    colours = torch.where(torch.rand(count, 2, 1, generator=generator) < 0.6, named, free)[..., None, None]
    large = colours[:, 0] * mask + colours[:, 1] * (1 - mask)
    small = F.avg_pool2d(large, 4)
    blur = 0.3 * torch.rand(count, 1, 1, 1, generator=generator)
    small = small * (1 - blur) + F.avg_pool2d(F.pad(small, (1, 1, 1, 1), mode="replicate"), 3, 1) * blur
    return large.view(count, 3, SIZE, SIZE), small + 0.01 * torch.randn(small.shape, generator=generator)


def old_names(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors by the names of the first ESRGAN: `body.0.rdb1.conv1` is `model.1.sub.0.RDB1.conv1.0`."""
    top = {
        "conv_first": "model.0", "conv_body": f"model.1.sub.{_BLOCKS}", "conv_up1": "model.3", "conv_up2": "model.6",
        "conv_hr": "model.8", "conv_last": "model.10",
    }  # fmt: skip
    found = {}
    for name, tensor in tensors.items():
        module, leaf = name.rsplit(".", 1)
        if module not in top:
            _, block, dense, conv = module.split(".")
            module = f"model.1.sub.{block}.{dense.upper()}.{conv}.0"
        found[f"{top.get(module, module)}.{leaf}"] = tensor
    return found
