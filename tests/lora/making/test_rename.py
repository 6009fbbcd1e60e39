"""Renamed adapters against diffusers and PEFT: the same products in the same layers, whoever changed the names."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_pipelines as tiny
import torch
from safetensors.torch import load_file, save_file

from modelhub.catalog.folder.single_file import single_file
from modelhub.catalog.identify import identify
from modelhub.errors import IncompatibleError
from modelhub.formats.opening import open_source
from modelhub.formats.writer import write
from modelhub.lora.layers import Layers
from modelhub.lora.making.rename import Renaming, rename
from modelhub.lora.names import Named, named_layers
from modelhub.lora.network import Network
from modelhub.lora.reference import reference

State = dict[str, torch.Tensor]
HIDDEN = 3072


def _layers(folder: Path, **modules: Any) -> Layers:
    """The layers of a small pipeline."""
    with open_source(tiny.save(folder, modules)) as source:
        identity = identify(source.header, form="diffusers")
        view, _, _ = single_file(source, identity)
        return Layers(view.header, identify(view.header))


def _kohya(layers: Iterable[Named], seed: int = 0, *, dora: bool = False) -> State:
    """A LoRA for these layers, of differing ranks and alphas."""
    random = torch.Generator().manual_seed(seed)
    state: State = {}
    for number, one in enumerate(layers):
        out, inner, *kernel = one.layer.shape
        rank = 1 + number % 4
        ones = [1] * len(kernel)
        state[f"{one.module}.lora_down.weight"] = torch.randn((rank, inner, *kernel), generator=random)
        state[f"{one.module}.lora_up.weight"] = torch.randn((out, rank, *ones), generator=random)
        state[f"{one.module}.alpha"] = torch.tensor(float(1 + number % 3))
        if dora:
            state[f"{one.module}.dora_scale"] = torch.rand((out, 1, *ones), generator=random) + 0.5
    return state


def _renamed(folder: Path, state: State, layers: Layers, names: Any, **wishes: Any) -> tuple[State, Renaming]:
    """What is read back of the file that a renaming writes."""
    metadata = wishes.pop("metadata", None)
    number = len([*folder.glob("*.safetensors")])
    path, goal = folder / f"{number}-old.safetensors", folder / f"{number}-new.safetensors"
    save_file(state, path, metadata)
    with open_source(path) as source:
        renaming = rename(Network(source, "old"), layers, names, **wishes)
        write(renaming.view, goal)
    return load_file(goal), renaming


def _products(state: State) -> dict[str, torch.Tensor]:
    """scale · up @ down of each module, in float64, written out plainly."""
    found = {}
    for name in state:
        for down, up in ((".lora_down.weight", ".lora_up.weight"), (".lora_A.weight", ".lora_B.weight")):
            if name.endswith(down):
                module = name.removesuffix(down)
                first, second = state[name].double(), state[module + up].double()
                rank = first.shape[0]
                alpha = float(state.get(f"{module}.alpha", torch.tensor(float(rank))))
                found[module] = alpha / rank * second.reshape(second.shape[0], rank) @ first.reshape(rank, -1)
    return found


def _probed(state: State) -> dict[str, torch.Tensor]:
    """What each module makes of five random vectors: of wide layers a product is too large to be formed."""
    found = {}
    for name in [name for name in state if name.endswith((".lora_down.weight", ".lora_A.weight"))]:
        module, down = name.rsplit(".", 2)[0], state[name].double().flatten(1)
        up = state[name.replace("lora_down", "lora_up").replace("lora_A", "lora_B")].double().flatten(1)
        alpha = float(state.get(f"{module}.alpha", torch.tensor(float(len(down)))))
        probe = torch.randn(down.shape[1], 5, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
        found[module] = alpha / len(down) * (up @ (down @ probe))
    return found


def _same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    """Equal but for what fp32 rounds away."""
    assert one.keys() == other.keys()
    for name, product in one.items():
        error = (product - other[name].double().reshape(product.shape)).abs().max()
        assert error <= 1e-6 * product.abs().max(), name


def _deltas(network: Any, state: State, prefix: str, alphas: Any = None) -> dict[str, torch.Tensor]:
    """What PEFT adds to each layer after diffusers loaded a file into a network."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    network.load_lora_adapter(dict(state), network_alphas=alphas, prefix=prefix, adapter_name="tried")
    layers = {name: one for name, one in network.named_modules() if isinstance(one, BaseTunerLayer)}
    return {name: layer.get_delta_weight("tried").double().flatten(1) for name, layer in layers.items()}


