"""A method applied to arrays through the real engine: sources in memory, windows, first passes, one rounding."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from modelhub.formats.threads import one_thread
from modelhub.formats.views import Held
from modelhub.merge.engine.expression import Apply, Leaf, Survey
from modelhub.merge.registry import Method, find_method

#: The name of the tensor, by which random numbers are drawn.
KEY = "model.weight"
_NAMES = {np.dtype(np.float32): "F32", np.dtype(np.float64): "F64"}


class Counted(Held):
    """A source that knows how many bytes were read of it."""

    read = 0

    def read_into(self, name: str, offset: int, buffer: memoryview) -> None:
        self.read += len(buffer)
        super().read_into(name, offset, buffer)


def held(array: np.ndarray) -> Counted:
    array = np.ascontiguousarray(array).reshape(np.shape(array))
    return Counted({KEY: (_NAMES[array.dtype], array.shape, array.tobytes())})


def completed(method: Method, parameters: Mapping[str, Any]) -> dict[str, Any]:
    assert set(parameters) <= {p.name for p in method.parameters}, parameters
    return {p.name: p.default for p in method.parameters} | dict(parameters)


def applied(
    method: Method | str,
    *arrays: np.ndarray,
    others: Mapping[str, Sequence[np.ndarray]] | None = None,
    **parameters: Any,
) -> Apply:
    """The expression; `others` are further tensors of the models, that a survey looks at too."""
    found = find_method(method) if isinstance(method, str) else method
    survey = Survey() if found.survey else None
    nodes = []
    for key, each in {KEY: arrays, **(others or {})}.items():
        inputs = tuple(Leaf(held(array), KEY) for array in each)
        nodes.append(Apply(found, completed(found, parameters), inputs, key, survey))
    if survey is not None:
        survey.members.extend((node.name, node) for node in nodes)
    return nodes[0]


def result(
    method: Method | str,
    *arrays: np.ndarray,
    others: Mapping[str, Sequence[np.ndarray]] | None = None,
    **parameters: Any,
) -> np.ndarray:
    """What becomes of the arrays, stored in the dtype of the first."""
    return computed(applied(method, *arrays, others=others, **parameters), arrays[0].dtype)


def computed(node: Apply, dtype: Any) -> np.ndarray:
    kind = {"float32": torch.float32, "float64": torch.float64}[np.dtype(dtype).name]
    with torch.inference_mode(), one_thread():
        return node.window(0, node.numel, kind).numpy().reshape(node.shape)
