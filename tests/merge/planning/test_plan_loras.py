"""LoRAs baked into merges: added in fp32 to what the steps make, before the one rounding; from headers to the file."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from merge_bench import FIRST_CONV, SHAPES, TEXT, UNET, VAE, Bench, Shapes, Tensors, checkpoint

from modelhub.catalog.parents import merged_from
from modelhub.catalog.weighing.weights import Weight
from modelhub.errors import IncompatibleError, NotFoundError, UsageError
from modelhub.lora.baking.merged import changes
from modelhub.lora.baking.stack import Stack
from modelhub.merge.execute import merge
from modelhub.merge.planning.plan import Plan, plan
from modelhub.merge.recipes.finding import Carrier
from modelhub.merge.recipes.recipe import ModelRef, Recipe, bake_recipe, parse_recipe, simple_recipe, with_loras
from modelhub.merge.recipes.remake import recipe_of

BIG = {UNET + "middle_block.1.transformer_blocks.0.attn1.to_q.weight": (300, 701)}  # more than one window
#: Module to the tensor that it changes.
MODULES = {
    "lora_unet_input_blocks_1_1_transformer_blocks_0_attn1_to_q": (
        UNET + "input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight"
    ),
    "lora_unet_input_blocks_1_1_proj_in": UNET + "input_blocks.1.1.proj_in.weight",
    "lora_unet_middle_block_1_transformer_blocks_0_attn2_to_k": (
        UNET + "middle_block.1.transformer_blocks.0.attn2.to_k.weight"
    ),
    "lora_unet_middle_block_1_transformer_blocks_0_attn1_to_q": next(iter(BIG)),
    "lora_te_text_model_encoder_layers_0_mlp_fc1": TEXT + "encoder.layers.0.mlp.fc1.weight",
    "lora_unet_input_blocks_0_0": FIRST_CONV,
}
ALPHA = 2.0
Loras = list[tuple[str, "float | Weight"]]


def lora(seed: int, shapes: Shapes, rank: int = 4) -> Tensors:
    """A LoRA of kohya's names for those of `shapes` that it knows."""
    generator = torch.Generator().manual_seed(100 + seed)
    made: Tensors = {}
    for module, tensor in MODULES.items():
        if tensor in shapes:
            out, into, *kernel = shapes[tensor]
            made[f"{module}.lora_down.weight"] = torch.randn(rank, into, *kernel, generator=generator)
            made[f"{module}.lora_up.weight"] = torch.randn(out, rank, *(1 for _ in kernel), generator=generator)
            made[f"{module}.alpha"] = torch.tensor(ALPHA)
    return made


def added(tensors: Tensors, tensor: str) -> np.ndarray:
    """What the LoRA adds at strength 1, in fp64: alpha / rank · up @ down."""
    module = next(name for name, target in MODULES.items() if target == tensor)
    up, down = (tensors[f"{module}.lora_{part}.weight"].double().numpy() for part in ("up", "down"))
    product = up.reshape(len(up), -1) @ down.reshape(len(down), -1)
    return ALPHA / len(down) * product.reshape(len(up), *down.shape[1:])


def changed(shapes: Shapes) -> set[str]:
    """The tensors that such a LoRA changes."""
    return {tensor for tensor in MODULES.values() if tensor in shapes}


class Baking(Bench):
    """A bench whose plans bake."""

    def plan(self, recipe: Recipe) -> Plan:
        return plan(recipe, self.open, None, changes)


@pytest.fixture
def baking(bench: Bench) -> Iterator[Baking]:
    made = Baking(bench.folder, bench.catalog)
    for seed, name in enumerate(("a", "b", "c")):
        made.put(name, checkpoint(seed, shapes=SHAPES | BIG))
    made.put("l", lora(1, SHAPES | BIG))
    made.put("m", lora(2, SHAPES | BIG))
    yield made
    made.opener.close()


def share_unlike(found: torch.Tensor, wanted: np.ndarray) -> float:
    """The share of elements that are not the exact number rounded once; none is more than one step of fp16 beside it."""
    rounded = torch.from_numpy(wanted).to(found.dtype)
    assert torch.allclose(found.double(), torch.from_numpy(wanted), rtol=2.0**-10, atol=1e-5)
    return float((found != rounded).double().mean())


# -- numbers -----------------------------------------------------------------------------------------------------------


