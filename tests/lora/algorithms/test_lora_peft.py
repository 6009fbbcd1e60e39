"""PEFT writes an adapter of every algorithm that it has and merges it: what is read from its file makes the same."""

from __future__ import annotations

import pytest
import torch
from algorithms_helper import Weight
from safetensors.torch import load_file, save_file

from modelhub.formats.opening import open_source
from modelhub.lora.algorithms.applying import change_of, unsupported
from modelhub.lora.algorithms.fits import own
from modelhub.lora.algorithms.registry import Given
from modelhub.lora.network import Network

peft = pytest.importorskip("peft")
LAYERS = {
    "linear": lambda: torch.nn.Linear(12, 8),
    "conv 1x1": lambda: torch.nn.Conv2d(12, 8, 1),
    "conv 3x3": lambda: torch.nn.Conv2d(12, 8, 3),
}
ONLY = {"target_modules": ["layer"]}
LORA = {"r": 3, "lora_alpha": 2, "init_lora_weights": False, **ONLY}
HADA = {"r": 3, "alpha": 2, "init_weights": False, **ONLY}
KRON = {"r": 1, "alpha": 0.7, "init_weights": False, "decompose_factor": 2, **ONLY}
TURN = {"oft_block_size": 4, "init_weights": False, **ONLY}
ADAPTERS = {
    "lora": peft.LoraConfig(**LORA),
    "lora with a bias": peft.LoraConfig(**LORA, lora_bias=True),
    "rslora": peft.LoraConfig(**LORA, use_rslora=True),
    "dora": peft.LoraConfig(**LORA, use_dora=True),
    "loha": peft.LoHaConfig(**HADA),
    "loha tucker": peft.LoHaConfig(**HADA, use_effective_conv2d=True),
    "lokr": peft.LoKrConfig(**KRON),
    "lokr tucker": peft.LoKrConfig(**KRON, use_effective_conv2d=True),
    "lokr of products": peft.LoKrConfig(**{**KRON, "decompose_factor": 4}, decompose_both=True),
    "lokr whole": peft.LoKrConfig(**{**KRON, "r": 20}),
    "oft": peft.OFTConfig(**TURN),
    "oft of one block": peft.OFTConfig(**TURN, block_share=True),
    "oft solved": peft.OFTConfig(**TURN, use_cayley_neumann=False),
    **{
        f"oft of {terms} terms": peft.OFTConfig(**TURN, num_cayley_neumann_terms=terms)
        for terms in (1, 2, 3, 4, 7)
    },
    "boft": peft.BOFTConfig(boft_block_size=4, init_weights=False, **ONLY),
    "ia3": peft.IA3Config(feedforward_modules=[], init_ia3_weights=False, **ONLY),
    "ia3 of inputs": peft.IA3Config(feedforward_modules=["layer"], init_ia3_weights=False, **ONLY),
}  # fmt: skip


class Net(torch.nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer


def trained(layer, config, folder):
    """The layer with an adapter of random values merged in, which is saved."""
    network = peft.get_peft_model(Net(layer), config)
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            positive = "magnitude" in name or "ia3" in name
            parameter.data = torch.rand_like(parameter) + 0.5 if positive else 0.3 * torch.randn_like(parameter)
    network.save_pretrained(folder)
    return network.merge_and_unload().layer


def changed(folder, weight, bias):
    """What our change makes of a layer, from what was saved: the tensors, and the configuration beside them."""
    network = Network(open_source(folder / "adapter_model.safetensors"), "adapter")
    (patch,) = network.patches
    module, shape, rows = patch.module, tuple(weight.shape), Weight(weight.numpy())
    assert not module.incomplete and unsupported(module, shape) == ""
    parts = own(module.algorithm, network.values(patch))
    change = change_of(module.algorithm, Given(parts, shape, network.configured.settings(module), module.name), rows)
    found = change.rows(0, shape[0], rows.matrix.clone() if change.needs_weight else None)
    added = change.bias(bias)
    return found.reshape(shape), torch.zeros(shape[0]) if added is None else added


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("name", ADAPTERS)
@pytest.mark.filterwarnings("ignore")
def test_a_merge_of_peft(name, kind, tmp_path):
    torch.manual_seed(7)
    layer, config = LAYERS[kind](), ADAPTERS[name]
    weight, bias = layer.weight.detach().clone(), layer.bias.detach().clone()
    merged = trained(layer, config, tmp_path)
    found, added = changed(tmp_path, weight, bias)
    assert torch.allclose(found, merged.weight - weight, atol=1e-6)
    assert torch.allclose(added, merged.bias - bias, atol=1e-6)
    assert float((merged.weight - weight).abs().max()) > 1e-3 or name == "oft of 1 terms"


@pytest.mark.parametrize("dora", [False, True])
@pytest.mark.filterwarnings("ignore")
def test_an_embedding_of_peft(dora, tmp_path):
    torch.manual_seed(7)
    layer = torch.nn.Embedding(20, 6)
    weight = layer.weight.detach().clone()
    merged = trained(layer, peft.LoraConfig(**LORA, use_dora=dora), tmp_path)
    path = tmp_path / "adapter_model.safetensors"
    save_file({name: tensor for name, tensor in load_file(path).items() if not name.endswith("layer.weight")}, path)
    found, _ = changed(tmp_path, weight, None)
    assert torch.allclose(found, merged.weight - weight, atol=1e-6)
    assert float(found.abs().max()) > 1e-3