UNETS: dict[str, Callable[[], Any]] = {
    "sd1": tiny.unet,
    "sd2": partial(tiny.unet, use_linear_projection=True),
    "sdxl": tiny.xl_unet,
}


@pytest.mark.parametrize("kind", UNETS)
def test_diffusers_loads_both_files_into_the_same_layers(tmp_path: Path, kind: str) -> None:
    from diffusers.loaders import StableDiffusionLoraLoaderMixin, StableDiffusionXLLoraLoaderMixin

    layers = _layers(tmp_path / "pipe", unet=tiny.randomise(UNETS[kind](), 0), vae=tiny.vae())
    kohya = _kohya(one for one in named_layers(layers, "kohya") if one.group in ("attention", "conv"))
    for name in kohya:
        if name.endswith(".alpha"):  # where alphas differ, diffusers forgets those of attention
            kohya[name] = torch.tensor(3.0)
    peft, renaming = _renamed(tmp_path, kohya, layers, "peft")
    assert not renaming.left and renaming.modules == len(kohya) // 3
    assert not any(name.endswith(".alpha") for name in peft)

    loader = StableDiffusionXLLoraLoaderMixin if kind == "sdxl" else StableDiffusionLoraLoaderMixin
    network = UNETS[kind]()
    theirs, alphas = loader.lora_state_dict(dict(kohya), unet_config=network.config)
    wanted = _deltas(network, theirs, "unet", alphas)
    ours, alphas = loader.lora_state_dict(dict(peft), unet_config=network.config)
    assert not alphas
    _same(_deltas(UNETS[kind](), ours, "unet"), wanted)
    assert len(wanted) == renaming.modules


def _flux() -> State:
    """Some layers of Flux at full width, fused as kohya's trainer has them."""
    wanted = (
        "double_blocks_0_img_attn",
        "double_blocks_0_txt_mlp",
        "single_blocks_3_",
        "double_blocks_18_txt_attn_qkv",
    )
    names = named_layers(reference("flux1"), "kohya")
    return _kohya(one for one in names if one.module.removeprefix("lora_unet_").startswith(wanted))


def test_fused_layers_of_flux_are_cut_as_diffusers_cuts_them(tmp_path: Path) -> None:
    from diffusers.loaders import FluxLoraLoaderMixin

    kohya = _flux()
    peft, renaming = _renamed(tmp_path, kohya, reference("flux1"), "peft")
    theirs = FluxLoraLoaderMixin.lora_state_dict(dict(kohya))
    assert {name for name in theirs if "lora" in name} == set(peft)
    _same(_probed(peft), _probed(theirs))
    assert renaming.made["cut"] == 3 + 3 + 4


