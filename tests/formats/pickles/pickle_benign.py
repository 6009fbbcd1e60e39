"""Harmless files of every kind that people have: each is written by torch, numpy or pickle, with small tensors.

Classes of programs that are not installed are made for the time of `pretended`, so that files refer to them.
"""

from __future__ import annotations

import argparse
import collections
import functools
import io
import pathlib
import pickle
import sys
import types
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

_PRETENDED = """
    pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint lightning.pytorch.callbacks.early_stopping.EarlyStopping
    omegaconf.dictconfig.DictConfig omegaconf.listconfig.ListConfig omegaconf.base.ContainerMetadata
    omegaconf.base.Metadata omegaconf.nodes.AnyNode easydict.EasyDict basicsr.archs.rrdbnet_arch.RRDBNet ldm.util.Config
"""


@contextmanager
def pretended() -> Iterator[Callable[[str], Any]]:
    """A function that makes an object of one of the classes above, which stand in their modules until the end."""
    classes: dict[str, type] = {}
    before = set(sys.modules)
    for path in _PRETENDED.split():
        module, _, name = path.rpartition(".")
        for end in range(1, module.count(".") + 2):
            part = ".".join(module.split(".")[:end])
            sys.modules.setdefault(part, types.ModuleType(part))
        base = torch.nn.Conv2d if name == "RRDBNet" else object
        classes[name] = type(name, (base,), {"__module__": module})
        setattr(sys.modules[module], name, classes[name])
    try:
        yield lambda name: classes[name]
    finally:
        for module in set(sys.modules) - before:
            if module.partition(".")[0] in {path.partition(".")[0] for path in _PRETENDED.split()}:
                del sys.modules[module]


def _weights(seed: int = 1) -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    base = torch.randn(4, 6, generator=rng)
    return collections.OrderedDict(
        {
            "model.weight": base, "model.tied": base, "model.turned": base.t(), "model.half": base.half(),
            "model.brain": base.bfloat16(), "model.part": base[1:3], "model.position_ids": torch.arange(7).unsqueeze(0),
            "model.one": torch.tensor(0.5), "model.flags": torch.tensor([True, False]), "model.none": torch.zeros(0, 3),
        }
    )  # fmt: skip


def _attributes(made: Any, **attributes: Any) -> Any:
    made.__dict__.update(attributes)
    return made


def _lightning(of: Callable[[str], Any]) -> Any:
    return {
        "epoch": 7, "global_step": 840_000, "pytorch-lightning_version": "1.4.2", "state_dict": _weights(),
        "callbacks": {of("ModelCheckpoint"): {"best_model_score": np.float64(0.25), "kth": torch.tensor(1.5), "dirpath": pathlib.PurePosixPath("/logs")}},
        "optimizer_states": [{"state": {0: {"step": 3, "exp_avg": torch.ones(3)}}, "param_groups": [{"lr": 1e-4, "betas": (0.9, 0.999)}]}],
        "lr_schedulers": [{"base_lrs": [1e-4], "lr_lambdas": [None], "score": np.float32(2)}],
        "hyper_parameters": argparse.Namespace(lr=0.1, gpus=[0], name="x", stop=of("EarlyStopping")),
    }  # fmt: skip


def _config(of: Callable[[str], Any]) -> Any:
    meta = _attributes(of("ContainerMetadata")(), ref_type=dict, object_type=dict, key_type=Any, element_type=Any)
    node = _attributes(of("AnyNode")(), _val=1e-4, _metadata=_attributes(of("Metadata")(), optional=True))
    inner = _attributes(of("ListConfig")(), _content=[node], _metadata=meta)
    config = _attributes(of("DictConfig")(), _content={"lr": node, "list": inner}, _metadata=meta, _parent=None)
    return {"state_dict": _weights(), "config": config, "easy": of("EasyDict")(), "own": of("Config")()}


def _things(of: Callable[[str], Any]) -> Any:
    return {
        "state_dict": _weights(), "set": {1, 2}, "bytes": b"\xff\0", "array": bytearray(b"x"), "complex": 1j, "slice": slice(1, 2),
        "counter": collections.Counter("aab"), "default": collections.defaultdict(list, {"a": [1]}), "size": torch.Size([1, 2]),
        "device": torch.device("cuda:0"), "dtype": torch.float16, "partial": functools.partial(int, base=2), "none": None,
        "numpy": np.arange(4), "scalar": np.int64(4), "dtypes": [torch.bfloat16, np.dtype("f4")], "typing": Any,
        "generator": torch.get_rng_state(), "path": pathlib.PurePosixPath("a/b"), "layout": torch.strided, "words": np.str_("x"),
    }  # fmt: skip


def _training(of: Callable[[str], Any]) -> Any:
    module = torch.nn.Linear(2, 3)
    optimizer = torch.optim.AdamW(module.parameters())
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 5)
    return {"model_state_dict": module.state_dict(), "optimizer": optimizer, "schedule": schedule, "step": 5}


def _embedding(params: Any) -> Any:
    return {
        "string_to_token": {"*": torch.tensor(265)}, "string_to_param": params, "name": "style", "step": 500,
        "sd_checkpoint": "81761151", "sd_checkpoint_name": None,
    }  # fmt: skip


def _hypernetwork() -> Any:
    layers = {size: [{f"linear.{n}.weight": torch.randn(n + 2, size) for n in (0, 1)}] * 2 for size in (320, 768)}
    return {
        **layers,
        "step": 9,
        "name": "h",
        "layer_structure": [1, 2, 1],
        "activation_func": "relu",
        "is_layer_norm": False,
    }


