"""Harmless files: every kind that people have is read, bit for bit as torch reads it, and none is called dangerous."""

from __future__ import annotations

import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
from pickle_attacks import text, zip_with
from pickle_benign import CONTAINERS, VALUES, pretended

from modelhub.formats.pickles.examine import examine
from modelhub.formats.pickles.file import PickleFile
from modelhub.formats.pickles.weights import WRAPPERS
from modelhub.formats.sniff import sniff


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Names with dots of all tensors and arrays, as torch made them."""
    import numpy as np
    import torch

    if isinstance(value, torch.nn.Module):
        value = value.state_dict()
    if isinstance(value, np.ndarray):
        value = torch.from_numpy(np.ascontiguousarray(value))
    if isinstance(value, torch.Tensor):
        return {prefix.removesuffix("."): value}
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    return {name: item for key, inner in pairs for name, item in _flat(inner, f"{prefix}{key}.").items()}


def _weights(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        value = next((value[key] for key in WRAPPERS if key in value), value)
    return _flat(value)


def _loaded(path: Path) -> Any:
    """What torch reads, or pickle where the file is written by pickle alone."""
    import torch

    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as file:
            is_script = any(name.endswith("constants.pkl") for name in file.namelist())
        return torch.jit.load(path) if is_script else torch.load(path, weights_only=False)
    data = path.read_bytes()
    return torch.load(path, weights_only=False) if b"little_endian" in data[:200] else pickle.loads(data)


def _same(path: Path, check_file) -> PickleFile:
    expected = _weights(_loaded(path))
    assert expected
    assert sniff(path) == "pickle"
    found = examine(path)
    assert (found.error, found.dangers) == (None, ())
    return check_file(path, expected)


@pytest.mark.parametrize("name", VALUES)
def test_values_of_every_kind(torch, tmp_path, check_file, name):
    with pretended() as of:
        torch.save(VALUES[name](of), tmp_path / "m.ckpt")
        _same(tmp_path / "m.ckpt", check_file)


@pytest.mark.parametrize("name", CONTAINERS)
def test_containers_of_every_kind(tmp_path, check_file, name):
    CONTAINERS[name](tmp_path / "m.ckpt")
    _same(tmp_path / "m.ckpt", check_file)


@pytest.mark.parametrize("stem", ["my model v1.0 (final)", "鍵", "café ☕", "a.b.c", "archive", "-x", "data"])
def test_folders_of_every_name(torch, tmp_path, check_file, stem):
    """torch takes the name of the file, if it is of plain letters; people give it others."""
    torch.save({"w": torch.arange(5)}, tmp_path / "m.ckpt")
    with zipfile.ZipFile(tmp_path / "m.ckpt") as old, zipfile.ZipFile(tmp_path / "n.ckpt", "w") as new:
        for name in old.namelist():
            new.writestr(f"{stem}/{name.partition('/')[2]}", old.read(name))
    check_file(tmp_path / "n.ckpt", torch.load(tmp_path / "n.ckpt", weights_only=True))


@pytest.mark.parametrize("name", ["m.safetensors", "m.txt", "m", "m.zip", "m.GGUF"])
def test_files_of_every_extension(torch, tmp_path, name):
    """What a file is, its bytes say and not its name."""
    from modelhub.formats.opening import open_source

    with (tmp_path / name).open("wb") as file:
        torch.save({"w": torch.arange(5)}, file)
    with open_source(tmp_path / name) as source:
        assert isinstance(source, PickleFile)
        assert source.read_bytes("w") == torch.arange(5).numpy().tobytes()


@pytest.mark.parametrize("location", ["cpu", "cuda:0", "cuda:7", "mps", "xla:1", "hpu", "privateuseone", "meta?", ""])
def test_the_device_that_tensors_came_from_does_not_matter(torch, tmp_path, check_file, location):
    torch.save({"w": torch.arange(5)}, tmp_path / "m.ckpt", pickle_protocol=2)
    with zipfile.ZipFile(tmp_path / "m.ckpt") as old, zipfile.ZipFile(tmp_path / "n.ckpt", "w") as new:
        for name in old.namelist():
            data = old.read(name)
            new.writestr(name, data.replace(text("cpu"), text(location)) if name.endswith("data.pkl") else data)
    check_file(tmp_path / "n.ckpt", {"w": torch.arange(5)})


#: All names that harmless files of people refer to.
GLOBALS = """
    collections.OrderedDict collections.defaultdict collections.Counter collections.deque builtins.dict builtins.list builtins.set builtins.int
    torch.FloatStorage torch.HalfStorage torch.BFloat16Storage torch.DoubleStorage torch.LongStorage torch.IntStorage
    torch.ShortStorage torch.CharStorage torch.ByteStorage torch.BoolStorage torch.ComplexFloatStorage torch.cuda.FloatStorage
    torch.cuda.HalfStorage torch.storage.TypedStorage torch.storage.UntypedStorage torch._utils._rebuild_tensor
    torch._utils._rebuild_tensor_v2 torch._utils._rebuild_tensor_v3 torch._utils._rebuild_parameter
    torch._utils._rebuild_parameter_with_state torch.nn.parameter.Parameter torch._tensor._rebuild_from_type_v2
    torch._utils._rebuild_device_tensor_from_numpy torch._utils._rebuild_meta_tensor_no_storage torch.float8_e4m3fn
    torch.float8_e5m2 torch.uint16 torch.uint32 torch.float16 torch.bfloat16 torch.Size torch.device torch.serialization._get_layout
    pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint lightning.pytorch.callbacks.model_checkpoint.ModelCheckpoint
    pytorch_lightning.callbacks.early_stopping.EarlyStopping numpy.core.multiarray.scalar numpy._core.multiarray.scalar numpy.dtype
    _codecs.encode numpy.core.multiarray._reconstruct numpy._core.multiarray._reconstruct numpy.ndarray numpy.dtypes.Float64DType
    omegaconf.dictconfig.DictConfig omegaconf.listconfig.ListConfig omegaconf.base.ContainerMetadata omegaconf.base.Metadata
    omegaconf.nodes.AnyNode typing.Any argparse.Namespace pathlib.PosixPath pathlib.WindowsPath functools.partial easydict.EasyDict
    torch.optim.adam.Adam torch.optim.adamw.AdamW torch.optim.lr_scheduler.LambdaLR torch.nn.modules.container.ParameterDict
    torch.nn.modules.container.Sequential torch.nn.modules.conv.Conv2d torch.nn.modules.activation.LeakyReLU basicsr.archs.rrdbnet_arch.RRDBNet
    __main__.Net __builtin__.set __builtin__.bytearray __builtin__.complex __builtin__.slice __builtin__.dict __builtin__.list
    __builtin__.unicode copy_reg._reconstructor __builtin__.object torch.torch_version.TorchVersion
    torch.cuda.amp.grad_scaler.GradScaler torch.cuda.amp.grad_scaler._refresh_per_optimizer_state
    torch.amp.grad_scaler._refresh_per_optimizer_state numpy.random._pickle.__randomstate_ctor numpy.random._pickle.__generator_ctor
    numpy.random._pickle.__bit_generator_ctor numpy.random._mt19937.MT19937 transformers.trainer_utils.IntervalStrategy
    transformers.training_args.TrainingArguments diffusers.configuration_utils.FrozenDict datetime.datetime datetime.timedelta
    torch.nn.functional.relu torch._C._nn.gelu torch.nn.init.xavier_uniform_ torch.strided torch.Generator
