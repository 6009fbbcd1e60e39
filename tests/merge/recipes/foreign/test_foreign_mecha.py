"""sd-mecha's recipes, as its serializer writes them, and what of them has no equal here."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.errors import BadRecipeError
from modelhub.merge.recipes.foreign.mecha_text import Line, Ref, read_lines
from modelhub.merge.recipes.foreign.reading import read_foreign
from modelhub.merge.recipes.recipe import ModelRef, Recipe, parse_recipe

HEAD = "version 0.1.0\n"
TAIL = ' model_config="sd1-ldm" merge_space="weight"\n'
MODELS = HEAD + "".join(f'model "{name}.safetensors"{TAIL}' for name in ("a", "b", "c"))


def read(text: str) -> Recipe:
    recipe = read_foreign(text)
    assert parse_recipe(recipe.dumps()) == recipe
    return recipe


def step(text: str) -> tuple[str, str, dict]:
    (only,) = read(MODELS + text).steps
    return only.method, "".join(only.inputs), dict(only.parameters)


def test_words_of_a_line() -> None:
    text = (
        HEAD
        + '# a remark\n\ndict IN00=0.1 a.b.c=-2 x="1=2" y=null\nmodel "E:\\\\sd \\"x\\"=1" z=true\nliteral &0 1e-3\n'
    )
    assert read_lines(text) == [
        Line(4, "dict", (), {"IN00": 0.1, "a.b.c": -2, "x": "1=2", "y": None}),
        Line(5, "model", ('E:\\sd "x"=1',), {"z": True}),
        Line(6, "literal", (Ref(0), 0.001), {}),
    ]


def test_methods_that_are_the_same_here() -> None:
    assert step('merge "weighted_sum" &0 &1') == ("weighted-sum", "AB", {"alpha": 0.5})
    assert step('merge "weighted_sum" &0 &1 0.25') == ("weighted-sum", "AB", {"alpha": 0.25})
    assert step('merge "weighted_sum" a=&1 b=&0 alpha=1') == ("weighted-sum", "BA", {"alpha": 1.0})
    assert step('merge "slerp" &0 &1 alpha=0.1') == ("slerp", "AB", {"alpha": 0.1})
    assert step('merge "n_average" &0 &1 &2') == ("average", "ABC", {"weights": ()})
    assert step('merge "tensor_sum" &0 &1 width=0.3 offset=0.2') == ("tensor-sum", "AB", {"alpha": 0.3, "beta": 0.2})
    assert step('merge "geometric_median" &0 &1 &2') == ("geometric-median", "ABC", {"iterations": 100})
    assert step('merge "clamp" &0 &1 &2') == ("clamp", "ABC", {"stiffness": 0.0})


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["subtract", "&1 &2", "add_difference", "&0 &3"], ("add-difference", "ABC", {"alpha": 1.0})),
        (["subtract", "&1 &2", "add_difference", "&0 &3 alpha=0.7"], ("add-difference", "ABC", {"alpha": 0.7})),
        (
            ["subtract", "&1 &2", "train_difference_mask", "&0 &1 &2 0.5", "add_difference", "&0 &3 alpha=&4"],
            ("train-difference", "ABC", {"alpha": 0.5}),
        ),
        (
            ["subtract", "&1 &2", "add_opposite_mask", "&0 &1 &2", "add_difference", "&0 &3 alpha=&4"],
            ("add-opposite", "ABC", {"alpha": 1.0}),
        ),
        (
            ["subtract", "&0 &2", "subtract", "&1 &2", "perpendicular_component", "&3 &4", "add_difference", "&0 &5"],
            ("perpendicular", "ABC", {"alpha": 1.0}),
        ),
        (
            ["subtract", "&1 &0", "subtract", "&2 &0", "ties_sum", "&3 &4 k=0.2", "add_difference", "&0 &5 alpha=0.9"],
            ("ties", "ABC", {"density": 0.2, "alpha": 0.9, "sign": "count", "weights": ()}),
        ),
        (
            ["subtract", "&1 &0", "subtract", "&2 &0", "n_average", "&3 &4", "add_difference", "&0 &5"],
            ("task-arithmetic", "ABC", {"alpha": 1.0, "weights": (), "normalize": True}),
        ),
    ],
)
def test_differences_that_are_added_are_one_step(lines: list[str], expected: tuple) -> None:
    pairs = zip(lines[::2], lines[1::2], strict=True)
    assert step("\n".join(f'merge "{name}" {rest}' for name, rest in pairs)) == expected


def test_differences_that_are_merged_are_steps() -> None:
    text = """merge "subtract" &0 &2
