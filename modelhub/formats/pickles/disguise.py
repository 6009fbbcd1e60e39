"""Files of another format that are pickles as well: torch chooses its reader by the first bytes and nothing else."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

from modelhub.errors import FileError
from modelhub.formats.handle import Handle
from modelhub.formats.pickles.opcodes import run
from modelhub.formats.pickles.span import Span
from modelhub.formats.pickles.survey import Survey
from modelhub.formats.pickles.tar import is_tar
from modelhub.formats.pickles.values import GlobalName
from modelhub.formats.pickles.zip import hides_zip

_BLOCK = 512
#: Names as Python has them: bytes of another format that look like an opcode are followed by something else.
_MODULE, _NAME = re.compile(r"[A-Za-z_][\w.]*", re.ASCII), re.compile(r"[A-Za-z_]\w*", re.ASCII)


def disguise(path: str | Path) -> str:
    """What else a safetensors or GGUF file is, in words that follow "it is"; "" for nothing but what it seems.

    Nothing of it is run. Raises FileError for a file that cannot be opened.
    """
    with Handle(path) as handle:
        span, survey = Span(handle, 0, handle.size), Survey(Path(path), handle.size)
        survey.doubting = True
        if is_tar(span.read(0, _BLOCK)):
            return "also a tar archive, in which torch looks for pickles"
        with suppress(FileError):
            run(span, survey)
        survey.spool.close()
        if any(map(_is_name, survey.names)):
            return "also a pickle, which refers to code"
        return "also a zip archive: programs check one and load the other" if hides_zip(span) else ""


def _is_name(found: GlobalName) -> bool:
    return bool(_MODULE.fullmatch(found.module) and _NAME.fullmatch(found.name))
