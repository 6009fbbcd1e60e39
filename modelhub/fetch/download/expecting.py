"""Expecting: what an answer has to be to be worth receiving, by its size, its kind and its first bytes."""

from __future__ import annotations

from modelhub.errors import WrongBytesError
from modelhub.fetch.download.answer import Answer
from modelhub.fetch.download.front import FRONT, Front, check_front
from modelhub.fetch.download.part import Part
from modelhub.fetch.offer import RemoteFile
from modelhub.formats.naming import is_model_name
from modelhub.text import brief, human_size

_HINT = "What its page says and what the server has differ; try again later, or look at its page."


class Expecting:
    """What is expected of one file."""

    def __init__(self, file: RemoteFile, provider: str) -> None:
        self._file, self._provider = file, provider
        self._host = "The server"

    def check_status(self, answer: Answer) -> None:
        """Raise WrongBytesError for an answer that has nothing of the file."""
        self._host = answer.host
        if answer.status not in (200, 206):
            raise self._wrong(f"{answer.host} answered with status {answer.status} and no bytes of {self._name}.")

    def check_size(self, answer: Answer) -> None:
        """Raise WrongBytesError for a file of another size than was promised."""
        size = self._file.exact_size
        if size is not None and answer.total is not None and answer.total != size:
            raise self.wrong_size(answer.total)
        if answer.total == 0 and size is None and is_model_name(self._file.name):
            raise self._wrong(f"{answer.host} has an empty file in the place of {self._name}.")

    def check_front(self, front: bytes, answer: Answer) -> None:
        """Raise for first bytes that are not the file's: WrongBytesError, LoginNeededError."""
        check_front(Front(front, answer.kind, answer.host), self._file, self._provider)

    def check_file(self, part: Part) -> None:
        """Raise for a whole file that begins with what is not the file's, however it came together."""
        front = bytearray(FRONT)
        count = part.read(0, memoryview(front))
        check_front(Front(bytes(front[:count]), "", self._host), self._file, self._provider)

    def wrong_size(self, found: int) -> WrongBytesError:
        """The error for a file that is not as large as promised."""
        size = self._file.exact_size
        return self._wrong(f"{self._name} should have {size:,} bytes, and {self._host} has one of {found:,}.")

    def most(self, answer: Answer) -> int | None:
        """The bytes that a body of unknown length may have."""
        if answer.total is not None or self._file.size is None:
            return answer.total
        return self._file.size if self._file.exact else self._file.size + max(self._file.size // 50, 1 << 20)

    def too_much(self, answer: Answer, most: int) -> WrongBytesError:
        """The error for a body that goes on and on."""
        return self._wrong(f"{answer.host} sends more than the {human_size(most)} that {self._name} has.")

    @property
    def _name(self) -> str:
        return brief(self._file.name)

    def _wrong(self, message: str) -> WrongBytesError:
        return WrongBytesError(message, _HINT)
