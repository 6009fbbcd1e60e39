"""One tree of errors: a sentence for people, a hint for the next step, a code for scripts, an exit code for shells.

Exit codes: 1 unexpected, 2 usage / not found / bad recipe, 3 file, 4 model, 5 provider, 130 cancelled.
"""

from __future__ import annotations

import errno
from pathlib import Path

from modelhub.text import one_line, printable


class ModelhubError(Exception):
    """Anything modelhub can explain: `message` is a full sentence with path and value in it, `hint` the next step."""

    code = "error"
    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = printable(message)
        self.hint = printable(hint)

    def __str__(self) -> str:
        return self.message

    def as_dict(self) -> dict[str, str]:
        """Plain values for JSON, as the command line's contract has them."""
        return {"code": self.code, "message": self.message, "hint": self.hint}


def error_dict(error: ModelhubError | None) -> dict[str, str] | None:
    """The plain values of an error, None for none."""
    return None if error is None else error.as_dict()


class UsageError(ModelhubError):
    """The words of the command do not fit together."""

    code, exit_code = "usage", 2


class NotFoundError(UsageError):
    """Nothing of that name."""

    code = "not-found"


class AmbiguousError(UsageError):
    """A name that fits several assets."""

    code = "ambiguous"


class BadQueryError(UsageError):
    """A search that cannot be read."""

    code = "bad-query"


class BadRecipeError(UsageError):
    """A recipe that cannot be read or does not add up."""

    code = "bad-recipe"


class FileError(ModelhubError):
    """A file that cannot be read or written."""

    code, exit_code = "file", 3


class CorruptFileError(FileError):
    """A file whose bytes contradict its format."""

    code = "corrupt-file"


class UnsafePickleError(FileError):
    """A pickle that would run code of its own if a program loaded it the usual way."""

    code = "unsafe-pickle"


class NotAModelError(FileError):
    """A file of a format that modelhub does not read weights from."""

    code = "not-a-model"


class VanishedError(FileError):
    """A file that was there a moment ago."""

    code = "vanished"


class ForbiddenError(FileError):
    """A file or folder this user may not read or write."""

    code = "forbidden"


class FileExistsAlreadyError(FileError):
    """A file that would be replaced, without --force."""

    code = "file-exists"


class NoSpaceError(FileError):
    """A disk without room for what would be written."""

    code = "no-space"


class ModelError(ModelhubError):
    """A model that is not what the operation needs."""

    code, exit_code = "model", 4


class UnknownModelError(ModelError):
    """A model of no known architecture."""

    code = "unknown-model"


class IncompatibleError(ModelError):
    """Models that do not fit together."""

    code = "incompatible"


class NoMemoryError(ModelError):
    """A model that does not fit in the memory of the device it is to compute on."""

    code = "no-memory"


class ProviderError(ModelhubError):
    """A download source that refused or did not answer."""

    code, exit_code = "provider", 5


class LoginNeededError(ProviderError):
    """A provider wants to know who asks, or does not know the token it was shown."""

    code = "login-needed"


class TokenScopeError(ProviderError):
    """A token that is known, and may not do this."""

    code = "token-scope"


class GatedError(ProviderError):
    """A model whose terms have to be accepted on its page first."""

    code = "gated"


class DownloadsDisabledError(ProviderError):
    """A model that its creator lets nobody download."""

    code = "downloads-disabled"


class EarlyAccessError(ProviderError):
    """A model that has to be paid for until some day."""

    code = "early-access"


class ArchivedError(ProviderError):
    """A model whose files were taken away."""

    code = "archived"


class RateLimitedError(ProviderError):
    """A provider that wants to be asked less often; `wait` is how many seconds it said, if it did."""

    code = "rate-limited"

    def __init__(self, message: str, hint: str = "", wait: float | None = None) -> None:
        super().__init__(message, hint)
        self.wait = wait


class UnreachableError(ProviderError):
    """A server that did not answer, broke off again and again, or had trouble of its own."""

    code = "unreachable"


class WrongBytesError(FileError):
    """What a server sent is not the file that was promised."""

    code = "wrong-bytes"


class CancelledError(ModelhubError):
    """The user stopped the job."""

    code, exit_code = "cancelled", 130

    def __init__(self, message: str = "Stopped; nothing half-written is left behind.", hint: str = "") -> None:
        super().__init__(message, hint)


_BY_ERRNO: dict[int, tuple[type[FileError], str, str]] = {
    errno.ENOENT: (VanishedError, "does not exist", "Check the path; a scan brings the catalog up to date."),
    errno.EACCES: (ForbiddenError, "may not be accessed by this user", "Change its permissions, or run as its owner."),
    errno.EPERM: (ForbiddenError, "may not be accessed by this user", "Change its permissions, or run as its owner."),
    errno.ENOSPC: (NoSpaceError, "does not fit on the disk", "Free some space, or write to another disk."),
    errno.EDQUOT: (NoSpaceError, "does not fit in the disk quota", "Free some space, or write to another disk."),
    errno.EROFS: (ForbiddenError, "is on a read-only file system", "Write to another place."),
    errno.ELOOP: (FileError, "is a symbolic link that leads back to itself", "Remove the link."),
    errno.ENAMETOOLONG: (FileError, "has a name longer than the file system allows", "Use a shorter name."),
    errno.EISDIR: (FileError, "is a folder, not a file", "Name a file."),
    errno.ENOTDIR: (FileError, "goes through a file as if it were a folder", "Check the path."),
    errno.EFBIG: (NoSpaceError, "is larger than the file system or a limit allows", "Write to another disk."),
}


def file_error(error: OSError, path: str | Path) -> FileError:
    """The `FileError` that says what the operating system said of `path`, in words."""
    kind, what, hint = _BY_ERRNO.get(
        error.errno or 0, (FileError, f"could not be used: {error.strerror or error}", "Check the disk and the path.")
    )
    return kind(f"{one_line(str(path))} {what}.", hint)
