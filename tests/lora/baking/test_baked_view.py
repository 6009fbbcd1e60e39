"""The view: the same bytes whatever is read, by whom, in what order and in blocks of what size; memory is let go of."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from bakes import Baked, baked
from baking_helper import LAYERS, Arrays, base, lora, product, write_modules
from safetensors.torch import load_file, save_file

from modelhub.formats.writer import write
from modelhub.lora.network import Network, Patch

KINDS = ("lora", "dora", "dora-in", "oft", "ia3")


def parts_of(kind: str, shape: tuple[int, ...], seed: int) -> Arrays:
    rng = np.random.default_rng(seed)
    out, into = shape[:2]
    if kind == "oft":
        return {"oft_blocks": rng.normal(size=(out // 16, 16, 16)).astype(np.float32) * 0.1}
    if kind == "ia3":
        return {"weight": rng.normal(size=(out, 1)).astype(np.float32), "on_input": np.array(False)}
    found = lora(shape, seed)
    if kind == "dora":
        found["dora_scale"] = rng.uniform(0.5, 2, (out, *(1 for _ in shape[1:]))).astype(np.float32)
    if kind == "dora-in":
        found["dora_scale"] = rng.uniform(0.5, 2, (1, into, *(1 for _ in shape[2:]))).astype(np.float32)
    return found


@pytest.fixture
def view(tmp_path: Path) -> Baked:
    """Every layer with an adapter of another kind below and above a LoRA, in fp16."""
    path, arrays = base(tmp_path, np.float16)
    files = []
    for at in range(3):
        modules = {
            module: parts_of("lora" if at == 1 else KINDS[(index + at) % len(KINDS)], arrays[name].shape, index)
            for index, (module, (name, _)) in enumerate(LAYERS.items())
        }
        files.append(write_modules(tmp_path / f"{at}.safetensors", modules))
    return baked(path, *((file, "0.7") for file in files))


def test_the_file_is_the_view_whatever_the_block_and_however_many_write(view: Baked, tmp_path: Path) -> None:
    written = set()
    for workers, block in ((1, 512 * 1024), (2, 512 * 1024), (3, 1000), (2, 4096 + 2)):
        goal = tmp_path / f"{workers}-{block}.safetensors"
        write(view.plan, goal, workers=workers, block=block, hashes=False)
        written.add(goal.read_bytes())
    assert len(written) == 1
    (file,) = written
    assert view.plan.read_range(0, len(file) + 5) == file


def test_any_stretch_is_that_of_the_whole(view: Baked) -> None:
    chance = random.Random(1)
    whole = {name: view.plan.read_bytes(name) for name in view.stack.changed}
    for _ in range(200):
        name = chance.choice(sorted(whole))
        start = chance.randrange(len(whole[name]))
        size = min(chance.choice((1, 3, 100, 70_000)), len(whole[name]) - start)
        buffer = bytearray(size)
        view.plan.read_into(name, start, memoryview(buffer))
        assert bytes(buffer) == whole[name][start : start + size], (name, start, size)


def test_many_threads_read_the_same(view: Baked) -> None:
    names = sorted(view.stack.changed) * 8
    random.Random(2).shuffle(names)
    whole = {name: view.plan.read_bytes(name) for name in view.stack.changed}
    with ThreadPoolExecutor(6) as pool:
        for name, data in zip(names, pool.map(view.plan.read_bytes, names), strict=True):
            assert data == whole[name]


def test_a_module_is_read_once_and_few_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, arrays = base(tmp_path)
    names = [name for name in arrays if ".attn1.to_q.weight" in name or ".attn2.to_q.weight" in name]
    modules = {
        "diffusion_model." + name.removeprefix("model.diffusion_model.").removesuffix(".weight"): {
            "lora_A.weight": np.ones((2, arrays[name].shape[1]), np.float32),
            "lora_B.weight": np.ones((arrays[name].shape[0], 2), np.float32),
        }
        for name in names
    }
    assert len(modules) > 20
    read: list[str] = []
    values = Network.values

    def counted(self: Network, patch: Patch) -> object:
        read.append(patch.module.name)
        return values(self, patch)

    monkeypatch.setattr(Network, "values", counted)
    view = baked(path, (write_modules(tmp_path / "one.safetensors", modules), "1"))
    assert view.stack.warnings() == [] and not read, "headers tell what fits"
    write(view.plan, tmp_path / "out.safetensors", hashes=False, block=4096, workers=1)
    assert sorted(read) == sorted(modules)
    links = [step.link for name in names for step in view.stack._chains[name].steps]
    assert sum(link._read is not None for link in links) <= 9
    for name in names:
        view.stack.forget(name)
    assert not any(link._read is not None for link in links)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_the_sum_is_rounded_once(tmp_path: Path, dtype: torch.dtype) -> None:
    path, _ = base(tmp_path)
    arrays = {
        name: value.to(dtype) if value.dtype == torch.float32 else value for name, value in load_file(path).items()
    }
    save_file(arrays, path)
    modules = {module: lora(tuple(arrays[name].shape), 4, rank=1) for module, (name, _) in LAYERS.items()}
    view = baked(path, (write_modules(tmp_path / "one.safetensors", modules), "0.5"))
    write(view.plan, tmp_path / "out.safetensors", hashes=False)
    found = load_file(tmp_path / "out.safetensors")
    for module, (name, _) in LAYERS.items():
        shape = tuple(arrays[name].shape)
        wanted = arrays[name].double() + 0.5 * torch.from_numpy(product(modules[module], shape))
        ours = found[name].double()
        if dtype == torch.float64:
            torch.testing.assert_close(ours, wanted, rtol=1e-6, atol=1e-7)
            continue
        rounded = wanted.float().to(dtype).double()
        same = (ours == rounded).double().mean()
        assert same > 0.99, "but for sums that lie next to the middle between two numbers"
        step = 2.0 ** (-7 if dtype == torch.bfloat16 else -10)
        assert bool(((ours - rounded).abs() <= rounded.abs() * step + 1e-7).all())


def test_what_is_not_finite_is_counted(tmp_path: Path) -> None:
    path, arrays = base(tmp_path, np.float16)
    (module, (name, _)), *_ = LAYERS.items()
    parts = lora(arrays[name].shape, 1)
    parts["lora_up.weight"][3] = np.nan
    parts["lora_up.weight"][5] = 1e9
    view = baked(path, (write_modules(tmp_path / "one.safetensors", {module: parts}), "1"))
    view.plan.read_bytes(name)
    found = view.plan.findings[name]
    width = arrays[name].shape[1]
    assert (found.not_finite, found.overflowed) == (2 * width, width)
