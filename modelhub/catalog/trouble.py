"""What SQLite complains of, in words. The catalog holds what the user said: only a damaged file is called damaged."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from modelhub.errors import CorruptFileError, FileError, ForbiddenError, NoSpaceError

_DAMAGED = (
    CorruptFileError,
    "is not a usable catalog",
    "Move it away and scan again; model files are not affected. Keep it: tags, notes and ratings are in it.",
)
_ACCESS = "Change the permissions, or set MODELHUB_HOME to a folder that can be written."
#: Primary result codes of SQLite (sqlite.org/rescode.html) to the error, what is said, and the hint.
_BY_CODE: dict[int, tuple[type[FileError], str, str]] = {
    sqlite3.SQLITE_BUSY: (FileError, "is in use by another program", "Wait until it is done, then try again."),
    sqlite3.SQLITE_LOCKED: (FileError, "is in use by another program", "Wait until it is done, then try again."),
    sqlite3.SQLITE_PERM: (ForbiddenError, "may not be accessed by this user", _ACCESS),
    sqlite3.SQLITE_READONLY: (ForbiddenError, "cannot be written", _ACCESS),
    sqlite3.SQLITE_CANTOPEN: (ForbiddenError, "cannot be opened", _ACCESS),
    sqlite3.SQLITE_FULL: (NoSpaceError, "does not fit on its disk", "Free some space, then try again."),
    sqlite3.SQLITE_IOERR: (FileError, "could not be read or written", "Check its disk: is it full, or gone?"),
    sqlite3.SQLITE_ERROR: _DAMAGED,  # such as a table that is not there
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_CONSTRAINT: (FileError, "was changed by another program meanwhile", "Try again."),
    sqlite3.SQLITE_NOMEM: (FileError, "needs more memory than there is", "Close other programs."),
}
_OTHER = (FileError, "could not be used", "Check its disk; another program may hold the file.")


def catalog_error(error: sqlite3.Error, path: Path) -> FileError:
    """The `FileError` that says what SQLite said of the catalog at `path`."""
    code = getattr(error, "sqlite_errorcode", None)  # errors of Python's own module have none
    kind, what, hint = _BY_CODE.get((code or 0) & 0xFF, _OTHER)
    return kind(f"{path} {what}: {error}.", hint)
