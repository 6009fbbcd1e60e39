"""spool: what is put down is read back as it was, in its precision; nothing is left of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from modelhub.errors import FileError
from modelhub.formats.opening import open_source
from modelhub.formats.writer import write
from modelhub.lora.making.spool import Spool


def test_everything_comes_back_and_nothing_is_left(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    old = {"big": rng.standard_normal((1200, 1000)).astype(np.float32), "none": np.zeros((0, 3), np.float16),
           "one": np.array(7, np.int64)}  # fmt: skip
    save_file(old, tmp_path / "old.safetensors")
    new = torch.from_numpy(rng.standard_normal((5, 3)))
    with Spool(tmp_path / "new.safetensors") as spool, open_source(tmp_path / "old.safetensors") as source:
        assert spool.add("half", new, "F16").not_finite == 0
        assert spool.add("large", new * 1e9, "F16").not_finite > 0
        for name in old:
            spool.copy(source, name)
        assert "half" in spool and "other" not in spool
        view = spool.source({"a": "b"})
        assert view.header.metadata == {"a": "b"} and view.read_range(0, 10**9) == view.read_range(
            0, view.header.file_size
        )
        write(view, tmp_path / "new.safetensors")
    found = load_file(tmp_path / "new.safetensors")
    assert all(found[name].dtype == value.dtype and (found[name] == value).all() for name, value in old.items())
    assert found["none"].shape == (0, 3) and (found["half"] == new.numpy().astype(np.float16)).all()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.safetensors", "old.safetensors"]


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="none"):
        Spool(tmp_path / "none" / "new.safetensors")
