"""tokens.toml in modelhub's home: readable and writable by its owner from the first byte, and by nobody else."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from modelhub.errors import CorruptFileError, FileError, ForbiddenError, VanishedError, file_error
from modelhub.formats.handle import open_regular
from modelhub.settings import home
from modelhub.text import one_line

#: Bytes that such a file has at most.
_MOST = 1 << 20


def path() -> Path:
    """Where the file is."""
    return home() / "tokens.toml"


def read() -> dict[str, str]:
    """The tokens by provider.

    Raises ForbiddenError for a file that others can read, with what to do; CorruptFileError for one that is not TOML;
    other FileErrors. None of them shows what is in it.
    """
    try:
        descriptor = open_regular(path())
    except VanishedError:
        return {}
    try:
        _check_private(os.fstat(descriptor))
        data = os.read(descriptor, _MOST)
    except OSError as error:
        raise file_error(error, path()) from error
    finally:
        os.close(descriptor)
    return _parsed(data)


def change(provider: str, token: str | None) -> bool:
    """Put a token in the place of any other, or with None take it away; whether the file is another now.

    It is replaced whole or not at all, and goes when there are no tokens; another process that changes it waits. Raises
    FileError.
    """
    # behind a link, so that the link stays
    goal = Path(os.path.realpath(path()))
    try:
        goal.parent.mkdir(parents=True, exist_ok=True)
        with _alone(goal.parent):
            before = read()
            after = {name: one for name, one in {**before, provider: token}.items() if one is not None}
            if after == before:
                return False
            if after:
                _replace(goal, after)
            else:
                goal.unlink(missing_ok=True)
            return True
    except OSError as error:
        raise file_error(error, path()) from error


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Holds a lock of the folder, where the system has such."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _replace(goal: Path, tokens: dict[str, str]) -> None:
    import tomli_w

    from modelhub.formats.writer import into_place

    part = goal.with_name(f".{goal.name}.{secrets.token_hex(8)}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(tomli_w.dumps(dict(sorted(tokens.items()))).encode())
            file.flush()
            os.fsync(descriptor)
        into_place(part, goal, force=True)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise


def _check_private(found: os.stat_result) -> None:
    """Windows gives a home to its owner alone, and has no such bits."""
    if os.name != "posix":
        return
    where = one_line(str(path()))
    if stat.S_IMODE(found.st_mode) & 0o077:
        message = f"{where} holds tokens, and others than its owner may read or change it; it was not used."
        raise ForbiddenError(message, f"Run `chmod 600 '{where}'`. Who was there may have read them: make new ones.")
    if found.st_uid != os.geteuid() and os.geteuid() != 0:
        raise ForbiddenError(f"{where} holds tokens, and belongs to another user; it was not used.", "Move it away.")


def _parsed(data: bytes) -> dict[str, str]:
    import tomllib

    with suppress(tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError):
        found = tomllib.loads(data.decode("utf-8"))
        if all(isinstance(value, str) for value in found.values()):
            return found
    raise _unreadable()


def _unreadable() -> FileError:
    where = one_line(str(path()))
    hint = 'Mend it, with lines such as civitai = "…", or delete it and run `modelhub login civitai`.'
    return CorruptFileError(f"{where} is not TOML with a token to each name.", hint)
