"""Expressions: whatever is read when, by how many threads and in what blocks, the bytes are those of one reading."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plain_nodes import apply, bytes_of, leaf, noise, planned, unregistered, values

from modelhub.formats.rounding import Findings
from modelhub.formats.source import torch_dtype
from modelhub.formats.writer import write
from modelhub.merge.engine import computing, expression
from modelhub.merge.engine.expression import Node, Survey
from modelhub.merge.planning.unwritten import Plan
from modelhub.merge.registry import find_method, number, whole

SUM, ADD = find_method("weighted-sum"), find_method("add-difference")


@unregistered()
def powers(a, b):
    """|A|^0.37 + exp(B): what vector instructions round otherwise than plain ones."""
    return a.abs().pow(0.37) + b.clamp(max=3).exp()


@unregistered(scope="rows")
def by_rows(a, b):
    """A·(A·B): every row sees all of itself."""
    return a * (a * b).flatten(1).sum(1).view(-1, *[1] * (a.dim() - 1)) if a.dim() > 1 else a * b


@unregistered(scope="tensor")
def as_a_whole(a, b):
    """A/|A| + cumulated B."""
    return a / a.norm() + b.reshape(-1).cumsum(0).view(b.shape)


@unregistered(measure=lambda windows: sum(float(a.double().sum()) for a, _ in windows))
def measured(a, b, *, stats: Any = None):
    """A + mean of A·B."""
    return a + b * stats


@unregistered(survey=lambda tensors: sum(float(b.double().sum()) for _, windows in tensors for _, b in windows))
def surveyed(a, b, *, survey: Any = None):
    """A + B·sum of all."""
    return a + b * survey


@unregistered()
def random(a, b, *, seed: int = whole(3, low=0, high=9, help="seed"), chance: Any = None):
    """A where chance says so, else B."""
    return torch.where(chance.uniform() < 0.5, a, b + chance.uniform(1))


@unregistered()
def placed(a, b, *, at: Any = None):
    """A + B·position."""
    return a + b * torch.arange(at.start, at.start + a.numel()) / 1000


METHODS = [SUM, powers, by_rows, as_a_whole, measured, surveyed, random, placed]
DTYPES = ["F16", "BF16", "F32", "F64", "F8_E4M3", "F8_E5M2"]


@pytest.fixture
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows so small that a small tensor has many."""
    monkeypatch.setattr(expression, "WINDOW", 100)
    monkeypatch.setattr(computing, "_BYTES", 256)


def _tree(draw: st.DrawFn, shape: tuple[int, ...], depth: int, surveys: dict[str, Survey], name: str) -> Node:
    method = draw(st.sampled_from(METHODS))
    inputs = [
        _tree(draw, shape, depth - 1, surveys, f"{name}{side}")
        if depth and draw(st.booleans())
        else leaf(noise(draw(st.integers(0, 99)), *shape), draw(st.sampled_from(DTYPES)))
        for side in "ab"
    ]
    survey = surveys.setdefault(str(depth), Survey()) if method is surveyed else None
    made = apply(method, *inputs, name=name, survey=survey)
    if survey is not None:
        survey.members.append((name, made))
    return made


@st.composite
def recipes(draw: st.DrawFn) -> Any:
    """What makes the same plan anew each time, from the same draws."""
    shapes = draw(st.lists(st.lists(st.integers(1, 9), max_size=3).map(tuple), min_size=1, max_size=3))
    shapes += [draw(st.sampled_from([(301,), (33, 7), (3, 5, 40), ()]))]
    surveys: dict[str, Survey] = {}
    return {
        f"t{at}": (_tree(draw, shape, 2, surveys, f"t{at}"), draw(st.sampled_from(DTYPES)))
        for at, shape in enumerate(shapes)
    }


