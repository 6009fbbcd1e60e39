"""Merges that are written: sources that change, disks that fill, signals; what is copied, imported, and kept in memory."""

from __future__ import annotations

import errno
import json
import lzma
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from leftovers import no_thread_left
from safetensors.torch import load_file, save_file

from modelhub.catalog.opener import Opener
from modelhub.catalog.store import Catalog
from modelhub.errors import CancelledError, CorruptFileError, ModelError, ModelhubError, NoSpaceError, UsageError
from modelhub.formats.header import Header
from modelhub.formats.opening import open_source
from modelhub.formats.source import TensorSource
from modelhub.jobs import QUIET, Event, Job
from modelhub.merge.execute import MergeReport, merge
from modelhub.merge.planning.plan import Plan, plan
from modelhub.merge.recipes.recipe import simple_recipe

ROOT = Path(__file__).parents[2]
LAYOUTS = ROOT / "tests" / "data" / "layouts"
needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")


def _models(folder: Path, size: int = 2_000_000) -> None:
    """Three LoRA-less models of a few tensors that no table of architectures knows; the same names and shapes."""
    for seed, name in enumerate("abc"):
        generator = torch.Generator().manual_seed(seed)
        tensors = {f"t{at}.weight": torch.randn(size, generator=generator).half() for at in range(4)}
        save_file(tensors | {"small": torch.randn(3, generator=generator).half()}, folder / f"{name}.safetensors")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    _models(tmp_path / "models")
    return tmp_path / "models"


class Kitchen:
    """Plans over the files of a folder, and merges to `out` in it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.goal = folder, folder / "out.safetensors"

    def plan(self, opener: Opener, method: str = "weighted-sum", refs: str = "ab", alpha: float = 0.3) -> Plan:
        paths = [str(self.folder / f"{ref}.safetensors") for ref in refs]
        return plan(simple_recipe(method, paths, parameters={"alpha": alpha}), opener)

    def merge(self, watch: Callable[[Event], None] = lambda _: None, *, hashes: bool = False) -> MergeReport:
        with Catalog.open() as catalog, Opener(catalog) as opener:
            job = Job("merge", watch, interval=0.0)
            return merge(self.plan(opener), self.goal, hashes=hashes, block=100_000, job=job)

    def fails(self, kind: type[ModelhubError], watch: Callable[[Event], None] = lambda _: None) -> ModelhubError:
        """Merging ends in `kind`; nothing is left behind, and no thread."""
        before = sorted(path.name for path in self.folder.iterdir())
        with no_thread_left(), pytest.raises(kind) as caught:
            self.merge(watch)
        assert sorted(path.name for path in self.folder.iterdir()) == before
        return caught.value


@pytest.fixture
def kitchen(folder: Path) -> Kitchen:
    return Kitchen(folder)


def test_hashes_are_made_when_asked(kitchen: Kitchen) -> None:
    import hashlib

    assert kitchen.merge().written.sha256 is None
    first = kitchen.goal.read_bytes()
    kitchen.goal.unlink()
    assert kitchen.merge(hashes=True).written.sha256 == hashlib.sha256(first).hexdigest()
    assert kitchen.goal.read_bytes() == first


def _once(after: int, change: Callable[[], None]) -> Callable[[Event], None]:
    """Do something once, when so many bytes are written."""
    done: list[int] = []

    def watch(event: Event) -> None:
        if event.done > after and not done:
            done.append(1)
            change()

    return watch


def _truncate(path: Path) -> None:
    os.truncate(path, 3_000_000)


def _touch_bytes(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(-100, os.SEEK_END)
        file.write(b"x" * 50)


def _append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def _replace(path: Path) -> None:
    other = path.with_suffix(".new")
    other.write_bytes(path.read_bytes())
    other.replace(path)


def _rewrite(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data)


@pytest.mark.parametrize("change", [_truncate, _touch_bytes, _append, _replace, _rewrite])
@pytest.mark.parametrize("which", ["a", "b"])
@pytest.mark.parametrize("after", [1_000_000, 15_900_000])
def test_a_source_that_changes_meanwhile_ends_the_merge(kitchen: Kitchen, change, which: str, after: int) -> None:
    path = kitchen.folder / f"{which}.safetensors"
    error = kitchen.fails(CorruptFileError, _once(after, lambda: change(path)))
    assert path.name in error.message and error.hint


def test_a_source_that_is_replaced_while_it_is_opened_ends_the_merge(
    kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = kitchen.folder / "a.safetensors"

    def opened(one: Path) -> TensorSource:
        source = open_source(one)
        if one == path:
            _replace(path)
        return source

    monkeypatch.setattr("modelhub.catalog.opener.open_source", opened)
    assert path.name in kitchen.fails(CorruptFileError).message


def test_a_source_that_is_gone_ends_the_merge(kitchen: Kitchen) -> None:
    path = kitchen.folder / "b.safetensors"
    with pytest.raises(ModelhubError, match=r"b\.safetensors"):
        kitchen.merge(_once(1_000_000, path.unlink))
    assert sorted(one.name for one in kitchen.folder.iterdir()) == ["a.safetensors", "c.safetensors"]


_WRITER = """
import sys, time
with open(sys.argv[1], "r+b", buffering=0) as file:
    while True:
        file.seek(5_000_000)
        file.write(b"changed")
        print("changed", flush=True)
        time.sleep(0.001)
