"""The options of tasks as fields, and values as they are typed."""

from __future__ import annotations

import pytest

from modelhub.convert.asking import TASKS, component_words, fields, read_size, task_of
from modelhub.convert.converting import Options
from modelhub.convert.prune.pruning import Pruning
from modelhub.convert.tasks import Mending
from modelhub.errors import UsageError


def test_every_option_of_every_task_is_a_field():
    kinds = {name: {field.name: field.kind for field in fields(name)} for name in TASKS}
    assert kinds["convert"] == {"dtype": "choice", "vae_dtype": "choice", "salvage": "flag", "max_output": "size"}
    assert (
        kinds["prune"]["drop"] == "words" and kinds["prune"]["ema"] == "choice" and kinds["prune"]["strict"] == "flag"
    )
    assert kinds["repair"] == {"donor": "model", "nan": "choice"}
    assert all(field.help for name in TASKS for field in fields(name))
    assert {name: task_of(name, {}) for name in TASKS} == {
        "convert": Options(),
        "prune": Pruning(),
        "repair": Mending(),
    }


def test_typed_values_are_read():
    assert task_of("convert", {"max_output": "1.5 gb", "dtype": "fp16"}) == Options("fp16", max_output=1_500_000_000)
    assert task_of("prune", {"drop": "vae, te1"}) == Pruning(drop=("vae", "te1"))
    assert component_words(["vae,vae", "te1"]) == ("vae", "te1") and read_size("7") == 7
    for wrong in ("", "x", "-1", "1e9", "9" * 5000, "20 parrots"):
        with pytest.raises(UsageError):
            read_size(wrong)