"""

_TENSOR = (
    b"ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu")
    + b"K\2tQK\0K\2\x85K\1\x85\x89ccollections\nOrderedDict\n)RtR"
)  # fmt: skip


@pytest.mark.parametrize("path", GLOBALS.split())
def test_every_name_of_harmless_files(tmp_path, path):
    """As a value, as a key, called, made and given a state: the weights beside it are read."""
    module, _, name = path.rpartition(".")
    named = f"c{module}\n{name}\n".encode()
    things = {"value": named, "called": named + b")R", "made": named + b")\x81}" + text("x") + b"K\1sb"}
    pickled = b"\x80\x02}" + text("state_dict") + b"}" + text("w") + _TENSOR + b"ss" + named + b"}s"
    pickled += b"".join(text(key) + value + b"s" for key, value in things.items()) + b"."
    (tmp_path / "m.ckpt").write_bytes(zip_with(pickled, data__0=struct.pack("<2f", 1, 2), version=b"3"))
    found = examine(tmp_path / "m.ckpt")
    assert (found.dangers, found.error) == ((), None)
    assert {f"{one.module}.{one.name}" for one in found.globals} >= {"torch.FloatStorage"}
    with PickleFile(tmp_path / "m.ckpt") as file:
        assert file.read_bytes("w") == struct.pack("<2f", 1, 2)
        assert list(file.header.tensors) == ["w"]
