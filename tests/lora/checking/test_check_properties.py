"""What holds of every check: no header crashes it, order does not matter, a module that does not fit helps nobody."""

from __future__ import annotations

import json
from math import prod
from random import Random

from adapters_helper import parts
from check_helper import check, fit_of, layers_of, whole
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from layouts_helper import header, layout, of_shapes

from modelhub.catalog.adapters import read_adapter
from modelhub.lora.algorithms.applying import unsupported
from modelhub.lora.checking.answer import rank
from modelhub.lora.checking.fit import Fit
from modelhub.lora.fitting import fate

MODELS = ("sd15", "sd21", "sdxl", "flux-dev", "sd3-medium", "clip-l", "tiny-shapes-base")
LORAS = ("lora-sd15-kohya", "lora-sdxl-kohya", "lora-flux-diffusers")
REAL = sorted({name.partition(".")[0] for lora in LORAS for name in layout(lora)})[::37]
ENDINGS = (
    ".lora_down.weight", ".lora_up.weight", ".lora_mid.weight", ".lora_A.weight", ".lora_B.weight", ".alpha", ".dora_scale",
    ".hada_w1_a", ".hada_w1_b", ".hada_w2_a", ".hada_w2_b", ".hada_t1", ".lokr_w1", ".lokr_w2", ".lokr_w2_a", ".lokr_w2_b",
    ".oft_blocks", ".oft_diag", ".oft_R.weight", ".boft_R", ".boft_s", ".rescale", ".a1.weight", ".a2.weight", ".b1.weight",
    ".b2.weight", ".weight", ".on_input", ".ia3_l", ".diff", ".diff_b", ".set_weight", ".w_norm", ".b_norm", ".reshape_weight",
    ".lora_B.bias", ".lora_magnitude_vector", ".lora_embedding_A", ".lora_embedding_B",
)  # fmt: skip
NAMES = st.one_of(
    st.sampled_from(REAL),
    st.text(max_size=30).map(lambda text: "lora_unet_" + text),
    st.text(max_size=30),
    st.sampled_from(["lora_te3_", "transformer.", "base_model.model.", "lycoris_", "x_embedder", "lora_unet_conv_in"]),
)
SIZES = st.sampled_from([0, 1, 2, 3, 4, 8, 16, 64, 320, 640, 768, 1024, 3072, 2**40])
SHAPES = st.lists(SIZES, max_size=5).map(tuple)
FILES = st.dictionaries(
    st.builds(lambda name, end: name + end, NAMES, st.sampled_from(ENDINGS)), SHAPES, min_size=1, max_size=14
)
QUICK = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)


@QUICK
@given(FILES, st.sampled_from(MODELS))
def test_no_header_crashes_it(shapes, model):
    lora = of_shapes(shapes)
    assume(read_adapter(lora.shapes) is not None)
    met = fit_of(lora, whole(model))
    assert met.total() == len(read_adapter(lora.shapes).modules)
    assert Fit.of_json(json.loads(json.dumps(met.as_json()))) == met
    answer = check(lora, whole(model))
    assert json.loads(json.dumps(answer.as_dict()))["verdict"] == answer.verdict
    assert all(one.say.isprintable() for one in (*answer.mismatches, *answer.reasons))
    assert answer.verdict != "compatible" or met.total() == met.total("ok", "reshape")


@QUICK
@given(FILES, st.sampled_from(MODELS), st.randoms())
def test_the_order_of_tensors_makes_no_difference(shapes, model, random):
    assume(read_adapter(of_shapes(shapes).shapes) is not None)
    shuffled = list(shapes.items())
    random.shuffle(shuffled)
    one, other = of_shapes(shapes), of_shapes(dict(shuffled))
    assert fit_of(one, whole(model)) == fit_of(other, whole(model))
    assert check(one, whole(model)) == check(other, whole(model))


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(LORAS), st.sampled_from(MODELS), st.integers(0, 10**6))
def test_the_order_of_real_tensors_makes_no_difference(lora, model, seed):
    shuffled = [list(layout(name).items()) for name in (lora, model)]
    for one in shuffled:
        Random(seed).shuffle(one)
    mine, theirs = (header(dict(one)) for one in shuffled)
    assert check(mine, theirs) == check(whole(lora), whole(model))


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(["lora-sd15-kohya", "loha-sd15"]), st.sampled_from(["sd15", "sd21"]), st.data())
def test_a_module_that_does_not_fit_improves_nothing(lora, model, data):
    """Any part of an adapter, then the same with one more module that has another size, or no layer, or no name."""
    modules = sorted({name.partition(".")[0] for name in layout(lora)})
    chosen = set(data.draw(st.lists(st.sampled_from(modules), min_size=1, max_size=12)))
    some = {name: shape for name, (_, shape) in layout(lora).items() if name.partition(".")[0] in chosen}
    others = [name for name in modules if name not in chosen]
    name = data.draw(st.sampled_from([*others, "lora_unet_output_blocks_77_0_in_layers_2", "lora_unet_nobodys"]))
    worse = {**some, **{name + ending: shape for ending, shape in parts("lora", 777, 999).items()}}
    before, after = check(of_shapes(some), whole(model)), check(of_shapes(worse), whole(model))
    assert "unknown" in (before.verdict, after.verdict) or rank(after.verdict) >= rank(before.verdict)
    assert after.verdict not in ("compatible", "partial", "caution")


ALGORITHMS = (
    "lora", "lora-cp", "dora", "dora-in", "dora-peft", "loha", "loha-cp", "lokr", "lokr-full", "lokr-both", "lokr-tucker",
    "ia3-out", "ia3-in", "oft", "oft-old", "oft-peft", "glora", "diff", "set",
)  # fmt: skip


@QUICK
@given(st.sampled_from(ALGORITHMS), st.integers(0, 10**6), st.data())
def test_what_fits_can_be_baked(algorithm, number, data):
    """The check and the algorithms look at shapes in ways of their own, and agree; baking is content with other kernels."""
    layers = layers_of(whole("sd15"))
    keys = sorted(key for key in layers.every() if key[0] == "unet")
    label, flat = keys[number % len(keys)]
    shape = layers.native(label, flat).shape
    assume(len(shape) > 1)
    out_size, in_size, *kernel = (size + data.draw(st.sampled_from([0, 0, 0, 0, 8])) for size in shape[:2])
    kernel = data.draw(st.sampled_from([shape[2:], shape[2:], (), (1, 1)]))
    if algorithm.endswith(("-cp", "-tucker")):
        assume(len(kernel) == 2)
    assume(algorithm != "oft-peft" or prod(shape[2:]) == 1)  # with a kernel it rotates other columns than are made here
    shapes = {
        f"lora_unet_{flat}{ending}": size for ending, size in parts(algorithm, out_size, in_size, tuple(kernel)).items()
    }
    adapter = read_adapter(shapes)
    (module,) = adapter.modules
    found = fate(module, layers)
    reason = unsupported(module, shape)
    assert found.state in ("ok", "dim-mismatch")
    assert found.state == "dim-mismatch" or reason == ""
    same = (out_size, in_size) == shape[:2] and tuple(kernel) == shape[2:]
    assert (found.state == "ok") >= same