merge "subtract" &1 &2
merge "weighted_sum" &3 &4 alpha=0.3
merge "add_difference" &2 &5 alpha=0.8"""
    recipe = read(MODELS + text)
    assert [(one.method, one.inputs) for one in recipe.steps] == [
        ("subtract", ("A", "C")),
        ("subtract", ("B", "C")),
        ("weighted-sum", (recipe.steps[0].name, recipe.steps[1].name)),
        ("add", ("C", recipe.steps[2].name)),
    ]


def test_a_nested_recipe_with_fallbacks() -> None:
    """Like the example recipes of sd-mecha: a perpendicular difference in the text encoder, a sum in the blocks."""
    text = f'''version 0.1.0
model "/models/ghostmix_v20Bakedvae.safetensors"{TAIL}model "pure/v1-5-pruned"{TAIL}merge "subtract" &0 &1
model "E:\\\\sd\\\\dreamshaper_332BakedVaeClipFix"{TAIL}merge "subtract" &3 &1
merge "perpendicular_component" &2 &4
merge "add_difference" &0 &5 1.0
merge "fallback" &6 &0
dict BASE=0 IN00=1 M00=0.5 VAE=0.25
literal &8 model_config="sd1-supermerger_blocks" merge_space="param"
merge "fallback" &9 0.75
merge "weighted_sum" &7 &3 alpha=&10
merge "weighted_sum" &0 &1 0.1
merge "fallback" &11 &0'''
    recipe = read(text)
    assert [model.ref for model in recipe.models.values()] == [
        "/models/ghostmix_v20Bakedvae.safetensors", "v1-5-pruned", "dreamshaper_332BakedVaeClipFix",
    ]  # fmt: skip
    first, second = recipe.steps
    assert (first.method, first.inputs, second.method, second.inputs) == (
        "perpendicular", ("A", "C", "B"), "weighted-sum", (first.name, "C"),
    )  # fmt: skip
    weight = second.parameters["alpha"]
    assert (weight.base, weight.blocks, weight.components) == (0.0, {"IN00": 1.0, "M00": 0.5}, {"vae": 0.25})
    assert weight.keys == (("unet:*time_embed.*", 0.0), ("unet:*label_emb.*", 0.0)), "there they belong to BASE"
    assert recipe.vae == "merge" and any("fp16" in note for note in recipe.notes)


def test_weights_by_tensor() -> None:
    recipe = read(
        MODELS + 'dict model.diffusion_model.out.2.bias=0.5 =1\nmerge "weighted_sum" &0 &1 alpha=&3'.replace(" =1", "")
    )
    assert recipe.steps[0].parameters["alpha"].keys == (("model.diffusion_model.out.2.bias", 0.5),)
    assert set(recipe.models) == {"A", "B"}, "what the result does not need is left out"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "begins with ''"),
        ("version 0.0.9\n", "begins with 'version 0.0.9'"),
        (HEAD, "no merge of models"),
        (MODELS, "no merge of models"),
        (MODELS + 'merge "subtract" &0 &1', "no merge of models"),
        (MODELS + "call 1", "Line 5 .* no command 'call'"),
        (MODELS + "merge weighted_sum &0 &1", "'weighted_sum' is no value"),
        (MODELS + "merge", "names no method"),
        (MODELS + 'merge "rebasin" &0 &1', "'rebasin' has no equal here"),
        (MODELS + 'merge "model_stock" &0 &1', "no equal here"),
        (MODELS + 'merge "add_cosine_a" &0 &1', "no equal here"),
        (MODELS + 'merge "weighted_sum" &0', "takes 2 models, and has 1"),
        (MODELS + 'merge "weighted_sum" &0 &1 0.5 0.6', "too many words"),
        (MODELS + 'merge "weighted_sum" &0 &1 gamma=1', "no parameter 'gamma'"),
        (MODELS + 'merge "weighted_sum" &0 &7', "&7 names no earlier line"),
        (MODELS + 'merge "weighted_sum" &0 &3', "&3 names no earlier line"),
        (MODELS + 'merge "weighted_sum" &0 0.5', "an input is no model"),
        (MODELS + 'merge "weighted_sum" &0 &1 alpha="x"', "a parameter is a text"),
        (MODELS + 'merge "weighted_sum" &0 &1 alpha=true', "a parameter is yes or no"),
        (MODELS + 'dict IN00="x"\nmerge "weighted_sum" &0 &1 alpha=&3', "weight of 'IN00' is no number"),
        (MODELS + 'merge "weighted_sum" &0 &1 alpha=1e400', "alpha must be a number"),
        (MODELS + 'merge "geometric_median" &0 &1 maxiter=5', "maxiter = 5"),
        (MODELS + 'merge "fallback" &0 &1', "another model than the first"),
        (MODELS + 'merge "subtract" &0 &1\nmerge "weighted_sum" &3 &2', "models and differences together"),
        (MODELS + 'merge "subtract" &0 &1\nmerge "ties_sum" &3\nmerge "add_difference" &2 &4', "does not start from"),
        (MODELS + 'merge "train_difference_mask" &0 &1 &2\nmerge "subtract" &2 &1\nmerge "add_difference" &0 &4 &3', "a mask of other models"),
        (HEAD + 'model "l" merge_space="delta"\n', "is a difference, such as a LoRA"),
        (HEAD + "model 5\n", "has no path"),
        (HEAD + 'model "never closed\n', "is no word"),
        (HEAD + "#" * 1_000_000, "characters; 1,000,000 are allowed"),
        (HEAD + "# x\n" * 6000, "lines; 5,000 are allowed"),
        (HEAD + "dict " + "a=1 " * 30_000, "too many words"),
    ],
)  # fmt: skip
def test_what_has_no_equal_is_said_with_its_line(text: str, what: str) -> None:
    with pytest.raises(BadRecipeError, match=what) as caught:
        read_foreign(text or "\n")
    assert len(caught.value.message) < 400


@given(st.lists(st.text(max_size=30), max_size=6))
def test_any_text_is_read_or_refused(lines: list[str]) -> None:
    try:
        read(MODELS + "\n".join(lines) + '\nmerge "weighted_sum" &0 &1')
    except BadRecipeError:
        return


@given(st.text(st.characters(codec="utf-8", exclude_characters="\n"), min_size=1))
def test_any_path_is_a_name(path: str) -> None:
    quoted = path.replace("\\", "\\\\").replace('"', '\\"')
    text = HEAD + f'model "{quoted}"{TAIL}model "b"{TAIL}merge "weighted_sum" &0 &1'
    try:
        recipe = read(text)
    except BadRecipeError as error:
        assert "no path" in error.message and not path.strip()
        return
    assert recipe.models["B"] == ModelRef("b")


#: What sd-mecha 1.1.8 writes before every plain number, the line of the dict filled in.
SINGLE = 'dict key={value}\nliteral &{at} model_config="singleton-mecha" merge_space="param"\nmerge "convert_singleton" &{after}\n'


def single(value: object, at: int) -> str:
    return SINGLE.format(value=value, at=at, after=at + 1)


def test_numbers_as_the_newest_version_writes_them() -> None:
    assert step(single(0.7, 3) + 'merge "weighted_sum" &0 &1 &5') == ("weighted-sum", "AB", {"alpha": 0.7})
    text = 'merge "subtract" &1 &2\n' + single(0.7, 4) + 'merge "add_difference" &0 &3 &6\nmerge "fallback" &7 &0\n'
    assert step(text) == ("add-difference", "ABC", {"alpha": 0.7})
    text = single(0.0, 3) + 'merge "clamp" &0 &1 &2 stiffness=&5'
    assert step(text) == ("clamp", "ABC", {"stiffness": 0.0})
    text = 'merge "subtract" &1 &0\nmerge "subtract" &2 &0\n' + single("true", 5) + single(0.3, 8)
    text += 'merge "ties_sum" &3 &4 k=&10 vote_sgn=&7\nmerge "add_difference" &0 &11'
    method, inputs, parameters = step(text)
    assert (method, inputs, parameters["density"], parameters["sign"]) == ("ties", "ABC", 0.3, "sum")
    text = 'dict IN00=0.1\nliteral &3 model_config="sd1-supermerger_blocks" merge_space="param"\n' + single(0.5, 5)
    text += 'merge "fallback" &4 &7\nmerge "convert_sd1_blocks_to_ldm" &8\nmerge "weighted_sum" &0 &1 &9'
    weight = step(text)[2]["alpha"]
    assert (weight.base, dict(weight.blocks)) == (0.5, {"IN00": 0.1})


def test_a_scaled_difference_is_added_in_part() -> None:
    text = 'merge "subtract" &1 &2\nmerge "scale" &3 0.5\nmerge "add_difference" &0 &4 alpha={alpha}'
    assert step(text.format(alpha=0.8)) == ("add-difference", "ABC", {"alpha": 0.4})
    for wrong in ('merge "scale" &0 0.5', 'dict IN00=0.5\nmerge "subtract" &1 &2\nmerge "scale" &4 &3'):
        with pytest.raises(BadRecipeError, match="Line"):
            read(MODELS + wrong + '\nmerge "add_difference" &0 &' + str(wrong.count("\n") + 3))
