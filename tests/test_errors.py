"""The tree of errors: codes, exit codes, and messages that are safe to show."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from modelhub import errors
from modelhub.errors import CancelledError, FileError, ModelhubError, file_error


def _tree(kind: type[ModelhubError] = ModelhubError) -> list[type[ModelhubError]]:
    return [kind, *(inner for child in kind.__subclasses__() for inner in _tree(child))]


def test_every_error_has_a_code_of_its_own():
    kinds = [kind for kind in _tree() if kind.__module__ == errors.__name__]
    codes = [kind.code for kind in kinds]
    assert len(set(codes)) == len(codes) > 15
    assert all(code == code.lower() and " " not in code for code in codes)


@pytest.mark.parametrize(
    ("name", "exit_code"),
    [
        ("ModelhubError", 1), ("UsageError", 2), ("NotFoundError", 2), ("AmbiguousError", 2), ("BadRecipeError", 2),
        ("FileError", 3), ("CorruptFileError", 3), ("NotAModelError", 3), ("NoSpaceError", 3),
        ("FileExistsAlreadyError", 3),
        ("ModelError", 4), ("UnknownModelError", 4), ("IncompatibleError", 4), ("ProviderError", 5),
        ("CancelledError", 130),
    ],
)  # fmt: skip
def test_exit_codes_are_the_documented_ones(name: str, exit_code: int):
    assert getattr(errors, name).exit_code == exit_code


def test_exit_code_follows_the_parent():
    parents = {2: errors.UsageError, 3: errors.FileError, 4: errors.ModelError, 5: errors.ProviderError}
    for kind in _tree():
        if kind.exit_code in parents:
            assert issubclass(kind, parents[kind.exit_code])


def test_message_and_hint_cannot_drive_a_terminal():
    error = FileError("a\x1b[2Jb\u202e.safetensors is odd.", "Rename \x07 it.")
    assert str(error) == error.message == "a\\x1b[2Jb\\u202e.safetensors is odd."
    assert error.hint == "Rename \\x07 it."


def test_cancelled_needs_no_words():
    assert CancelledError().message.endswith(".")


def _from_the_system(path: Path) -> OSError:
    try:
        path.open("rb").close()
    except OSError as error:
        return error
    raise AssertionError("it opened")


def test_a_missing_file_is_vanished(tmp_path: Path):
    path = tmp_path / "gone.safetensors"
    error = file_error(_from_the_system(path), path)
    assert error.code == "vanished"
    assert error.message == f"{path} does not exist."
    assert error.hint


def test_a_folder_and_a_path_through_a_file(tmp_path: Path):
    (tmp_path / "file").touch()
    assert "is a folder" in file_error(_from_the_system(tmp_path), tmp_path).message
    assert (
        "as if it were a folder"
        in file_error(_from_the_system(tmp_path / "file" / "x"), tmp_path / "file" / "x").message
    )


def test_a_link_to_itself_and_a_name_too_long(tmp_path: Path):
    (tmp_path / "loop").symlink_to("loop")
    assert "symbolic link" in file_error(_from_the_system(tmp_path / "loop"), tmp_path / "loop").message
    long = tmp_path / ("x" * 300)
    assert "longer" in file_error(_from_the_system(long), long).message


@pytest.mark.parametrize(
    ("number", "code"),
    [(errno.ENOSPC, "no-space"), (errno.EDQUOT, "no-space"), (errno.EFBIG, "no-space"), (errno.EACCES, "forbidden"),
     (errno.EPERM, "forbidden"), (errno.EROFS, "forbidden"), (errno.EIO, "file"), (None, "file")],
)  # fmt: skip
def test_what_the_system_says_becomes_a_kind(number: int | None, code: str):
    raised = OSError(number, os.strerror(number)) if number else OSError("something else")
    error = file_error(raised, "model.safetensors")
    assert error.code == code
    assert error.message.startswith("model.safetensors ")
    assert error.message.endswith(".")
    assert error.hint
