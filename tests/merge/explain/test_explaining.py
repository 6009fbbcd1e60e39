"""Known merges of small checkpoints are explained: the weights they were made with are found again."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from modelhub.catalog.blocks import block_names, block_of
from modelhub.catalog.opener import Opener
from modelhub.catalog.store import Catalog
from modelhub.catalog.weighing.presets import presets
from modelhub.errors import CancelledError, IncompatibleError, UsageError
from modelhub.jobs import Event, Job
from modelhub.merge.execute import merge
from modelhub.merge.explain import Explanation, explain
from modelhub.merge.inputs.model import Model
from modelhub.merge.planning.plan import plan
from modelhub.merge.recipes.recipe import parse_recipe

UNET, VAE, TEXT = "model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer.text_model."
#: The tensors that show a checkpoint to be SD1, and one for each of its blocks.
SHAPES = {
    UNET + "time_embed.0.weight": (16, 8),
    UNET + "input_blocks.0.0.weight": (16, 4, 3, 3),
    UNET + "input_blocks.1.1.proj_in.weight": (16, 16, 1, 1),
    UNET + "input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight": (16, 16),
    UNET + "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (16, 12),
    UNET + "input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight": (16, 12),
    UNET + "output_blocks.3.1.proj_in.weight": (16, 16, 1, 1),
    UNET + "output_blocks.3.1.transformer_blocks.0.attn2.to_k.weight": (16, 12),
    UNET + "middle_block.1.proj_in.weight": (16, 16, 1, 1),
    UNET + "middle_block.1.transformer_blocks.0.attn2.to_k.weight": (16, 12),
    **{UNET + f"input_blocks.{n}.0.in_layers.2.weight": (24, 24) for n in range(1, 12)},
    **{UNET + f"output_blocks.{n}.0.in_layers.2.weight": (24, 24) for n in range(12)},
    UNET + "out.2.weight": (4, 16, 3, 3),
    VAE + "decoder.conv_in.weight": (16, 4, 3, 3),
    VAE + "decoder.mid.block_1.conv1.weight": (16, 16, 3, 3),
    VAE + "encoder.conv_in.weight": (16, 3, 3, 3),
    VAE + "quant_conv.weight": (8, 8, 1, 1),
    VAE + "post_quant_conv.weight": (4, 4, 1, 1),
    TEXT + "encoder.layers.0.mlp.fc1.weight": (48, 24),
    TEXT + "embeddings.token_embedding.weight": (50, 24),
}
Tensors = dict[str, torch.Tensor]
DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}


def base(seed: int = 0) -> Tensors:
    """Weights like those of a network, in fp32."""
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=generator) * 0.1 for name, shape in SHAPES.items()}


def tuned(start: Tensors, seed: int, size: float = 0.2, dtype: torch.dtype = torch.float16) -> Tensors:
    """A fine-tune of `start` that is `size` of its weights away."""
    generator = torch.Generator().manual_seed(seed)
    moved = {n: (t + 0.1 * size * torch.randn(t.shape, generator=generator)).to(dtype) for n, t in start.items()}
    return moved | {TEXT + "embeddings.position_ids": torch.arange(77)[None], "betas": torch.linspace(0, 1, 5) + seed}


def weights_only(tensors: Mapping[str, torch.Tensor]) -> list[str]:
    return [name for name in tensors if name.startswith((UNET, TEXT, VAE)) and "position_ids" not in name]


class Bench:
    """A folder with fine-tunes a, b, c of one model, and the way to explain a file there."""

    def __init__(self, folder: Path, catalog: Catalog) -> None:
        self.folder = folder
        self.opener = Opener(catalog, hashed=True)
        self.root = base()
        for seed, name in enumerate("abc", 1):
            self.put(name, tuned(self.root, seed))

    def put(self, name: str, tensors: Tensors) -> Tensors:
        save_file({n: t.contiguous() for n, t in tensors.items()}, self.folder / f"{name}.safetensors")
        return tensors

    def load(self, name: str) -> Tensors:
        return load_file(self.folder / f"{name}.safetensors")

    def model(self, name: str) -> Model:
        return Model(name, self.opener(str(self.folder / f"{name}.safetensors")))

    def explain(self, name: str, parents: str | Sequence[str], **options: object) -> Explanation:
        return explain(self.model(name), [self.model(parent) for parent in parents], **options)  # type: ignore[arg-type]

    def mixed(self, weights: Mapping[str, float], dtype: str = "fp16", *, vae: str = "a") -> Tensors:
        """Σ w·P in float64 by numpy, rounded once; the VAE and the rest of one model."""
        models = {name: self.load(name) for name in weights}
        made = {
            name: torch.from_numpy(
                np.asarray(sum(w * models[m][name].double().numpy() for m, w in weights.items()))
            ).to(DTYPES[dtype])
            for name in weights_only(next(iter(models.values())))
            if not name.startswith(VAE)
        }
        return self.load(vae) | made

    def again(self, recipe_text: str, name: str = "again") -> Tensors:
        goal = self.folder / f"{name}.safetensors"
        merge(plan(parse_recipe(recipe_text), self.opener), goal, force=True)
        return load_file(goal)


@pytest.fixture
def bench(tmp_path: Path):
    with Catalog.open() as catalog:
        made = Bench(tmp_path, catalog)
        yield made
        made.opener.close()


def assert_same(one: Tensors, two: Tensors) -> None:
    assert set(one) == set(two)
    for name in one:
        assert one[name].dtype == two[name].dtype and torch.equal(one[name], two[name]), name


@pytest.mark.parametrize("dtype", list(DTYPES))
def test_a_weighted_sum_is_found_with_the_parent_that_was_not_used(bench: Bench, dtype: str) -> None:
    bench.put("m", bench.mixed({"a": 0.7, "b": 0.3}, dtype))
    found = bench.explain("m", "abc")
    assert found.form.kind == "weighted-sum" and found.verdict == "exact to rounding"
    assert found.words[0] == "a weighted sum: 0.7·A + 0.3·B"
    assert "vae: that of A." in found.words
    assert found.recipe is not None and set(found.recipe.models) == {"A", "B"}
    assert found.recipe.steps[0].parameters == {"alpha": 0.3} and found.recipe.vae is None
    unet = next(row for row in found.rows("component") if row.component == "unet")
    assert unet.weights["C"] == 0 and abs(unet.weights["B"] - 0.3) <= 4 * (unet.errors["B"] or 0)
    assert 0.8 < unet.rounding < 1.2, "what is left is what rounding must leave"


def test_the_proposed_recipe_makes_the_merge_again_bit_for_bit(bench: Bench) -> None:
    made = bench.again(
        f'[models]\nA = "{bench.folder}/a.safetensors"\nB = "{bench.folder}/b.safetensors"\n'
        '[[steps]]\nmethod = "weighted-sum"\ninputs = ["A", "B"]\nalpha = 0.3\n',
        "m",
    )
    found = bench.explain("m", "cab")
    assert found.recipe is not None
    assert_same(bench.again(found.recipe.dumps()), made)


def test_an_added_difference_is_found(bench: Bench) -> None:
    made = bench.again(
        f'[models]\nA = "{bench.folder}/b.safetensors"\nB = "{bench.folder}/c.safetensors"\n'
        f'C = "{bench.folder}/a.safetensors"\n'
        '[[steps]]\nmethod = "add-difference"\ninputs = ["A", "B", "C"]\nalpha = 0.7\n',
        "m",
    )
    found = bench.explain("m", "abc")
    assert found.words[0] == "an added difference: B + 0.7·(C − A)"
    assert found.recipe is not None and found.recipe.steps[0].method == "add-difference"
    assert_same(bench.again(found.recipe.dumps()), made)


def test_three_parents_are_found(bench: Bench) -> None:
    bench.put("m", bench.mixed({"a": 0.5, "b": 0.2, "c": 0.3}))
    found = bench.explain("m", "abc")
    assert found.words[0] == "a sum of three: 0.5·A + 0.2·B + 0.3·C"
    assert found.form.weights["unet", None] == (0.5, 0.2, 0.3)


@pytest.mark.parametrize("letters", ["abcd", "abc"])
def test_an_average_of_many_is_found(bench: Bench, letters: str) -> None:
    bench.put("d", tuned(bench.root, 8))
    weights = {"abcd": (0.4, 0.3, 0.2, 0.1), "abc": (0.5, 0.3, 0.2)}[letters]
    models = "".join(f'{one.upper()} = "{bench.folder}/{one}.safetensors"\n' for one in letters)
    step = f'[[steps]]\nmethod = "average"\ninputs = {json.dumps(list(letters.upper()))}\nweights = {[*weights]}\n'
    made = bench.again(f"[models]\n{models}{step}", "m")
    found = bench.explain("m", "abcd")
    assert found.form.weights["unet", None] == weights
    assert found.recipe is not None
    again = bench.again(found.recipe.dumps())
    if letters == "abcd":
        assert found.words[0] == "a linear combination: 0.4·A + 0.3·B + 0.2·C + 0.1·D"
        assert_same(again, made)
    assert all(torch.allclose(again[n].double(), made[n].double(), rtol=2e-3, atol=1e-7) for n in made)


def block_weighted(bench: Bench, alphas: Mapping[str, float]) -> Tensors:
    a, b = bench.load("a"), bench.load("b")
    made = dict(a)
    for name in weights_only(a):
        if not name.startswith(VAE):
            component = "unet" if name.startswith(UNET) else "te1"
            block = block_of("sd1", component, name.removeprefix(UNET).removeprefix(TEXT))
            assert block is not None, name
            made[name] = torch.lerp(a[name].double(), b[name].double(), alphas[block]).half()
    return made


def test_26_different_block_weights_are_found(bench: Bench) -> None:
    names = block_names("sd1")
    alphas = {name: round(0.02 + 0.037 * at % 1, 3) for at, name in enumerate(names)}
    bench.put("m", block_weighted(bench, alphas))
    found = bench.explain("m", "abc")
    assert len(names) == 26 and found.form.kind == "weighted-sum" and found.preset is None
    assert found.alphas == tuple(alphas.values())
    assert {row.block for row in found.rows("block") if row.component != "vae"} == set(names)
    assert found.recipe is not None
    again = bench.again(found.recipe.dumps())
    made = bench.load("m")
    same = [torch.equal(again[name], made[name]) for name in made]
    assert sum(same) >= len(same) - 1, "lerp in fp32 and in fp64 may round one element differently"


@pytest.mark.parametrize("preset", ["GRAD_V", "COSINE"])
def test_a_preset_is_named(bench: Bench, preset: str) -> None:
    bench.put("m", block_weighted(bench, presets()[preset].values("sd1")))
    found = bench.explain("m", "ab")
    assert found.preset == preset and f"the preset {preset}" in " ".join(found.words)
    assert found.recipe is not None
    again, made = bench.again(found.recipe.dumps()), bench.load("m")
    assert all(torch.allclose(again[name].double(), made[name].double(), rtol=2e-3, atol=1e-7) for name in made)


def test_the_vae_of_another_model_is_found(bench: Bench) -> None:
    bench.put("m", bench.mixed({"a": 0.7, "b": 0.3}, vae="c"))
    found = bench.explain("m", "abc")
    assert "vae: that of C." in found.words and found.form.copied == {"vae": 2}
    assert found.recipe is not None and found.recipe.vae is not None
    assert found.recipe.models[found.recipe.vae].ref.endswith("/c.safetensors")
    again, made = bench.again(found.recipe.dumps()), bench.load("m")
    assert all(torch.equal(again[name], made[name]) for name in made if name.startswith(VAE))
    vae = {name.removeprefix(VAE): tensor for name, tensor in bench.load("c").items() if name.startswith(VAE)}
    bench.put("baked", vae)
    found = bench.explain("m", ["a", "b", "baked"])
    assert "vae: that of C." in found.words, "a file that is a VAE is a candidate for it"


def test_a_merged_vae_is_said(bench: Bench) -> None:
    a, b = bench.load("a"), bench.load("b")
    bench.put("m", a | {name: a[name].lerp(b[name], 0.3) for name in weights_only(a)})
    found = bench.explain("m", "ab")
    assert found.recipe is not None and found.recipe.vae == "merge"


def test_components_with_weights_of_their_own(bench: Bench) -> None:
    one, two = bench.mixed({"a": 0.7, "b": 0.3}), bench.mixed({"a": 0.4, "b": 0.6})
    bench.put("m", one | {name: tensor for name, tensor in two.items() if name.startswith(TEXT)})
    found = bench.explain("m", "ab")
    assert found.form.weights == {("unet", None): (0.7, 0.3), ("te1", None): (0.4, 0.6)}
    bench.put("m2", one | {name: tensor for name, tensor in bench.load("b").items() if name.startswith(TEXT)})
    found = bench.explain("m2", "ab")
    assert found.form.copied == {"vae": 0, "te1": 1}
    assert found.recipe is not None and found.recipe.take == {"te1": "B"}
    again = bench.again(found.recipe.dumps())
    assert all(torch.equal(again[name], bench.load("b")[name]) for name in again if name.startswith(TEXT))


def test_copies_are_said_to_be_copies(bench: Bench) -> None:
    bench.put("m", bench.load("b"))
    found = bench.explain("m", "abc")
    assert found.form.kind == "copy" and found.words[0] == "an unchanged copy: B" and found.recipe is None
    assert all(row.same == ("B",) for row in found.rows("block"))
    a, b = bench.load("a"), bench.load("b")
    bench.put("swapped", a | {name: tensor for name, tensor in b.items() if name.startswith(TEXT)})
    found = bench.explain("swapped", "cab")
    assert found.form.kind == "parts" and found.form.copied == {"unet": 1, "te1": 2, "vae": 1}
    assert found.recipe is not None
    assert_same(bench.again(found.recipe.dumps()), bench.load("swapped"))


def test_a_copy_in_another_precision_is_a_copy(bench: Bench) -> None:
    full = bench.put("full", tuned(bench.root, 9, dtype=torch.float32))
    half = {name: tensor.half() if name in weights_only(full) else tensor for name, tensor in full.items()}
    bench.put("m", half)
    assert bench.explain("m", ["a", "full"]).words[0] == "an unchanged copy: B"
    found = bench.explain("full", ["a", "m"])
    assert found.verdict in ("good", "exact to rounding"), "but for the parent's own rounding"


def test_parents_that_are_the_same_cannot_be_told_apart(bench: Bench) -> None:
    bench.put("twin", bench.load("b"))
    bench.put("m", bench.mixed({"a": 0.7, "b": 0.3}))
    found = bench.explain("m", ["a", "b", "twin"])
    assert found.verdict == "cannot tell"
    assert {row.apart for row in found.rows("component") if row.component != "vae"} == {(("B", "C"),)}
    assert any("B and C are the same" in sentence for sentence in found.words)
    assert found.words[0] == "a weighted sum: 0.7·A + 0.3·B"
    shared = {name: tensor for name, tensor in bench.load("a").items() if name.startswith(TEXT)}
    bench.put("frozen", bench.load("c") | shared)
    bench.put("m2", bench.mixed({"a": 0.7, "frozen": 0.3}))
    found = bench.explain("m2", ["a", "frozen"])
    verdicts = {row.component: row.verdict for row in found.rows("component")}
    assert (verdicts["unet"], verdicts["te1"]) == ("exact to rounding", "cannot tell")
    assert found.words[0] == "a weighted sum: 0.7·A + 0.3·B" and ("te1", None) in found.form.weights


def test_a_parent_that_is_itself_a_sum_of_the_others(bench: Bench) -> None:
    bench.put("half", bench.mixed({"a": 0.5, "b": 0.5}))
    bench.put("m", bench.mixed({"a": 0.7, "b": 0.3}))
    found = bench.explain("m", ["a", "b", "half"])
    unet = next(row for row in found.rows("component") if row.component == "unet")
    assert unet.verdict == "cannot tell" and unet.apart == (("A", "B", "C"),)
    assert found.recipe is not None


def test_an_unrelated_model_is_not_from_these(bench: Bench) -> None:
    bench.put("m", tuned(base(77), 5))
    found = bench.explain("m", "ab")
    assert found.verdict == "not from these" and found.form.kind == "none" and found.recipe is None
    assert all(row.residual > 0.7 for row in found.rows("component"))
    assert found.words[0] == "not a linear merge of these"


def test_a_fine_tune_is_not_from_these_either_and_its_nearest_is_named(bench: Bench) -> None:
    bench.put("m", tuned(bench.load("a"), 6, size=0.05))
    found = bench.explain("m", "abc")
    assert found.verdict == "not from these"
    assert {row.nearest for row in found.rows("component")} == {"A"}
    assert all(0.03 < row.distance < 0.07 for row in found.rows("component"))


def test_a_merge_that_was_tuned_a_little_is_partly_explained(bench: Bench) -> None:
    bench.put("m", tuned(bench.mixed({"a": 0.5, "b": 0.5}), 6, size=0.05))
    unet = next(row for row in bench.explain("m", "ab").rows("component") if row.component == "unet")
    assert unet.verdict == "partly" and abs(unet.weights["B"] - 0.5) < 0.05


def test_a_method_that_is_not_linear_is_said_to_be_none(bench: Bench) -> None:
    a, b, c = (bench.load(name) for name in "abc")
    made = {}
    for name in weights_only(a):
        one, two = (other[name].double() - c[name].double() for other in (a, b))
        made[name] = (c[name].double() + torch.where(one.abs() > two.abs(), one, two)).half()
    bench.put("m", a | made)
    found = bench.explain("m", "abc")
    assert found.form.kind == "none" and found.verdict in ("partly", "not from these") and found.recipe is None


def test_weights_that_do_not_sum_to_one(bench: Bench) -> None:
    bench.put("m", bench.mixed({"a": 0.5, "b": 0.4}))
    found = bench.explain("m", "abc")
    assert found.form.kind == "linear" and found.form.weights["unet", None] == (0.5, 0.4)
    assert found.recipe is None and found.words[0] == "a linear combination: 0.5·A + 0.4·B"


def test_nan_empty_and_lone_tensors_are_left_out_and_said(bench: Bench) -> None:
    made = bench.mixed({"a": 0.7, "b": 0.3})
    made[UNET + "out.2.weight"][0, 0, 0, 0] = float("nan")
    made["v_pred"] = torch.zeros(0)
    made[UNET + "input_blocks.5.0.in_layers.0.bias"] = torch.ones(3).half()
    b = bench.load("b")
    del b[UNET + "output_blocks.11.0.in_layers.2.weight"]
    b[UNET + "input_blocks.11.0.in_layers.2.weight"][0, 0] = float("inf")
    bench.put("b", b)
    bench.put("m", made)
    found = bench.explain("m", "ab")
    skipped = {name for names in found.skipped.values() for name in names}
    assert skipped == {
        UNET + "out.2.weight",
        UNET + "input_blocks.5.0.in_layers.0.bias",
        UNET + "output_blocks.11.0.in_layers.2.weight",
        UNET + "input_blocks.11.0.in_layers.2.weight",
    }
    assert any("NaN" in why for why in found.skipped) and any("not in b" in why for why in found.skipped)
    assert found.form.weights["unet", None] == (0.7, 0.3)


def test_an_inpainting_model_shares_its_first_channels(bench: Bench) -> None:
    name = UNET + "input_blocks.0.0.weight"
    made = bench.mixed({"a": 0.7, "b": 0.3})
    made[name] = torch.cat([made[name], torch.randn(16, 5, 3, 3).half()], 1)
    bench.put("m", made)
    found = bench.explain("m", "ab")
    tensor = next(row for row in found.rows("tensor") if row.tensor == name)
    assert tensor.elements == 16 * 4 * 9 and abs(tensor.weights["B"] - 0.3) < 0.01


def test_what_was_rounded_before_it_was_stored_wider(bench: Bench) -> None:
    made = bench.mixed({"a": 0.7, "b": 0.3}, "bf16")
    bench.put("m", {n: t.float() if t.dtype == torch.bfloat16 else t for n, t in made.items()})
    found = bench.explain("m", "ab")
    assert found.verdict == "exact to rounding" and found.form.weights["unet", None] == (0.7, 0.3)


def test_models_that_differ_by_few_steps_of_their_precision(bench: Bench) -> None:
    near = bench.put("near", tuned(bench.load("a"), 5, size=0.004, dtype=torch.bfloat16))
    a = bench.put("a16", tuned(bench.load("a"), 6, size=0.0, dtype=torch.bfloat16))
    bench.put("m", a | {n: a[n].lerp(near[n], 0.3) for n in weights_only(a)})
    for row in bench.explain("m", ["a16", "near"]).rows("block"):
        far = abs(row.weights["B"] - 0.3)
        assert row.verdict == "cannot tell" or far <= 4 * (row.errors["B"] or 0), row


def test_weights_that_rounding_hides_are_not_told_as_certain(bench: Bench) -> None:
    near = bench.put("near", tuned(bench.load("a"), 5, size=0.004, dtype=torch.bfloat16))
    a = bench.put("a16", tuned(bench.load("a"), 6, size=0.0, dtype=torch.bfloat16))
    bench.put("m", a | {n: a[n].lerp(near[n], 0.4) for n in weights_only(a)})
    found = bench.explain("m", ["a16", "near"])
    assert found.verdict == "cannot tell" and found.words[0].startswith("perhaps "), found.words


@pytest.mark.parametrize("method", ["weighted sum", "add difference"])
def test_merges_of_a1111_which_rounds_in_between_are_found(bench: Bench, method: str) -> None:
    a, b, c = (bench.load(name) for name in "abc")
    if method == "weighted sum":
        made = {n: a[n] * (1 - 0.35) + b[n] * 0.35 for n in weights_only(a)}
    else:
        made = {n: a[n] + (b[n] - c[n]) * 0.35 for n in weights_only(a)}
    bench.put("m", a | made)
    found = bench.explain("m", "abc")
    weights = {"weighted sum": (0.65, 0.35), "add difference": (1.0, 0.35, -0.35)}[method]
    assert found.verdict == "exact to rounding" and found.form.kind == method.replace(" ", "-")
    assert found.form.weights["unet", None] == weights
    if method == "weighted sum":
        assert any(row.rounding > 1.1 for row in found.rows("component")), "rounded more often than once"


def test_refusals(bench: Bench) -> None:
    with pytest.raises(UsageError):
        bench.explain("a", [])
    linear = {name: t[:, :, 0, 0] if "proj_in" in name else t for name, t in bench.load("b").items()}
    bench.put("sd2", linear)
    with pytest.raises(IncompatibleError):
        bench.explain("a", ["b", "sd2"])

    def stop(event: Event) -> None:
        if event.phase == "comparing" and event.done > 2000:
            job.cancel()

    job = Job("explain", stop, interval=0)
    with pytest.raises(CancelledError):
        bench.explain("a", ["b", "c"], job=job)


def test_answers_do_not_depend_on_workers_and_are_plain_values(bench: Bench) -> None:
    bench.put("m", bench.mixed({"a": 0.7, "b": 0.3}))
    one, two = (bench.explain("m", "abc", workers=workers) for workers in (1, 3))
    for by in ("component", "block", "tensor"):
        assert one.rows(by) == two.rows(by)  # type: ignore[arg-type]
    text = json.loads(json.dumps(one.as_dict()))
    assert parse_recipe(text["recipe"]) == one.recipe and text["form"] == "weighted-sum"


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.floats(-0.5, 1.5, allow_nan=False), st.floats(-0.5, 1.5, allow_nan=False), st.sampled_from(sorted(DTYPES)))
def test_random_weights_are_found_within_their_errors(bench: Bench, one: float, two: float, dtype: str) -> None:
    assume(all(weight == 0 or abs(weight) > 0.002 for weight in (1 - one - two, one, two)))  # of those, the next test
    bench.put("m", bench.mixed({"a": 1 - one - two, "b": one, "c": two}, dtype))
    for row in bench.explain("m", "abc").rows("block"):
        if row.component == "vae":
            continue
        for key, true in zip("ABC", (1 - one - two, one, two), strict=True):
            error = row.errors[key]
            assert error is not None
            assert abs(row.weights[key] - true) <= max(5 * error, 1e-3), (row.block, key)
        assert row.verdict == "exact to rounding"


@pytest.mark.parametrize("weight", [1e-9, 6.1e-5, 5e-4, -6.1e-5])
def test_next_to_nothing_looks_like_what_rounding_makes_of_it(bench: Bench, weight: float) -> None:
    """Every eighth number of fp16 lies halfway between two of bf16: the least weight decides which of them it becomes.

    So the errors, which take roundings for random, are too small there; and so is what is wrong by it.
    """
    bench.put("m", bench.mixed({"a": 1 - weight, "c": weight}, "bf16"))
    rows = [row for row in bench.explain("m", "abc").rows("block") if row.component != "vae"]
    assert {row.verdict for row in rows} == {"exact to rounding"}
    assert all(abs(row.weights[key] - true) < 2e-3 for row in rows for key, true in zip("AC", (1, 0), strict=True))
