"""Every dialect of module names: a real adapter under another spelling keeps base, algorithm and rank."""

from __future__ import annotations

import pytest
from adapters_helper import DIALECTS, ENDINGS, FIXTURES, modules, respelled
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts_helper import header, layout, of_shapes

from modelhub.catalog.adapters import read_adapter
from modelhub.catalog.identify import identify
from modelhub.catalog.keymaps import keymap

KOHYA = (".lora_down.weight", ".lora_up.weight")


def _pair(name: str, out_size: int, in_size: int, endings: tuple[str, str] = KOHYA) -> dict[str, tuple[int, ...]]:
    return {name + endings[0]: (16, in_size), name + endings[1]: (out_size, 16)}


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(sorted(FIXTURES)), st.sampled_from(sorted(DIALECTS)), st.sampled_from(sorted(ENDINGS)), st.randoms()
)
def test_another_spelling_changes_nothing(fixture, dialect, endings, random):
    before = identify(header(layout(fixture)))
    shapes = list(respelled(fixture, dialect, endings).items())
    random.shuffle(shapes)
    found = identify(of_shapes(dict(shapes)))
    assert (found.kind, found.architecture, found.confidence) == ("lora", FIXTURES[fixture], "header")
    for fact in ("algorithm", "alpha", "dora"):
        assert found.adapter[fact] == before.adapter[fact]
    assert list(found.adapter["rank"]) == list(before.adapter["rank"])


@pytest.mark.parametrize("dialect", sorted(DIALECTS))
def test_dialects_have_names(dialect):
    fixture = "lora-flux-diffusers" if "transformer" in dialect else "lora-sd15-kohya"
    found = identify(of_shapes(respelled(fixture, dialect)))
    assert (found.layout, found.adapter["dialect"]) == (DIALECTS[dialect][1],) * 2


def test_text_encoders_are_counted_in_every_dialect():
    for dialect in DIALECTS:
        if dialect not in ("LyCORIS",):  # its names do not say which text encoder
            found = identify(of_shapes(respelled("lora-sdxl-kohya", dialect)))
            assert found.adapter["parts"] == {"attention": 722, "te1": 72, "te2": 192}, dialect
            assert found.adapter["components"] == {"unet": 722, "text_encoder": 264}


def _old_processor(name: str) -> str:
    """`attn1.to_out.0` as `attn1.processor.to_out_lora`, the way of the first diffusers LoRAs."""
    module, _, projection = name.removesuffix(".0").rpartition(".")
    return f"{module}.processor.{projection}_lora"


