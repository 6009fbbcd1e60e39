"""Links: the address of a file, asked for anew where a server no longer takes it."""

from __future__ import annotations

from collections.abc import Callable

from modelhub.errors import WrongBytesError
from modelhub.fetch.net import Refusal
from modelhub.fetch.net.endpoints import host_of, through_endpoint
from modelhub.fetch.offer import RemoteFile
from modelhub.text import brief

#: What a store answers to a link whose time is over, and a provider to an address that it has changed.
_EXPIRED = frozenset({400, 401, 403, 404, 410})
_MOVED = frozenset({404, 410})


class Links:
    """Where a file is asked for: at its provider, who leads to a store by a link that holds for a while."""

    def __init__(self, file: RemoteFile, provider: str, again: Callable[[], RemoteFile] | None) -> None:
        self._file, self._provider, self._again = file, provider, again
        self.url = file.url
        self._asked_anew = self._found_anew = False

    def hold(self) -> None:
        """Bytes came: should the link end once more, it is renewed once more."""
        self._asked_anew = self._found_anew = False

    def renew(self, refusal: Refusal) -> bool:
        """Whether asking once more may help: the provider gives a new link, or `again` a new address.

        Raises WrongBytesError if there is another file by now, and what `again` raises.
        """
        is_store = refusal.host != host_of(through_endpoint(self.url))
        if is_store and refusal.status in _EXPIRED and not self._asked_anew:
            self._asked_anew = True
            return True
        has_moved = refusal.status in (_EXPIRED if is_store or self._provider == "web" else _MOVED)
        if self._again is None or self._found_anew or not has_moved:
            return False
        self._found_anew = True
        self.url = self._same(self._again()).url
        return True

    def _same(self, found: RemoteFile) -> RemoteFile:
        old, new = (one.hashes.get("sha256", "").lower() for one in (self._file, found))
        if old and new and old != new:
            message = f"{brief(self._file.name)} was replaced meanwhile: its SHA256 is {new}, not {old}."
            raise WrongBytesError(message, "Ask for it anew to get the file that is there now.")
        return found
