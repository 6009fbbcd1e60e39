"""TorchScript: the code in an archive is left out, and told of where torch would let it write to the disk."""

from __future__ import annotations

import re
from collections.abc import Mapping

from modelhub.formats.pickles.span import Data
from modelhub.formats.pickles.survey import Survey, quoted

#: Of all operators of torch 2.13, `save` and `from_file` take the path of a file, and make it if need be.
_OWNER = re.compile(rb"\b(?:torch|aten)(?=[\s\\()#.])")
_NAME = re.compile(rb"(save|from_file)\b")
#: What may stand between words; it never goes back, or a long one would take very long.
_GAP = re.compile(rb"(?:[\s\\()]++|#[^\n]*+(?:\n|\Z))*+")


def is_script(inside: Mapping[str, Data]) -> bool:
    """Whether the files of an archive, by their names below its folder, are those of TorchScript."""
    return "constants.pkl" in inside or any(name.startswith("code/") for name in inside)


def look_at_code(inside: Mapping[str, Data], survey: Survey) -> None:
    """Note code that torch would run as it loads the file; of what code computes, nothing is known."""
    survey.find("It holds TorchScript code, which torch would run; it is left out.")
    for name, data in inside.items():
        if not name.startswith("code/") or not name.endswith(".py"):
            continue
        survey.code -= data.size
        if survey.code < 0:
            survey.find("Much of its code was not looked at.")
            return
        what = _writes(data.span().read(0, data.size))
        if what:
            survey.danger(f"the TorchScript code {quoted(name)} {what}", certain=True)


def _writes(code: bytes) -> str:
    """What the code does to files, "" for nothing.

    Comments that hide in comments would be read again and again: with more of that than any code has, it is given up.
    """
    left = 4 * len(code)
    for owner in _OWNER.finditer(code):
        dot = _gap(code, owner.end())
        end = _gap(code, dot + 1) if code[dot : dot + 1] == b"." else dot
        left -= end - owner.end()
        if left < 0:
            return "hides what it calls behind comments"
        found = _NAME.match(code, end) if end > dot else None
        if found:
            return f"writes files by torch.{found[1].decode()}"
    return ""


def _gap(code: bytes, at: int) -> int:
    found = _GAP.match(code, at)
    return found.end() if found else at