@pytest.mark.parametrize("prefix", ["unet.", ""])
@pytest.mark.parametrize("base", ["sd1", "sd2", "sdxl"])
def test_old_processors(prefix, base):
    shapes = {}
    for target in dict.fromkeys(keymap(base).values()):
        if ".attn" in target.diffusers and target.component == "denoiser":
            name = prefix + _old_processor(target.diffusers)
            shapes |= _pair(name, target.out_size, target.in_size, (".down.weight", ".up.weight"))
    found = identify(of_shapes(shapes))
    assert (found.architecture, found.adapter["rank"]) == (base, {"16": len(shapes) // 2})


@pytest.mark.parametrize("spelling", ["q_proj.lora_linear_layer", "to_q_lora", "to_q.lora"])
def test_old_text_encoder_names(spelling):
    shapes = {}
    for index in range(12):
        name = f"text_encoder.text_model.encoder.layers.{index}.self_attn.{spelling}"
        shapes |= _pair(name, 768, 768, (".down.weight", ".up.weight"))
    found = identify(of_shapes(shapes))
    assert found.adapter["bases"] == ["flux1", "sd1", "sd3", "sdxl"]
    assert found.adapter["parts"] == {"te1": 12}


def xlabs() -> dict[str, tuple[int, ...]]:
    shapes, endings = {}, (".down.weight", ".up.weight")
    for block in range(19):
        for stream in (1, 2):
            name = f"double_blocks.{block}.processor."
            shapes |= _pair(f"{name}qkv_lora{stream}", 9216, 3072, endings)
            shapes |= _pair(f"{name}proj_lora{stream}", 3072, 3072, endings)
    for block in range(38):
        name = f"single_blocks.{block}.processor."
        shapes |= _pair(name + "qkv_lora", 9216, 3072, endings) | _pair(name + "proj_lora", 3072, 15360, endings)
    return shapes


def test_xlabs_names_resolve_to_the_streams_of_flux():
    found = identify(of_shapes(xlabs()))
    assert (found.architecture, found.confidence, found.adapter["dialect"]) == ("flux1", "header", "xlabs")
    assert (found.adapter["modules"], found.adapter["rank"]) == (152, {"16": 152})
    first, second = read_adapter(
        {name: shape for name, shape in xlabs().items() if ".0.processor.qkv" in name}
    ).modules[:2]
    assert (first.place.flat, second.place.flat) == ("double_blocks_0_img_attn_qkv", "double_blocks_0_txt_attn_qkv")


def onetrainer_bfl() -> dict[str, tuple[int, ...]]:
    shapes = {}
    for block in range(19):
        for stream in ("img", "txt"):
            for part in range(3):
                shapes |= _pair(f"transformer.double_blocks.{block}.{stream}_attn.qkv.{part}", 3072, 3072)
            shapes |= _pair(f"transformer.double_blocks.{block}.{stream}_attn.proj", 3072, 3072)
    for block in range(38):
        for part, rows in enumerate((3072, 3072, 3072, 12288)):
            shapes |= _pair(f"transformer.single_blocks.{block}.linear1.{part}", rows, 3072)
    return shapes


def test_onetrainer_with_split_native_names():
    found = identify(of_shapes(onetrainer_bfl()))
    assert (found.architecture, found.adapter["dialect"]) == ("flux1", "onetrainer-bfl")
    assert found.adapter["modules"] == 19 * 8 + 38 * 4


def test_flux_text_encoders_of_onetrainer():
    """There te1 is CLIP-L and te2 is T5."""
    shapes = respelled("lora-flux-diffusers", "OneTrainer")
    shapes |= _pair("lora_te1_text_model_encoder_layers_0_mlp_fc1", 3072, 768)
    shapes |= _pair("lora_te2_encoder_block_0_layer_0_SelfAttention_q", 4096, 4096)
    found = identify(of_shapes(shapes))
    assert (found.architecture, found.adapter["dialect"]) == ("flux1", "onetrainer")
    assert found.adapter["parts"] == {"attention": 266, "te1": 1, "te2": 1}


def test_cascade_prior():
    shapes = _pair("lora_prior_unet_down_blocks_0_1_attention_attn_in_proj", 6144, 2048)
    shapes |= _pair("lora_prior_te_text_model_encoder_layers_0_mlp_fc1", 5120, 1280)
    found = identify(of_shapes(shapes))
    assert (found.architecture, found.adapter["components"]) == ("stable-cascade-c", {"unet": 1, "text_encoder": 1})


def test_control_lora_of_flux():
    shapes = {}
    for _, target in modules("lora-flux-kohya"):
        native = target.tensor.removeprefix("model.diffusion_model.").removesuffix(".weight")
        shapes |= _pair(native, target.out_size, target.in_size, (".lora_A.weight", ".lora_B.weight"))
        shapes[native + ".lora_B.bias"] = (target.out_size,)
    for block in range(19):
        shapes |= {f"double_blocks.{block}.img_attn.norm.{one}_norm.scale": (128,) for one in ("query", "key")}
    shapes |= {"img_in.lora_A.weight": (16, 128), "img_in.lora_B.weight": (3072, 16), "img_in.lora_B.bias": (3072,)}
    found = identify(of_shapes(shapes))
    assert (found.kind, found.architecture) == ("lora", "flux1")
    assert (found.adapter["input_channels"], found.adapter["rank"]) == ({"img_in": 128}, {"16": 305})


@pytest.mark.parametrize(
    ("name", "flat", "component"),
    [
        ("text_encoders.qwen3_4b.transformer.model.layers.0.mlp.up_proj", "model_layers_0_mlp_up_proj", "te"),
        ("text_encoders.t5xxl.transformer.encoder.block.0.layer.0.SelfAttention.q", "encoder_block_0_layer_0_SelfAttention_q", "te2"),
        ("lora_te3_encoder_block_0_layer_0_SelfAttention_q", "encoder_block_0_layer_0_SelfAttention_q", "te3"),
        ("lora_te_layers_0_self_attn_q_proj", "layers_0_self_attn_q_proj", "te"),
        ("lora_unet__blocks_0_self_attn_q", "blocks_0_self_attn_q", "denoiser"),
    ],
)  # fmt: skip
def test_prefixes_come_off(name, flat, component):
    (module,) = read_adapter(_pair(name, 64, 64)).modules
    assert (module.place.flat, module.place.components[0]) == (flat, component)
