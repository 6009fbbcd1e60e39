"""The JSON body of a request, read field by field: what is wrong is an answer, what nobody reads is told."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from modelhub.errors import UsageError
from modelhub.text import brief


class FieldError(UsageError):
    """A field that cannot be what it is to be."""

    code = "field"

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field} {message}.")
        self.field = field


class Body:
    """The fields of a request; null is as good as none. `where` stands before their names in errors."""

    def __init__(self, fields: Mapping[str, Any], where: str = "") -> None:
        self._fields, self._where = {key: value for key, value in fields.items() if value is not None}, where
        self._read: set[str] = set()

    @classmethod
    def of(cls, value: Any, where: str = "") -> Body:
        """What a JSON document holds. Raises FieldError for anything but an object."""
        if not isinstance(value, dict):
            raise FieldError(where or "body", "must be a JSON object")
        return cls(value, where)

    def _get(self, field: str) -> Any:
        self._read.add(field)
        return self._fields.get(field)

    def _wrong(self, field: str, message: str) -> FieldError:
        return FieldError(f"{self._where}{field}", f"{message}, not {brief(repr(self._fields[field]), 60)}")

    def text(self, field: str) -> str | None:
        """A text."""
        value = self._get(field)
        if value is not None and not isinstance(value, str):
            raise self._wrong(field, "must be a text")
        return value

    def number(self, field: str) -> float | None:
        """A finite number, which may stand in a text."""
        value = self._get(field)
        if value is None:
            return None
        try:
            found = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError, OverflowError):
            found = math.nan
        if not math.isfinite(found):
            raise self._wrong(field, "must be a number")
        return found

    def whole(self, field: str) -> int | None:
        """A whole number."""
        found, value = self.number(field), self._fields.get(field)
        if found is None:
            return None
        if not found.is_integer():
            raise self._wrong(field, "must be a whole number")
        return value if isinstance(value, int) else int(found)

    def yes(self, field: str) -> bool:
        """Whether a field says yes; none does not."""
        value = self._get(field)
        if value is None or isinstance(value, bool) or value in (0, 1):
            return bool(value)
        raise self._wrong(field, "must be true or false")

    def texts(self, field: str) -> list[str]:
        """A list of texts."""
        value = self._get(field)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise FieldError(f"{self._where}{field}", "must be a list of texts")
        return value

    def inner(self, field: str) -> Body:
        """An object inside."""
        value = self._get(field)
        return Body({} if value is None else Body.of(value, f"{self._where}{field}")._fields, f"{self._where}{field}.")

    def rest(self) -> list[str]:
        """Fields that were not read, and say something."""
        return [f"{self._where}{key}" for key, value in self._fields.items() if key not in self._read and _says(value)]

    def echo(self, without: tuple[str, ...] = ()) -> dict[str, Any]:
        """The fields as they came; those of `without`, which are large, as null."""
        return {key: None if key in without else value for key, value in self._fields.items()}


def _says(value: Any) -> bool:
    return value not in (False, 0, "", [], {}, "None", "none")
