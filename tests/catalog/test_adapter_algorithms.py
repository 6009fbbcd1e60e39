"""Every algorithm of the LoRA family: its modules, its sizes, and the base it votes for."""

from __future__ import annotations

import pytest
from adapters_helper import parts
from layouts_helper import of_shapes

from modelhub.catalog.adapters import read_adapter
from modelhub.catalog.identify import identify
from modelhub.catalog.keymaps import keymap

#: Name of the test adapter -> the algorithm it is of, the rank that its modules have (None: it has none).
ALGORITHMS = {
    "lora": ("lora", 4), "lora-cp": ("lora", 4), "dora": ("lora", 4), "dora-in": ("lora", 4), "dora-peft": ("lora", 4),
    "loha": ("loha", 4), "loha-cp": ("loha", 4),
    "lokr": ("lokr", 4), "lokr-full": ("lokr", None), "lokr-both": ("lokr", 4), "lokr-tucker": ("lokr", 4),
    "ia3-out": ("ia3", None), "ia3-in": ("ia3", None),
    "oft": ("oft", 4), "oft-old": ("oft", 4), "boft": ("oft", 4), "oft-peft": ("oft", 4), "oft-peft-square": ("oft", 4),
    "glora": ("glora", 4), "glora-new": ("glora", 4), "diff": ("diff", None), "set": ("diff", None),
}  # fmt: skip
#: What only convolutions have.
CORES = {"lora-cp", "loha-cp", "lokr-tucker"}


def adapter_of(algorithm: str, architecture: str = "sdxl", *, linear: bool = True) -> dict[str, tuple[int, ...]]:
    """An adapter for all linear layers of a denoiser, or for all its convolutions with kernels."""
    shapes = {}
    for target in dict.fromkeys(keymap(architecture).values()):
        if target.component == "denoiser" and target.diffusers and (target.rank == 2) == linear:
            kernel = () if linear else (3, 3)
            for ending, shape in parts(algorithm, target.out_size, target.in_size, kernel).items():
                shapes["lora_unet_" + target.diffusers.replace(".", "_") + ending] = shape
    return shapes


@pytest.mark.parametrize("algorithm", [name for name in ALGORITHMS if name not in CORES])
def test_algorithms_on_linear_layers(algorithm):
    found = identify(of_shapes(adapter_of(algorithm)))
    assert (found.kind, found.architecture, found.confidence) == ("lora", "sdxl", "header")
    wanted, rank = ALGORITHMS[algorithm]
    assert found.adapter["algorithm"] == [wanted]
    assert set(found.adapter["rank"]) == ({str(rank)} if rank else set())
    assert found.adapter["incomplete"] == 0


@pytest.mark.parametrize("algorithm", sorted(CORES | {"loha", "lokr", "lokr-full", "oft"}))
def test_algorithms_on_convolutions(algorithm):
    shapes = {name: shape for name, shape in adapter_of(algorithm, linear=False).items() if "conv_in" not in name}
    shapes = {name: shape for name, shape in shapes.items() if "conv_out" not in name and "shortcut" not in name}
    found = identify(of_shapes(shapes))
    assert (found.architecture, found.adapter["algorithm"]) == ("sdxl", [ALGORITHMS[algorithm][0]])
    assert found.adapter["parts"] == {"conv": found.adapter["modules"]}
    assert found.adapter["incomplete"] == 0


@pytest.mark.parametrize("algorithm", ["lora", "dora", "glora", "diff", "set"])
def test_kernels_are_told(algorithm):
    shapes = {
        f"lora_unet_down_blocks_0_resnets_0_conv1{end}": shape
        for end, shape in parts(algorithm, 320, 320, (3, 3)).items()
    }
    module = read_adapter(shapes).modules[0]
    assert (module.size.out_size, module.size.in_size) == (320, 320)
    assert identify(of_shapes(shapes)).adapter["parts"] == {"conv": 1}


