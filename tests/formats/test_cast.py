"""Casting: every number as torch and numpy round it, fp64 but once, whatever stretch is read."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from leftovers import no_thread_left
from safetensors.torch import load_file, save_file

from modelhub.errors import CancelledError, ModelError, NotFoundError
from modelhub.formats.cast import PRECISIONS, Cast
from modelhub.formats.rounding import Findings
from modelhub.formats.safetensors import SafetensorsFile
from modelhub.formats.source import torch_dtype
from modelhub.formats.views import Held
from modelhub.formats.writer import write
from modelhub.jobs import Job

ROOT = Path(__file__).resolve().parent.parent.parent
NAMES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2",
}  # fmt: skip
TARGETS = ("F16", "BF16", "F32")


def _held(tensor: torch.Tensor) -> Held:
    data = tensor.reshape(-1).view(torch.uint8).numpy().tobytes()
    return Held({"t": (NAMES[tensor.dtype], tuple(tensor.shape), data)})


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    """The bits as integers; every NaN counts as the same."""
    whole = {2: torch.int16, 4: torch.int32}[tensor.element_size()]
    return torch.where(tensor.isnan(), torch.tensor(-1, dtype=whole), tensor.view(whole))


def _check(tensor: torch.Tensor, target: str, wanted: torch.Tensor) -> Cast:
    view = Cast(_held(tensor), {"t": target})
    found = view.tensor("t")
    assert found.dtype == wanted.dtype == torch_dtype(target)
    assert torch.equal(_bits(found), _bits(wanted))
    bad = ~torch.isfinite(found)
    counted = Findings(int(bad.sum()), int((bad & torch.isfinite(tensor.double())).sum()))
    assert view.findings == ({"t": counted} if counted.not_finite else {})
    return view


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("stored", [torch.float16, torch.bfloat16])
def test_every_16_bit_pattern(stored: torch.dtype, target: str):
    every = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(stored)
    if NAMES[stored] != target:
        _check(every, target, every.to(torch_dtype(target)))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("stored", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_every_8_bit_pattern(stored: torch.dtype, target: str):
    every = torch.arange(256, dtype=torch.int32).to(torch.uint8).view(stored)
    _check(every, target, every.to(torch.float32).to(torch_dtype(target)))


def _specials(kind: type[np.floating]) -> np.ndarray:
    """Zeros, the least and largest, infinities, NaN; numbers around the edges of F16 and BF16, and halves between."""
    info = np.finfo(kind)
    edges = [65504, 65519, 65519.996, 65520, 65535, 65536, 3.3895314e38, 3.3961775e38, 3.4e38]
    tiny = [info.tiny, info.smallest_subnormal, 2**-24, 2**-25, 2**-25 * 1.0000001, 1.5 * 2**-24, 2**-14, 2**-126]
    halves = [1 + 2**-11, 1 + 3 * 2**-11, 1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-9, 2049, 2051, 257, 259]
    with np.errstate(over="ignore"):
        values = np.array([0.0, np.inf, np.nan, info.max, *edges, *tiny, *halves], dtype=kind)
        near = [np.nextafter(values, kind(sign * np.inf)) for sign in (1, -1)]
    return np.concatenate([values, *near, -values, *(-one for one in near)]).astype(kind)


def _noise(kind: type[np.floating], seed: int) -> np.ndarray:
    """Random bits: every exponent, NaNs and infinities among them; and numbers of the size of weights."""
    rng = np.random.default_rng(seed)
    whole = {np.float32: np.uint32, np.float64: np.uint64}[kind]
    bits = rng.integers(0, np.iinfo(whole).max, 50_000, dtype=whole, endpoint=True).view(kind)
    scale = np.exp2(rng.integers(-30, 17, 50_000))
    return np.concatenate([bits, (rng.standard_normal(50_000) * scale).astype(kind)])


@pytest.mark.parametrize("target", ["F16", "BF16"])
def test_fp32_as_torch_rounds(target: str):
    values = torch.from_numpy(np.concatenate([_specials(np.float32), _noise(np.float32, 1)]))
    view = _check(values, target, values.to(torch_dtype(target)))
    assert view.findings["t"].overflowed > 0


def test_fp64_to_fp16_as_numpy_rounds():
    values = np.concatenate([_specials(np.float64), _noise(np.float64, 2), _between(11, 3)])
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        wanted = values.astype(np.float16)
    _check(torch.from_numpy(values), "F16", torch.from_numpy(wanted))


def test_fp64_to_fp32_as_numpy_rounds():
    values = np.concatenate([_specials(np.float64), _noise(np.float64, 4)])
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        wanted = values.astype(np.float32)
    _check(torch.from_numpy(values), "F32", torch.from_numpy(wanted))


def test_fp64_to_bf16_is_the_nearest_of_all():
    """No library rounds so in one step; each result is held against both its neighbours, in exact fractions."""
    values = np.concatenate([_between(8, 5), _specials(np.float64)])
    found = Cast(_held(torch.from_numpy(values)), {"t": "BF16"}).tensor("t")
    largest = Fraction(2) ** 128 - Fraction(2) ** 119  # half a step beyond the largest number
    for value, near in zip(values, found, strict=True):
        if not np.isfinite(value):
            assert str(float(near)) == str(float(value))
        elif not torch.isfinite(near):
            assert abs(Fraction(float(value))) >= largest
        else:
            _assert_nearest(Fraction(float(value)), near)


def _assert_nearest(value: Fraction, near: torch.Tensor) -> None:
    bits = int(near.view(torch.int16))
    error = abs(value - Fraction(float(near)))
    neighbours = torch.tensor([bits - 1, bits + 1] if bits & 0x7FFF else [1, -(2**15) + 1], dtype=torch.int16)
    for other in neighbours.view(torch.bfloat16):
        if torch.isfinite(other):
            distance = abs(value - Fraction(float(other)))
            assert error < distance or (error == distance and bits % 2 == 0), (float(value), float(near))


def _between(digits: int, seed: int) -> np.ndarray:
    """fp64 numbers a hair beside the middle of two numbers of so many digits, where rounding twice goes wrong."""
    rng = np.random.default_rng(seed)
    whole = rng.integers(2 ** (digits - 1), 2**digits, 500)
    middle = (whole + 0.5) * np.exp2(rng.integers(-20, 3, 500) - digits)
    hair = rng.choice([-(2.0**-40), 0.0, 2.0**-40], 500)
    return middle * (1 + hair) * rng.choice([-1, 1], 500)


def test_rounding_twice_would_be_seen():
    """What the tests above are for: torch itself goes through fp32 here."""
    values = torch.tensor([1 + 2.0**-11 + 2.0**-30], dtype=torch.float64)
    assert float(values.float().half()) == 1.0
    assert float(Cast(_held(values), {"t": "F16"}).tensor("t")) == 1 + 2.0**-10


STRETCHES = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 400)), min_size=1, max_size=20)


@settings(deadline=None, max_examples=50)
@given(STRETCHES, st.sampled_from(list(NAMES)), st.sampled_from(TARGETS), st.integers(0, 99))
def test_any_stretch_of_bytes(stretches, stored: torch.dtype, target: str, seed: int):
    values = torch.randn(100, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(stored)
    view = Cast(_held(values), {"t": target})
    whole = view.read_bytes("t")
    for offset, size in stretches:
        size = min(size, max(0, len(whole) - offset))
        buffer = bytearray(size)
        if offset + size <= len(whole):
            view.read_into("t", offset, memoryview(buffer))
            assert buffer == whole[offset : offset + size]
    for offset, size in ((-1, 1), (0, len(whole) + 1), (len(whole), 1)):
        with pytest.raises(IndexError):
            view.read_into("t", offset, memoryview(bytearray(size)))


def test_large_tensors_are_cast_whole():
    values = torch.randn(100_003)
    assert torch.equal(Cast(_held(values), {"t": "BF16"}).tensor("t"), values.bfloat16())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    tensors = {"w": torch.randn(40, 30), "h": torch.randn(7).half(), "n": torch.arange(5), "none": torch.ones(0, 3)}
    save_file(tensors | {"scalar": torch.tensor(1e9)}, tmp_path / "a.safetensors", {"note": "kept"})
    return tmp_path / "a.safetensors"


def test_what_is_not_cast_keeps_its_place(file: Path, tmp_path: Path):
    source = SafetensorsFile(file)
    with Cast(source, {"w": "F16", "none": "BF16", "scalar": "F16", "h": "F16"}) as view:
        assert view.header.metadata == {"note": "kept"}
        assert view.place("w") is None
        assert (view.place("h"), view.place("n")) == (source.place("h"), source.place("n"))
        assert view.file_of("n") == file
        write(view, tmp_path / "b.safetensors", hashes=False, verify=True)
        assert view.findings == {"scalar": Findings(1, 1)}
    was, found = load_file(file), load_file(tmp_path / "b.safetensors")
    assert torch.equal(found["w"], was["w"].half())
    assert torch.equal(found["h"], was["h"])
    assert torch.equal(found["n"], was["n"])
    assert found["none"].dtype == torch.bfloat16
    assert found["none"].shape == (0, 3)
    assert torch.isinf(found["scalar"])
    with pytest.raises(Exception, match=r"a\.safetensors"):
        source.read_bytes("w")


def test_findings_are_the_same_after_a_second_reading(tmp_path: Path):
    values = torch.full((300_000,), 70000.0)
    values[::2] = torch.nan
    view = Cast(_held(values), {"t": "F16"})
    for name in ("a", "b"):
        write(view, tmp_path / f"{name}.safetensors", workers=3, block=10_000)
        assert view.findings == {"t": Findings(300_000, 150_000)}


@pytest.mark.parametrize(
    ("dtypes", "kind", "words"),
    [
        ({"x": "F16"}, NotFoundError, "'x'"),
        ({"n": "F16"}, ModelError, "'n' is I64"),
        ({"w": "I64"}, ModelError, "I64"),
        ({"w": "F8_E4M3"}, ModelError, "F8_E4M3"),
        ({"w": "fp16"}, ModelError, "fp16"),
    ],
)
def test_what_cannot_be_cast(file: Path, dtypes: dict[str, str], kind: type[Exception], words: str):
    with SafetensorsFile(file) as source, pytest.raises(kind, match=words):
        Cast(source, dtypes)


def test_names_of_precisions_are_those_of_torch():
    wanted = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}
    assert {name: torch_dtype(dtype) for name, dtype in PRECISIONS.items()} == wanted


def test_torch_is_loaded_when_numbers_are_computed(file: Path):
    code = (
        "import sys; from modelhub.formats.cast import Cast; from modelhub.formats.safetensors import SafetensorsFile\n"
        "view = Cast(SafetensorsFile(sys.argv[1]), {'w': 'F16'}); view.read_bytes('h')\n"
        "print('torch' in sys.modules); view.read_bytes('w'); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, file], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_cancelled_in_the_middle(tmp_path: Path):
    view = Cast(_held(torch.zeros(2_000_000)), {"t": "F16"})
    job = Job("prune", lambda event: job.cancel() if event.done > 1_000_000 else None, interval=0.0)
    with no_thread_left(), pytest.raises(CancelledError):
        write(view, tmp_path / "a.safetensors", hashes=False, verify=True, block=10_000, job=job)
    assert list(tmp_path.iterdir()) == []