def test_a_network_of_diffusers_takes_what_was_cut(tmp_path: Path) -> None:
    layers = _layers(tmp_path / "pipe", transformer=tiny.randomise(tiny.flux(), 0))
    kohya = _kohya(named_layers(layers, "kohya"))
    peft, renaming = _renamed(tmp_path, kohya, layers, "peft")
    assert not renaming.left
    deltas = _deltas(tiny.flux(), peft, "transformer")
    assert {f"transformer.{name}" for name in deltas} == set(_products(peft))
    whole = _products(kohya)
    parts = [deltas[f"transformer_blocks.1.attn.to_{part}"] for part in "qkv"]
    assert torch.allclose(torch.cat(parts), whole["lora_unet_double_blocks_1_img_attn_qkv"], rtol=1e-5, atol=1e-6)
    single = [
        deltas[f"single_transformer_blocks.2.{part}"] for part in ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp")
    ]
    assert torch.allclose(torch.cat(single), whole["lora_unet_single_blocks_2_linear1"], rtol=1e-5, atol=1e-6)
    shift, scale = whole["lora_unet_final_layer_adaLN_modulation_1"].chunk(2)
    assert torch.allclose(deltas["norm_out.linear"], torch.cat([scale, shift]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("architecture", ["sd1", "sdxl", "sdxl-refiner", "sd3"])
def test_there_and_back_gives_the_same_products(tmp_path: Path, architecture: str) -> None:
    layers = reference(architecture)
    some = [one for number, one in enumerate(named_layers(layers, "kohya")) if number % 37 == 0]
    kohya = _kohya(some)
    peft, _ = _renamed(tmp_path, kohya, layers, "peft")
    back, _ = _renamed(tmp_path, peft, layers, "kohya")
    _same(_probed(back), _probed(kohya))
    assert back.keys() == kohya.keys()


def test_flux_there_and_back(tmp_path: Path) -> None:
    kohya = _flux()
    peft, _ = _renamed(tmp_path, kohya, reference("flux1"), "peft")
    back, renaming = _renamed(tmp_path, peft, reference("flux1"), "kohya")
    _same(_probed(back), _probed(kohya))
    ranks = {name: value.shape for name, value in kohya.items() if "alpha" not in name}
    assert {name: value.shape for name, value in back.items() if "alpha" not in name} == ranks  # the downs were equal
    assert renaming.made["joined"] == 3


def test_parts_with_factors_of_their_own_are_joined_along_a_diagonal(tmp_path: Path) -> None:
    random = torch.Generator().manual_seed(3)
    state: State = {}
    for part, rank in (("to_q", 2), ("to_v", 3)):  # nothing is known of to_k: it stays as it is
        name = f"transformer.transformer_blocks.4.attn.{part}"
        state[f"{name}.lora_A.weight"] = torch.randn((rank, HIDDEN), generator=random).half()
        state[f"{name}.lora_B.weight"] = torch.randn((HIDDEN, rank), generator=random).half()
    kohya, renaming = _renamed(tmp_path, state, reference("flux1"), "kohya")
    module = "lora_unet_double_blocks_4_img_attn_qkv"
    found = _products(kohya)[module]
    parts = _products(state)
    assert torch.equal(found[:HIDDEN], parts["transformer.transformer_blocks.4.attn.to_q"])
    assert not found[HIDDEN : 2 * HIDDEN].any()
    assert torch.equal(found[2 * HIDDEN :], parts["transformer.transformer_blocks.4.attn.to_v"])
    assert kohya[f"{module}.lora_up.weight"].dtype == torch.float16
    assert (kohya[f"{module}.lora_down.weight"].shape, float(kohya[f"{module}.alpha"])) == ((5, HIDDEN), 5.0)
    assert renaming.made == {"joined": 1}


def test_alphas_of_a_configuration_are_written(tmp_path: Path) -> None:
    name = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
    state = {f"{name}.lora_A.weight": torch.randn(4, 320), f"{name}.lora_B.weight": torch.randn(320, 4)}
    said = {"lora_adapter_metadata": json.dumps({"unet.r": 4, "unet.lora_alpha": 2.0})}
    kohya, _ = _renamed(tmp_path, state, reference("sd1"), "kohya", metadata=said)
    module = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
    assert float(kohya[f"{module}.alpha"]) == 2.0
    assert torch.equal(kohya[f"{module}.lora_down.weight"], state[f"{name}.lora_A.weight"])


def test_of_other_algorithms_they_are_written_too(tmp_path: Path) -> None:
    """Of a LoKr that is whole, which has no rank, the scale itself is written."""
    loha, lokr = (f"unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_{part}" for part in "qk")
    state = {f"{loha}.hada_{part}": torch.randn(320, 4) for part in ("w1_a", "w2_a")}
    state |= {f"{loha}.hada_{part}": torch.randn(4, 320) for part in ("w1_b", "w2_b")}
    state |= {f"{lokr}.lokr_w1": torch.randn(8, 8), f"{lokr}.lokr_w2": torch.randn(40, 40)}
    said = {"lora_adapter_metadata": json.dumps({"unet.r": 4, "unet.alpha": 2.0})}
    kohya, _ = _renamed(tmp_path, state, reference("sd1"), "kohya", metadata=said)
    base = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_"
    assert float(kohya[f"{base}q.alpha"]) == 2.0 and float(kohya[f"{base}k.scalar"]) == 0.5
    assert len(kohya) == 4 + 1 + 2 + 1


def test_alpha_that_is_the_rank_changes_no_byte(tmp_path: Path) -> None:
    some = [one for one in named_layers(reference("sd1"), "kohya") if one.group == "te1"][:9]
    kohya = {name: value.half() for name, value in _kohya(some).items()}
    for name in [name for name in kohya if name.endswith(".alpha")]:
        kohya[name] = torch.tensor(float(kohya[name.replace("alpha", "lora_down.weight")].shape[0]))
    peft, renaming = _renamed(tmp_path, kohya, reference("sd1"), "peft")
    assert renaming.made == {"kept": 9}
    ups = [value for name, value in kohya.items() if "lora_up" in name]
    assert all(torch.equal(one, other) for one, other in zip(ups, _of(peft, "lora_B"), strict=True))
    assert {value.dtype for value in peft.values()} == {torch.float16}


def _of(state: State, word: str) -> list[torch.Tensor]:
    return [value for name, value in state.items() if word in name]


def test_half_precision_with_a_small_scale_loses_nothing(tmp_path: Path) -> None:
    """alpha 1 of rank 128: in fp16 the folded factor would lose bits to numbers that are too small."""
    module = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k"
    kohya = {
        f"{module}.lora_down.weight": torch.randn(128, 768).half(),
        f"{module}.lora_up.weight": (torch.randn(1280, 128) * 1e-4).half(),
        f"{module}.alpha": torch.tensor(1.0),
    }
    peft, _ = _renamed(tmp_path, kohya, reference("sd1"), "peft")
    wanted = kohya[f"{module}.lora_up.weight"].numpy().astype(np.float64) / 128
    assert np.array_equal(_of(peft, "lora_B")[0].numpy().astype(np.float64), wanted)


def test_dora_is_loaded_by_peft_with_the_same_lengths(tmp_path: Path) -> None:
    import peft

    layers = _layers(tmp_path / "pipe", transformer=tiny.randomise(tiny.flux(), 5))
    fused = [one for one in named_layers(layers, "kohya") if "double_blocks_0_img_attn" in one.module]
    kohya = _kohya(fused, dora=True)
    state, _ = _renamed(tmp_path, kohya, layers, "peft")
    network = tiny.randomise(tiny.flux(), 5)
    before = network.transformer_blocks[0].attn.to_k.weight.detach().double()
    network.load_lora_adapter(dict(state), prefix="transformer", adapter_name="tried")
    layer = network.transformer_blocks[0].attn.to_k
    assert isinstance(layer, peft.tuners.lora.Linear) and layer.use_dora["tried"]
    layer.merge()
    rows = slice(16, 32)
    added = before + _products(kohya)["lora_unet_double_blocks_0_img_attn_qkv"][rows]
    lengths = kohya["lora_unet_double_blocks_0_img_attn_qkv.dora_scale"][rows].double()
    wanted = lengths * added / added.norm(dim=1, keepdim=True)
    assert torch.allclose(layer.weight.double(), wanted, rtol=1e-4, atol=1e-5)
    back, _ = _renamed(tmp_path, state, layers, "kohya")
    for name in [name for name in kohya if "dora" in name]:
        assert torch.equal(back[name], kohya[name])


def test_a_third_factor_goes_into_the_kernel(tmp_path: Path) -> None:
    module = "lora_unet_down_blocks_0_resnets_0_conv1"
    random = np.random.default_rng(1)
    down, mid, up = (
        random.normal(size=size).astype(np.float32) for size in ((3, 320, 1, 1), (3, 3, 3, 3), (320, 3, 1, 1))
    )
    state = {
        f"{module}.lora_{part}.weight": torch.from_numpy(value)
        for part, value in (("down", down), ("mid", mid), ("up", up))
    }
    state[f"{module}.alpha"] = torch.tensor(1.0)
    peft, _ = _renamed(tmp_path, state, reference("sd1"), "peft")
    name = "unet.down_blocks.0.resnets.0.conv1"
    first, second = (peft[f"{name}.lora_{part}.weight"].double().numpy() for part in "AB")
    found = np.einsum("or,rikl->oikl", second[:, :, 0, 0], first)
    wanted = (
        np.einsum("mnkl,om,ni->oikl", mid.astype(float), up[:, :, 0, 0].astype(float), down[:, :, 0, 0].astype(float))
        / 3
    )
    assert np.allclose(found, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("fixed", ["alpha", "name", "half", "algorithm", "stranger"])
def test_what_has_no_name_is_refused_or_left_out(tmp_path: Path, fixed: str) -> None:
    some = list(named_layers(reference("sd1"), "kohya"))[40:43]
    state = _kohya(some)
    module = some[1].module
    if fixed == "alpha":
        state[f"{module}.alpha"] = torch.tensor(float("nan"))
    elif fixed == "name":
        state |= {name.replace("down_blocks", "left_blocks"): state.pop(name) for name in [*state] if module in name}
        module = module.replace("down_blocks", "left_blocks")
    elif fixed == "half":
        del state[f"{module}.lora_up.weight"]
    elif fixed == "algorithm":
        for part in ("lora_down.weight", "lora_up.weight"):
            del state[f"{module}.{part}"]
        state[f"{module}.diff"] = torch.zeros(some[1].layer.shape)
    else:
        state["bundle_emb.\x1b[31mred.string_to_param.*"] = torch.zeros(1, 768)
        module = "bundle_emb.\x1b[31mred.string_to_param.*"
    with pytest.raises(IncompatibleError) as raised:
        _renamed(tmp_path, state, reference("sd1"), "peft")
    assert "\x1b" not in raised.value.message and "--skip" in raised.value.hint
    found, renaming = _renamed(tmp_path, state, reference("sd1"), "peft", skip=True)
    assert list(renaming.left) == [module]
    assert len(found) == 2 * (3 if fixed == "stranger" else 2)


def test_an_adapter_without_any_name_is_refused(tmp_path: Path) -> None:
    state = {"lora_unet_x.lora_down.weight": torch.zeros(2, 8), "lora_unet_x.lora_up.weight": torch.zeros(8, 2)}
    with pytest.raises(IncompatibleError, match="no layer"):
        _renamed(tmp_path, state, reference("sdxl"), "peft", skip=True)


def test_other_algorithms_keep_their_tensors_under_names_of_kohya(tmp_path: Path) -> None:
    name = "lycoris_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_q"
    state = {f"{name}.hada_w{part}": torch.randn(4, 4) for part in ("1_b", "2_b")}
    state |= {f"{name}.hada_w{part}": torch.randn(640, 4) for part in ("1_a", "2_a")}
    state |= {f"{name}.alpha": torch.tensor(2.0), "lycoris_conv_norm_out.w_norm": torch.randn(320)}
    found, renaming = _renamed(tmp_path, state, reference("sdxl"), "kohya")
    old = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q"
    wanted = {f"{old}.{part.rpartition('.')[2]}": value for part, value in state.items() if name in part}
    wanted["lora_unet_out_0.w_norm"] = state["lycoris_conv_norm_out.w_norm"]
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], value) for name, value in wanted.items())
    assert renaming.made == {"kept": 2}


