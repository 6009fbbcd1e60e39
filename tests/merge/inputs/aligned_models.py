"""Models of files on disk, and what an average of them is by their places, in float64."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from small_models import layout

from modelhub.catalog.opener import Parent
from modelhub.formats.opening import open_source
from modelhub.merge.inputs.align import Model, aligned

State = dict[str, torch.Tensor]
DENOISER = "model.diffusion_model."
Arrays = dict[str, np.ndarray[Any, Any]]


@contextmanager
def opened(*paths: Path) -> Iterator[dict[str, Model]]:
    """The models at these paths as A, B, C, each by itself."""
    with ExitStack() as stack:
        sources = [stack.enter_context(open_source(path)) for path in paths]
        yield {
            key: Model(key, Parent(source, path, path.stem, None))
            for key, source, path in zip("ABCD", sources, paths, strict=False)
        }


def values(model: Model, name: str) -> np.ndarray[Any, Any]:
    """A tensor of a model as float64."""
    return model.source.tensor(name).double().numpy()


def average(*paths: Path) -> tuple[Arrays, list[str]]:
    """The mean of the models in the layout of the first; and the names of the first that another lacks."""
    with opened(*paths) as models:
        found, lacking = {}, []
        seen = [*aligned(models, "A").values()]
        for name, info in seen[0].source.header.tensors.items():
            place = seen[0].place(name)
            names = [model.places.get(place) for model in seen]
            if None in names:
                lacking.append(name)
                continue
            arrays = [values(model, one or "") for model, one in zip(seen, names, strict=True)]
            assert {array.shape for array in arrays} == {info.shape}, (name, names)
            found[name] = sum(arrays) / len(arrays)
        return found, lacking


def means(one: Mapping[str, torch.Tensor], two: Mapping[str, torch.Tensor]) -> Arrays:
    """The mean of two dictionaries of tensors, name by name."""
    return {name: mean(tensor, two[name]) for name, tensor in one.items()}


def check(found: Arrays, expected: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """Equal in every name, shape and number."""
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].shape == array.shape, name
        assert np.array_equal(found[name], array, equal_nan=True), name


def state(name: str, seed: int, prefix: str = "", dtype: torch.dtype = torch.float16) -> State:
    """A released layout, its large widths divided by 64, under a prefix."""
    return {prefix + tensor: values for tensor, values in _weights(name, seed, dtype).items()}


@cache
def _weights(name: str, seed: int, dtype: torch.dtype) -> State:
    generator = torch.Generator().manual_seed(seed)
    shapes = {tensor: tuple(n // 64 if n >= 256 else n for n in shape) for tensor, (_, shape) in layout(name).items()}
    return {tensor: (torch.randn(shape, generator=generator) / 8).to(dtype) for tensor, shape in shapes.items()}


def without(prefix: str, tensors: State) -> State:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def put(path: Path, tensors: State, metadata: dict[str, str] | None = None) -> Path:
    save_file(tensors, path, metadata)
    return path


def mean(*tensors: torch.Tensor) -> Any:
    return sum(tensor.double().numpy() for tensor in tensors) / len(tensors)