def _again(nodes: dict[str, tuple[Node, str]]) -> Plan:
    """A plan that has computed nothing yet."""
    fresh: dict[int, Node] = {}
    surveys: dict[int, Survey] = {}

    def copy(node: Node) -> Node:
        if not isinstance(node, expression.Apply):
            return node
        if id(node) not in fresh:
            survey = surveys.setdefault(id(node.survey), Survey()) if node.survey else None
            made = expression.Apply(node.method, node.parameters, tuple(map(copy, node.inputs)), node.name, survey)
            if survey is not None:
                survey.members.append((node.name, made))
            fresh[id(node)] = made
        return fresh[id(node)]

    return planned({name: (copy(node), dtype) for name, (node, dtype) in nodes.items()})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(
    recipes(),
    st.integers(1, 4),
    st.sampled_from([1, 7, 64, 200, 256, 1000, 1 << 19]),
    st.integers(1, 3),
    st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 700)), min_size=3, max_size=12),
)
def test_bytes_do_not_depend_on_who_reads_what_when(
    small_windows, tmp_path: Path, nodes, workers: int, block: int, threads: int, ranges
) -> None:
    plan = _again(nodes)
    expected = plan.read_range(0, plan.header.file_size)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        other = _again(nodes)
        path = tmp_path / "out.safetensors"
        write(other, path, force=True, hashes=False, workers=workers, block=block)
        assert path.read_bytes() == expected
        assert other.findings == plan.findings
        third = _again(nodes)
        for start, size in ranges:
            assert third.read_range(start, size) == expected[start : start + size]
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("size", [1, 7, 65_535, 65_536, 65_537, 262_144, 300_001])
@pytest.mark.parametrize("dtype", ["F16", "BF16", "F32"])
def test_native_and_not_native_are_the_same(size: int, dtype: str) -> None:
    """The kernel's fp32 inside, and ours, rounded once."""
    a, b = leaf(noise(1, size), dtype), leaf(noise(2, size), dtype)
    result = planned({"t": (apply(SUM, a, b, alpha=0.3), dtype)}).tensor("t")
    assert torch.equal(result, values(a).float().lerp(values(b).float(), 0.3).to(result.dtype))
    mixed = leaf(values(b).float(), "F32")
    assert torch.equal(planned({"t": (apply(SUM, a, mixed, alpha=0.3), dtype)}).tensor("t"), result)


@pytest.mark.parametrize("output", DTYPES)
@pytest.mark.parametrize("stored", DTYPES)
def test_every_dtype_in_and_out(stored: str, output: str) -> None:
    a, b, c = (leaf(noise(seed, 50, 3) * 4, stored) for seed in (1, 2, 3))
    result = planned({"t": (apply(ADD, a, b, c, alpha=0.5), output)}).tensor("t")
    assert result.dtype == torch_dtype(output)
    exact = values(a) + 0.5 * (values(b) - values(c))
    eps = {"F16": 2**-11, "BF16": 2**-8, "F32": 2**-22, "F64": 2**-50, "F8_E4M3": 2**-4, "F8_E5M2": 2**-3}[output]
    near = result.float().double() if result.dtype.itemsize == 1 else result.double()
    least = {"F8_E4M3": 2**-10, "F8_E5M2": 2**-17}.get(output, 3e-8) + (2e-6 if stored != "F64" else 0)
    assert ((near - exact).abs() <= exact.abs() * eps * 1.01 + least).all()


@pytest.mark.parametrize(
    ("output", "most"), [("F16", 65504.0), ("F8_E4M3", 448.0), ("F8_E5M2", 57344.0), ("F32", 3e38)]
)
def test_what_does_not_fit_is_counted_apart_from_what_was_not_finite(output: str, most: float) -> None:
    a = torch.ones(300_000, dtype=torch.float64)
    a[5], a[70_000], a[299_999] = most * 3, float("nan"), -most * 3
    plan = planned({"t": (apply(ADD, leaf(a, "F64"), leaf(a * 0, "F64"), leaf(a * 0, "F64")), output)})
    a[torch.isnan(a)] = 0
    assert plan.findings == {}
    for _ in range(2):
        plan.read_range(0, plan.header.file_size)
        assert plan.findings == {"t": Findings(3, 2)}


def test_overflow_inside_a_native_kernel_is_overflow() -> None:
    a, b = torch.ones(10) * 60_000, torch.ones(10) * -60_000
    b[3] = float("inf")
    plan = planned({"t": (apply(SUM, leaf(a, "F16"), leaf(b, "F16"), alpha=-1.0), "F16")})
    plan.read_bytes("t")
    assert plan.findings == {"t": Findings(10, 9)}


def test_findings_are_the_same_however_little_is_read(small_windows) -> None:
    a = torch.zeros(500)
    a[[3, 99, 100, 450]] = float("inf")
    plan = planned({"t": (apply(SUM, leaf(a, "F32"), leaf(a, "F32")), "F32")})
    for offset in range(2000):
        plan.read_into("t", offset, memoryview(bytearray(1)))
    assert plan.findings == {"t": Findings(4, 0)}


