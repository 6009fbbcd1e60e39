"""Lay out the demo's library: a small folder of models as ComfyUI arranges them, made from the files in catalog/demo.

The styles are shipped as U-Nets alone; here each becomes a whole checkpoint, base with that U-Net.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from modelhub.catalog.data import data_path
from modelhub.errors import FileExistsAlreadyError, file_error
from modelhub.formats.safetensors import SafetensorsFile
from modelhub.formats.source import TensorSource
from modelhub.formats.views import Combined
from modelhub.formats.writer import check_target, replacing, write, write_all
from modelhub.jobs import QUIET, Job

_BLOCK = 1 << 20
_MARK = "modelhub-demo.txt"
_ABOUT = """This folder was made by `modelhub demo`. Its models are tiny: they draw coloured shapes, 64 pixels wide.
They are free of rights (CC0). Delete the folder when you no longer need it; `modelhub demo` makes it anew.
"""

#: Files that are copied: goal in the library to name in catalog/demo.
_COPIES = {
    "checkpoints/tiny-shapes-base.safetensors": "tiny-shapes-base.safetensors",
    "diffusion_models/tiny-shapes-stripes-unet.safetensors": "tiny-shapes-stripes-unet.safetensors",
    "loras/tiny-shapes-framed-lora.safetensors": "tiny-shapes-framed-lora.safetensors",
    "embeddings/sundisc.safetensors": "sundisc.safetensors",
    "embeddings/sundisc.pt": "sundisc.pt",
    "upscale_models/tiny-realesrgan-x4.pth": "tiny-realesrgan-x4.pth",
    "upscale_models/tiny-esrgan-x4-oldarch.pth": "tiny-esrgan-x4-oldarch.pth",
}

#: Checkpoints that are composed: goal in the library to the U-Net in catalog/demo that replaces base's.
_COMPOSED = {
    "checkpoints/tiny-shapes-stripes.safetensors": "tiny-shapes-stripes-unet.safetensors",
    "checkpoints/tiny-shapes-pastel.safetensors": "tiny-shapes-pastel-unet.safetensors",
}

#: Answers with `size` bytes from `offset` on of a file as it should be, fewer at its end.
_Read = Callable[[int, int], bytes]


@dataclass(frozen=True, slots=True)
class Library:
    """The library: its folder, all its files in order, and those of them that were written now (others were there)."""

    folder: Path
    files: tuple[Path, ...]
    written: tuple[Path, ...]

    @property
    def base(self) -> Path:
        """The checkpoint that the styles were trained from."""
        return self.folder / "checkpoints" / "tiny-shapes-base.safetensors"

    @property
    def stripes(self) -> Path:
        """The checkpoint that puts dark stripes on backgrounds."""
        return self.folder / "checkpoints" / "tiny-shapes-stripes.safetensors"

    @property
    def pastel(self) -> Path:
        """The checkpoint of pale colours."""
        return self.folder / "checkpoints" / "tiny-shapes-pastel.safetensors"

    @property
    def lora(self) -> Path:
        """The LoRA that draws a white frame when the prompt says "framed"."""
        return self.folder / "loras" / "tiny-shapes-framed-lora.safetensors"

    @property
    def embedding(self) -> Path:
        """The word "sundisc", a large yellow circle on black."""
        return self.folder / "embeddings" / "sundisc.safetensors"

    @property
    def upscaler(self) -> Path:
        """The upscaler of four times the size, in the key layout of Real-ESRGAN."""
        return self.folder / "upscale_models" / "tiny-realesrgan-x4.pth"


def lay_out(folder: str | Path, job: Job = QUIET) -> Library:
    """Write the demo's library to `folder`; files that are there with the right bytes stay untouched, so do all others.

    Raises FileExistsAlreadyError, before anything is written, when `folder` holds things and was not made by this
    function, or when a file of one of the library's names has other bytes; NoSpaceError, FileError when writing fails.
    """
    root = Path(folder)
    with ExitStack() as stack:
        goals = _goals(root, stack)
        _check_folder(root)
        missing = [goal for goal in goals if not _there(goal, goals[goal].read)]
        _prepare(root, missing, sum(goals[goal].size for goal in missing))
        with job.phase("laying out the demo library", len(missing), "files") as advance:
            for goal in missing:
                goals[goal].put(goal, job)
                advance(1, goal.name)
    return Library(root, tuple(goals), tuple(missing))


class _Copy:
    """A file that is copied byte by byte."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        try:
            self._file = stack.enter_context(path.open("rb"))
            self.size = os.fstat(self._file.fileno()).st_size
        except OSError as error:
            raise file_error(error, path) from error

    def read(self, offset: int, size: int) -> bytes:
        self._file.seek(offset)
        return self._file.read(size)

    def put(self, goal: Path, job: Job) -> None:
        with replacing(goal) as file:
            for offset in range(0, self.size, _BLOCK):
                job.check()
                write_all(file, self.read(offset, _BLOCK))