def _kinds() -> Any:
    names = "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 bool complex64 uint16 uint32 uint64 float8_e4m3fn float8_e5m2"
    raw = torch.arange(64) % 2
    return {name: raw.to(torch.uint8).view(getattr(torch, name)) for name in names.split()}


#: What torch.save writes: the values, given a maker of pretended classes.
VALUES: dict[str, Callable[[Callable[[str], Any]], Any]] = {
    "a state dict": lambda of: _weights(),
    "a wrapped state dict": lambda of: {"state_dict": _weights()},
    "a Lightning checkpoint": _lightning,
    "a checkpoint with its settings": _config,
    "a checkpoint with things of all sorts": _things,
    "a checkpoint of a training": _training,
    "parameters": lambda of: {name: torch.nn.Parameter(t, t.is_floating_point()) for name, t in _weights().items()},
    "every kind of number": lambda of: _kinds(),
    "an embedding": lambda of: _embedding({"*": torch.ones(2, 8)}),
    "an embedding of the first kind": lambda of: _embedding(torch.nn.ParameterDict({"*": torch.nn.Parameter(torch.ones(2, 8))})),
    "a concept": lambda of: {"<cat-toy>": torch.ones(8)},
    "a hypernetwork": lambda of: _hypernetwork(),
    "an upscaler": lambda of: {"params_ema": _weights(), "params": _weights(2)},
    "a whole upscaler": lambda of: of("RRDBNet")(1, 2, 3),
    "a whole module": lambda of: torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3), torch.nn.GELU()),
    "a list of tensors": lambda of: [torch.ones(2), (torch.zeros(1),)],
}  # fmt: skip


def _again(path: Path, method: int = zipfile.ZIP_STORED, comment: bytes = b"", **more: bytes) -> None:
    """The archive of a state dict, written once more by a person's packer."""
    torch.save({"state_dict": _weights()}, buffer := io.BytesIO())
    with zipfile.ZipFile(buffer) as old, zipfile.ZipFile(path, "w", method) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
        for name, data in more.items():
            new.writestr(f"archive/{name}", data)
        new.comment = comment


class _Pipe(io.RawIOBase):
    """A stream that cannot go back: sizes and sums follow behind the data."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return self._file.write(data)

    def close(self) -> None:
        self._file.close()


def _through(path: Path, force: bool = False) -> None:
    torch.save({"state_dict": _weights()}, buffer := io.BytesIO())
    target: Any = _Pipe(path) if not force else path
    with zipfile.ZipFile(buffer) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            with new.open(name, "w", force_zip64=force) as file:
                file.write(old.read(name))
    if not force:
        target.close()


def _without_sums(path: Path) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({"state_dict": _weights()}, path)
    finally:
        torch.serialization.set_crc32_options(True)


def _of_old(path: Path) -> None:
    """As torch 1.6 wrote them: no byte order, no number."""
    torch.save({"state_dict": _weights()}, buffer := io.BytesIO())
    with zipfile.ZipFile(buffer) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            if name.endswith(("/version", "data.pkl")) or "/data/" in name:
                new.writestr(name, old.read(name))


def _script(path: Path) -> None:
    torch.jit.save(torch.jit.script(torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))), path)


def _plain(path: Path, value: Any, protocol: int) -> None:
    path.write_bytes(pickle.dumps(value, protocol))


def _arrays() -> dict[str, Any]:
    return {
        "a": np.arange(6.0).reshape(2, 3),
        "b": np.asfortranarray(np.ones((2, 3), "f2")),
        "large": np.zeros(9000, "f4"),
        "s": np.float32(1),
    }


#: Containers: files with the same weights, by who wrote them and how.
CONTAINERS: dict[str, Callable[[Path], None]] = {
    "legacy": lambda path: torch.save(_weights(), path, _use_new_zipfile_serialization=False),
    "legacy of protocol 4": lambda path: torch.save(_weights(), path, _use_new_zipfile_serialization=False, pickle_protocol=4),
    "zip of protocol 5": lambda path: torch.save(_weights(), path, pickle_protocol=5),
    "zip of old": _of_old,
    "zip without sums": _without_sums,
    "packed": lambda path: _again(path, zipfile.ZIP_DEFLATED),
    "packed again": lambda path: _again(path, comment=b"packed again"),
    "with folders": lambda path: _again(path, **{"notes/": b"", "notes/readme.txt": b"hello"}),
    "with other pickles": lambda path: _again(path, **{"extra.pkl": pickle.dumps({"a": [1]}), "more": pickle.dumps(1, 4)}),
    "through a pipe": _through,
    "zip64": lambda path: _through(path, True),
    "TorchScript": _script,
    "plain pickle": lambda path: _plain(path, _weights(), 2),
    "plain pickle of protocol 5": lambda path: _plain(path, _weights(), 5),
    "numpy arrays": lambda path: _plain(path, _arrays(), 4),
    "numpy arrays of old": lambda path: _plain(path, _arrays(), 0),
}  # fmt: skip


def write_all(folder: Path) -> Iterator[tuple[str, Path]]:
    """Write every file of this module into a folder: its name in words, and its path."""
    with pretended() as of:
        for number, (name, value) in enumerate(VALUES.items()):
            torch.save(value(of), folder / f"value {number}.ckpt")
            yield name, folder / f"value {number}.ckpt"
        for number, (name, write) in enumerate(CONTAINERS.items()):
            write(folder / f"container {number}.ckpt")
            yield name, folder / f"container {number}.ckpt"
