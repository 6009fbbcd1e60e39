"""Where the weights are: wrappers, nesting, modules, embeddings, hypernetworks, and what the file says beside them."""

from __future__ import annotations

import collections
import pickle
import pickletools
import sys
import types

import pytest

from modelhub.formats.pickles.file import PickleFile
from modelhub.formats.pickles.weights import WRAPPERS


@pytest.fixture
def save(torch, tmp_path):
    def save(value: object, **options):
        torch.save(value, tmp_path / "m.ckpt", **options)
        return tmp_path / "m.ckpt"

    return save


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_the_weights_are_unwrapped_and_the_rest_is_counted(torch, save, check_file, wrapper):
    weights = {"a.weight": torch.ones(2), "b": torch.zeros(3)}
    moments = {"state": {0: {"exp_avg": torch.ones(2)}, 1: {"exp_avg": torch.ones(3)}}}
    file = check_file(
        save({"optimizer_states": [moments], wrapper: weights, "beside": torch.ones(1), "epoch": 3}), weights
    )
    assert file.header.metadata["pickle.root"] == wrapper
    assert file.header.metadata["pickle.epoch"] == "3"
    assert [finding.split()[0] for finding in file.findings] == ["2", "1"]
    assert "'optimizer_states'" in file.findings[0]


def test_the_average_of_an_upscaler_is_preferred(torch, save, check_file):
    file = check_file(save({"params": {"w": torch.zeros(2)}, "params_ema": {"w": torch.ones(2)}}), {"w": torch.ones(2)})
    assert file.header.metadata["pickle.root"] == "params_ema"


def test_a_wrapper_without_tensors_is_none(torch, save, check_file):
    file = check_file(save({"model": "sd1", "params": {"lr": 0.1}, "weight": torch.ones(2)}), {"weight": torch.ones(2)})
    assert file.header.metadata["pickle.root"] == ""
    assert file.header.metadata["pickle.model"] == "sd1"


def test_prefixes_that_all_names_share_are_left_alone(torch, save, check_file):
    check_file(
        save({"module.a": torch.ones(1), "module.b": torch.ones(1)}),
        {"module.a": torch.ones(1), "module.b": torch.ones(1)},
    )


def test_a_training_checkpoint(torch, save, check_file, monkeypatch):
    """Classes of a training library as keys and values, numbers of numpy, settings, moments; only the weights count."""
    import numpy as np

    names = ["pytorch_lightning", "pytorch_lightning.callbacks", "pytorch_lightning.callbacks.model_checkpoint", "ldm"]
    modules = {name: types.ModuleType(name) for name in names}
    for name, made in modules.items():
        monkeypatch.setitem(sys.modules, name, made)
    module, other = modules[names[2]], modules["ldm"]
    module.ModelCheckpoint = type("ModelCheckpoint", (), {"__module__": module.__name__})
    other.Settings = type("Settings", (dict,), {"__module__": other.__name__})
    weights = collections.OrderedDict({"model.w": torch.randn(3, 4), "model_ema.w": torch.randn(3, 4).half()})
    weights._metadata = collections.OrderedDict({"": {"version": 1}})
    path = save(
        {
            "epoch": 7, "global_step": 840000, "pytorch-lightning_version": "1.4.2", "state_dict": weights,
            "callbacks": {module.ModelCheckpoint: {"best_model_score": np.float64(0.25), "monitor": "val"}},
            "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(3, 4)}}, "param_groups": [{"lr": 1e-4, "params": [0]}]}],
            "lr_schedulers": [{"last_epoch": 1}], "loops": {"fit": {"done": {1, 2}}}, "hyper_parameters": other.Settings(a=1),
            "score": np.float32(0.5), "betas": [0.9, 0.999], "shapes": [[1]], "done": True, "note": "x" * 501, "nothing": None,
        }
    )  # fmt: skip
    for name in names:
        monkeypatch.delitem(sys.modules, name)
    file = check_file(path, weights)
    assert file.header.metadata == {
        "pickle.epoch": "7", "pickle.global_step": "840000", "pickle.pytorch-lightning_version": "1.4.2",
        "pickle.betas": "[0.9, 0.999]", "pickle.done": "true", "pickle.root": "state_dict", "pickle.container": "zip",
    }  # fmt: skip
    verdicts = {name.path: name.verdict for name in file.globals}
    assert verdicts["pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint"] == "inert"
    assert verdicts["ldm.Settings"] == "unknown"
    assert "dangerous" not in verdicts.values()
    assert file.findings[0].startswith("1 tensor of 'optimizer_states' was left out")
    assert "ldm.Settings" in file.findings[1]


def test_an_embedding_as_a_dict_and_as_a_module(torch, save, check_file):
    for params in ({"*": torch.ones(2, 768)}, torch.nn.ParameterDict({"*": torch.nn.Parameter(torch.ones(2, 768))})):
        value = {
            "string_to_token": {"*": 265},
            "string_to_param": params,
            "name": "style",
            "step": 500,
            "sd_checkpoint": "81761151",
        }
        file = check_file(save(value), {"string_to_param.*": torch.ones(2, 768)})
        assert {
            "pickle.name": "style",
            "pickle.step": "500",
            "pickle.sd_checkpoint": "81761151",
        }.items() <= file.header.metadata.items()


