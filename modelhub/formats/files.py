"""One file with weights, opened by what its bytes say and not by its name."""

from __future__ import annotations

import os
from pathlib import Path

from modelhub.errors import NotAModelError, file_error
from modelhub.formats.handle import open_regular
from modelhub.formats.safetensors import SafetensorsFile, sniff_hint, sniff_word
from modelhub.formats.sniff import sniff_bytes
from modelhub.formats.source import TensorSource

_CLAIMS = (".safetensors", ".sft")


def claims_safetensors(name: str) -> bool:
    """Whether a file of this name says that it is a safetensors file."""
    return name.lower().endswith(_CLAIMS)


def format_of(path: str | Path) -> str:
    """The format of a file: safetensors, pickle, gguf, or unknown; by its bytes, never waiting for a pipe.

    What says by its name that it is safetensors and is none of the others counts as such, so that opening it tells
    what is wrong. Raises NotAModelError for a device or a pipe, FileError when it cannot be read.
    """
    form = sniff_bytes(_front(path))
    return "safetensors" if form == "unknown" and claims_safetensors(str(path)) else form


def open_file(path: str | Path, form: str = "") -> TensorSource:
    """Open one file as a source; `form` is its format if that is known already.

    Raises NotAModelError for an unknown format, and what its reader raises.
    """
    form = form or format_of(path)
    if form == "safetensors":
        return SafetensorsFile(path)
    if form == "gguf":
        from modelhub.formats.gguf import GgufFile

        return GgufFile(path)
    if form == "pickle":
        from modelhub.formats.pickles.file import PickleFile

        return PickleFile(path)
    front = _front(path)
    what = sniff_word(front)
    why = f"is {what}, which holds no weights" if what else "is of no format that holds weights"
    raise NotAModelError(f"{path} {why}.", sniff_hint(front))


def _front(path: str | Path) -> bytes:
    descriptor = open_regular(path)
    try:
        return os.pread(descriptor, 265, 0)
    except OSError as error:
        raise file_error(error, path) from error
    finally:
        os.close(descriptor)
