"""What every test starts from: a home of its own, no keys, no colours, and a way to make real safetensors files."""

from __future__ import annotations

import gc
import os
import random
import sys
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from world.fixture import world as world

# a busy machine is slow, not wrong
settings.register_profile("modelhub", deadline=None)
settings.load_profile("modelhub")
# what a change is judged by must not be a matter of luck: `scripts/test` draws the same examples every time
settings.register_profile("repeatable", deadline=None, derandomize=True)

MakeFile = Callable[..., Path]

# as the command line does, before torch is imported: waiting threads sleep, and tests can run side by side
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "2000")

# an app that is dropped is much garbage; looking at all of torch for each took a third of the time of the TUI's tests
_YOUNG, _MIDDLE, _OLD = gc.get_threshold()
gc.set_threshold(_YOUNG, _MIDDLE, 10 * _OLD)

_PROVIDERS = ("CIVITAI", "HF_", "HUGGING")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """What a test draws without a seed depends on its name alone; `MODELHUB_DRAWS=1` and so on draw something else."""
    seed = zlib.crc32(f"{os.environ.get('MODELHUB_DRAWS', '')}{item.nodeid}".encode())
    random.seed(seed)
    np.random.seed(seed)
    if "torch" in sys.modules:
        sys.modules["torch"].default_generator.manual_seed(seed)


def pytest_unconfigure() -> None:
    """pytest looks for garbage five times at its end; in all of torch that takes longer than workers are waited for."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`MODELHUB_HOME` in `tmp_path`, and an environment without the keys and colours of whoever runs the tests."""
    for name in list(os.environ):
        if name.startswith(_PROVIDERS) and ("TOKEN" in name or "KEY" in name):
            monkeypatch.delenv(name)
    for name in ("FORCE_COLOR", "CLICOLOR_FORCE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("MODELHUB_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def make_file(tmp_path: Path) -> MakeFile:
    """`make_file(path, tensors, metadata=None)` has the safetensors library write a file; bare names go to `tmp_path`.

    `tensors` maps names to numpy arrays or torch tensors, not both in one file.
    """

    def make(path: str | Path, tensors: Mapping[str, Any], metadata: Mapping[str, str] | None = None) -> Path:
        goal = tmp_path / path
        goal.parent.mkdir(parents=True, exist_ok=True)
        if all(isinstance(value, np.ndarray) for value in tensors.values()):
            from safetensors.numpy import save_file
        else:
            from safetensors.torch import save_file
        save_file(dict(tensors), goal, dict(metadata) if metadata else None)
        return goal

    return make