def test_peft_gets_as_many_dimensions_as_the_layer_has(tmp_path: Path) -> None:
    state: State = {}
    layers = {"down_blocks_0_attentions_0_proj_in": (320, 320), "down_blocks_0_resnets_0_conv1": (320, 320 * 9)}
    for name, (out, inner) in layers.items():  # as trainers that know only matrices write them
        state[f"lora_unet_{name}.lora_down.weight"] = torch.randn(2, inner)
        state[f"lora_unet_{name}.lora_up.weight"] = torch.randn(out, 2)
    found, _ = _renamed(tmp_path, state, reference("sd1"), "peft")
    shapes = {name.removeprefix("unet.down_blocks.0."): tuple(value.shape) for name, value in found.items()}
    assert shapes == {
        "attentions.0.proj_in.lora_A.weight": (2, 320, 1, 1),
        "attentions.0.proj_in.lora_B.weight": (320, 2, 1, 1),
        "resnets.0.conv1.lora_A.weight": (2, 320, 3, 3),
        "resnets.0.conv1.lora_B.weight": (320, 2, 1, 1),
    }
    _same(_products(found), {_peft(name): product for name, product in _products(state).items()})


def _peft(name: str) -> str:
    words = {"down_blocks_0_": "down_blocks.0.", "attentions_0_": "attentions.0.", "resnets_0_": "resnets.0."}
    name = name.replace("lora_unet_", "unet.")
    for flat, dotted in words.items():
        name = name.replace(flat, dotted)
    return name