@pytest.mark.parametrize(
    ("algorithm", "axis"), [("dora", ["out"]), ("dora-in", ["in"]), ("dora-peft", ["out"]), ("lora", [])]
)
def test_dora_and_the_axis_of_its_norm(algorithm, axis):
    told = identify(of_shapes(adapter_of(algorithm))).adapter
    assert (told["dora"], told["dora_axis"]) == (bool(axis), axis)


def test_alpha_is_told_but_not_that_of_rotations():
    assert identify(of_shapes(adapter_of("lora"))).adapter["alpha"] is True
    assert identify(of_shapes(adapter_of("lora-cp", linear=False))).adapter["alpha"] is False
    assert identify(of_shapes(adapter_of("oft"))).adapter["alpha"] is False


def test_a_factor_of_ia3_fits_either_side_and_no_other():
    where = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k"
    for size, bases, confidence in (
        (640, ["sd1", "sd2", "sdxl"], "header"),
        (768, ["sd1", "sdxl-refiner"], "header"),
        (2048, ["sdxl"], "header"),
        (777, ["sd1", "sd2", "sdxl", "sdxl-refiner"], "structure"),
    ):
        found = identify(of_shapes({where + ".weight": (size,), where + ".on_input": ()}))
        assert (found.adapter["algorithm"], found.adapter["bases"]) == (["ia3"], bases)
        assert found.confidence == confidence


def test_one_block_of_a_rotation_may_serve_for_all():
    where = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"
    (module,) = read_adapter({where + ".oft_R.weight": (1, 6)}).modules
    assert (module.algorithm, module.size.rank, module.size.either) == ("oft", 4, None)


def test_the_first_algorithm_names_a_module_whatever_the_order():
    lora = parts("lora", 320, 768)
    for endings in ({".diff_b": (320,), **lora}, {**lora, ".diff_b": (320,)}, {".w_norm": (320,), **lora}):
        (module,) = read_adapter({"m" + end: shape for end, shape in endings.items()}).modules
        assert (module.algorithm, module.size.out_size) == ("lora", 320)


def test_mixtures_are_counted():
    where = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_"
    shapes = {}
    for block, algorithm in ((0, "lora"), (1, "loha")):
        for projection in ("to_q", "to_k") if algorithm == "lora" else ("to_q",):
            name = f"{where}{block}_attn1_{projection}"
            shapes |= {name + end: shape for end, shape in parts(algorithm, 640, 640, rank=8).items()}
    shapes |= {f"lora_unet_down_blocks_0_resnets_0_norm1{end}": (320,) for end in (".w_norm", ".b_norm")}
    shapes |= {f"lora_te1_text_model_encoder_layers_0_mlp_fc1{e}": s for e, s in parts("lora", 3072, 768).items()}
    told = identify(of_shapes(shapes)).adapter
    assert told["algorithms"] == {"lora": 3, "loha": 1, "norm": 1}
    assert told["rank"] == {"8": 3, "4": 1}
    assert told["parts"] == {"attention": 3, "te1": 1, "norm": 1}


def test_incomplete_modules_are_named():
    shapes = {f"lora_unet_m{index}.lora_up.weight": (8, 4) for index in range(5)}
    shapes |= {"lora_unet_\x1b[31mred.lora_down.weight": (4, 8), "lora_unet_whole.lora_down.weight": (4, 8)}
    shapes |= {"lora_unet_whole.lora_up.weight": (8, 4)}
    told = identify(of_shapes(shapes)).adapter
    assert (told["incomplete"], len(told["incomplete_modules"])) == (6, 3)
    assert all(name.isprintable() for name in told["incomplete_modules"])
    assert "lora_unet_whole" not in told["incomplete_modules"]