def test_what_changes_is_asked_once_not_for_every_tensor(baking: Baking, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    found = Stack.changed.fget
    assert found is not None

    def counted(stack: Stack) -> set[str]:
        asked.append(1)
        return set(found(stack))

    monkeypatch.setattr(Stack, "changed", property(counted))
    assert baking.plan(bake_recipe("a", [("l", 0.8)])).report.baked
    assert len(asked) == 1, "it goes through all chains: asked for every tensor, planning takes their number squared"


def test_loras_are_added_to_the_merge_before_it_is_rounded(baking: Baking) -> None:
    recipe = simple_recipe("weighted-sum", ["a", "b"], parameters={"alpha": 0.3}, loras=[("l", 0.8), ("m", -0.4)])
    found = baking.merged(recipe)
    a, b, one, two = (baking.load(name) for name in "ablm")
    for name in changed(SHAPES | BIG):
        mean = 0.7 * a[name].double().numpy() + 0.3 * b[name].double().numpy()
        more = 0.8 * added(one, name) - 0.4 * added(two, name)
        assert share_unlike(found[name], mean + more) < 0.002, name
        twice, once = ((value + more).astype(np.float16) for value in (mean.astype(np.float16), mean))
        assert name not in BIG or (twice != once).mean() > 0.02, "a second rounding would show"
    plain = baking.merged(replace(recipe, loras=(), models={key: recipe.models[key] for key in "AB"}))
    for name in a.keys() - changed(SHAPES | BIG):
        assert torch.equal(found[name], plain[name]), name


def test_a_bake_is_the_model_with_what_is_added_and_nothing_else(baking: Baking) -> None:
    found = baking.merged(bake_recipe("a", [("l", 1.0)]))
    a, one = baking.load("a"), baking.load("l")
    assert list(found) == list(a)
    for name, tensor in a.items():
        if name in changed(SHAPES | BIG):
            assert share_unlike(found[name], tensor.double().numpy() + added(one, name)) < 0.002, name
        else:
            assert torch.equal(found[name], tensor), name


def test_the_strength_may_differ_from_block_to_block(baking: Baking) -> None:
    weight = Weight(0.5, {"te": 0.25}, {"IN01": 0.0}, (("*proj_in*", 2.0),))
    found = baking.merged(bake_recipe("a", [("l", weight)]))
    a, one = baking.load("a"), baking.load("l")
    wanted = dict.fromkeys(changed(SHAPES | BIG), 0.5)
    wanted |= {TEXT + "encoder.layers.0.mlp.fc1.weight": 0.25, UNET + "input_blocks.1.1.proj_in.weight": 2.0}
    wanted[UNET + "input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight"] = 0.0
    for name, strength in wanted.items():
        exact = a[name].double().numpy() + strength * added(one, name)
        assert share_unlike(found[name], exact) < 0.002, name


def test_a_lora_of_strength_zero_changes_nothing(baking: Baking) -> None:
    planned = baking.plan(bake_recipe("a", [("l", 0.0)]))
    assert planned.report.baked == [] and not planned.computes
    found, a = baking.merged(planned.recipe), baking.load("a")
    assert all(torch.equal(found[name], a[name]) for name in a)


def test_a_lora_and_its_opposite_leave_the_merge_as_it_is(baking: Baking) -> None:
    recipe = simple_recipe("weighted-sum", ["a", "b"], dtype="fp32")
    plain, both = baking.merged(recipe), baking.merged(simple_recipe(
        "weighted-sum", ["a", "b"], dtype="fp32", loras=[("l", 0.7), ("l", -0.7)]))  # fmt: skip
    for name, tensor in plain.items():
        assert torch.allclose(both[name].double(), tensor.double(), rtol=0, atol=1e-5), name


@pytest.mark.parametrize("method", ["try-tensor", "try-rows", "try-measured", "try-survey", "try-random"])
def test_whatever_a_method_looks_at_it_is_added_to_its_result(baking: Baking, tried: None, method: str) -> None:
    plain = baking.merged(simple_recipe(method, ["a", "b"], dtype="fp32"))
    found = baking.merged(simple_recipe(method, ["a", "b"], dtype="fp32", loras=[("l", 0.5)]))
    one = baking.load("l")
    for name in plain:
        exact = plain[name].double()
        if name in changed(SHAPES | BIG):
            exact = exact + 0.5 * torch.from_numpy(added(one, name))
        assert torch.allclose(found[name].double(), exact, rtol=1e-5, atol=1e-5), name


def full(shapes: Shapes) -> Tensors:
    """Modules of algorithms that look at the weight, and of some that do not, for the tensors of `lora`."""
    generator = torch.Generator().manual_seed(9)
    made: Tensors = {}

    def put(module: str, **parts: tuple[int, ...]) -> None:
        made.update({f"{module}.{part}": torch.randn(size, generator=generator) for part, size in parts.items()})

    query, proj, key, big, fc1, conv = MODULES
    for module in (query, conv):  # DoRA by output, and by input
        made.update({name: tensor for name, tensor in lora(5, shapes).items() if name.startswith(f"{module}.")})
    put(query, dora_scale=(8, 1))
    put(conv, dora_scale=(1, 4, 1, 1))
    put(key, hada_w1_a=(8, 2), hada_w1_b=(2, 12), hada_w2_a=(8, 2), hada_w2_b=(2, 12))
    put(fc1, weight=(24,))
    made[f"{fc1}.on_input"] = torch.tensor(False)
    put(big, diff=shapes[MODULES[big]])
    put(proj, oft_blocks=(2, 4, 4))
    made[f"{proj}.alpha"] = torch.tensor(1e-3)
    return made


@pytest.mark.parametrize("method", ["weighted-sum", "try-tensor", "try-rows"])
def test_baking_into_a_merge_is_baking_into_the_file_of_it(baking: Baking, tried: None, method: str) -> None:
    """To the last bit where the file is in fp32, whatever algorithm: nothing is rounded in between."""
    baking.put("odd", full(SHAPES | BIG))
    steps = simple_recipe(method, ["a", "b"], dtype="fp32")
    merge(baking.plan(steps), baking.folder / "merged.safetensors")
    loras: Loras = [("odd", 0.7), ("l", 0.2), ("odd", -0.3)]
    wanted, found = baking.merged(bake_recipe("merged", loras)), baking.merged(replace_loras(steps, loras))
    plain = baking.load("merged")
    assert {name for name in plain if not torch.equal(plain[name], found[name])} == changed(SHAPES | BIG)
    for name, tensor in wanted.items():
        assert torch.equal(found[name], tensor), name


# -- any dtype, layout, component --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.bfloat16, torch.float32, torch.float64])
def test_the_result_has_the_dtype_of_the_first(baking: Baking, dtype: torch.dtype) -> None:
    baking.put("first", checkpoint(5, dtype, SHAPES))
    baking.put("small", lora(3, SHAPES))
    found, a, one = baking.merged(bake_recipe("first", [("small", 1.0)])), baking.load("first"), baking.load("small")
    for name in changed(SHAPES):
        exact = a[name].double() + torch.from_numpy(added(one, name))
        assert found[name].dtype == dtype
        least = max(1e-6, torch.finfo(dtype).smallest_normal / 8)
        assert torch.allclose(found[name].double(), exact, rtol=torch.finfo(dtype).eps, atol=least), name


def test_a_taken_vae_a_precision_and_loras_go_together(baking: Baking) -> None:
    recipe = bake_recipe("a", [("l", 1.0)], vae="b", take={"te1": "c"}, dtype="fp32")
    planned = baking.plan(recipe)
    found, a, b, c, one = baking.merged(recipe), *(baking.load(name) for name in "abcl")
    fc1 = TEXT + "encoder.layers.0.mlp.fc1.weight"
    exact = c[fc1].double() + torch.from_numpy(added(one, fc1))
    assert torch.allclose(found[fc1].double(), exact, rtol=1e-6, atol=1e-6), "baked into the encoder that is taken"
    assert torch.equal(found[VAE + "quant_conv.weight"], b[VAE + "quant_conv.weight"].float())
    assert torch.equal(found[UNET + "out.2.weight"], a[UNET + "out.2.weight"].float())
    assert set(planned.report.baked) == changed(SHAPES | BIG)
    assert not set(planned.report.copied) & set(planned.report.baked), "what is baked is no copy"


def test_a_vae_alone_is_baked_in(baking: Baking) -> None:
    found, a, b = baking.merged(bake_recipe("a", [], vae="b")), baking.load("a"), baking.load("b")
    assert all(torch.equal(found[name], (b if name.startswith(VAE) else a)[name]) for name in a)


def test_channels_from_a_difference_are_baked_into_as_well(baking: Baking) -> None:
    """An inpainting model made of a narrow one: its first convolution has 9 channels when the LoRA comes to it."""
    shapes = SHAPES | BIG
    baking.put("wide", checkpoint(7, torch.float32, shapes | {FIRST_CONV: (8, 9, 3, 3)}))
    attention = {module: name for module, name in MODULES.items() if name != FIRST_CONV}
    baking.put("attn", {name: t for name, t in lora(4, shapes).items() if name.partition(".")[0] in attention})
    steps = simple_recipe("add-difference", ["a", "wide", "c"], dtype="fp32")
    plain, found = baking.merged(steps), baking.merged(replace_loras(steps, [("attn", 1.0)]))
    one = baking.load("attn")
    assert found[FIRST_CONV].shape[1] == 9 and torch.equal(found[FIRST_CONV], plain[FIRST_CONV])
    for name in attention.values():
        exact = plain[name].double() + torch.from_numpy(added(one, name))
        assert torch.allclose(found[name].double(), exact, rtol=1e-5, atol=1e-5), name


def replace_loras(recipe: Recipe, loras: Loras) -> Recipe:
    return parse_recipe(with_loras(recipe, loras).dumps())


# -- the same bytes, whoever reads what ---------------------------------------------------------------------------------

NESTED = """
[models]
A = "a"
B = "b"
L = "l"
M = "m"
[[steps]]
name = "x"
method = "try-tensor"
inputs = ["A", "B"]
only = ["unet"]
[[steps]]
method = "try-rows"
inputs = ["A", "x"]
[[loras]]
model = "M"
weight = { default = 0.3, M00 = 0.9 }
[[loras]]
model = "L"
"""


@pytest.fixture
def made(baking: Baking, tried: None) -> Callable[[str], tuple[Plan, bytes]]:
    """By a word: a plan, and the bytes of its file as other threads wrote it in other blocks."""
    recipes = {
        "bake": bake_recipe("a", [("l", 0.8), ("m", 0.3)]),
        "sum": simple_recipe("weighted-sum", ["a", "b"], loras=[("l", 0.8)]),
        "nested": parse_recipe(NESTED),
    }
    known: dict[str, tuple[Plan, bytes]] = {}

    def make(word: str) -> tuple[Plan, bytes]:
        if word not in known:
            goal = baking.folder / f"{word}.out.safetensors"
            merge(baking.plan(recipes[word]), goal, workers=3, block=1000)
            known[word] = baking.plan(recipes[word]), goal.read_bytes()
        return known[word]

    return make


@pytest.mark.parametrize("word", ["bake", "sum", "nested"])
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_any_range_of_a_plan_is_that_of_its_file(
    made: Callable[[str], tuple[Plan, bytes]], word: str, data: st.DataObject
) -> None:
    planned, whole = made(word)
    assert planned.header.file_size == len(whole)
    offset = data.draw(st.integers(0, len(whole) + 10))
    size = data.draw(st.one_of(st.integers(0, 50), st.integers(0, 20_000), st.just(len(whole))))
    assert planned.read_range(offset, size) == whole[offset : offset + size]


@pytest.mark.parametrize(("workers", "block"), [(1, 512 * 1024), (2, 64), (4, 4096)])
def test_the_file_does_not_depend_on_workers_or_blocks(
    baking: Baking, made: Callable[[str], tuple[Plan, bytes]], workers: int, block: int
) -> None:
    planned, whole = made("nested")
    goal = baking.folder / "again.safetensors"
    merge(planned, goal, workers=workers, block=block)
    assert goal.read_bytes() == whole


def test_what_was_read_is_let_go_of_when_a_tensor_is_done(baking: Baking, tried: None) -> None:
    planned = baking.plan(parse_recipe(NESTED))
    merge(planned, baking.folder / "out.safetensors", workers=1)
    from modelhub.merge.engine.baked import Baked
    from modelhub.merge.engine.expression import applied

    kept = [one for node in planned._nodes.values() for one in applied(node) if one._whole is not None]
    assert len(kept) <= 1, "that of the last tensor at most"
    assert sum(bool(node.read) for node in planned._nodes.values() if isinstance(node, Baked)) <= 1


# -- what is told ------------------------------------------------------------------------------------------------------


def test_the_file_tells_of_its_loras_and_is_made_again_from_that(baking: Baking) -> None:
    goal, again = (baking.folder / f"{name}.safetensors" for name in ("goal", "again"))
    recipe = simple_recipe("weighted-sum", ["a", "b"], name="soft", loras=[("l", Weight(0.8, {"te": 0.5})), ("m", 1)])
    planned = baking.plan(recipe)
    assert merge(planned, goal).baked == len(changed(SHAPES | BIG))
    metadata = planned.header.metadata
    assert [one.name for one in merged_from(metadata)] == ["a", "b", "l", "m"]
    assert metadata["modelspec.merged_from"] == "a, b, l, m"
    assert "with l (by block), m (1) baked in" in metadata["modelspec.description"]
    assert json.loads(metadata["sd_merge_recipe"])["type"] == "modelhub", "their merger bakes no LoRAs"
    assert len(json.loads(metadata["sd_merge_models"])) == 4
    said = recipe_of(metadata)
    assert all(model.sha256 for model in said.models.values())
    for name in ("l", "m"):  # by their content, whatever they are called now
        (baking.folder / f"{name}.safetensors").rename(baking.folder / f"renamed-{name}.safetensors")
    beside = {baking.open(name).sha256: name for name in ("a", "b", "renamed-l", "renamed-m")}
    merge(plan(said, lambda ref: baking.open(beside.get(ref, ref)), Carrier(goal, metadata), changes), again)
    assert again.read_bytes() == goal.read_bytes()


def test_a_bake_tells_what_it_is(baking: Baking) -> None:
    metadata = baking.plan(bake_recipe("a", [("l", 0.8)])).header.metadata
    assert metadata["modelspec.description"] == "Baked by modelhub: a with l (0.8)"
    recipe = json.loads(metadata["sd_merge_recipe"])
    assert (recipe["type"], recipe["interp_method"], recipe["secondary_model_hash"]) == (
        "modelhub", "No interpolation", None,
    )  # fmt: skip
    assert recipe_of(metadata).base == "A"


def test_trigger_words_of_a_lora_come_along(baking: Baking) -> None:
    baking.put("l", baking.load("l"), {"modelspec.trigger_phrase": "glowing"})
    baking.put("a", baking.load("a"), {"modelspec.trigger_phrase": "portrait", "modelspec.author": "someone"})
    assert baking.plan(bake_recipe("a", [("l", 1)])).header.metadata["modelspec.trigger_phrase"] == "portrait, glowing"


# -- refusals ----------------------------------------------------------------------------------------------------------


def test_who_cannot_bake_says_so(baking: Baking) -> None:
    with pytest.raises(UsageError, match="LoRAs, which cannot be baked in"):
        plan(bake_recipe("a", [("l", 1)]), baking.open)


def test_a_compatibility_mode_has_no_loras(baking: Baking) -> None:
    with pytest.raises(UsageError, match="bakes no LoRAs in"):
        baking.plan(simple_recipe("weighted-sum", ["a", "b"], compat="a1111", loras=[("l", 1)]))


def test_a_model_is_no_lora(baking: Baking) -> None:
    with pytest.raises(IncompatibleError, match="no LoRA"):
        baking.plan(bake_recipe("a", [("b", 1)]))


def test_a_lora_of_another_width_is_refused_before_any_work(baking: Baking) -> None:
    baking.put("broad", lora(3, {**SHAPES, UNET + "middle_block.1.transformer_blocks.0.attn2.to_k.weight": (8, 99)}))
    with pytest.raises(IncompatibleError, match="99"):
        baking.plan(bake_recipe("a", [("broad", 1)]))


def test_a_lora_that_is_not_there_is_named(baking: Baking) -> None:
    recipe = replace(bake_recipe("a", [("l", 1)]), models={"A": ModelRef("a"), "L1": ModelRef("gone", "cd" * 32)})
    with pytest.raises(NotFoundError) as caught:
        plan(recipe, lambda ref: baking.open(ref) if ref == "a" else baking.opener(ref), None, changes)
    assert "'gone'" in caught.value.message and "cdcdcdcdcd" in caught.value.message and caught.value.hint
