"""An opener that is asked twice: the same source each time, and all closed at the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelhub.catalog.opener import Opener, SharedOpener
from modelhub.catalog.store import Catalog
from modelhub.errors import FileError, NotFoundError


def test_each_ref_is_opened_once(make_file: Any, tmp_path: Path) -> None:
    paths = [str(make_file(f"{name}.safetensors", {name: np.zeros(3, np.float32)})) for name in "ab"]
    with Catalog.open(tmp_path / "catalog.db") as catalog:
        with Opener(catalog) as opener:
            assert opener(paths[0]) is not opener(paths[0])
        with SharedOpener(catalog) as shared:
            first = shared(paths[0])
            assert shared(paths[0]) is first
            assert shared(paths[1]) is not first
            with pytest.raises(NotFoundError):
                shared("nowhere")
            assert first.source.read_bytes("a") == bytes(12)
        with pytest.raises(FileError, match="could not be used"):
            first.source.read_bytes("a")
