"""Any byte range of a plan is that of the written file, reads no more than the tensors that it touches, and no torch."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from merge_bench import FIRST_CONV, SHAPES, TEXT, UNET, VAE, Bench, checkpoint

from modelhub.catalog.networks import network
from modelhub.catalog.opener import Parent
from modelhub.catalog.weighing.weights import Weight
from modelhub.formats.header import Header
from modelhub.formats.source import TensorSource
from modelhub.merge.execute import merge
from modelhub.merge.planning.plan import Plan, plan
from modelhub.merge.recipes.recipe import Recipe, parse_recipe, simple_recipe
from modelhub.merge.registry import methods

BIG = {UNET + "middle_block.2.weight": (300, 701)}  # more than one window


class Recording(TensorSource):
    """A source that remembers which tensors were read."""

    def __init__(self, source: TensorSource) -> None:
        self.source, self.header, self.read = source, source.header, set[str]()

    def read_into(self, name: str, offset: int, buffer: memoryview) -> None:
        self.read.add(name)
        self.source.read_into(name, offset, buffer)


NESTED = """
[models]
A = "a"
B = "b"
C = "c"
[[steps]]
name = "x"
method = "try-measured"
inputs = ["B", "C"]
only = ["unet"]
[[steps]]
name = "y"
method = "try-random"
inputs = ["x", "A"]
seed = 5
[[steps]]
method = "try-rows"
inputs = ["A", "y"]
alpha = { default = 0.25, IN00 = 0.5, te1 = 0.75 }
"""


def recipes() -> dict[str, Recipe]:
    """Everything that a plan can be made of."""
    by_block = Weight(base=0.3, components={"te1": 1.0}, blocks={"IN00": 0.0, "M00": 0.9})
    return {
        "weights": simple_recipe("weighted-sum", ["a", "b"], parameters={"alpha": by_block}, vae="c"),
        "taken": simple_recipe("add-difference", ["a", "b", "c"], take={"te1": "b"}, vae="merge", dtype="bf16"),
        "inpaint": simple_recipe("add-difference", ["a", "wide", "c"], parameters={"alpha": 0.7}),
        "wide": simple_recipe("try-tensor", ["wide", "b"]),
        "nested": parse_recipe(NESTED),
        "survey": simple_recipe("try-survey", ["a", "b"]),
        "a1111": simple_recipe("add-difference", ["a", "b", "c"], compat="a1111"),
    }


@pytest.fixture
def written(bench: Bench, tried: None) -> Iterator[tuple[Bench, dict[str, tuple[Plan, bytes]]]]:
    """A bench with a wide model, and what was made on it: plans, and the bytes of their files."""
    for seed, name in enumerate(("a", "b", "c")):
        bench.put(name, checkpoint(seed, shapes=SHAPES | BIG))
    bench.put("wide", checkpoint(7, torch.float32, SHAPES | BIG | {FIRST_CONV: (8, 9, 3, 3)}))
    yield bench, {}


@pytest.mark.parametrize("name", ["weights", "taken", "inpaint", "wide", "nested", "survey", "a1111"])
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_any_range_of_a_plan_is_that_of_its_file(
    written: tuple[Bench, dict[str, tuple[Plan, bytes]]], name: str, data: st.DataObject
) -> None:
    bench, made = written
    if name not in made:
        goal = bench.folder / f"{name}.out.safetensors"
        merge(bench.plan(recipes()[name]), goal, workers=3, block=1000)
        made[name] = bench.plan(recipes()[name]), goal.read_bytes()
    planned, whole = made[name]
    assert planned.header.file_size == len(whole)
    offset = data.draw(st.integers(0, len(whole) + 10))
    size = data.draw(st.one_of(st.integers(0, 50), st.integers(0, 20_000), st.just(len(whole))))
    assert planned.read_range(offset, size) == whole[offset : offset + size]


@pytest.mark.parametrize("name", [name for name, one in methods().items() if not name.startswith("try-")])
def test_any_range_of_every_method_is_that_of_its_file(bench: Bench, name: str) -> None:
    one = methods()[name]
    inputs = ["a", "b", "c"][: one.least] if not one.many else ["a", "b", "c"]
    recipe = simple_recipe(name, inputs)
    goal = bench.folder / "out.safetensors"
    merge(bench.plan(recipe), goal, workers=2, block=512)
    whole, planned = goal.read_bytes(), bench.plan(recipe)
    middle = planned.header.data_start
    for offset, size in ((len(whole) - 3, 9), (middle + 1, 77), (0, 40), (middle + 1001, 3001), (len(whole) // 2, 13)):
        assert planned.read_range(offset, size) == whole[offset : offset + size], (offset, size)
    assert planned.read_range(0, len(whole)) == whole


def test_a_range_reads_the_tensors_that_it_touches_and_no_others(bench: Bench) -> None:
    sources: dict[str, Recording] = {}

    def opened(ref: str) -> Parent:
        parent = bench.open(ref)
        sources[ref] = Recording(parent.source)
        return Parent(sources[ref], parent.path, parent.name, parent.sha256)

    weight = Weight(base=0.5, components={"te1": 1.0}, blocks={"M00": 0.0})
    recipe = simple_recipe("weighted-sum", ["a", "b"], parameters={"alpha": weight}, vae="c")
    planned = plan(recipe, opened)
    ids = TEXT + "embeddings.position_ids"
    assert {name: one.read for name, one in sources.items()} == {"a": {ids}, "b": set(), "c": set()}, "its positions"
    out, middle, text = (
        UNET + "out.2.weight", UNET + "middle_block.1.proj_in.weight", TEXT + "encoder.layers.0.mlp.fc1.weight"
    )  # fmt: skip
    expected = {
        out: {"a": {out}, "b": {out}},
        middle: {"a": {middle}},
        text: {"b": {text}},
        VAE + "quant_conv.weight": {"c": {VAE + "quant_conv.weight"}},
    }
    for name, reads in expected.items():
        for one in sources.values():
            one.read.clear()
        begin = planned.header.data_start + planned.header.tensors[name].begin
        planned.read_range(begin + 2, 4)
        assert {key: one.read for key, one in sources.items() if one.read} == reads
    for one in sources.values():
        one.read.clear()
    planned.read_range(0, planned.header.data_start)
    assert not any(one.read for one in sources.values()), "the header is known"


def sparse(path: Path, tensors: dict[str, tuple[int, ...]]) -> Path:
    """A file of the right size in which nothing was ever written but its header."""
    header = Header.of((name, "F16", shape) for name, shape in tensors.items())
    with path.open("wb") as file:
        file.write(header.encoded)
        file.truncate(header.file_size)
    return path


@pytest.mark.parametrize(("architecture", "prefix"), [("sdxl", UNET), ("flux1", "")])
def test_planning_models_of_full_size_takes_no_time_and_no_torch(bench: Bench, architecture: str, prefix: str) -> None:
    channels = 64 if architecture == "flux1" else 4  # where the table leaves them open
    rows = network(architecture).items()
    shapes = {prefix + name: tuple(size or channels for size in row.shape) for name, row in rows}
    for name in ("one", "two", "three"):
        sparse(bench.folder / f"{name}.safetensors", shapes)
    program = """
import json, sys, time
from pathlib import Path
from modelhub.catalog.opener import Parent
from modelhub.formats.opening import open_source
from modelhub.merge.planning.plan import plan
from modelhub.merge.recipes.recipe import parse_recipe
def opened(ref):
    path = Path(sys.argv[1]) / (ref + ".safetensors")
    return Parent(open_source(path), path, ref, None)
text = '''
[models]
A = "one"
B = "two"
C = "three"
[[steps]]
method = "add-difference"
inputs = ["A", "B", "C"]
alpha = { default = 0.5, keys = { "*attn*" = 0.25 } }
'''
plan(parse_recipe(text), opened)
started = time.process_time()
made = plan(parse_recipe(text), opened)
print(json.dumps([len(made.report.merged), time.process_time() - started, "torch" in sys.modules]))
"""
    found = subprocess.run(
        [sys.executable, "-c", program, str(bench.folder)], capture_output=True, text=True, check=True, timeout=60
    )
    merged, seconds, has_torch = json.loads(found.stdout)
    assert merged == len(shapes) and not has_torch
    assert seconds < 3, "well under one on cores that nobody else uses"