@pytest.mark.parametrize(
    "endings",
    [
        {".hada_w1_a": (8, 4), ".hada_w1_b": (4, 8)},
        {".lokr_w1": (2, 2)},
        {".lokr_w1": (2, 2), ".lokr_w2_a": (4, 4)},
        {".lora_A.weight": (4, 8)},
        {".a1.weight": (4, 8), ".b1.weight": (4, 8)},
    ],
)
def test_half_a_module_is_incomplete(endings):
    (module,) = read_adapter({"m" + ending: shape for ending, shape in endings.items()}).modules
    assert module.incomplete


def test_embeddings_in_the_bundle_are_named():
    shapes = {**adapter_of("lora"), "bundle_emb.my.style.string_to_param.*": (4, 768)}
    shapes |= {"bundle_emb.other.clip_l": (1, 768), "bundle_emb.other.clip_g": (1, 1280)}
    found = identify(of_shapes(shapes))
    assert (found.architecture, found.adapter["embeddings"]) == ("sdxl", ["my.style", "other"])


def test_extras_of_a_module_change_nothing():
    shapes = adapter_of("lora")
    extras = {
        name.removesuffix(".alpha") + end: (4,)
        for name in shapes
        if name.endswith(".alpha")
        for end in (".lora_down.bias", ".lora_up.bias", ".scalar")
    }
    plain, found = identify(of_shapes(shapes)), identify(of_shapes({**shapes, **extras}))
    assert (found.architecture, found.adapter) == (plain.architecture, plain.adapter)


def test_modules_at_the_input_are_told():
    shapes = {"transformer.x_embedder.lora_A.weight": (8, 128), "transformer.x_embedder.lora_B.weight": (3072, 8)}
    shapes |= {"transformer.x_embedder.reshape_weight": (2,)}
    assert identify(of_shapes(shapes)).adapter["input_channels"] == {"x_embedder": 128}
    assert identify(of_shapes(adapter_of("lora"))).adapter["input_channels"] == {}


def test_a_whole_layer_at_the_input_is_told():
    """Image-to-video LoRAs bring an input layer with more channels."""
    shapes = {f"diffusion_model.blocks.{index}.self_attn.q{end}": shape
              for index in range(4) for end, shape in parts("lora", 5120, 5120).items()}  # fmt: skip
    shapes |= {
        "diffusion_model.patch_embedding.weight": (5120, 36, 1, 2, 2),
        "diffusion_model.patch_embedding.bias": (5120,),
    }
    found = identify(of_shapes(shapes))
    assert (found.architecture, found.adapter["input_channels"]) == ("wan", {"patch_embedding": 36})


@pytest.mark.parametrize(
    "shapes",
    [
        # SVDQuant packs a low-rank branch beside each weight.
        {
            f"transformer_blocks.{index}.qkv_proj.{part}": shape
            for index in range(19)
            for part, shape in {
                "qweight": (9216, 1536), "wscales": (48, 9216), "lora_down": (3072, 32), "lora_up": (9216, 32),
                "smooth": (3072,), "bias": (9216,),
            }.items()
        },
        {f"decoder.{index}.alpha": (1, 64, 1) for index in range(30)},
        {f"decoder.{index}.weight": (64, 64) for index in range(30)},
        {f"m.{index}.a1.weight": (64, 64) for index in range(30)},
        {f"m.{index}.rescale": (64, 1) for index in range(30)},
        {f"m.{index}.lora_mid.weight": (4, 4, 3, 3) for index in range(30)},
        {f"m.{index}.w_norm": (64,) for index in range(30)},
        {f"m.{index}.lora_up.bias": (64,) for index in range(30)},
    ],
)  # fmt: skip
def test_what_is_no_adapter(shapes):
    assert read_adapter(shapes) is None
    assert identify(of_shapes(shapes)).kind != "lora"


def test_long_names_and_many_of_them_are_read_as_short_ones_are():
    """They are not remembered; the answer is the same."""
    usual = adapter_of("lora")
    odd = {**usual, "x" * 5000: (1,), **{f"filler.{index}": (1,) for index in range(20_001)}}
    assert read_adapter(odd).lines == read_adapter(usual).lines