"""


def test_another_program_that_writes_to_a_source(kitchen: Kitchen) -> None:
    path = kitchen.folder / "a.safetensors"
    with Catalog.open() as catalog, Opener(catalog) as opener:
        planned = kitchen.plan(opener)
        with subprocess.Popen([sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE) as process:
            try:
                assert process.stdout and process.stdout.readline() == b"changed\n"
                with pytest.raises(CorruptFileError, match=r"a\.safetensors was written to"):
                    merge(planned, kitchen.goal)
            finally:
                process.kill()
    assert not kitchen.goal.exists()


def test_a_disk_that_fills_up_in_the_middle(kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch) -> None:
    real, written = os.pwrite, []

    def full(file: int, data: memoryview, at: int) -> int:
        written.append(len(data))
        if sum(written) > 5_000_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(file, data[: len(data) // 2 + 1], at)

    monkeypatch.setattr(os, "pwrite", full)
    error = kitchen.fails(NoSpaceError)
    assert "out.safetensors does not fit on the disk" in error.message


def test_cancelled_at_the_next_block(kitchen: Kitchen) -> None:
    seen: list[int] = []

    def watch(event: Event) -> None:
        seen.append(event.done)
        if event.done > 3_000_000:
            job.cancel()

    job = Job("merge", watch, interval=0.0)
    with Catalog.open() as catalog, Opener(catalog) as opener, pytest.raises(CancelledError):
        merge(kitchen.plan(opener), kitchen.goal, block=100_000, job=job)
    assert max(seen) < 3_500_000
    assert not kitchen.goal.exists()


def test_a_first_pass_over_all_models_can_be_cancelled(kitchen: Kitchen) -> None:
    with Catalog.open() as catalog, Opener(catalog) as opener:
        planned = kitchen.plan(opener, "cosine-a")
        job = Job("merge")
        planned.heed(job)
        job.cancel()
        with pytest.raises(CancelledError):
            planned.read_range(planned.header.data_start, 8)
        planned.heed(QUIET)
        assert len(planned.read_range(planned.header.data_start, 8)) == 8


def test_a_tensor_without_a_decomposition_is_named(kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> None:
        raise torch.linalg.LinAlgError("did not converge")

    monkeypatch.setattr("torch.linalg.svd", failing)
    for name in "ab":
        save_file({"some.weight": torch.randn(4, 4)}, kitchen.folder / f"{name}.safetensors")
    with (
        Catalog.open() as catalog,
        Opener(catalog) as opener,
        pytest.raises(ModelError, match=r"rotate .*some\.weight"),
    ):
        merge(kitchen.plan(opener, "rotate"), kitchen.goal)
    assert not kitchen.goal.exists()


def test_a_merge_goes_to_none_of_its_own_files(kitchen: Kitchen) -> None:
    with Catalog.open() as catalog, Opener(catalog) as opener, pytest.raises(UsageError, match="one of the models"):
        merge(kitchen.plan(opener), kitchen.folder / "b.safetensors", force=True)


def _python(code: str, *words: object) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()


_MERGE = """
import resource, sys, threading, time
from modelhub.catalog.opener import Opener
from modelhub.catalog.store import Catalog
from modelhub.merge.execute import merge
from modelhub.merge.planning.plan import plan
from modelhub.merge.recipes.recipe import simple_recipe
alpha, goal, *refs = sys.argv[1:]
peak, over = [0], threading.Event()
def look():
    while not over.wait(0.005):
        lines = open("/proc/self/status").read().splitlines()
        peak[0] = max(peak[0], next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")))
threading.Thread(target=look).start()
method = "weighted-sum" if len(refs) == 2 else "add-difference"
with Catalog.open() as catalog, Opener(catalog) as opener:
    planned = plan(simple_recipe(method, refs, parameters={"alpha": float(alpha)}), opener)
    print("torch" in sys.modules, planned.computes)
    report = merge(planned, goal)
over.set()
print("torch" in sys.modules, "numpy" in sys.modules, peak[0] * 1024)
"""


@needs_proc
@pytest.mark.parametrize(("alpha", "like"), [(0, "a"), (1, "b")])
def test_what_is_only_copied_never_needs_torch(kitchen: Kitchen, alpha: int, like: str) -> None:
    refs = [kitchen.folder / "a.safetensors", kitchen.folder / "b.safetensors"]
    planned, after = _python(_MERGE, alpha, kitchen.goal, *refs).splitlines()
    assert planned == "False False"
    assert after.startswith("False ")
    got, wanted = load_file(kitchen.goal), load_file(kitchen.folder / f"{like}.safetensors")
    assert set(got) == set(wanted) and all(torch.equal(got[name], tensor) for name, tensor in wanted.items())


def _layout(name: str, dtype: str = "F16") -> Header:
    table = json.loads(lzma.decompress((LAYOUTS / f"{name}.json.xz").read_bytes()))
    return Header.of([(key, dtype if kind == "F32" else kind, tuple(shape)) for key, (kind, *shape) in table.items()])


def _sparse(path: Path, header: Header) -> Path:
    """A file with a real header and holes for data."""
    path.write_bytes(header.encoded)
    os.truncate(path, header.file_size)
    return path


@needs_proc
def test_memory_does_not_grow_with_the_models(kitchen: Kitchen) -> None:
    header = Header.of([(f"t{at}", "F16", (20_000, 1000)) for at in range(3)])
    refs = [_sparse(kitchen.folder / f"sparse{at}.safetensors", header) for at in range(3)]
    for count in (2, 3):
        said = _python(_MERGE, 0.3, kitchen.goal, *refs[:count]).split()
        assert kitchen.goal.stat().st_size > 120_000_000
        assert int(said[-1]) < 300_000_000, "torch itself is 170 MB of it"
        kitchen.goal.unlink()


@pytest.fixture
def flux(tmp_path: Path) -> list[Path]:
    return [_sparse(tmp_path / f"flux{at}.safetensors", _layout("flux-dev", "BF16")) for at in range(2)]


def test_flux_is_planned_and_read_where_it_is_asked(flux: list[Path]) -> None:
    header = _layout("flux-dev", "BF16")
    names = list(header.tensors)
    assert header.file_size > 23_000_000_000
    borders = [header.data_start + header.tensors[name].begin for name in names[1::50]] + [header.file_size - 64]
    for seed, path in enumerate(flux):
        noise = np.random.default_rng(seed)
        with path.open("r+b") as file:
            for border in borders:
                file.seek(border - 64)
                file.write(_bf16(noise.standard_normal(64)))
    with Catalog.open() as catalog, Opener(catalog) as opener:
        recipe = simple_recipe("weighted-sum", [str(path) for path in flux], parameters={"alpha": 0.25})
        planned = plan(recipe, opener)
        moved = planned.header.data_start - header.data_start
        assert [(n, i.begin, i.dtype) for n, i in planned.header.tensors.items()] == [
            (n, i.begin, i.dtype) for n, i in header.tensors.items()
        ]
        for border in borders:
            a, b = (_read(path, border - 64, 128) for path in flux)
            wanted = torch.lerp(a.float(), b.float(), 0.25).bfloat16()
            found = torch.frombuffer(bytearray(planned.read_range(border + moved - 64, 128)), dtype=torch.bfloat16)
            assert torch.equal(found, wanted) and found.count_nonzero() > 60


def _bf16(values: np.ndarray) -> bytes:
    return torch.from_numpy(values).bfloat16().view(torch.uint8).numpy().tobytes()


def _read(path: Path, at: int, size: int) -> torch.Tensor:
    with path.open("rb") as file:
        file.seek(at)
        return torch.frombuffer(bytearray(file.read(size)), dtype=torch.bfloat16)


def _program(folder: Path, *words: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "modelhub", *map(str, words)]
    env = {**os.environ, "MODELHUB_HOME": str(folder / "home")}
    heeding = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a shell's background jobs are told to ignore it
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, env=env, stdout=pipe, stderr=pipe, text=True, preexec_fn=heeding)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_nothing_behind(tmp_path: Path, number: signal.Signals) -> None:
    """In the middle of the writing: the hashes of 4 GB of holes are in the catalog already, as it were."""
    header = _layout("sd15", "F32")
    assert header.file_size > 4_000_000_000, "long enough to be caught in it, small enough for any disk"
    models = [_sparse(tmp_path / f"model{at}.safetensors", header) for at in range(2)]
    with Catalog.open(tmp_path / "home") as catalog:
        from modelhub.formats.hashes import Hashes
        from modelhub.scan.adding import add_file

        for at, path in enumerate(models):
            add_file(catalog, path, Hashes(f"{at}" * 64))
    goal = tmp_path / "out" / "o.safetensors"
    goal.parent.mkdir()
    with _program(tmp_path, "merge", "weighted-sum", *models, "--alpha", "0.3", "-o", goal) as process:
        until = time.monotonic() + 60
        while not any(path.stat().st_size > 1_000_000 for path in goal.parent.iterdir()):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < until
            time.sleep(0.01)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert list(goal.parent.iterdir()) == []


def test_the_program_ends_at_once_and_says_all(kitchen: Kitchen, tmp_path: Path) -> None:
    refs = [kitchen.folder / "a.safetensors", kitchen.folder / "b.safetensors"]
    with _program(tmp_path, "merge", "weighted-sum", *refs, "-o", kitchen.goal, "--json") as process:
        said, wrong = process.communicate(timeout=120)
    assert process.returncode == 0, wrong
    assert json.loads(said)["path"] == str(kitchen.goal)
    with _program(tmp_path, "merge", "weighted-sum", *refs, "-o", kitchen.goal) as process:
        said, wrong = process.communicate(timeout=120)
    assert (process.returncode, said) == (3, "") and "exists already" in wrong


def test_nobody_listens_to_the_program(kitchen: Kitchen, tmp_path: Path) -> None:
    refs = [kitchen.folder / "a.safetensors", kitchen.folder / "b.safetensors"]
    with _program(tmp_path, "merge", "weighted-sum", *refs, "-o", kitchen.goal) as process:
        assert process.stdout and process.stderr
        process.stdout.close()
        wrong = process.stderr.read()
        assert process.wait(120) == 0, wrong
    assert kitchen.goal.exists() and "Traceback" not in wrong and "Exception" not in wrong