class Counted:
    """How often a method of the scope "tensor" was computed, and how many results are still there."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, ...]] = []
        self.nodes: list[expression.Apply] = []

        @unregistered(scope="tensor")
        def slow(a, b):
            """A + B, slowly."""
            self.calls.append(tuple(a.shape))
            threading.Event().wait(0.02)
            return a + b

        self.method = slow

    def plan(self, *sizes: int, dtype: str = "F32") -> Plan:
        nodes = {
            f"t{at}": (apply(self.method, leaf(noise(at, n), dtype), leaf(noise(at + 50, n), dtype)), dtype)
            for at, n in enumerate(sizes)
        }
        self.nodes = [node for node, _ in nodes.values()]
        return planned(nodes)

    @property
    def alive(self) -> int:
        return sum(node._whole is not None for node in self.nodes)


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_a_whole_tensor_is_computed_once(tmp_path: Path, workers: int) -> None:
    counted = Counted()
    sizes = [1000 + at for at in range(12)]
    write(counted.plan(*sizes), tmp_path / "a.safetensors", hashes=False, workers=workers, block=256)
    assert sorted(counted.calls) == [(size,) for size in sizes]
    assert counted.alive == 0


def test_two_threads_at_one_tensor_compute_it_once() -> None:
    counted, gate = Counted(), threading.Barrier(4)
    plan = counted.plan(1000)
    whole = plan.read_bytes("t0")
    counted.calls.clear()
    got: list[bytes] = []

    def read(part: int) -> None:
        gate.wait()
        view = bytearray(900)
        plan.read_into("t0", part * 900, memoryview(view))
        got.append(bytes(view) if bytes(view) == whole[part * 900 : part * 900 + 900] else b"wrong")

    threads = [threading.Thread(target=read, args=(part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counted.calls == [(1000,)] and b"wrong" not in got and len(got) == 4


def test_a_whole_tensor_is_let_go_with_its_last_bytes_or_for_another() -> None:
    counted = Counted()
    plan = counted.plan(1000, 2000)
    first = bytearray(400)
    plan.read_into("t0", 0, memoryview(first))
    plan.read_into("t0", 400, memoryview(bytearray(400)))
    assert len(counted.calls) == 1 and counted.alive == 1
    plan.read_into("t1", 0, memoryview(bytearray(400)))
    assert counted.calls == [(1000,), (2000,)] and counted.alive == 1, "that of t0 was let go"
    plan.read_into("t1", 400, memoryview(bytearray(7600)))
    assert len(counted.calls) == 2 and counted.alive == 0
    again = bytearray(400)
    plan.read_into("t0", 0, memoryview(again))
    assert again == first


def test_the_method_sees_nothing_change_under_it() -> None:
    """Results that are inputs, or views of them, are right though buffers are used again."""

    @unregistered()
    def second(a, b):
        """B."""
        return b

    a, b, c = (leaf(noise(seed, 200_000), "F16") for seed in (1, 2, 3))
    node = apply(ADD, apply(second, a, b), apply(second, c, a), apply(second, a, c), alpha=1.0)
    result = planned({"t": (node, "F32")}).tensor("t")
    assert torch.equal(result, values(b).float() + (values(a).float() - values(c).float()))


def test_first_passes_are_in_full_precision() -> None:
    seen: set[torch.dtype] = set()

    def look(windows):
        seen.update(part.dtype for window in windows for part in window)

    @unregistered(measure=look)
    def looked(a, b, *, stats: Any = None):
        """A."""
        return a

    planned({"t": (apply(looked, leaf(noise(1, 9), "F16"), leaf(noise(2, 9), "F8_E4M3")), "F16")}).read_bytes("t")
    assert seen == {torch.float32}


@pytest.mark.parametrize("scope", ["rows", "tensor"])
def test_grains_are_what_is_made_at_once(scope) -> None:
    @unregistered(scope=scope)
    def one(a, b):
        """A."""
        return a

    a, b = leaf(noise(1, 200, 1000), "F16"), leaf(noise(2, 200, 1000), "F16")
    plan = planned({"t": (apply(one, a, b), "F16"), "u": (apply(SUM, a, b), "F16"), "v": (a, "F16"), "w": (a, "F32")})
    assert plan.grain("t") == (131 * 2000 if scope == "rows" else 400_000)
    assert (plan.grain("u"), plan.grain("v"), plan.grain("w")) == (2, 2, 4)


def test_random_numbers_belong_to_their_place() -> None:
    from modelhub.merge.engine.chance import Drawn

    whole = Drawn(1, "t", 0, (50_000,)).uniform()
    assert float(whole.min()) >= 0 and float(whole.max()) < 1 and abs(float(whole.mean()) - 0.5) < 0.01
    for start, count in ((0, 16384), (1, 16384), (16384, 16384), (16383, 2), (33_000, 17_000), (49_999, 1)):
        assert torch.equal(Drawn(1, "t", start, (count,)).uniform(), whole[start : start + count])
    others = [Drawn(2, "t", 0, (9,)).uniform(), Drawn(1, "u", 0, (9,)).uniform(), Drawn(1, "t", 0, (9,)).uniform(1)]
    assert len({bytes_of(one) for one in [*others, whole[:9]]}) == 4


def test_a_number_may_differ_between_tensors() -> None:
    @unregistered(native=True)
    def scaled(a, *, by: float = number(1, low=0, high=2, help="factor"), out: Any = None):
        """A·by."""
        return torch.mul(a, by, out=out)

    a = leaf(noise(1, 10), "F16")
    plan = planned({f"t{by}": (apply(scaled, a, by=by), "F16") for by in (0.5, 2.0)})
    assert torch.equal(plan.tensor("t0.5"), values(a).half() * 0.5)
    assert torch.equal(plan.tensor("t2.0"), values(a).half() * 2)