class _Composed:
    """A checkpoint that is written from its parts."""

    def __init__(self, source: TensorSource) -> None:
        self._source = source
        self.size = source.header.file_size
        self.read = source.read_range

    def put(self, goal: Path, job: Job) -> None:
        write(self._source, goal, job=job)


def _goals(root: Path, stack: ExitStack) -> dict[Path, _Copy | _Composed]:
    """Every file of the library and how it comes to be; opens the shipped files until `stack` ends."""
    found: dict[Path, _Copy | _Composed] = {root / goal: _Copy(_shipped(name), stack) for goal, name in _COPIES.items()}
    for goal, name in _COMPOSED.items():
        base = stack.enter_context(SafetensorsFile(_shipped("tiny-shapes-base.safetensors")))
        unet = stack.enter_context(SafetensorsFile(_shipped(name)))
        found[root / goal] = _Composed(Combined([base, unet], unet.header.metadata))
    return dict(sorted(found.items()))


def _shipped(name: str) -> Path:
    return data_path("demo", name)


def _check_folder(root: Path) -> None:
    """Raise FileExistsAlreadyError unless `root` is free, empty or marked as ours."""
    if root.exists() and not root.is_dir():
        raise FileExistsAlreadyError(f"{root} is a file.", "Name a folder that is empty or does not exist.")
    try:
        names = [entry.name for entry in root.iterdir()] if root.exists() else []
    except OSError as error:
        raise file_error(error, root) from error
    if names and _MARK not in names:
        raise FileExistsAlreadyError(
            f"{root} is not empty, and `modelhub demo` did not make it.",
            "Name a folder that is empty or does not exist.",
        )


def _there(goal: Path, read: _Read) -> bool:
    """Whether `goal` exists with just the bytes that `read` gives. Raises FileExistsAlreadyError if it has others."""
    if not os.path.lexists(goal):
        return False
    try:
        same = goal.is_file() and _equal(goal, read)
    except OSError as error:
        raise file_error(error, goal) from error
    if not same:
        raise FileExistsAlreadyError(
            f"{goal} exists and is not the demo's file of that name.", "Move it away, or name another folder."
        )
    return True


def _equal(path: Path, read: _Read) -> bool:
    with path.open("rb") as file:
        for offset in range(0, 1 << 62, _BLOCK):
            block = file.read(_BLOCK)
            if block != read(offset, _BLOCK):
                return False
            if not block:
                return True
    return False


def _prepare(root: Path, missing: list[Path], size: int) -> None:
    """Make the folders and the mark; raise NoSpaceError when `size` bytes do not fit."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        if not (root / _MARK).exists():
            (root / _MARK).write_text(_ABOUT, encoding="utf-8")
        for goal in missing:
            goal.parent.mkdir(exist_ok=True)
    except OSError as error:
        raise file_error(error, root) from error
    if missing:
        check_target(root / "checkpoints" / "all.safetensors", size)
