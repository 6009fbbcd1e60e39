"""PEFT writes an adapter of every algorithm that it has and merges it: what is read from its file makes the same."""

from __future__ import annotations

import math

import pytest
import torch
from algorithms_helper import Weight
from safetensors.torch import load_file

from modelhub.catalog.adapter_names import split_name
from modelhub.catalog.adapters import read_adapter
from modelhub.lora.algorithms.applying import change_of, unsupported
from modelhub.lora.algorithms.fits import own
from modelhub.lora.algorithms.registry import Given

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
#: Configuration, alpha as it would stand in a file, and what else its settings say.
ADAPTERS = {
    "lora": (peft.LoraConfig(**LORA), 2, {}),
    "lora with a bias": (peft.LoraConfig(**LORA, lora_bias=True), 2, {}),
    "rslora": (peft.LoraConfig(**LORA, use_rslora=True), 2 * math.sqrt(3), {}),
    "dora": (peft.LoraConfig(**LORA, use_dora=True), 2, {}),
    "loha": (peft.LoHaConfig(**HADA), 2, {}),
    "loha tucker": (peft.LoHaConfig(**HADA, use_effective_conv2d=True), 2, {}),
    "lokr": (peft.LoKrConfig(**KRON), 0.7, {}),
    "lokr tucker": (peft.LoKrConfig(**KRON, use_effective_conv2d=True), 0.7, {}),
    "lokr of products": (peft.LoKrConfig(**{**KRON, "decompose_factor": 4}, decompose_both=True), 0.7, {}),
    "lokr whole": (peft.LoKrConfig(**{**KRON, "r": 20}), 0.7, {"scale": 0.7 / 20}),
    "oft": (peft.OFTConfig(**TURN), None, {}),
    "oft of one block": (peft.OFTConfig(**TURN, block_share=True), None, {}),
    "oft solved": (peft.OFTConfig(**TURN, use_cayley_neumann=False), None, {"use_cayley_neumann": False}),
    **{
        f"oft of {terms} terms": (
            peft.OFTConfig(**TURN, num_cayley_neumann_terms=terms), None, {"num_cayley_neumann_terms": terms},
        )
        for terms in (1, 2, 3, 4, 7)
    },
    "boft": (peft.BOFTConfig(boft_block_size=4, init_weights=False, **ONLY), None, {}),
    "ia3": (peft.IA3Config(feedforward_modules=[], init_ia3_weights=False, **ONLY), None, {}),
    "ia3 of inputs": (peft.IA3Config(feedforward_modules=["layer"], init_ia3_weights=False, **ONLY), None, {}),
}  # fmt: skip


class Network(torch.nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer


def trained(layer, config, folder):
    """The file of an adapter with random values, and the layer with it merged in."""
    network = peft.get_peft_model(Network(layer), config)
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            positive = "magnitude" in name or "ia3" in name
            parameter.data = torch.rand_like(parameter) + 0.5 if positive else 0.3 * torch.randn_like(parameter)
    network.save_pretrained(folder)
    return load_file(folder / "adapter_model.safetensors"), network.merge_and_unload().layer


def changed(file, weight, bias, alpha, settings):
    """What our change makes of a layer, from the tensors of a file."""
    adapter = read_adapter({name: tuple(tensor.shape) for name, tensor in file.items()})
    (module,) = adapter.modules
    shape = tuple(weight.shape)
    assert not module.incomplete and unsupported(module, shape) == ""
    parts = {split_name(name)[1]: tensor.float() for name, tensor in file.items()}
    if alpha is not None:
        parts["extra.alpha"] = torch.tensor(float(alpha))
    rows = Weight(weight.numpy())
    change = change_of(module.algorithm, Given(own(module.algorithm, parts), shape, settings, module.name), rows)
    found = change.rows(0, shape[0], rows.matrix.clone() if change.needs_weight else None)
    added = change.bias(bias)
    return found.reshape(shape), torch.zeros(shape[0]) if added is None else added


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("name", ADAPTERS)
@pytest.mark.filterwarnings("ignore")
def test_a_merge_of_peft(name, kind, tmp_path):
    torch.manual_seed(7)
    layer, (config, alpha, settings) = LAYERS[kind](), ADAPTERS[name]
    weight, bias = layer.weight.detach().clone(), layer.bias.detach().clone()
    file, merged = trained(layer, config, tmp_path)
    found, added = changed(file, weight, bias, alpha, settings)
    assert torch.allclose(found, merged.weight - weight, atol=1e-6)
    assert torch.allclose(added, merged.bias - bias, atol=1e-6)
    assert float((merged.weight - weight).abs().max()) > 1e-3 or name == "oft of 1 terms"


@pytest.mark.parametrize("dora", [False, True])
@pytest.mark.filterwarnings("ignore")
def test_an_embedding_of_peft(dora, tmp_path):
    torch.manual_seed(7)
    layer = torch.nn.Embedding(20, 6)
    weight = layer.weight.detach().clone()
    file, merged = trained(layer, peft.LoraConfig(**LORA, use_dora=dora), tmp_path)
    file = {name: tensor for name, tensor in file.items() if not name.endswith("layer.weight")}
    found, _ = changed(file, weight, None, 2, {})
    assert torch.allclose(found, merged.weight - weight, atol=1e-6)
    assert float(found.abs().max()) > 1e-3