def test_a_hypernetwork(torch, save, check_file):
    layers = {
        size: tuple({f"linear.{n}.weight": torch.randn(n + 2, size) for n in (0, 1)} for _ in (0, 1))
        for size in (320, 768)
    }
    value = {
        **layers,
        "step": 9,
        "name": "h",
        "layer_structure": [1, 2, 1],
        "activation_func": "relu",
        "is_layer_norm": False,
    }
    expected = {f"{s}.{i}.{n}": t for s, pair in layers.items() for i, part in enumerate(pair) for n, t in part.items()}
    metadata = check_file(save(value), expected).header.metadata
    assert metadata["pickle.layer_structure"] == "[1, 2, 1]"
    assert metadata["pickle.activation_func"] == "relu"
    assert metadata["pickle.is_layer_norm"] == "false"


def test_a_whole_module_gives_its_state_dict(torch, save, check_file):
    nn = torch.nn
    module = nn.Sequential(
        nn.Conv2d(1, 2, 3),
        nn.BatchNorm2d(2),
        nn.ModuleDict({"x": nn.Linear(2, 3)}),
        nn.ParameterList([nn.Parameter(torch.ones(2))]),
    )
    file = check_file(save({"model": module}), module.state_dict())
    assert file.header.metadata["pickle.root"] == "model"
    assert "torch.nn.modules.conv.Conv2d" in file.findings[-1]


def test_a_single_tensor_and_lists_of_them(torch, save, check_file):
    check_file(save(torch.ones(3)), {"tensor": torch.ones(3)})
    check_file(save([torch.ones(3), {"a": (torch.zeros(1),)}]), {"0": torch.ones(3), "1.a.0": torch.zeros(1)})


def test_names_of_every_kind(torch, save, check_file):
    names = {"": 1, "a\nb": 2, "ключ": 3, "鍵": 4, "../../x": 5, "a b": 6, "\x1b[0m": 7}
    check_file(
        save({name: torch.tensor(value) for name, value in names.items()}),
        {n: torch.tensor(v) for n, v in names.items()},
    )
    with PickleFile(save({5: torch.ones(1), (7, 8): torch.ones(1), None: torch.ones(1), 1.5: torch.ones(1)})) as file:
        assert sorted(file.header.tensors) == ["5"]


def test_names_that_python_2_wrote(torch, tmp_path, check_file):
    data = pickle.dumps({"six": torch.ones(1)}, 2)
    (tmp_path / "old.pt").write_bytes(data.replace(b"X\3\0\0\0six", b"U\3six", 1))
    check_file(tmp_path / "old.pt", {"six": torch.ones(1)})


def test_two_tensors_of_one_name_and_one_tensor_of_two(torch, save, check_file):
    shared = torch.arange(4.0)
    file = check_file(
        save({"a": {"b": shared}, "a.b": torch.zeros(1), "c": shared, "d": shared[1:]}),
        {"a.b": shared, "c": shared, "d": shared[1:]},
    )
    assert "'a.b'" in file.findings[0]


def test_a_shared_part_is_listed_under_both_names(torch, save, check_file):
    part = {"w": torch.ones(2)}
    check_file(save({"one": part, "two": part}), {"one.w": torch.ones(2), "two.w": torch.ones(2)})


def test_of_a_key_that_is_set_twice_the_last_value_counts(torch, tmp_path, check_file):
    state = {"a": torch.zeros(1), "b": torch.ones(1)}
    data = pickle.dumps(state, 2)
    assert data.count(b"\1\0\0\0b") == 1
    (tmp_path / "twice.pt").write_bytes(data.replace(b"\1\0\0\0b", b"\1\0\0\0a"))
    check_file(tmp_path / "twice.pt", {"a": torch.ones(1)})


def test_a_file_without_tensors_has_an_empty_header(save):
    for value in ({}, [], 5, "text", None, {"a": 1}, {1, 2}):
        with PickleFile(save(value)) as file:
            assert not file.header.tensors
            assert file.dangers == ()


def test_metadata_is_bounded_and_can_be_stored(tmp_path):
    table = {f"k{number}": "é" * 500 for number in range(300)} | {"container": "mine", "root": "mine"}
    table = {"half \ud800": "half \udfff", "k" * 101: 1, "huge": 2**2000, "inf": float("inf")} | table
    (tmp_path / "m.pt").write_bytes(pickle.dumps(table, 2))
    with PickleFile(tmp_path / "m.pt") as file:
        metadata = file.header.metadata
    assert len(metadata) == 100
    assert max(map(len, metadata.values())) <= 500
    assert metadata["pickle.container"] == "plain"
    assert metadata["pickle.root"] == ""
    assert all(text.encode() for text in metadata)
    assert "pickle.huge" not in metadata
    assert metadata["pickle.half ?"] == "half ?"


def test_a_name_of_half_a_character_is_an_error_in_words(torch, save):
    from modelhub.errors import CorruptFileError

    with pytest.raises(CorruptFileError):
        PickleFile(save({"half \ud800": torch.ones(1)}))


def test_where_a_name_stands_in_the_file(torch, save):
    path = save({"a": torch.ones(1)})
    data = path.read_bytes()
    with PickleFile(path) as file:
        for name in file.globals:
            assert data[name.offset :].startswith(f"c{name.module}\n{name.name}\n".encode())
    assert len(file.globals) == sum(
        op.name == "GLOBAL" for op, _, _ in pickletools.genops(data[data.index(b"\x80\2}q") :])
    )
